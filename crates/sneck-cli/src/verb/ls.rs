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
use tokio::task::JoinSet;

/// One lock. The fields are those of the JSON.
#[derive(Serialize)]
struct Lock {
    name: String,
    holder: Entry,
    waiting: usize,
}

/// Lines that are read at the same time.
const READS_MAX: usize = 64;

/// Lists the locks that are held.
///
/// # Errors
/// When the store cannot be asked.
pub(crate) async fn ls(url: ServerUrl, args: &LsArgs, printer: &Printer) -> Result<u8, Failure> {
    let store = Store::open(url, String::new()).await?;
    let result = locks(&store).await;
    let locks = store.close(result).await?;
    if args.json {
        printer.json(&locks)?;
    } else if locks.is_empty() {
        printer.say("no lock is held");
    } else {
        for line in table(["NAME", "WHO", "WHERE", "FOR", "WAITING", "COMMAND"], &rows(&locks)) {
            printer.data(&line)?;
        }
    }
    Ok(0)
}

async fn locks(store: &Store) -> Result<Vec<Lock>, Failure> {
    let names = store.locks().names().await?;
    let mut found = Vec::new();
    for names in names.chunks(READS_MAX) {
        let mut reads = JoinSet::new();
        for name in names.iter().cloned() {
            let locks = store.locks().clone();
            reads.spawn(async move { locks.line(name.as_str()).await.map(|line| (name, line)) });
        }
        while let Some(read) = reads.join_next().await {
            let (name, line) = read.map_err(|error| Failure::system("reading failed", error))??;
            found.extend(lock(&name, &line));
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// The lock, unless it has been released since its name was read.
fn lock(name: &Name, line: &[Contender]) -> Option<Lock> {
    let holder = Entry::holder(line.first()?, SystemTime::now());
    Some(Lock { name: name.as_str().to_owned(), holder, waiting: line.len() - 1 })
}

fn rows(locks: &[Lock]) -> Vec<[String; 6]> {
    let row = |lock: &Lock| {
        let holder = &lock.holder;
        [
            lock.name.clone(),
            holder.who().to_owned(),
            holder.at(),
            holder.age().unwrap_or_default(),
            lock.waiting.to_string(),
            holder.command.clone().unwrap_or_default(),
        ]
    };
    locks.iter().map(row).collect()
}
