//! `sneck hold`: a lock without a command.

use crate::args::HoldArgs;
use crate::asked::Asked;
use crate::exit;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::server::ServerUrl;
use crate::signals::Signals;
use crate::store::Store;
use crate::wait::{Wait, interrupted};
use serde::Serialize;
use sneck::Guard;
use std::io::{self, Read};
use tokio::sync::oneshot;

/// What is printed with `--json`.
#[derive(Serialize)]
struct Held<'a> {
    name: &'a str,
    token: u64,
    mode: &'static str,
    permits: Option<String>,
    server: String,
}

/// Holds the lock until it is told to end.
///
/// # Errors
/// When the lock is not had, or is lost.
pub(crate) async fn hold(
    url: ServerUrl,
    args: &HoldArgs,
    printer: &Printer,
) -> Result<u8, Failure> {
    let asked = Asked::new(&args.names, &args.kind)?;
    let mut signals = Signals::take(&Signals::ENDING)?;
    let store = tokio::select! {
        biased;
        signal = signals.ending() => return Err(interrupted(signal)),
        store = Store::open(url, "sneck hold".to_owned()) => {
            store?.refusing_deadlock(args.refuse_deadlock)
        }
    };
    let store = store.guarded(!args.no_guardian)?;
    let result = hold_on(&store, &asked, args, &mut signals, printer).await;
    store.close(result).await
}

async fn hold_on(
    store: &Store,
    asked: &Asked,
    args: &HoldArgs,
    signals: &mut Signals,
    printer: &Printer,
) -> Result<u8, Failure> {
    let wait = Wait::new(store, asked, &args.wait, printer);
    let guard = tokio::select! {
        biased;
        signal = signals.ending() => {
            printer.clear_status();
            return Err(interrupted(signal));
        }
        guard = wait.lock() => guard?,
    };
    tell(store, asked, args, &guard, printer)?;
    tokio::select! {
        biased;
        loss = guard.lost() => {
            let text = format!("{} was lost: {loss}", asked.label());
            return Err(Failure::new(exit::LOST, text)
                .with_hint("somebody else may hold the lock by now"));
        }
        _ = signals.ending() => {}
        () = guard.revocation_requested() => {
            printer.say("somebody asks for the lock; letting go");
        }
        () = end_of_input(args.until_eof) => {}
    }
    guard.unlock().await?;
    Ok(0)
}

fn tell(
    store: &Store,
    asked: &Asked,
    args: &HoldArgs,
    guard: &Guard,
    printer: &Printer,
) -> Result<(), Failure> {
    for (name, token) in asked.names().iter().zip(asked.tokens(guard)) {
        match args.json {
            true => printer.json(&Held {
                name: name.as_str(),
                token,
                mode: asked.mode(),
                permits: asked.permits(),
                server: store.url(),
            })?,
            false => printer.data(&token.to_string())?,
        }
    }
    Ok(())
}

/// Resolves when standard input has ended, if that is asked for.
async fn end_of_input(wanted: bool) {
    if !wanted {
        return std::future::pending().await;
    }
    let (ended, end) = oneshot::channel();
    // A thread of its own, which the end of the process does not wait for: a read of a terminal cannot
    // be broken off.
    std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        let mut buffer = [0; 4_096];
        loop {
            match input.read(&mut buffer) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        let _ = ended.send(());
    });
    let _ = end.await;
}
