//! Whose sessions and places they are, of clients whose library writes nothing of ours beside a place.
//!
//! A place in ZooKeeper says which session it dies with, and when it was made; the proxies of a client have
//! seen its sessions, and it is known when its attempts began. That is enough.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use sneck_testkit::proxy::{Proxy, SeenSession};

use crate::orders::client_of;

/// What is known of those who own places. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Owners {
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    /// Who sits in each seat, and the proxies there.
    seated: BTreeMap<usize, (u32, Arc<[Proxy]>)>,
    sessions: HashMap<i64, u32>,
    /// When the attempts of a client upon a lock began, in milliseconds of the wall clock, oldest first.
    begun: HashMap<(u32, &'static str), Vec<(i64, u64)>>,
    places: HashMap<u64, Standing>,
    /// Who believes to hold which lock, by attempts.
    holds: BTreeMap<u64, &'static str>,
    /// Attempts that ended with an error: what they asked for may still come about.
    unsettled: HashSet<u64>,
}

/// What became of the place of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is there.
    There,
    /// It was there, and is gone.
    Gone,
}

impl Owners {
    /// A client takes a seat that nobody sits in any more.
    pub(crate) fn sit(&self, seat: usize, client: u32, proxies: &Arc<[Proxy]>) {
        let mut known = self.lock();
        // The sessions of the dead live on for a while: they stay known as theirs.
        known.learn_sessions();
        proxies.iter().for_each(Proxy::forget_traffic);
        if let Some((before, _)) = known.seated.get(&seat).cloned() {
            known.holds.retain(|attempt, _| client_of(*attempt) != before);
        }
        known.seated.insert(seat, (client, proxies.clone()));
    }

    /// The session that a client has just now, as servers name it.
    pub(crate) fn session(&self, client: u32) -> Option<String> {
        let known = self.lock();
        let (_, proxies) = known.seated.values().find(|(seated, _)| *seated == client)?;
        let newest = granted(proxies).max_by_key(|seen| seen.at)?;
        Some(format!("{:#x}", newest.session_id))
    }

    /// An attempt begins.
    pub(crate) fn begin(&self, client: u32, lock: &'static str, attempt: u64) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now_ms = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        self.lock().begun.entry((client, lock)).or_default().push((now_ms, attempt));
    }

    /// An attempt is over; its place may stay for longer.
    pub(crate) fn end(&self, attempt: u64, is_settled: bool) {
        let mut known = self.lock();
        known.places.remove(&attempt);
        if !is_settled {
            known.unsettled.insert(attempt);
        }
    }

    /// A client is told that it holds a lock.
    pub(crate) fn hold(&self, attempt: u64, lock: &'static str) {
        self.lock().holds.insert(attempt, lock);
    }

    /// A holder is about to give its lock back.
    pub(crate) fn let_go(&self, attempt: u64) {
        self.lock().holds.remove(&attempt);
    }

    /// The attempts of those who believe to hold a lock just now, and which, where no place in the store says it.
    pub(crate) fn holds(&self) -> Vec<(u64, &'static str)> {
        self.lock().holds.iter().map(|(attempt, lock)| (*attempt, *lock)).collect()
    }

    /// Whose the older one of two places is that seem to be of one attempt: a server may carry out late what
    /// the last attempt before asked for, if that one ended with an error.
    pub(crate) fn before(&self, attempt: u64, lock: &'static str) -> Option<u64> {
        let mut known = self.lock();
        let begun = known.begun.iter().filter(|((_, name), _)| *name == lock);
        let mut of_lane = begun.map(|(_, begun)| begun);
        let of_lane = of_lane.find(|begun| begun.iter().any(|(_, begun)| *begun == attempt))?;
        let earlier = of_lane.iter().rev().map(|(_, begun)| *begun).skip_while(|of| *of >= attempt);
        let found = earlier.take(1).find(|earlier| known.unsettled.contains(earlier))?;
        // It has one place at most.
        known.unsettled.remove(&found);
        Some(found)
    }

    /// Whose attempt a place is that was made at that time under a session. One that was made in the
    /// millisecond in which an attempt began is nobody's: it might be that of the attempt before.
    pub(crate) fn attempt(&self, session: i64, made_ms: i64, lock: &'static str) -> Option<u64> {
        let mut known = self.lock();
        if !known.sessions.contains_key(&session) {
            known.learn_sessions();
        }
        let client = *known.sessions.get(&session)?;
        attempt_of(known.begun.get(&(client, lock))?, made_ms)
    }

    /// The place of an attempt has come, or gone. That one has gone stays known, also where the library has made
    /// another at once: whoever waits stands in line anew with that one.
    pub(crate) fn stands(&self, attempt: u64, standing: Standing) {
        let mut known = self.lock();
        let place = known.places.entry(attempt).or_insert(standing);
        if *place == Standing::There {
            *place = standing;
        }
    }

    /// What became of the place of an attempt, if there was one.
    pub(crate) fn standing(&self, attempt: u64) -> Option<Standing> {
        self.lock().places.get(&attempt).copied()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn learn_sessions(&mut self) {
        for (client, proxies) in self.seated.values() {
            for seen in granted(proxies) {
                self.sessions.entry(seen.session_id).or_insert(*client);
            }
        }
    }
}

/// The sessions that servers granted to whoever sits behind these proxies.
fn granted(proxies: &Arc<[Proxy]>) -> impl Iterator<Item = SeenSession> {
    proxies.iter().flat_map(Proxy::sessions).filter(|seen| seen.session_id != 0)
}

fn attempt_of(begun: &[(i64, u64)], made_ms: i64) -> Option<u64> {
    let later = begun.partition_point(|(began_ms, _)| *began_ms <= made_ms);
    let (began_ms, attempt) = *begun.get(later.checked_sub(1)?)?;
    (began_ms < made_ms).then_some(attempt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_of_the_attempt_that_had_begun_last_when_it_was_made() {
        let begun = [(10, 1), (20, 2), (20, 3)];
        let of = |made_ms| attempt_of(&begun, made_ms);
        assert_eq!([of(9), of(10), of(11), of(20)], [None, None, Some(1), None]);
        assert_eq!([of(21), of(99)], [Some(3), Some(3)]);
    }

    #[test]
    fn a_place_that_is_followed_by_another_at_once_has_gone() {
        let owners = Owners::default();
        let after = |standing| {
            owners.stands(1, standing);
            owners.standing(1)
        };
        assert_eq!(after(Standing::There), Some(Standing::There));
        assert_eq!(after(Standing::Gone), Some(Standing::Gone));
        assert_eq!(after(Standing::There), Some(Standing::Gone));
        owners.end(1, true);
        assert_eq!(owners.standing(1), None);
    }

    #[test]
    fn a_place_that_comes_late_is_of_the_attempt_before_if_that_one_failed() {
        let owners = Owners::default();
        for attempt in 1..=3 {
            owners.begin(7, "m1", attempt);
            owners.end(attempt, attempt != 2);
        }
        assert_eq!([3, 2].map(|attempt| owners.before(attempt, "m1")), [Some(2), None]);
        assert_eq!(owners.before(3, "m1"), None, "it has one place at most");
        assert_eq!(owners.before(3, "m2"), None);
    }

    #[tokio::test]
    async fn a_hold_ends_when_it_is_given_back_or_another_takes_the_seat_of_the_dead() {
        let owners = Owners::default();
        let proxies: Arc<[Proxy]> = Arc::new([]);
        let attempt = |client: u64, number| client * crate::orders::ATTEMPTS_OF_ONE + number;
        for client in [1, 2] {
            owners.sit(client as usize, client, &proxies);
            owners.hold(attempt(client.into(), 7), "m1");
        }
        owners.sit(1, 3, &proxies);
        assert_eq!(owners.holds(), [(attempt(2, 7), "m1")]);
        owners.let_go(attempt(2, 7));
        assert_eq!(owners.holds(), []);
    }

    #[tokio::test]
    async fn a_dead_client_has_no_session_and_what_its_successor_has_is_not_its() {
        let proxy = Proxy::start("127.0.0.1:1".parse().unwrap()).unwrap();
        let proxies: Arc<[Proxy]> = Arc::new([proxy]);
        let owners = Owners::default();
        owners.sit(0, 1, &proxies);
        owners.lock().sessions.insert(7, 1);
        owners.sit(0, 2, &proxies);
        owners.lock().sessions.insert(8, 2);
        for client in [1, 2] {
            owners.lock().begun.insert((client, "m1"), vec![(10, u64::from(client))]);
        }
        assert_eq!(
            [7, 8, 9].map(|session| owners.attempt(session, 11, "m1")),
            [Some(1), Some(2), None]
        );
        assert_eq!([1, 2].map(|client| owners.session(client)), [None, None]);
    }
}
