//! `sneck run`: a command under a lock.

use crate::args::RunArgs;
use crate::exit;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::schedule::Bounds;
use crate::secret::without_credentials;
use crate::server::ServerUrl;
use crate::signals::Signals;
use crate::store::{self, Store};
use crate::supervisor::{End, Supervisor};
use crate::wait::{Wait, interrupted};
use sneck::{ErrorKind, Guard, Name};
use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

/// Runs the command under the lock, and answers its exit code.
///
/// # Errors
/// Everything else.
pub(crate) async fn run(url: ServerUrl, args: &RunArgs, printer: &Printer) -> Result<u8, Failure> {
    let name = store::name(&args.name)?;
    // Taken over before anything can be left behind, and until the end.
    let mut signals = Signals::take(&Signals::FORWARDED)?;
    let store = tokio::select! {
        biased;
        signal = signals.ending() => return Err(interrupted(signal)),
        store = Store::open(url, shown_command(args)) => store?,
    };
    let result = run_on(&store, &name, args, &mut signals, printer).await;
    store.close(result).await
}

async fn run_on(
    store: &Store,
    name: &Name,
    args: &RunArgs,
    signals: &mut Signals,
    printer: &Printer,
) -> Result<u8, Failure> {
    // Before waiting, so that nobody waits for an hour to be told of a mistake.
    bounds(store, args).await?;
    let wait = Wait::new(store, name, &args.wait, printer);
    let (guard, bounds) = tokio::select! {
        biased;
        signal = signals.ending() => {
            printer.clear_status();
            printer.detail("left the line");
            return Err(interrupted(signal));
        }
        ready = ready(store, args, &wait, printer) => ready?,
    };
    printer.detail(&format!("holding {:?} with token {}", name.as_str(), guard.token()));
    let environment = environment(store, name, &guard);
    let supervisor = Supervisor::start(&guard, signals, bounds, &args.command, &environment)?;
    match supervisor.run(printer).await? {
        End::Ended(code) => {
            tokio::select! {
                // Who has no patience for a store that does not confirm leaves the rest to it.
                biased;
                _ = signals.ending() => {}
                () = release(guard, printer) => {}
            }
            Ok(code)
        }
        End::Lost(why) => Err(lost(name, &why)),
    }
}

/// Gets the lock, with enough time left on it for the command to be started.
async fn ready(
    store: &Store,
    args: &RunArgs,
    wait: &Wait<'_>,
    printer: &Printer,
) -> Result<(Guard, Option<Bounds>), Failure> {
    loop {
        let guard = wait.lock().await?;
        // Again, as the session may be another by now, with another timeout.
        match bounds(store, args).await {
            Ok(bounds) => {
                let needed = bounds.map_or(Duration::ZERO, |bounds| bounds.grace);
                if guard.remaining() > needed {
                    return Ok((guard, bounds));
                }
            }
            // The session has ended since, and with it the lock.
            Err(failure) if failure.code() == exit::UNAVAILABLE => {}
            Err(failure) => return Err(failure),
        }
        printer.say("the lock was lost before the command was started; asking again");
    }
}

/// How much notice the command gets.
async fn bounds(store: &Store, args: &RunArgs) -> Result<Option<Bounds>, Failure> {
    let Some(timeout) = store.session_timeout().await? else { return Ok(None) };
    Bounds::new(timeout, args.grace).map(Some).map_err(|grace_max| {
        let text = format!(
            "--grace is longer than {}, a quarter of the session timeout, so the command would be \
             ended while all is well",
            humantime::format_duration(grace_max),
        );
        Failure::usage(text).with_hint("ask for a longer session, such as zk://HOST?timeout=30s")
    })
}

/// What others in line are told that we run.
fn shown_command(args: &RunArgs) -> String {
    let Some((program, rest)) = args.command.split_first() else { return String::new() };
    let file_name = Path::new(program).file_name().unwrap_or(program);
    let shown = |text: &OsStr| without_credentials(&text.to_string_lossy());
    let mut words = vec![shown(file_name)];
    if args.show_args {
        words.extend(rest.iter().map(|word| shown(word)));
    }
    words.join(" ")
}

fn environment(store: &Store, name: &Name, guard: &Guard) -> [(&'static str, String); 5] {
    [
        ("SNECK_NAME", name.as_str().to_owned()),
        ("SNECK_TOKEN", guard.token().to_string()),
        ("SNECK_MODE", "exclusive".to_owned()),
        ("SNECK_OWNER", store.owner()),
        ("SNECK_SERVER", store.url()),
    ]
}

/// Gives the lock back. The command has ended under the lock, so nothing here changes the exit code.
async fn release(guard: Guard, printer: &Printer) {
    match guard.unlock().await {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::Lost => printer.detail(&error.to_string()),
        Err(error) => printer.say(&format!("{error}; the lock is free when the session ends")),
    }
}

fn lost(name: &Name, why: &str) -> Failure {
    let text = format!("lock {:?} was lost and the command ended: {why}", name.as_str());
    Failure::new(exit::LOST, text).with_hint(
        "somebody else may hold the lock by now; only a resource that checks SNECK_TOKEN is safe",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Verb};
    use clap::Parser;

    fn shown(command: &[&str], show_args: &[&str]) -> String {
        let args = [&["sneck", "run"], show_args, &["a", "--"], command].concat();
        match Cli::try_parse_from(args).unwrap().verb {
            Verb::Run(args) => shown_command(&args),
            verb => panic!("{verb:?}"),
        }
    }

    #[test]
    fn arguments_are_shown_on_demand_only_and_never_credentials() {
        let command = ["/opt/bin/load", "--into", "postgres://u:hunter2@db/x"];
        assert_eq!(shown(&command, &[]), "load");
        assert_eq!(shown(&command, &["--show-args"]), "load --into postgres://***@db/x");
    }
}
