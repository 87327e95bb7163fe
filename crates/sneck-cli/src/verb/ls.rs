//! `sneck ls`: the locks that are held.

use crate::args::LsArgs;
use crate::entry::Entry;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::server::ServerUrl;
use crate::store::Store;
use crate::table::table;
use serde::Serialize;
use sneck::{Contender, Name};
use std::time::SystemTime;

/// One lock. The fields are those of the JSON.
#[derive(Serialize)]
struct Lock {
    name: String,
    /// The first, where there are several.
    holder: Entry,
    holding: usize,
    waiting: usize,
}

/// Lists the locks that are held.
///
/// # Errors
/// When the store cannot be asked.
pub(crate) async fn ls(url: ServerUrl, args: &LsArgs, printer: &Printer) -> Result<u8, Failure> {
    let store = Store::open(url, String::new()).await?;
    let lines = store.locks().lines().await;
    let lines = store.close(lines.map_err(Failure::from)).await?;
    let now = SystemTime::now();
    let locks: Vec<Lock> = lines.iter().filter_map(|(name, line)| lock(name, line, now)).collect();
    if args.json {
        printer.json(&locks)?;
    } else if locks.is_empty() {
        printer.say("no lock is held");
    } else {
        let head = ["NAME", "AS", "WHO", "WHERE", "FOR", "HOLDING", "WAITING", "COMMAND"];
        for line in table(head, &rows(&locks)) {
            printer.data(&line)?;
        }
    }
    Ok(0)
}

/// The lock, unless somebody is only about to take it.
fn lock(name: &Name, line: &[Contender], now: SystemTime) -> Option<Lock> {
    let holder = line.iter().find(|place| place.held)?;
    let holding = line.iter().filter(|place| place.held).count();
    Some(Lock {
        name: name.as_str().to_owned(),
        holder: Entry::holder(holder, now),
        holding,
        waiting: line.len() - holding,
    })
}

fn rows(locks: &[Lock]) -> Vec<[String; 8]> {
    let row = |lock: &Lock| {
        let holder = &lock.holder;
        [
            lock.name.clone(),
            holder.kind(),
            holder.who().to_owned(),
            holder.at(),
            holder.age().unwrap_or_default(),
            lock.holding.to_string(),
            lock.waiting.to_string(),
            holder.command.clone().unwrap_or_default(),
        ]
    };
    locks.iter().map(row).collect()
}
