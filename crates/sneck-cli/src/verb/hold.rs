//! `sneck hold`: a lock without a command.

use crate::args::HoldArgs;
use crate::exit;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::server::ServerUrl;
use crate::signals::Signals;
use crate::store::{self, Store};
use crate::wait::{Wait, interrupted};
use serde::Serialize;
use sneck::{Guard, Name};
use std::io::{self, Read};
use tokio::sync::oneshot;

/// What is printed with `--json`.
#[derive(Serialize)]
struct Held<'a> {
    name: &'a str,
    token: u64,
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
    let name = store::name(&args.name)?;
    let mut signals = Signals::take(&Signals::ENDING)?;
    let store = tokio::select! {
        biased;
        signal = signals.ending() => return Err(interrupted(signal)),
        store = Store::open(url, "sneck hold".to_owned()) => store?,
    };
    let result = hold_on(&store, &name, args, &mut signals, printer).await;
    store.close(result).await
}

async fn hold_on(
    store: &Store,
    name: &Name,
    args: &HoldArgs,
    signals: &mut Signals,
    printer: &Printer,
) -> Result<u8, Failure> {
    let wait = Wait::new(store, name, &args.wait, printer);
    let guard = tokio::select! {
        biased;
        signal = signals.ending() => {
            printer.clear_status();
            return Err(interrupted(signal));
        }
        guard = wait.lock() => guard?,
    };
    tell(store, name, args, &guard, printer)?;
    tokio::select! {
        biased;
        loss = guard.lost() => {
            let text = format!("lock {:?} was lost: {loss}", name.as_str());
            return Err(Failure::new(exit::LOST, text)
                .with_hint("somebody else may hold the lock by now"));
        }
        _ = signals.ending() => {}
        () = end_of_input(args.until_eof) => {}
    }
    guard.unlock().await?;
    Ok(0)
}

fn tell(
    store: &Store,
    name: &Name,
    args: &HoldArgs,
    guard: &Guard,
    printer: &Printer,
) -> Result<(), Failure> {
    let token = guard.token();
    match args.json {
        true => {
            printer.json(&Held { name: name.as_str(), token: token.get(), server: store.url() })
        }
        false => printer.data(&token.to_string()),
    }
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
