//! The lines of a process: performs what each [`LocalLine`] decides.
//!
//! All lines are behind one mutex, which is held for a step of a machine and never while a future is
//! polled, a guard is dropped, or somebody is told: a turn that is dropped takes it again.

use super::agent::{Agent, Stand};
use super::line::{Arrival, End, LocalLine, Ticket, TurnId};
use super::sharing::Sharing;
use super::turn::Turn;
use super::waiter::{News, Told, Waiter};
use crate::claim::{Mode, Request};
use crate::clock::Instant;
use crate::error::{Error, Outcome};
use crate::guard::{Guard, Hold};
use crate::lease::Loss;
use crate::mutant;
use crate::name::Name;
use crate::sync::{Mutex, MutexGuard};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError};
use tokio::sync::{oneshot, watch};

/// The lines of those who ask through one locker and its clones. When it is dropped, the places that are
/// kept for nobody are given back.
#[derive(Default)]
pub(crate) struct LocalLines(Mutex<Lines>);

#[derive(Default)]
struct Lines {
    /// In an order, as what is left of them is given back in it.
    entries: BTreeMap<Key, Entry>,
    /// The largest number of a place or a ticket in a line that was forgotten. Those of its successor are
    /// larger: somebody may still come with one of the old ones, and must not be taken for another.
    last_number: u64,
}

/// Which line.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) name: Name,
    pub(crate) mode: Mode,
}

impl Key {
    /// Any order will do, as long as it is one.
    fn rank(&self) -> (&Name, u8, Option<(NonZeroU32, NonZeroU32)>) {
        let (kind, permits) = match self.mode {
            Mode::Exclusive => (0, None),
            Mode::Shared if mutant!("readers-share-with-writers") => (2, None),
            Mode::Shared => (1, None),
            Mode::Write => (2, None),
            Mode::Permits(permits) => (3, Some((permits.take(), permits.of()))),
        };
        (&self.name, kind, permits)
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What becomes of somebody who comes.
pub(crate) enum Arrived {
    /// It holds the lock.
    Turn(Turn),
    /// Somebody else holds it, and whoever comes does not wait.
    Refused,
    Waits(Waiter),
}

struct Entry {
    line: LocalLine,
    waiting: BTreeMap<Ticket, Waiting>,
    /// What is held of the store, and handed on.
    place: Option<Guard>,
    agent: Option<AgentHandle>,
    news: watch::Sender<News>,
    stand: Stand,
}

struct Waiting {
    request: Request,
    /// Whether a place was asked for under the identity of the request.
    used: bool,
    once: bool,
    sharing: Sharing,
    told: oneshot::Sender<Told>,
}

/// Who stands in the store's line; it goes away when this is dropped.
struct AgentHandle {
    /// Whether it is to look out for others.
    looking: watch::Sender<bool>,
    is_looking: bool,
    left: oneshot::Receiver<Outcome>,
}

/// What is to be done when the lines are unlocked again.
#[derive(Default)]
struct Effects {
    told: Vec<(oneshot::Sender<Told>, Told)>,
    given_back: Option<Guard>,
    agent: Option<Agent>,
}

impl Effects {
    fn tell(&mut self, waiting: Option<Waiting>, told: impl FnOnce(Sharing) -> Told) {
        if let Some(Waiting { told: to, sharing, .. }) = waiting {
            self.told.push((to, told(sharing)));
        }
    }

    /// Who has gone meanwhile drops what it is told, and with it a turn. What is given back, is to be.
    fn perform(self) -> Option<Guard> {
        for (to, told) in self.told {
            let _ = to.send(told);
        }
        if let Some(agent) = self.agent {
            agent.start();
        }
        self.given_back
    }
}

impl LocalLines {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        // Each step of a machine leaves it whole, whatever panics between two.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A hold, where that takes neither waiting nor a request.
    pub(crate) fn enter(self: &Arc<Self>, key: Key, sharing: &Sharing) -> Option<Turn> {
        let mut lines = self.lock();
        let entry = lines.entries.get_mut(&key)?;
        let (id, hold) = entry.enter(sharing)?;
        drop(lines);
        Some(Turn::new(self.clone(), key, id, *sharing, hold))
    }

    /// Somebody comes; `once` if it does not wait.
    pub(crate) fn arrive(
        self: &Arc<Self>,
        stand: impl Fn() -> Stand,
        request: Request,
        sharing: Sharing,
        once: bool,
    ) -> Arrived {
        let key = Key { name: request.name.clone(), mode: request.mode };
        let mut effects = Effects::default();
        let mut lines = self.lock();
        let Lines { entries, last_number } = &mut *lines;
        let new = || Entry::new(stand(), key.mode, *last_number);
        let entry = entries.entry(key.clone()).or_insert_with(new);
        if entry.place.is_none() {
            // On the runtime of whoever came last, as the first may be gone.
            entry.stand = stand();
        }
        entry.notice_loss(&mut effects);
        let arrived = if let Some((id, hold)) = entry.enter(&sharing) {
            Arrived::Turn(Turn::new(self.clone(), key, id, sharing, hold))
        } else if once && entry.line.is_taken() {
            Arrived::Refused
        } else {
            let waiter = entry.queue(self, &key, request, sharing, once, &mut effects);
            waiter.map_or(Arrived::Refused, Arrived::Waits)
        };
        drop(lines);
        drop(effects.perform());
        arrived
    }

    /// Somebody waits no longer. What comes of leaving the store's line, if that is left with it.
    pub(crate) fn cancel(&self, key: &Key, ticket: Ticket) -> Option<oneshot::Receiver<Outcome>> {
        let mut lines = self.lock();
        let entry = lines.entries.get_mut(key)?;
        entry.waiting.remove(&ticket);
        let agent = if entry.line.cancel(ticket) { entry.agent.take() } else { None };
        lines.forget_if_done(key);
        agent.map(|agent| agent.left)
    }

    /// A hold has ended; the place, if it is to be given back.
    pub(crate) fn end(
        self: &Arc<Self>,
        key: &Key,
        turn: TurnId,
        sharing: &Sharing,
    ) -> Option<Guard> {
        let mut effects = Effects::default();
        let mut lines = self.lock();
        let entry = lines.entries.get_mut(key)?;
        entry.notice_loss(&mut effects);
        let now = entry.now();
        match entry.line.end(turn, now, sharing) {
            End::Nothing => {}
            End::HandOn(ticket, id) => entry.hand_on(self, key, ticket, id, &mut effects),
            End::GiveBack { ask } => {
                (effects.given_back, entry.agent) = (entry.place.take(), None);
                entry.ask(self, key, ask, &mut effects);
            }
        }
        lines.forget_if_done(key);
        drop(lines);
        effects.perform()
    }

    /// The place leaves the line with whoever holds it alone; `None` when it is not its any more.
    pub(crate) fn detach(self: &Arc<Self>, key: &Key, turn: TurnId) -> Option<Guard> {
        let mut effects = Effects::default();
        let mut lines = self.lock();
        let entry = lines.entries.get_mut(key)?;
        let ask = entry.line.detach(turn)?;
        (effects.given_back, entry.agent) = (entry.place.take(), None);
        entry.ask(self, key, ask, &mut effects);
        lines.forget_if_done(key);
        drop(lines);
        effects.perform()
    }

    /// How many inside are ahead of somebody who waits.
    pub(crate) fn ahead(&self, key: &Key, ticket: Ticket) -> usize {
        self.lock().entries.get(key).map_or(0, |entry| entry.line.ahead(ticket))
    }

    // ----- what is known of the store's line -----

    /// The store has granted the place. What is held, unless nobody wants it any more.
    pub(crate) fn granted(
        self: &Arc<Self>,
        key: &Key,
        place: u64,
        guard: Guard,
    ) -> Option<Arc<Hold>> {
        let mut effects = Effects::default();
        let mut lines = self.lock();
        let turns = lines.entries.get_mut(key).and_then(|entry| entry.line.granted(place));
        let (Some(turns), Some(entry)) = (turns, lines.entries.get_mut(key)) else {
            lines.forget_if_done(key);
            return None;
        };
        let hold = guard.hold().clone();
        entry.place = Some(guard);
        if !entry.stand.shows_waiters() {
            // Whether anybody waits outside is not to be seen, so somebody may.
            let now = entry.now();
            entry.line.outside(place, now);
        }
        let mut keep = false;
        for (ticket, id) in turns {
            effects.tell(entry.waiting.remove(&ticket), |sharing| {
                keep |= sharing.keep;
                Ok(Some(Turn::new(self.clone(), key.clone(), id, sharing, hold.clone())))
            });
        }
        if keep || !entry.waiting.is_empty() {
            entry.look_out();
        }
        drop(lines);
        effects.perform();
        Some(hold)
    }

    /// The place is not to be had at once, and the ticket for which it was asked does not wait.
    pub(crate) fn refused(self: &Arc<Self>, key: &Key, place: u64, ticket: Ticket, why: Told) {
        let mut effects = Effects::default();
        let mut lines = self.lock();
        if let Some(entry) = lines.entries.get_mut(key) {
            let ask = entry.line.refused(place, ticket);
            effects.tell(entry.waiting.remove(&ticket), |_| why);
            entry.ask(self, key, ask, &mut effects);
        }
        lines.forget_if_done(key);
        drop(lines);
        effects.perform();
    }

    /// The place is lost, or cannot be had, and so are the places of all who wait for it.
    pub(crate) fn over(&self, key: &Key, place: u64, error: &Error) {
        let mut effects = Effects::default();
        let mut lines = self.lock();
        if let Some(entry) = lines.entries.get_mut(key) {
            entry.over(place, error, &mut effects);
        }
        lines.forget_if_done(key);
        drop(lines);
        drop(effects.perform());
    }

    /// Somebody waits outside, or has `revoked` the lock from there.
    pub(crate) fn wanted(&self, key: &Key, place: u64, revoked: bool) {
        let mut given_back = None;
        let mut lines = self.lock();
        if let Some(entry) = lines.entries.get_mut(key) {
            let now = entry.now();
            let line = &mut entry.line;
            let at_once = if revoked { line.revoked(place, now) } else { line.outside(place, now) };
            if at_once {
                (given_back, entry.agent) = (entry.place.take(), None);
            }
        }
        lines.forget_if_done(key);
        drop(lines);
        drop(given_back);
    }

    /// How waiting in the store's line goes.
    pub(crate) fn tell(&self, key: &Key, news: News) {
        if let Some(entry) = self.lock().entries.get(key) {
            entry.news.send_replace(news);
        }
    }
}

impl Lines {
    fn forget_if_done(&mut self, key: &Key) {
        if let Some(entry) = self.entries.get(key)
            && entry.line.is_done()
        {
            self.last_number = self.last_number.max(entry.line.last_number());
            self.entries.remove(key);
        }
    }
}

impl Entry {
    fn new(stand: Stand, mode: Mode, above: u64) -> Self {
        Entry {
            line: LocalLine::new(mode == Mode::Shared, above),
            waiting: BTreeMap::new(),
            place: None,
            agent: None,
            news: watch::Sender::new(News::Nothing),
            stand,
        }
    }

    fn now(&self) -> Instant {
        self.stand.clock().now()
    }

    fn enter(&mut self, sharing: &Sharing) -> Option<(TurnId, Arc<Hold>)> {
        let (hold, now) = (self.place.as_ref()?.hold(), self.now());
        // A place that is lost is not handed on, whoever is the first to see it.
        if hold.loss_at(now).is_some() && !mutant!("a-lost-place-is-entered") {
            return None;
        }
        let hold = hold.clone();
        let id = self.line.enter(now, sharing)?;
        // What is kept, or joined, may be wanted by others.
        if sharing.keep || id.turn > 0 {
            self.look_out();
        }
        Some((id, hold))
    }

    fn queue(
        &mut self,
        lines: &Arc<LocalLines>,
        key: &Key,
        request: Request,
        sharing: Sharing,
        once: bool,
        effects: &mut Effects,
    ) -> Option<Waiter> {
        let now = self.now();
        let Arrival::Waits { ticket, ahead, ask } = self.line.arrive(now, &sharing) else {
            // What cannot be entered cannot be entered a moment later.
            return None;
        };
        let (tell, told) = oneshot::channel();
        let waiting = Waiting { request, used: false, once, sharing, told: tell };
        self.waiting.insert(ticket, waiting);
        match ask {
            Some(_) => {
                (effects.given_back, self.agent) = (self.place.take(), None);
                self.ask(lines, key, ask, effects);
            }
            // The bounds of handing on hold from the moment that others are seen.
            None if self.place.is_some() => self.look_out(),
            None => {}
        }
        let news = self.news.subscribe();
        Some(Waiter::new(lines.clone(), key.clone(), ticket, ahead, told, news))
    }

    fn hand_on(
        &mut self,
        lines: &Arc<LocalLines>,
        key: &Key,
        ticket: Ticket,
        id: TurnId,
        effects: &mut Effects,
    ) {
        let Some(hold) = self.place.as_ref().map(|place| place.hold().clone()) else { return };
        effects.tell(self.waiting.remove(&ticket), |sharing| {
            Ok(Some(Turn::new(lines.clone(), key.clone(), id, sharing, hold)))
        });
    }

    /// Sends somebody to the store's line for a place of this number, if there is one to be asked for.
    fn ask(
        &mut self,
        lines: &Arc<LocalLines>,
        key: &Key,
        place: Option<u64>,
        effects: &mut Effects,
    ) {
        let (Some(place), Some(ticket)) = (place, self.line.first()) else { return };
        let Some(first) = self.waiting.get_mut(&ticket) else { return };
        let mut request = first.request.clone();
        if std::mem::replace(&mut first.used, true) {
            // No identity serves for two places. Places are numbered, so that this one is new.
            request.id = request.id.numbered(place as u32);
        }
        self.news.send_replace(News::Nothing);
        let (looking, wanted) = watch::channel(false);
        let once = first.once.then_some(ticket);
        let (tell_left, left) = oneshot::channel();
        self.agent = Some(AgentHandle { looking, is_looking: false, left });
        effects.agent = Some(Agent {
            lines: Arc::downgrade(lines),
            key: key.clone(),
            place,
            stand: self.stand.clone(),
            request,
            once,
            wanted,
            left: Some(tell_left),
        });
    }

    fn look_out(&mut self) {
        if mutant!("nobody-looks-out") {
            return;
        }
        if let Some(agent) = self.agent.as_mut().filter(|agent| !agent.is_looking) {
            agent.looking.send_replace(true);
            agent.is_looking = true;
        }
    }

    fn notice_loss(&mut self, effects: &mut Effects) {
        let (Some(held), Some(place)) = (self.line.held(), &self.place) else { return };
        if mutant!("handed-on-after-a-loss") {
            return;
        }
        if let Some(loss) = place.hold().loss_at(self.now()) {
            let error = lost(place.hold(), loss);
            self.over(held, &error, effects);
        }
    }

    fn over(&mut self, place: u64, error: &Error, effects: &mut Effects) {
        let was_held = self.line.held() == Some(place);
        for ticket in self.line.over(place) {
            effects.tell(self.waiting.remove(&ticket), |_| Err(error.clone()));
        }
        if was_held {
            (effects.given_back, self.agent) = (self.place.take(), None);
        }
    }
}

/// What those are told who waited for a place that is lost.
pub(super) fn lost(hold: &Hold, loss: Loss) -> Error {
    hold.locate(crate::acquire::place_lost(loss))
}
