//! `sneck who`: the line for one lock.

use crate::args::WhoArgs;
use crate::entry::{Entry, Role};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::server::ServerUrl;
use crate::store::{self, Store};
use crate::table::table;
use serde::Serialize;
use std::time::SystemTime;

/// The line for one lock. The fields are those of the JSON.
#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    held: bool,
    line: Vec<Entry>,
}

/// Shows who holds a lock and who waits.
///
/// # Errors
/// For a bad name, and when the store cannot be asked.
pub(crate) async fn who(url: ServerUrl, args: &WhoArgs, printer: &Printer) -> Result<u8, Failure> {
    let name = store::name(&args.name)?;
    let store = Store::open(url, String::new()).await?;
    let contenders = store.locks().line(name.as_str()).await;
    let contenders = store.close(contenders.map_err(Failure::from)).await?;
    let line = Entry::line(&contenders, SystemTime::now());
    if args.json {
        printer.json(&Line {
            name: name.as_str(),
            held: line.iter().any(|entry| entry.role == Role::Holder),
            line,
        })?;
    } else if line.is_empty() {
        printer.data(&format!("{:?} is free", name.as_str()))?;
    } else {
        let head = ["PLACE", "AS", "WHO", "WHERE", "SINCE", "FOR", "TOKEN", "COMMAND", "NOTE"];
        let holding = line.iter().filter(|entry| entry.role == Role::Holder).count();
        let rows: Vec<_> = line.iter().map(|entry| row(entry, holding)).collect();
        for line in table(head, &rows) {
            printer.data(&line)?;
        }
    }
    Ok(0)
}

fn row(entry: &Entry, holding: usize) -> [String; 9] {
    let place = match entry.role {
        Role::Holder => "holder".to_owned(),
        Role::Waiter => (entry.place - holding).to_string(),
    };
    [
        place,
        entry.kind(),
        entry.who().to_owned(),
        entry.at(),
        entry.since.clone().unwrap_or_default(),
        entry.age().unwrap_or_default(),
        entry.token.map(|token| token.to_string()).unwrap_or_default(),
        entry.command.clone().unwrap_or_default(),
        entry.note.clone().unwrap_or_default(),
    ]
}
