//! What the entries of a history add up to: the attempts, and who was well when.
//!
//! Every checker reads the same story, so that each says only what its property demands.

use std::collections::{BTreeSet, HashMap};

use crate::health::Health;
use crate::{CRASH, Entry, Event, Header, Mode};

/// A point of a history: time, and the number of the line for those at the same time.
///
/// What a client read off its own clock has the number 0: it lies before every line of its time,
/// which can only shorten a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    pub(crate) ns: u64,
    pub(crate) seq: u64,
}

impl Moment {
    pub(crate) const NEVER: Moment = Moment { ns: u64::MAX, seq: u64::MAX };

    pub(crate) fn own(ns: u64) -> Moment {
        Moment { ns, seq: 0 }
    }
}

/// How a wait ended without a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Refused,
    Unsure,
    Cancelled,
}

/// One change of a holder's mode.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conversion {
    pub(crate) asked: Moment,
    pub(crate) wanted: Mode,
    pub(crate) done: Option<(Moment, Mode)>,
}

/// One try to get one lock.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) id: u64,
    pub(crate) client: u32,
    pub(crate) lock: usize,
    pub(crate) mode: Mode,
    pub(crate) session: Option<usize>,
    pub(crate) no_wait: bool,
    pub(crate) together: Option<u64>,
    pub(crate) asked: Moment,
    pub(crate) queued: Option<Moment>,
    pub(crate) granted: Option<(Moment, u64)>,
    pub(crate) until_ns: Option<u64>,
    pub(crate) conversions: Vec<Conversion>,
    /// When its guard last said that it holds, by the client's own time.
    pub(crate) held: Option<Moment>,
    pub(crate) lost: Option<Moment>,
    pub(crate) release: Option<Moment>,
    pub(crate) released: Option<Moment>,
    pub(crate) end: Option<(Moment, End)>,
}

impl Attempt {
    pub(crate) fn token(&self) -> Option<u64> {
        self.granted.map(|(_, token)| token)
    }

    pub(crate) fn waits(&self) -> bool {
        self.granted.is_none() && self.end.is_none()
    }

    /// Whether it was granted and neither given back for good nor lost.
    pub(crate) fn holds(&self) -> bool {
        let over = self.released.is_some() || self.lost.is_some() || self.end.is_some();
        self.granted.is_some() && !over
    }

    /// Whether its place was certainly ahead of another one's: by its token, or as the store had told of it
    /// before the other one asked.
    pub(crate) fn is_ahead_of(&self, other: &Attempt) -> bool {
        match (self.token(), other.token()) {
            (Some(token), Some(others)) => token < others,
            _ => self.queued.is_some_and(|queued| queued < other.asked),
        }
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        matches!(self.end, Some((_, End::Cancelled)))
    }
}

/// A time in which a client certainly believed that it holds, in one mode.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hold<'a> {
    pub(crate) attempt: &'a Attempt,
    pub(crate) mode: Mode,
    pub(crate) from: Moment,
    pub(crate) to: Moment,
}

/// What a history has told so far.
#[derive(Debug)]
pub(crate) struct Story {
    pub(crate) header: Header,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) health: Health,
    /// When each session was ended by the store.
    pub(crate) expired: HashMap<usize, Moment>,
    pub(crate) quiet: Option<Moment>,
    pub(crate) end: Moment,
    by_id: HashMap<u64, usize>,
    names: Vec<String>,
    by_name: HashMap<String, usize>,
    sessions: HashMap<String, usize>,
    waiting: HashMap<usize, BTreeSet<usize>>,
    of_client: HashMap<u32, BTreeSet<usize>>,
}

impl Story {
    pub(crate) fn new(header: Header) -> Story {
        Story {
            header,
            attempts: Vec::new(),
            health: Health::default(),
            expired: HashMap::new(),
            quiet: None,
            end: Moment::own(0),
            by_id: HashMap::new(),
            names: Vec::new(),
            by_name: HashMap::new(),
            sessions: HashMap::new(),
            waiting: HashMap::new(),
            of_client: HashMap::new(),
        }
    }

    pub(crate) fn attempt(&self, id: u64) -> Option<&Attempt> {
        self.by_id.get(&id).map(|index| &self.attempts[*index])
    }

    /// The number of a lock, which every entry that names it has given it.
    pub(crate) fn lock(&self, name: &str) -> usize {
        self.by_name.get(name).copied().unwrap_or(usize::MAX)
    }

    pub(crate) fn name(&self, lock: usize) -> &str {
        self.names.get(lock).map_or("?", String::as_str)
    }

    pub(crate) fn session(&self, name: &str) -> Option<usize> {
        self.sessions.get(name).copied()
    }

    /// Those who wait for a lock, in the order in which they asked.
    pub(crate) fn waiting(&self, lock: usize) -> impl Iterator<Item = &Attempt> {
        self.waiting.get(&lock).into_iter().flatten().map(|index| &self.attempts[*index])
    }

    /// The attempts of a client that wait or hold.
    pub(crate) fn open(&self, client: u32) -> impl Iterator<Item = &Attempt> {
        self.of_client.get(&client).into_iter().flatten().map(|index| &self.attempts[*index])
    }

    /// Every hold, by lock and then by its beginning. A hold is shorter than what the client may
    /// have believed and never longer: it begins when the arbiter knew of the grant, and ends with
    /// whatever could have ended it.
    pub(crate) fn holds(&self) -> Vec<Hold<'_>> {
        let mut holds: Vec<Hold<'_>> = Vec::new();
        for attempt in &self.attempts {
            self.holds_of(attempt, &mut holds);
        }
        holds.sort_by_key(|hold| (hold.attempt.lock, hold.from));
        holds
    }

    /// The end of what the holder of a granted attempt certainly believed.
    pub(crate) fn hold_end(&self, attempt: &Attempt) -> Moment {
        let ends = [
            attempt.release,
            attempt.lost,
            attempt.until_ns.map(Moment::own),
            attempt.end.map(|(moment, _)| moment),
            self.health.crash_of(attempt.client),
        ];
        ends.into_iter().flatten().min().unwrap_or(Moment::NEVER)
    }

    /// The first moment at which the store can have let an attempt in: everybody ahead of it who excludes it
    /// may be out of its way by then, in the lines of all locks that were asked for together.
    pub(crate) fn way_is_free(&self, attempt: &Attempt) -> Moment {
        let together = |other: &&Attempt| {
            other.id == attempt.id
                || (other.together.is_some() && other.together == attempt.together)
        };
        let all = self.attempts.iter().filter(together);
        all.map(|one| self.line_is_free(one)).fold(attempt.asked, Moment::max)
    }

    fn line_is_free(&self, attempt: &Attempt) -> Moment {
        let is_shared = self.header.shared.contains(self.name(attempt.lock));
        // Where a place is handed on, whoever had it before and when it was asked for say nothing of the place.
        let has_own_place = |other: &Attempt| !is_shared || other.client != attempt.client;
        let in_the_way = |other: &&Attempt| {
            other.lock == attempt.lock
                && other.is_ahead_of(attempt)
                && other.mode.conflicts_with(attempt.mode)
                && has_own_place(other)
        };
        let begin = if is_shared { Moment::own(0) } else { attempt.asked };
        let ahead = self.attempts.iter().filter(in_the_way);
        ahead.map(|other| self.out_of_the_way(other, attempt)).fold(begin, Moment::max)
    }

    /// The first moment at which the place of one ahead may have been gone, or may have let the other one in.
    fn out_of_the_way(&self, ahead: &Attempt, of: &Attempt) -> Moment {
        let lets_in = |change: &&Conversion| !change.wanted.conflicts_with(of.mode);
        // Removals are told by client: that of one's own place says nothing about another place of one's own.
        let removal = Some(ahead.client).filter(|client| *client != of.client);
        let removal = removal.and_then(|client| self.health.first_removal(client, ahead.asked));
        let left = match ahead.end {
            // Its place was gone before this was told, and nobody knows for how long.
            Some((_, End::Refused | End::Unsure)) if ahead.granted.is_none() => ahead.asked,
            _ => self.hold_end(ahead),
        };
        let ends = [
            Some(left),
            ahead.conversions.iter().find(lets_in).map(|change| change.asked),
            // Of a whole line that is removed, nobody knows which place was the first to go.
            removal.map(|removal| self.health.under_removal_since(of.client, removal)),
            ahead.session.and_then(|session| self.expired.get(&session)).copied(),
        ];
        ends.into_iter().flatten().min().unwrap_or(left)
    }

    fn holds_of<'a>(&self, attempt: &'a Attempt, holds: &mut Vec<Hold<'a>>) {
        let Some((granted, _)) = attempt.granted else { return };
        let end = self.hold_end(attempt);
        let (mut from, mut mode) = (granted, attempt.mode);
        let mut push = |mode, from: Moment, to: Moment| {
            if from < to.min(end) {
                holds.push(Hold { attempt, mode, from, to: to.min(end) });
            }
        };
        for conversion in &attempt.conversions {
            push(mode, from, conversion.asked);
            // Until the store has answered, only the weaker of both modes is certain.
            let (done, after) = conversion.done.unwrap_or((Moment::NEVER, conversion.wanted));
            let weaker = if after == Mode::Exclusive { mode } else { after };
            push(weaker, conversion.asked, done);
            (from, mode) = (done, after);
        }
        push(mode, from, Moment::NEVER);
    }

    pub(crate) fn see(&mut self, entry: &Entry) {
        let at = Moment { ns: entry.at_ns, seq: entry.seq };
        self.end = at;
        match &entry.event {
            Event::Acquire { .. } => self.begin(entry, at),
            Event::Fault { fault, kind, client } => self.health.begin(*fault, kind, *client, at),
            Event::Healed { fault } => self.health.heal(*fault, at),
            Event::Expired { session, when_ns } => {
                let session = intern(&mut self.sessions, session);
                self.expired.entry(session).or_insert(Moment::own(*when_ns));
            }
            Event::Quiet => self.quiet = Some(at),
            Event::Ask { lock, .. }
            | Event::Read { lock, .. }
            | Event::Write { lock, .. }
            | Event::Placed { lock, .. }
            | Event::Permits { lock, .. } => {
                self.intern_lock(lock);
            }
            _ => {}
        }
        if let Event::Placed { session: Some(session), .. } = &entry.event {
            intern(&mut self.sessions, session);
        }
        self.go_on(entry, at);
    }

    fn intern_lock(&mut self, name: &str) -> usize {
        let lock = intern(&mut self.by_name, name);
        if lock == self.names.len() {
            self.names.push(name.to_owned());
        }
        lock
    }

    fn begin(&mut self, entry: &Entry, at: Moment) {
        let Event::Acquire { attempt: id, lock, mode, session, no_wait, together } = &entry.event
        else {
            return;
        };
        if self.by_id.contains_key(id) {
            return;
        }
        let lock = self.intern_lock(lock);
        let session = session.as_ref().map(|session| intern(&mut self.sessions, session));
        let client = entry.client.unwrap_or(u32::MAX);
        let index = self.attempts.len();
        self.by_id.insert(*id, index);
        self.waiting.entry(lock).or_default().insert(index);
        self.of_client.entry(client).or_default().insert(index);
        self.attempts.push(Attempt {
            id: *id,
            client,
            lock,
            mode: *mode,
            session,
            no_wait: *no_wait,
            together: *together,
            asked: at,
            queued: None,
            granted: None,
            until_ns: None,
            conversions: Vec::new(),
            held: None,
            lost: None,
            release: None,
            released: None,
            end: None,
        });
    }

    fn go_on(&mut self, entry: &Entry, at: Moment) {
        let Some(index) = entry.event.attempt().and_then(|id| self.by_id.get(&id).copied()) else {
            return;
        };
        let own = entry.own_ns.map_or(at, Moment::own);
        let attempt = &mut self.attempts[index];
        let end = |how| Some((at, how));
        match &entry.event {
            Event::Queued { .. } => attempt.queued = Some(at),
            Event::Granted { token, until_ns, session, .. } if attempt.waits() => {
                attempt.granted = Some((at, *token));
                attempt.until_ns = *until_ns;
                if let Some(session) = session {
                    attempt.session = Some(intern(&mut self.sessions, session));
                }
            }
            Event::Extended { until_ns, .. } => attempt.until_ns = Some(*until_ns),
            Event::Check { held: true, .. } => attempt.held = Some(own),
            Event::Check { held: false, .. } | Event::Lost { .. } => {
                attempt.lost = attempt.lost.or(Some(own));
            }
            Event::Convert { to, .. } => {
                attempt.conversions.push(Conversion { asked: at, wanted: *to, done: None });
            }
            Event::Converted { to, .. } => {
                if let Some(last) = attempt.conversions.last_mut() {
                    last.done = last.done.or(Some((at, *to)));
                }
            }
            Event::Release { .. } => attempt.release = attempt.release.or(Some(at)),
            Event::Released { .. } => attempt.released = attempt.released.or(Some(at)),
            Event::Refused { .. } => attempt.end = attempt.end.or(end(End::Refused)),
            Event::Unsure { .. } => attempt.end = attempt.end.or(end(End::Unsure)),
            Event::Cancel { .. } => attempt.end = attempt.end.or(end(End::Cancelled)),
            _ => return,
        }
        if !attempt.waits() {
            let (lock, client, holds) = (attempt.lock, attempt.client, attempt.holds());
            self.waiting.entry(lock).or_default().remove(&index);
            if !holds {
                self.of_client.entry(client).or_default().remove(&index);
            }
        }
    }
}

fn intern(names: &mut HashMap<String, usize>, name: &str) -> usize {
    if let Some(number) = names.get(name) {
        return *number;
    }
    let number = names.len();
    names.insert(name.to_owned(), number);
    number
}

/// Whether a fault is the death of a client.
pub(crate) fn is_crash(kind: &str) -> bool {
    class(kind) == CRASH
}

/// What a kind of fault is to the checkers: all of its name, or what stands before its colon.
pub(crate) fn class(kind: &str) -> &str {
    kind.split(':').next().unwrap_or(kind)
}
