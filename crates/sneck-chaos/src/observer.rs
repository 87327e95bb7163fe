//! Whoever looks at the lines of locks past all proxies, and tells the arbiter of the places in them.
//!
//! It looks again and again instead of waiting for events: nothing is lost with a connection, and a place
//! that comes and goes between two looks has made nobody wait for long.

mod lines;
mod nodes;

use std::collections::BTreeMap;
use std::ops::RangeFrom;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sneck::Caller;
use sneck_history::{Event, Teller};
use sneck_wire::Stat;
use tokio::task::JoinHandle;

use crate::operator;
use crate::orders::{client_of, name};
use crate::owners::{Owners, Standing};
use crate::servers::Servers;

/// How often the lines are looked at.
const EVERY: Duration = Duration::from_millis(150);
/// What is said of leases by one who looks and takes none.
const TERM: Duration = Duration::from_secs(10);

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
        client_of(self.attempt)
    }
}

/// How it is known whose attempt a place is.
#[derive(Debug, Clone)]
pub enum Whose {
    /// Workers write it beside their places.
    OfNotes,
    /// By the sessions that places die with; and owners are told what becomes of them.
    OfSessions(Owners),
    /// By what their clients are told: nothing in the store says it, and nobody looks at any line.
    OfHolds(Owners),
}

/// Looks until it is dropped.
#[derive(Debug)]
pub struct Observer {
    lines: Lines,
    whose: Whose,
    looking: JoinHandle<()>,
}

type Lines = Arc<Mutex<BTreeMap<u64, Place>>>;

impl Observer {
    /// Begins to look.
    ///
    /// # Errors
    /// When no arbiter listens.
    pub fn start(servers: Arc<Servers>, arbiter: &Path, whose: Whose) -> std::io::Result<Observer> {
        let lines = Lines::default();
        let teller = Teller::connect(arbiter, None)?;
        let mut sight = Sight { teller, lines: lines.clone(), numbers: 1.. };
        let asked = whose.clone();
        let looking = tokio::spawn(async move {
            if matches!(whose, Whose::OfHolds(_)) {
                return;
            }
            loop {
                // Whatever ends it, such as a session that is over: a new look begins where this one left off.
                let _ = match servers.kind().is_zookeeper() {
                    true => look_at_nodes(&servers, &mut sight, &whose).await,
                    false => look_at_lines(&servers, &mut sight).await,
                };
                tokio::time::sleep(EVERY).await;
            }
        });
        Ok(Observer { lines, whose: asked, looking })
    }

    /// The places there were at the last look, those further ahead first; or only holders, where nobody looks.
    pub fn places(&self) -> Vec<Place> {
        match &self.whose {
            Whose::OfHolds(owners) => {
                let place = |(attempt, lock)| Place { lock, attempt, path: String::new() };
                owners.holds().into_iter().map(place).collect()
            }
            _ => lock(&self.lines).values().cloned().collect(),
        }
    }
}

async fn look_at_nodes(servers: &Servers, sight: &mut Sight, whose: &Whose) -> Result<(), String> {
    let session = operator::session(&servers.addrs()).await?;
    let looked = nodes::look(&session, sight, whose).await;
    session.close().await;
    looked
}

async fn look_at_lines(servers: &Servers, sight: &mut Sight) -> Result<(), String> {
    let hosts: Vec<String> = servers.addrs().iter().map(ToString::to_string).collect();
    let url = servers.kind().url(&hosts.join(","), TERM);
    let locks = sneck::connect(&url).await.map_err(|error| error.to_string())?;
    let looked = lines::look(&locks, sight).await;
    locks.close().await;
    looked
}

/// What is in sight, and whom it is told.
#[derive(Debug)]
struct Sight {
    teller: Teller,
    lines: Lines,
    numbers: RangeFrom<u64>,
}

impl Sight {
    fn has(&self, path: &str) -> bool {
        lock(&self.lines).values().any(|place| place.path == path)
    }

    /// A number that no place has had, where the store gives none that say who came first.
    fn next_number(&mut self) -> u64 {
        self.numbers.next().unwrap_or_default()
    }

    /// Tells that a place exists.
    fn see(
        &mut self,
        name: &'static str,
        number: u64,
        attempt: u64,
        path: String,
        whose: &Whose,
    ) -> Result<(), String> {
        let lock_name = name.to_owned();
        self.tell(Event::Placed { lock: lock_name, attempt, place: number, session: None })?;
        whose.stands(attempt, Standing::There);
        lock(&self.lines).insert(number, Place { lock: name, attempt, path });
        Ok(())
    }

    /// The same of a place whose owner follows from its session: of two that seem to be of one attempt, the
    /// older one may be of the attempt before.
    fn see_beside_others(
        &mut self,
        name: &'static str,
        number: u64,
        attempt: u64,
        path: String,
        whose: &Whose,
    ) -> Result<(), String> {
        let other = lock(&self.lines)
            .iter()
            .find(|(_, place)| place.attempt == attempt && place.lock == name)
            .map(|(number, place)| (*number, place.path.clone()));
        let Some((other, other_path)) = other else {
            return self.see(name, number, attempt, path, whose);
        };
        let Some(before) = whose.before(attempt, name) else {
            return self.see(name, number, attempt, path, whose);
        };
        if number < other {
            return self.see(name, number, before, path, whose);
        }
        self.tell(Event::Vacated { place: other })?;
        self.see(name, other, before, other_path, whose)?;
        self.see(name, number, attempt, path, whose)
    }

    /// Tells of all places of a lock that these are not among, that they are gone.
    fn keep_only(
        &mut self,
        name: &'static str,
        paths: &[String],
        whose: &Whose,
    ) -> Result<(), String> {
        let is_gone = |place: &Place| place.lock == name && !paths.contains(&place.path);
        let gone: Vec<(u64, u64)> = lock(&self.lines)
            .iter()
            .filter(|(_, place)| is_gone(place))
            .map(|(number, place)| (*number, place.attempt))
            .collect();
        for (number, attempt) in gone {
            lock(&self.lines).remove(&number);
            whose.stands(attempt, Standing::Gone);
            self.tell(Event::Vacated { place: number })?;
        }
        Ok(())
    }

    fn tell(&mut self, event: Event) -> Result<(), String> {
        self.teller.tell(event).map(drop).map_err(|error| error.to_string())
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

impl Whose {
    fn attempt(&self, lock: &'static str, data: &[u8], stat: &Stat) -> Option<u64> {
        match self {
            Whose::OfNotes | Whose::OfHolds(_) => attempt(data),
            Whose::OfSessions(owners) => owners.attempt(stat.ephemeral_owner, stat.ctime, lock),
        }
    }

    /// Whose the older one of two places of an attempt may be.
    fn before(&self, attempt: u64, lock: &'static str) -> Option<u64> {
        match self {
            Whose::OfNotes | Whose::OfHolds(_) => None,
            Whose::OfSessions(owners) => owners.before(attempt, lock),
        }
    }

    fn stands(&self, attempt: u64, standing: Standing) {
        if let Whose::OfSessions(owners) = self {
            owners.stands(attempt, standing);
        }
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
