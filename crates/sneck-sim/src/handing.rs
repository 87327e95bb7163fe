//! Whether a place that the tasks of a client share is handed on within its bound, and given back when
//! somebody waits outside.
//!
//! A history tells of attempts, each with a place of its own. Here the places of a mutex are followed, and
//! who holds them one after the other, by their tokens. Judged is only what happens while nothing goes
//! wrong for the client and the store: then the client knows within a bound that somebody waits.

use std::collections::{BTreeMap, BTreeSet};

use sneck_history::Event;
use sneck_server::simulation::{Done, Written};

use crate::plan::{Plan, Share};
use crate::truth::place_at;

/// The places of mutexes, and what is wrong with how they are shared.
pub(crate) struct Handing<'a> {
    plan: &'a Plan,
    pub(crate) complaints: Vec<String>,
    /// By lock, and by the number of the transaction that made it.
    lines: BTreeMap<String, BTreeMap<u64, Place>>,
    /// Of each attempt that was granted, the lock and the number of its place.
    held: BTreeMap<u64, (String, u64)>,
    /// The lock of each attempt.
    locks: BTreeMap<u64, String>,
}

struct Place {
    path: String,
    client: usize,
    made_ms: u64,
    holders: BTreeSet<u64>,
    /// Since when nobody has held it who could have.
    idle_since_ms: Option<u64>,
    /// Since when it is kept or handed on.
    shared_since_ms: Option<u64>,
    /// How often it was handed on when its client has to have known that somebody waits.
    hand_ons: u32,
}

/// The number of the transaction in a token of a history.
pub(crate) fn number_of(token: u64) -> u64 {
    token >> TURN_BITS
}

/// As in `Token::packed`.
const TURN_BITS: u32 = 12;

impl<'a> Handing<'a> {
    pub(crate) fn new(plan: &'a Plan) -> Self {
        let (lines, held, locks) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Handing { plan, complaints: Vec::new(), lines, held, locks }
    }

    /// Whether a node is a place that several may share.
    pub(crate) fn is_shared(&self, path: &str) -> bool {
        self.plan.shares() && !path.contains("/leases/")
    }

    /// Takes in a transaction.
    pub(crate) fn durable(&mut self, written: &Written, at_ms: u64) {
        if !self.plan.shares() {
            return;
        }
        for done in &written.done {
            match done {
                Done::Removed { path } => self.removed(path, at_ms),
                Done::Made { path, session: Some(_) } => self.made(path, written.zxid, at_ms),
                _ => {}
            }
        }
    }

    /// Takes in what a client tells.
    pub(crate) fn hear(&mut self, event: &Event, at_ms: u64) {
        if !self.plan.shares() {
            return;
        }
        match event {
            Event::Acquire { attempt, lock, .. } if is_mutex(lock) => {
                self.locks.insert(*attempt, lock.clone());
            }
            Event::Granted { attempt, token, .. } => self.granted(*attempt, *token, at_ms),
            Event::Release { attempt } | Event::Lost { attempt } => self.over(*attempt, at_ms),
            _ => {}
        }
    }

    fn made(&mut self, path: &str, zxid: i64, at_ms: u64) {
        let Some((lock, attempt)) = place_at(path).filter(|(lock, _)| is_mutex(lock)) else {
            return;
        };
        let place = Place {
            path: path.to_owned(),
            client: client_of(attempt),
            made_ms: at_ms,
            holders: BTreeSet::new(),
            idle_since_ms: None,
            shared_since_ms: None,
            hand_ons: 0,
        };
        self.lines.entry(lock).or_default().insert(zxid.unsigned_abs(), place);
    }

    fn removed(&mut self, path: &str, at_ms: u64) {
        for (lock, line) in &mut self.lines {
            let Some(number) =
                line.iter().find(|(_, place)| place.path == path).map(|(number, _)| *number)
            else {
                continue;
            };
            let waits_since = waits_behind(line, number);
            let Some(place) = line.remove(&number) else { continue };
            let Some((idle, waits)) = place.idle_since_ms.zip(waits_since) else { continue };
            let since_ms = idle.max(waits);
            let share = self.plan.clients[place.client].sharing;
            if share.is_some()
                && at_ms > since_ms + notice_ms(self.plan)
                && self.plan.is_calm(place.client, since_ms, at_ms)
            {
                self.complaints.push(format!(
                    "client {} kept {lock} for {} ms although nobody held it there and somebody waited",
                    place.client + 1,
                    at_ms - since_ms
                ));
            }
        }
    }

    fn granted(&mut self, attempt: u64, token: u64, at_ms: u64) {
        let Some(lock) = self.locks.get(&attempt) else { return };
        let number = number_of(token);
        let turn = token & ((1 << TURN_BITS) - 1);
        self.held.insert(attempt, (lock.clone(), number));
        let Some(line) = self.lines.get_mut(lock) else { return };
        let waits_since = waits_behind(line, number);
        let Some(place) = line.get_mut(&number) else { return };
        place.idle_since_ms = None;
        place.holders.insert(attempt);
        let Some(share) = self.plan.clients[place.client].sharing else { return };
        if turn == 0 {
            if share.keep {
                place.shared_since_ms = Some(at_ms);
            }
            return;
        }
        let shared_ms = *place.shared_since_ms.get_or_insert(at_ms);
        let Some(waits_ms) = waits_since else { return };
        let knows_ms = waits_ms.max(shared_ms) + notice_ms(self.plan);
        if at_ms < knows_ms || !self.plan.is_calm(place.client, waits_ms.min(shared_ms), at_ms) {
            return;
        }
        place.hand_ons += 1;
        let Share { hand_ons, span_ms, .. } = share;
        // The clock of a client may be a little slow.
        let is_late = at_ms > knows_ms + span_ms + span_ms / 50 + 1;
        if place.hand_ons > hand_ons || is_late {
            self.complaints.push(format!(
                "attempt {attempt} was handed {lock} inside client {} when somebody had waited outside for \
                 {} ms, and as number {} since",
                place.client + 1,
                at_ms - waits_ms,
                place.hand_ons
            ));
        }
    }

    fn over(&mut self, attempt: u64, at_ms: u64) {
        let Some((lock, number)) = self.held.remove(&attempt) else { return };
        let place = self.lines.get_mut(&lock).and_then(|line| line.get_mut(&number));
        let Some(place) = place else { return };
        place.holders.remove(&attempt);
        if place.holders.is_empty() {
            place.idle_since_ms = Some(at_ms);
        }
    }
}

/// Since when another client has waited behind a place.
fn waits_behind(line: &BTreeMap<u64, Place>, number: u64) -> Option<u64> {
    let client = line.get(&number)?.client;
    let behind = line.range(number + 1..).map(|(_, place)| place);
    behind.filter(|place| place.client != client).map(|place| place.made_ms).min()
}

/// How long it takes at most until a client knows that somebody waits, and until what it does about that has
/// happened: the first look and its answer, or an event; a pause; a request, which is made durable.
fn notice_ms(plan: &Plan) -> u64 {
    const PAUSE_MS: u64 = 100;
    4 * (plan.latency_ms.1 + 3) + 2 * plan.sync_ms.1 + 2 * plan.round_ms() + PAUSE_MS
}

fn is_mutex(lock: &str) -> bool {
    lock.starts_with('m')
}

fn client_of(attempt: u64) -> usize {
    usize::try_from(attempt / 100_000).unwrap_or_default().saturating_sub(1)
}
