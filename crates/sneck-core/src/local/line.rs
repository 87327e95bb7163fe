//! The line inside a process, as a pure state machine.
//!
//! ```text
//!            somebody comes              the store grants it
//!  Absent -------------------> Asking -----------------------> Held --+ handed on, or kept while
//!    ^  ^                        |                             |  ^---+ nobody else waits
//!    |  +--- nobody waits, or failed                           |
//!    +------ given back, or lost ------------------------------+
//! ```
//!
//! A place has a number, and what is said of another place than the present one is void: whoever still
//! holds a turn of a place that was lost cannot end that of its successor.

use super::sharing::Sharing;
use crate::clock::Instant;
use crate::mutant;
use std::collections::VecDeque;

/// Who waits in the line; later ones are larger.
pub(crate) type Ticket = u64;

/// One hold of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TurnId {
    /// The number of the place.
    pub(crate) place: u64,
    /// How many holds of the place began before.
    pub(crate) turn: u32,
}

/// The line for one lock in one mode.
#[derive(Debug)]
pub(crate) struct LocalLine {
    /// Whether a place is held by all at the same time, as readers do.
    together: bool,
    phase: Phase,
    waiting: VecDeque<Ticket>,
    tickets: Ticket,
    /// The number of the present place, or of the last one.
    place: u64,
}

#[derive(Debug)]
enum Phase {
    Absent,
    Asking,
    Held(Held),
}

#[derive(Debug)]
struct Held {
    holders: usize,
    /// How many holds have begun.
    turns: u32,
    outside: Option<Outside>,
}

/// Somebody waits outside.
#[derive(Debug)]
struct Outside {
    /// Since when that is known.
    since: Instant,
    hand_ons: u32,
    /// Whether the holder was asked to let go.
    revoked: bool,
}

/// What becomes of somebody who comes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It holds the lock.
    Granted(TurnId),
    /// It waits, behind so many inside. Where there is an `ask`, a place of this number is to be asked for,
    /// after the present one was given back if there is one.
    Waits { ticket: Ticket, ahead: usize, ask: Option<u64> },
}

/// What follows from the end of a hold.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Nothing: others hold the place, or it is kept, or it has been lost.
    Nothing,
    /// The next one holds the lock.
    HandOn(Ticket, TurnId),
    /// The place is to be given back, and a new one of this number asked for if there is one.
    GiveBack { ask: Option<u64> },
}

impl LocalLine {
    /// A line without a place, whose places and tickets have numbers above this one.
    pub(crate) fn new(together: bool, above: u64) -> Self {
        let (phase, waiting) = (Phase::Absent, VecDeque::new());
        LocalLine { together, phase, waiting, tickets: above, place: above }
    }

    /// No place and no ticket has had a larger number.
    pub(crate) fn last_number(&self) -> u64 {
        self.place.max(self.tickets)
    }

    /// Whether nothing is left to be remembered.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Absent) && self.waiting.is_empty()
    }

    /// The number of the place that is held.
    pub(crate) fn held(&self) -> Option<u64> {
        matches!(self.phase, Phase::Held(_)).then_some(self.place)
    }

    /// Whether somebody who comes and cannot [enter](LocalLine::enter) finds others ahead.
    pub(crate) fn is_taken(&self) -> bool {
        match &self.phase {
            Phase::Absent => false,
            Phase::Asking => true,
            Phase::Held(held) => held.holders > 0 || !self.waiting.is_empty(),
        }
    }

    /// How many are ahead of a ticket inside, the holder included.
    pub(crate) fn ahead(&self, ticket: Ticket) -> usize {
        let (Ok(at) | Err(at)) = self.waiting.binary_search(&ticket);
        at + usize::from(self.is_in_use())
    }

    fn is_in_use(&self) -> bool {
        matches!(&self.phase, Phase::Held(held) if held.holders > 0)
    }

    /// The first that waits.
    pub(crate) fn first(&self) -> Option<Ticket> {
        self.waiting.front().copied()
    }

    /// The hold of somebody who needs not wait, where that is so.
    pub(crate) fn enter(&mut self, now: Instant, sharing: &Sharing) -> Option<TurnId> {
        let place = self.place;
        let Phase::Held(held) = &mut self.phase else { return None };
        let is_free = held.holders == 0 || self.together || mutant!("a-held-place-is-entered");
        let may_enter = is_free && self.waiting.is_empty() && held.may_go_on(now, sharing);
        may_enter.then(|| held.begin(place))
    }

    /// Somebody comes.
    pub(crate) fn arrive(&mut self, now: Instant, sharing: &Sharing) -> Arrival {
        if let Some(turn) = self.enter(now, sharing) {
            return Arrival::Granted(turn);
        }
        self.tickets += 1;
        let (ticket, ahead) = (self.tickets, self.waiting.len());
        self.waiting.push_back(ticket);
        let ahead = ahead + usize::from(self.is_in_use());
        // A place that nobody holds and that cannot be entered has had all the holds it may have.
        let ask = match &self.phase {
            Phase::Asking => None,
            Phase::Held(held) if held.holders > 0 => None,
            Phase::Held(_) | Phase::Absent => Some(self.ask()),
        };
        Arrival::Waits { ticket, ahead, ask }
    }

    fn ask(&mut self) -> u64 {
        self.phase = Phase::Asking;
        self.place += 1;
        self.place
    }

    /// The store has granted the place: who holds the lock now. `None` when nobody wants it any more, and
    /// it is to be given back.
    pub(crate) fn granted(&mut self, place: u64) -> Option<Vec<(Ticket, TurnId)>> {
        if place != self.place || !matches!(self.phase, Phase::Asking) {
            return None;
        }
        if self.waiting.is_empty() {
            self.phase = Phase::Absent;
            return None;
        }
        let mut held = Held { holders: 0, turns: 0, outside: None };
        let many = if self.together { self.waiting.len() } else { 1 };
        let turns = self.waiting.drain(..many).map(|ticket| (ticket, held.begin(place))).collect();
        self.phase = Phase::Held(held);
        Some(turns)
    }

    /// Somebody else holds the lock, and the place was asked for by this ticket, which does not wait. The
    /// number of the place to be asked for next, if others do.
    pub(crate) fn refused(&mut self, place: u64, ticket: Ticket) -> Option<u64> {
        if place != self.place || !matches!(self.phase, Phase::Asking) {
            return None;
        }
        self.phase = Phase::Absent;
        self.forget(ticket);
        (!self.waiting.is_empty()).then(|| self.ask())
    }

    /// The place is lost, or cannot be had: all that waited for it, who are to be told.
    pub(crate) fn over(&mut self, place: u64) -> Vec<Ticket> {
        if place != self.place || matches!(self.phase, Phase::Absent) {
            return Vec::new();
        }
        self.phase = Phase::Absent;
        self.waiting.drain(..).collect()
    }

    /// Somebody waits no longer. Whether nobody is left who wants the place that is asked for.
    pub(crate) fn cancel(&mut self, ticket: Ticket) -> bool {
        self.forget(ticket);
        let stop = matches!(self.phase, Phase::Asking) && self.waiting.is_empty();
        if stop {
            self.phase = Phase::Absent;
        }
        stop
    }

    fn forget(&mut self, ticket: Ticket) {
        if let Ok(at) = self.waiting.binary_search(&ticket) {
            self.waiting.remove(at);
        }
    }

    /// A hold has ended.
    pub(crate) fn end(&mut self, turn: TurnId, now: Instant, sharing: &Sharing) -> End {
        let Phase::Held(held) = &mut self.phase else { return End::Nothing };
        if turn.place != self.place && !mutant!("an-old-turn-ends-a-new-one") {
            return End::Nothing;
        }
        held.holders -= 1;
        if held.holders > 0 && !mutant!("the-first-reader-gives-back") {
            return End::Nothing;
        }
        let may_go_on = held.may_go_on(now, sharing);
        match self.waiting.is_empty() {
            // Readers wait beside a place only when it is not to be handed on.
            false if may_go_on && !self.together => {
                let turn = held.begin(self.place);
                let next = match mutant!("the-last-to-come-is-next") {
                    true => self.waiting.pop_back(),
                    false => self.waiting.pop_front(),
                };
                match next {
                    Some(ticket) => End::HandOn(ticket, turn),
                    None => End::Nothing,
                }
            }
            true if may_go_on && sharing.keep && held.outside.is_none() => End::Nothing,
            true if sharing.keep && mutant!("kept-while-another-waits") => End::Nothing,
            _ => self.give_back(),
        }
    }

    fn give_back(&mut self) -> End {
        self.phase = Phase::Absent;
        End::GiveBack { ask: (!self.waiting.is_empty()).then(|| self.ask()) }
    }

    /// Somebody waits outside. Whether the place, which nobody holds, is to be given back at once.
    pub(crate) fn outside(&mut self, place: u64, now: Instant) -> bool {
        self.wanted(place, now, false)
    }

    /// Somebody outside has asked for the lock. Whether the place is to be given back at once; otherwise
    /// it is at the end of the hold.
    pub(crate) fn revoked(&mut self, place: u64, now: Instant) -> bool {
        self.wanted(place, now, true)
    }

    fn wanted(&mut self, place: u64, now: Instant, revoked: bool) -> bool {
        let Phase::Held(held) = &mut self.phase else { return false };
        if place != self.place {
            return false;
        }
        let first = Outside { since: now, hand_ons: 0, revoked };
        held.outside.get_or_insert(first).revoked |= revoked;
        let idle = held.holders == 0 && !mutant!("kept-while-another-waits");
        if idle {
            self.phase = Phase::Absent;
        }
        idle
    }

    /// The place leaves the line with whoever holds it alone. The number of the next place, if somebody
    /// waits for one; `None` when the turn is void.
    pub(crate) fn detach(&mut self, turn: TurnId) -> Option<Option<u64>> {
        if self.held() != Some(turn.place) {
            return None;
        }
        match self.give_back() {
            End::GiveBack { ask } => Some(ask),
            End::Nothing | End::HandOn(..) => None,
        }
    }
}

impl Held {
    fn begin(&mut self, place: u64) -> TurnId {
        let turn = TurnId { place, turn: self.turns };
        self.turns += 1;
        self.holders += 1;
        if let (Some(outside), true) = (&mut self.outside, turn.turn > 0) {
            outside.hand_ons += 1;
        }
        turn
    }

    /// Whether one more hold may begin.
    fn may_go_on(&self, now: Instant, sharing: &Sharing) -> bool {
        let in_bounds = |outside: &Outside| {
            !outside.revoked
                && (outside.hand_ons < sharing.hand_ons || mutant!("hand-ons-without-a-bound"))
                && (now.since(outside.since) < sharing.span || mutant!("hand-ons-without-an-end"))
        };
        self.turns < sharing.turns && self.outside.as_ref().is_none_or(in_bounds)
    }
}
