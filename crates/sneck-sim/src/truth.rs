//! What the store has done, read from its transactions: places in line, and sessions that are over.

use std::collections::{BTreeMap, BTreeSet};

use sneck::ClaimId;
use sneck_history::Event;
use sneck_server::simulation::{Done, Written};

use crate::program::attempt_of;

/// The places and sessions there are.
#[derive(Default)]
pub(crate) struct Truth {
    /// By path, the place that a node is.
    places: BTreeMap<String, Place>,
    /// The permits that an attempt holds.
    permits: BTreeMap<u64, BTreeSet<String>>,
    /// In which session an attempt has had its last place.
    sessions: BTreeMap<u64, String>,
    /// In which session a place was made, by the number of its transaction.
    made_in: BTreeMap<u64, String>,
    /// Whether the line of a lock that excludes does not tell whose turn it is, as places may be shared by
    /// several attempts, or be one of two that are waited for.
    is_blurred: bool,
}

#[derive(Debug, Clone)]
struct Place {
    number: u64,
    attempt: u64,
    is_permit: bool,
    /// Whether it only waits for permits, which says nothing about whose turn it is.
    is_quiet: bool,
}

impl Truth {
    pub(crate) fn new(is_blurred: bool) -> Self {
        Truth { is_blurred, ..Truth::default() }
    }

    /// Takes in a transaction that will not be undone, and says what of it belongs into a history.
    pub(crate) fn take(&mut self, written: &Written, at_ns: u64) -> Vec<Event> {
        let mut events = Vec::new();
        // Who changes its mode has one place after the other.
        for done in &written.done {
            if let Done::Removed { path } = done {
                self.removed(path, &mut events);
            }
        }
        for (done, at) in written.done.iter().zip(0..) {
            if let Done::Made { path, session: Some(session) } = done {
                let number = written.zxid.unsigned_abs() * 256 + at;
                self.made(path, *session, number, &mut events);
            }
        }
        for done in &written.done {
            if let Done::Ended { session } = done {
                let session = name_of(*session);
                events.push(Event::Expired { session, when_ns: at_ns });
            }
        }
        events
    }

    /// Every node there is that is somebody's place, in order.
    pub(crate) fn paths(&self) -> Vec<&String> {
        self.places.keys().collect()
    }

    /// Whose place a node is.
    pub(crate) fn attempt_at(&self, path: &str) -> Option<u64> {
        self.places.get(path).map(|place| place.attempt)
    }

    /// The session under which an attempt has had its place.
    pub(crate) fn session_of(&self, attempt: u64) -> Option<&String> {
        self.sessions.get(&attempt)
    }

    /// The session under which the place with this number was made.
    pub(crate) fn session_at(&self, number: u64) -> Option<&String> {
        self.made_in.get(&number)
    }

    fn made(&mut self, path: &str, session: i64, number: u64, events: &mut Vec<Event>) {
        let Some((lock, attempt)) = place_at(path) else { return };
        let is_permit = path.contains("/leases/");
        let is_quiet = path.contains("/locks/") || (self.is_blurred && !is_permit);
        let place = Place { number, attempt, is_permit, is_quiet };
        self.places.insert(path.to_owned(), place);
        let session = name_of(session);
        self.made_in.insert(number / 256, session.clone());
        self.sessions.insert(attempt, session.clone());
        if is_permit {
            let permits = self.permits.entry(attempt).or_default();
            permits.insert(path.to_owned());
            if permits.len() > 1 {
                return;
            }
        }
        if !is_quiet {
            let (place, session) = (if is_permit { attempt } else { number }, Some(session));
            events.push(Event::Placed { lock, attempt, place, session });
        }
    }

    fn removed(&mut self, path: &str, events: &mut Vec<Event>) {
        let Some(place) = self.places.remove(path) else { return };
        if place.is_permit {
            let permits = self.permits.entry(place.attempt).or_default();
            permits.remove(path);
            if permits.is_empty() {
                events.push(Event::Vacated { place: place.attempt });
            }
        } else if !place.is_quiet {
            events.push(Event::Vacated { place: place.number });
        }
    }
}

/// A session in a history.
fn name_of(session: i64) -> String {
    format!("{session:x}")
}

/// The lock, and the attempt whose claim's identity is in the name.
pub(crate) fn place_at(path: &str) -> Option<(String, u64)> {
    const ID_BYTES: usize = 36;
    let lock = path.split('/').nth(1)?;
    let name = path.rsplit('/').next()?;
    let id = (0..=name.len().checked_sub(ID_BYTES)?)
        .filter_map(|at| name.get(at..at + ID_BYTES))
        .find_map(|text| text.parse::<ClaimId>().ok())?;
    Some((lock.to_owned(), attempt_of(id)?))
}
