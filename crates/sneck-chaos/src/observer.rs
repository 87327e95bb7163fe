//! Whoever looks at the lines of locks past all proxies, and tells the arbiter of the places in them.
//!
//! It looks again and again instead of waiting for events: nothing is lost with a connection, and a place
//! that comes and goes between two looks has made nobody wait for long.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sneck::Caller;
use sneck::zookeeper::Session;
use sneck_history::{Event, Teller};
use tokio::task::JoinHandle;

use crate::operator;
use crate::orders::{ATTEMPTS_OF_ONE, name};

/// The node below which all locks of a campaign are.
pub const ROOT: &str = "/chaos";
/// How often the lines are looked at.
const EVERY: Duration = Duration::from_millis(150);

/// A place in a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Of which lock.
    pub lock: &'static str,
    /// Whose attempt it is.
    pub attempt: u64,
    /// Its node.
    pub path: String,
}

impl Place {
    /// Whose it is.
    pub fn client(&self) -> u32 {
        u32::try_from(self.attempt / ATTEMPTS_OF_ONE).unwrap_or(u32::MAX)
    }
}

/// Looks until it is dropped.
#[derive(Debug)]
pub struct Observer {
    lines: Lines,
    looking: JoinHandle<()>,
}

type Lines = Arc<Mutex<BTreeMap<u64, Place>>>;

impl Observer {
    /// Begins to look.
    ///
    /// # Errors
    /// When no arbiter listens.
    pub fn start(addrs: Vec<SocketAddr>, arbiter: &Path) -> std::io::Result<Observer> {
        let mut teller = Teller::connect(arbiter, None)?;
        let lines = Lines::default();
        let seen = lines.clone();
        let looking = tokio::spawn(async move {
            loop {
                // Whatever ends it, such as a session that is over: a new one begins where this one left off.
                if let Ok(session) = operator::session(&addrs).await {
                    let _ = look(&session, &mut teller, &seen).await;
                    session.close().await;
                }
                tokio::time::sleep(EVERY).await;
            }
        });
        Ok(Observer { lines, looking })
    }

    /// The places there were at the last look, those further ahead first.
    pub fn places(&self) -> Vec<Place> {
        lock(&self.lines).values().cloned().collect()
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.looking.abort();
    }
}

/// The locks in whose lines the first place is to be granted. In those of several locks one waits for the
/// other, and in that of a semaphore for permits.
fn observed() -> impl Iterator<Item = &'static str> {
    name::MUTEXES.into_iter().chain([name::RW_LOCK, name::ELECTION, name::SET])
}

async fn look(session: &Session, teller: &mut Teller, lines: &Lines) -> Result<(), String> {
    let told = |error: &dyn std::fmt::Display| error.to_string();
    // Another server may be behind what was seen before.
    session.sync("/").await.map_err(|error| told(&error))?;
    loop {
        for name in observed() {
            let parent = format!("{ROOT}/{name}");
            let children = match session.get_children(&parent).await {
                Ok(children) => children,
                Err(error) if error.code().is_some() && !error.may_have_been_applied() => {
                    Vec::new()
                }
                Err(error) => return Err(told(&error)),
            };
            let gone: Vec<u64> = lock(lines)
                .iter()
                .filter(|(_, place)| place.lock == name)
                .filter(|(_, place)| {
                    !children.iter().any(|child| place.path == format!("{parent}/{child}"))
                })
                .map(|(number, _)| *number)
                .collect();
            for number in gone {
                lock(lines).remove(&number);
                teller.tell(Event::Vacated { place: number }).map_err(|error| told(&error))?;
            }
            for child in children {
                let path = format!("{parent}/{child}");
                if lock(lines).values().any(|place| place.path == path) {
                    continue;
                }
                // One that is gone meanwhile has made nobody wait for long.
                let Ok(node) = session.get_data(&path).await else { continue };
                let Some(attempt) = attempt(&node.data) else { continue };
                let number = u64::try_from(node.stat.czxid).unwrap_or_default();
                let placed =
                    Event::Placed { lock: name.to_owned(), attempt, place: number, session: None };
                teller.tell(placed).map_err(|error| told(&error))?;
                lock(lines).insert(number, Place { lock: name, attempt, path });
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// The attempt that a worker wrote beside its place.
fn attempt(data: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(data).ok()?;
    let note = Caller::parse(text).map_or_else(|| text.to_owned(), |caller| caller.note);
    note.strip_prefix('a')?.parse().ok()
}

fn lock(lines: &Lines) -> MutexGuard<'_, BTreeMap<u64, Place>> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_read_off_what_a_place_says() {
        let caller = Caller { note: "a7000000012".into(), ..Caller::anonymous() };
        assert_eq!(attempt(caller.to_string().as_bytes()), Some(7_000_000_012));
        assert_eq!(attempt(b"a5"), Some(5));
        assert_eq!([attempt(b"127.0.0.1"), attempt(b"")], [None, None]);
        let place = Place { lock: "m1", attempt: 7_000_000_012, path: String::new() };
        assert_eq!(place.client(), 7);
    }
}
