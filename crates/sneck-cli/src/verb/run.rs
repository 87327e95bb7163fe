//! `sneck run`: a command under a lock.

use crate::args::RunArgs;
use crate::asked::Asked;
use crate::failure::Failure;
use crate::job::{Job, Notice, Told, lost, shown_command};
use crate::printer::Printer;
use crate::server::ServerUrl;
use crate::signals::Signals;
use crate::store::Store;
use crate::supervisor::End;
use crate::verb::every;
use crate::wait::{Wait, interrupted};
use sneck::{ErrorKind, Guard};

/// Runs the command under the lock, and answers its exit code.
///
/// # Errors
/// Everything else.
pub(crate) async fn run(url: ServerUrl, args: &RunArgs, printer: &Printer) -> Result<u8, Failure> {
    let asked = Asked::new(&args.names, &args.kind)?;
    let job = every::job(args, &asked)?;
    // Taken over before anything can be left behind, and until the end.
    let mut signals = Signals::take(&Signals::FORWARDED)?;
    let command = shown_command(&args.command, args.show_args);
    let store = tokio::select! {
        biased;
        signal = signals.ending() => return Err(interrupted(signal)),
        store = Store::open(url, command) => store?.refusing_deadlock(args.refuse_deadlock),
    };
    let store = store.guarded(!args.no_guardian)?;
    let result = match job {
        Some(every) => every::run_on(&store, &asked, every, args, &mut signals, printer).await,
        None => run_on(&store, &asked, args, &mut signals, printer).await,
    };
    store.close(result).await
}

async fn run_on(
    store: &Store,
    asked: &Asked,
    args: &RunArgs,
    signals: &mut Signals,
    printer: &Printer,
) -> Result<u8, Failure> {
    let job = of(store, args);
    job.check().await?;
    let wait = Wait::new(store, asked, &args.wait, printer);
    let (guard, notice) = tokio::select! {
        biased;
        signal = signals.ending() => {
            printer.clear_status();
            printer.detail("left the line");
            return Err(interrupted(signal));
        }
        ready = ready(&job, &wait, printer) => ready?,
    };
    match job.run(&guard, notice, told(asked, &guard, printer), signals, printer).await? {
        End::Ended(code) => {
            tokio::select! {
                // Who has no patience for a store that does not confirm leaves the rest to it.
                biased;
                _ = signals.ending() => {}
                () = release(guard, printer) => {}
            }
            Ok(code)
        }
        End::Lost(why) => Err(lost(&asked.label(), &why)),
    }
}

/// The command, as the command line has it.
pub(crate) fn of<'a>(store: &'a Store, args: &'a RunArgs) -> Job<'a> {
    Job { store, command: &args.command, grace: args.grace, on_revoke: args.on_revoke }
}

/// What the command is told of its locks.
pub(crate) fn told(asked: &Asked, guard: &Guard, printer: &Printer) -> Told {
    let names: Vec<&str> = asked.names().iter().map(sneck::Name::as_str).collect();
    let tokens: Vec<String> = asked.tokens(guard).iter().map(u64::to_string).collect();
    printer.detail(&format!("holding {} with token {}", asked.quoted(), tokens.join(", ")));
    Told {
        names: names.join("\n"),
        tokens: tokens.join("\n"),
        mode: asked.mode(),
        permits: asked.permits(),
    }
}

/// Gets the lock, with enough time left on it for the command to be started.
async fn ready(
    job: &Job<'_>,
    wait: &Wait<'_>,
    printer: &Printer,
) -> Result<(Guard, Notice), Failure> {
    loop {
        let guard = wait.lock().await?;
        if let Some(notice) = job.ready(&guard).await? {
            return Ok((guard, notice));
        }
        printer.say("the lock was lost before the command was started; asking again");
    }
}

/// Gives the lock back. The command has ended under the lock, so nothing here changes the exit code.
async fn release(guard: Guard, printer: &Printer) {
    match guard.unlock().await {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::Lost => printer.detail(&error.to_string()),
        Err(error) => printer.say(&format!("{error}; the lock is free when the session ends")),
    }
}
