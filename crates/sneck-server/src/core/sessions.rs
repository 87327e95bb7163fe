//! The sessions and when they expire.
//!
//! A session expires at the first tick after its timeout, so that all those of one tick end
//! together. Time stands still here while the server itself did: see [`Sessions::stalled`].

use std::collections::{BTreeMap, BTreeSet};

use super::{ConnectionId, ProcessId};

/// One client, over all its connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) timeout_ms: i32,
    /// The connection it is on at present.
    pub(crate) connection: Option<ConnectionId>,
    /// The process that has connected last, where that is known.
    process: Option<ProcessId>,
    expires_at_ms: u64,
}

/// All sessions that are not over.
#[derive(Debug, Clone)]
pub(crate) struct Sessions {
    sessions: BTreeMap<i64, Session>,
    /// The sessions that expire at each tick.
    ticks: BTreeMap<u64, BTreeSet<i64>>,
    tick_ms: u64,
    /// How long the server has stood still in all.
    stalled_ms: u64,
    /// The highest id ever given, so that none is given twice.
    last_id: i64,
}

impl Sessions {
    /// No sessions yet. None will get an id up to `last_id`.
    pub(crate) fn new(tick_ms: u64, last_id: i64) -> Self {
        Self {
            sessions: BTreeMap::new(),
            ticks: BTreeMap::new(),
            tick_ms: tick_ms.max(1),
            stalled_ms: 0,
            last_id,
        }
    }

    /// An id that no session has had. It begins with the number of this server, which is 1 as for
    /// a standalone Apache, and goes on with the time, so that ids grow across restarts and wipes.
    pub(crate) fn next_id(&self, wall_ms: i64) -> i64 {
        const SERVER: i64 = 1 << 56;
        const BELOW_SERVER: i64 = SERVER - 1;
        let by_time = SERVER | ((wall_ms << 16) & BELOW_SERVER);
        by_time.max(self.last_id.saturating_add(1))
    }

    /// The highest id ever given.
    pub(crate) fn last_id(&self) -> i64 {
        self.last_id
    }

    /// Adds a session with its full time to live.
    pub(crate) fn open(&mut self, id: i64, timeout_ms: i32, now_ms: u64) {
        let session = Session { timeout_ms, connection: None, process: None, expires_at_ms: 0 };
        self.sessions.insert(id, session);
        self.last_id = self.last_id.max(id);
        self.touch(id, now_ms);
    }

    /// Ends a session.
    pub(crate) fn close(&mut self, id: i64) -> Option<Session> {
        let session = self.sessions.remove(&id)?;
        self.leave_tick(id, session.expires_at_ms);
        Some(session)
    }

    pub(crate) fn get(&self, id: i64) -> Option<&Session> {
        self.sessions.get(&id)
    }

    /// Moves a session to a connection, and answers the one it was on.
    pub(crate) fn attach(
        &mut self,
        id: i64,
        connection: ConnectionId,
        timeout_ms: i32,
        now_ms: u64,
    ) -> Option<ConnectionId> {
        let session = self.sessions.get_mut(&id)?;
        session.timeout_ms = timeout_ms;
        let before = session.connection.replace(connection);
        self.touch(id, now_ms);
        before
    }

    /// Notes that a session's connection is gone, unless it has another one by now.
    pub(crate) fn detach(&mut self, id: i64, connection: ConnectionId) {
        if let Some(session) = self.sessions.get_mut(&id)
            && session.connection == Some(connection)
        {
            session.connection = None;
        }
    }

    /// Notes whose a session is.
    pub(crate) fn belongs_to(&mut self, id: i64, process: Option<ProcessId>) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.process = process;
        }
    }

    /// The sessions of a process that are on no connection, in order of their ids.
    pub(crate) fn left_by(&self, process: ProcessId) -> Vec<i64> {
        let left =
            |session: &Session| session.process == Some(process) && session.connection.is_none();
        self.sessions.iter().filter(|(_, session)| left(session)).map(|(id, _)| *id).collect()
    }

    /// Notes a sign of life.
    pub(crate) fn touch(&mut self, id: i64, now_ms: u64) {
        let now_ms = now_ms.saturating_sub(self.stalled_ms);
        let tick_ms = self.tick_ms;
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let lives_until = now_ms + u64::try_from(session.timeout_ms).unwrap_or(0);
        let expires_at_ms = (lives_until / tick_ms + 1) * tick_ms;
        // Never earlier: after a stall the clock here is behind what it was.
        if expires_at_ms <= session.expires_at_ms && session.expires_at_ms != 0 {
            return;
        }
        let before = std::mem::replace(&mut session.expires_at_ms, expires_at_ms);
        self.leave_tick(id, before);
        self.ticks.entry(expires_at_ms).or_default().insert(id);
    }

    /// Takes out of account a time in which the server did not run. Whoever was alive before it
    /// could not show it meanwhile, and on a single server nobody else can have given away what a
    /// session holds.
    pub(crate) fn stalled(&mut self, ms: u64) {
        self.stalled_ms += ms;
    }

    /// The sessions whose time is over, in order of their ids.
    pub(crate) fn expired(&self, now_ms: u64) -> Vec<i64> {
        let now_ms = now_ms.saturating_sub(self.stalled_ms);
        let over: BTreeSet<i64> =
            self.ticks.range(..=now_ms).flat_map(|(_, ids)| ids.iter().copied()).collect();
        over.into_iter().collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, &Session)> {
        self.sessions.iter().map(|(id, session)| (*id, session))
    }

    /// The ids by when they expire, for people.
    pub(crate) fn by_tick(&self) -> &BTreeMap<u64, BTreeSet<i64>> {
        &self.ticks
    }

    fn leave_tick(&mut self, id: i64, expires_at_ms: u64) {
        if let Some(ids) = self.ticks.get_mut(&expires_at_ms) {
            ids.remove(&id);
            if ids.is_empty() {
                self.ticks.remove(&expires_at_ms);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_expire_within_a_tick_of_their_timeout() {
        let mut sessions = Sessions::new(500, 0);
        sessions.open(1, 4000, 123);
        assert!(sessions.expired(4123).is_empty());
        assert_eq!(sessions.expired(4500), [1]);
        sessions.touch(1, 1000);
        assert!(sessions.expired(5499).is_empty());
        assert_eq!(sessions.expired(5500), [1]);
    }

    #[test]
    fn time_does_not_pass_for_sessions_while_the_server_stands_still() {
        let mut sessions = Sessions::new(500, 0);
        sessions.open(1, 4000, 0);
        sessions.stalled(60_000);
        assert!(sessions.expired(60_000 + 4499).is_empty());
        // A sign of life that is read just before the stall is noticed is not held against it.
        sessions.open(2, 4000, 70_000);
        sessions.stalled(60_000);
        sessions.touch(2, 70_000);
        assert!(sessions.expired(120_000 + 14_000).contains(&1));
        assert!(!sessions.expired(120_000 + 13_999).contains(&2));
    }

    #[test]
    fn ids_never_repeat() {
        let mut sessions = Sessions::new(500, 0);
        let first = sessions.next_id(1_800_000_000_000);
        sessions.open(first, 4000, 0);
        // The clock goes back.
        let second = sessions.next_id(1_700_000_000_000);
        assert!(second > first);
        sessions.open(second, 4000, 0);
        sessions.close(second);
        assert!(sessions.next_id(1_700_000_000_000) > second);
        assert_eq!(first >> 56, 1);
    }

    #[test]
    fn a_connection_that_was_left_does_not_take_the_session_along() {
        let mut sessions = Sessions::new(500, 0);
        let (old, new) = (ConnectionId(1), ConnectionId(2));
        sessions.open(1, 4000, 0);
        assert_eq!(sessions.attach(1, old, 4000, 0), None);
        assert_eq!(sessions.attach(1, new, 6000, 0), Some(old));
        sessions.detach(1, old);
        assert_eq!(sessions.get(1).unwrap().connection, Some(new));
        assert_eq!(sessions.get(1).unwrap().timeout_ms, 6000);
    }
}
