//! The life of one claim as a state machine: answers in, steps out.

use crate::line::{HolderMode, Line, Seat};
use sneck_core::{ClaimId, Error, Loss, Mode, Waiting};
use std::num::NonZeroU32;
use std::time::Duration;

/// One try to get in: which seat, and under which fence the line was when the seat was free.
///
/// Owner and token tell a try from every other one: a claim tries again only once the fence has moved on,
/// and then for a larger token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) seat: Seat,
    pub(crate) fence: i64,
}

/// What is to be done next.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Read the partition.
    Look,
    /// Make the partition.
    Open,
    /// Write the number of permits.
    Resize { permits: NonZeroU32, fence: i64 },
    /// Take the seat.
    Acquire(Attempt),
    /// Make sure that the attempt cannot be applied from now on.
    Poison(Attempt),
    /// Read the partition, all rounds of Paxos that have begun included.
    Confirm(Attempt),
    /// Write the row again, with a new TTL.
    Renew(Seat, HolderMode),
    /// Delete the row.
    Release(Seat),
    /// Nothing more to do: the answer.
    Tell(Told),
}

/// Where the claim stands.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    Held(Seat),
    /// And when the first of those ahead may be gone.
    Waiting(Waiting, Option<Duration>),
    Gone(Loss),
    Left,
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// To a look; `None` where there is no partition.
    Line(Option<Line>),
    /// To a conditional statement.
    Applied,
    /// To one whose condition did not hold; with the token that is in the row, where the statement
    /// asked for one.
    Refused { token: Option<i64> },
}

/// One claim on one lock.
#[derive(Debug)]
pub(crate) struct Place {
    id: ClaimId,
    mode: Mode,
    /// Whether the number of permits was once the one the claim believes in: from then on another one
    /// is a change, and no disagreement.
    agreed: bool,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    /// Nothing of this claim is in the store, or ever will be.
    Outside,
    /// And there is no partition.
    Missing,
    /// And the semaphore has no number.
    Unsized {
        fence: i64,
    },
    /// And somebody is ahead.
    Behind(Waiting, Option<Duration>),
    /// And there is a free seat.
    Free(Attempt),
    /// The attempt was sent, or is about to be. It may be applied now, later, or never.
    Unsettled(Attempt),
    /// It can no longer be applied. It may have been.
    Poisoned(Attempt),
    /// The row is there, as far as is known.
    Seated(Seat),
    /// And the store has just said so.
    Proven(Seat),
    /// The row is another's, or gone.
    Lost(Loss),
    Left,
}

impl Place {
    pub(crate) fn new(id: ClaimId, mode: Mode) -> Place {
        Place { id, mode, agreed: false, state: State::Outside }
    }

    /// The next step of asking. Before an acquisition is returned the place is unsettled, so that a
    /// caller that is dropped while it sends has lost nothing.
    pub(crate) fn ask(&mut self) -> Step {
        match self.state.clone() {
            State::Outside => Step::Look,
            State::Missing => Step::Open,
            State::Unsized { fence } => match self.mode {
                Mode::Permits(permits) => Step::Resize { permits: permits.of(), fence },
                _ => Step::Look,
            },
            State::Behind(waiting, left) => {
                self.state = State::Outside;
                Step::Tell(Told::Waiting(waiting, left))
            }
            State::Free(attempt) => {
                self.state = State::Unsettled(attempt);
                Step::Acquire(attempt)
            }
            State::Unsettled(attempt) => Step::Poison(attempt),
            State::Poisoned(attempt) => Step::Confirm(attempt),
            State::Seated(seat) => Step::Renew(seat, HolderMode::of(self.mode)),
            State::Proven(seat) => {
                self.state = State::Seated(seat);
                Step::Tell(Told::Held(seat))
            }
            State::Lost(loss) => Step::Tell(Told::Gone(loss)),
            State::Left => Step::Tell(Told::Gone(Loss::Removed)),
        }
    }

    /// The next step of leaving.
    pub(crate) fn leave(&mut self) -> Step {
        match self.state.clone() {
            State::Unsettled(attempt) => Step::Poison(attempt),
            State::Poisoned(attempt) => Step::Confirm(attempt),
            State::Seated(seat) | State::Proven(seat) => Step::Release(seat),
            State::Lost(_) => Step::Tell(Told::Left),
            _ => {
                self.state = State::Left;
                Step::Tell(Told::Left)
            }
        }
    }

    /// The step that makes a reader of a writer who holds.
    pub(crate) fn downgrade(&mut self) -> Option<Step> {
        match (&self.state, self.mode) {
            (State::Seated(seat) | State::Proven(seat), Mode::Write | Mode::Shared) => {
                Some(Step::Renew(*seat, HolderMode::Shared))
            }
            _ => None,
        }
    }

    /// The store has let the readers in: from now on the claim is one of them.
    pub(crate) fn downgraded(&mut self) {
        self.mode = Mode::Shared;
    }

    /// Takes in the answer to a step.
    ///
    /// # Errors
    /// When the semaphore has another number of permits than the claim believes.
    pub(crate) fn on(&mut self, step: &Step, answer: Answer) -> Result<(), Error> {
        self.state = match (step, answer) {
            (Step::Look, Answer::Line(line)) => self.judge(line)?,
            (Step::Acquire(attempt), Answer::Applied) => State::Proven(attempt.seat),
            // Somebody was faster.
            (Step::Acquire(_), _) => State::Outside,
            // The number it needs is burnt.
            (Step::Poison(_), Answer::Applied) => State::Outside,
            (Step::Poison(attempt), _) => State::Poisoned(*attempt),
            (Step::Confirm(attempt), Answer::Line(line)) => {
                let found =
                    line.is_some_and(|line| line.find(self.id, attempt.seat.token).is_some());
                if found { State::Seated(attempt.seat) } else { State::Outside }
            }
            (Step::Renew(seat, _), Answer::Applied) => State::Proven(*seat),
            (Step::Renew(..), Answer::Refused { token: None }) => State::Lost(Loss::Removed),
            (Step::Renew(..), _) => State::Lost(Loss::Usurped),
            // Also when there was nothing to delete.
            (Step::Release(_), _) => State::Left,
            (Step::Open | Step::Resize { .. }, _) => State::Outside,
            (_, _) => return Ok(()),
        };
        Ok(())
    }

    fn judge(&mut self, line: Option<Line>) -> Result<State, Error> {
        let Some(line) = line else { return Ok(State::Missing) };
        if let Mode::Permits(permits) = self.mode {
            let Some(stored) = line.permits else {
                return Ok(State::Unsized { fence: line.fence });
            };
            match (stored == permits.of(), self.agreed) {
                (true, _) => self.agreed = true,
                (false, false) => return Err(permits.disagree(stored)),
                (false, true) if permits.take() > stored => return Err(permits.too_many(stored)),
                (false, true) => self.mode = Mode::Permits(permits.resized(stored)),
            }
        }
        Ok(match line.admit(self.mode) {
            Some(seat) => State::Free(Attempt { seat, fence: line.fence }),
            None => {
                let (waiting, left) = line.waiting();
                State::Behind(waiting, left)
            }
        })
    }

    /// Whether anything of this claim is or may be in the store.
    pub(crate) fn is_inside(&self) -> bool {
        matches!(
            self.state,
            State::Unsettled(_) | State::Poisoned(_) | State::Seated(_) | State::Proven(_)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::Holder;
    use crate::line::tests::{holder, line};
    use sneck_core::{ErrorKind, Permits};

    const ME: ClaimId = ClaimId::from_u128(1);

    fn mine(token: i64) -> Holder {
        Holder { owner: ME, ..holder(0, token, Mode::Exclusive) }
    }

    /// A claim that has sent its attempt to become number 8.
    fn unsettled() -> (Place, Attempt) {
        let mut place = Place::new(ME, Mode::Exclusive);
        let step = place.ask();
        place.on(&step, Answer::Line(Some(line(7, 5, vec![])))).unwrap();
        match place.ask() {
            Step::Acquire(attempt) => (place, attempt),
            other => panic!("{other:?}"),
        }
    }

    fn answer(place: &mut Place, step: Step, answer: Answer) {
        place.on(&step, answer).unwrap();
    }

    #[test]
    fn a_first_lock_opens_looks_and_takes() {
        let mut place = Place::new(ME, Mode::Exclusive);
        answer(&mut place, Step::Look, Answer::Line(None));
        assert!(matches!(place.ask(), Step::Open));
        assert!(!place.is_inside());
        answer(&mut place, Step::Open, Answer::Refused { token: None });
        assert!(matches!(place.ask(), Step::Look));
        answer(&mut place, Step::Look, Answer::Line(Some(line(7, 5, vec![]))));
        let step = place.ask();
        assert!(place.is_inside(), "it is unsettled before anything is sent");
        answer(&mut place, step, Answer::Applied);
        assert!(matches!(place.ask(), Step::Tell(Told::Held(Seat { token: 8, .. }))));
        assert!(matches!(place.ask(), Step::Renew(..)), "asking again extends");
    }

    #[test]
    fn an_attempt_without_an_answer_is_poisoned_first() {
        let (mut place, attempt) = unsettled();
        // The answer did not come: whatever is asked next, the number is burnt before anything else.
        assert!(matches!(place.ask(), Step::Poison(poisoned) if poisoned == attempt));
        assert!(matches!(place.leave(), Step::Poison(poisoned) if poisoned == attempt));
        answer(&mut place, Step::Poison(attempt), Answer::Applied);
        assert!(!place.is_inside());
        assert!(matches!(place.ask(), Step::Look));
    }

    #[test]
    fn an_attempt_that_was_applied_is_found_and_renewed_before_it_is_believed() {
        let (mut place, attempt) = unsettled();
        answer(&mut place, Step::Poison(attempt), Answer::Refused { token: None });
        assert!(matches!(place.ask(), Step::Confirm(_)));
        let found = line(8, 8, vec![mine(8)]);
        answer(&mut place, Step::Confirm(attempt), Answer::Line(Some(found)));
        // Its TTL runs since the first send; only a renewal begins it anew.
        let step = place.ask();
        assert!(matches!(step, Step::Renew(Seat { token: 8, .. }, _)));
        answer(&mut place, step, Answer::Applied);
        assert!(matches!(place.ask(), Step::Tell(Told::Held(_))));
    }

    #[test]
    fn an_attempt_that_somebody_was_faster_than_was_not_applied() {
        let (mut place, attempt) = unsettled();
        answer(&mut place, Step::Poison(attempt), Answer::Refused { token: None });
        let others = line(8, 8, vec![holder(0, 8, Mode::Exclusive)]);
        answer(&mut place, Step::Confirm(attempt), Answer::Line(Some(others)));
        assert!(!place.is_inside());
        assert!(matches!(place.leave(), Step::Tell(Told::Left)));
    }

    #[test]
    fn leaving_an_unsettled_attempt_that_was_applied_releases_it() {
        let (mut place, attempt) = unsettled();
        answer(&mut place, Step::Poison(attempt), Answer::Refused { token: None });
        let found = line(8, 8, vec![mine(8)]);
        answer(&mut place, Step::Confirm(attempt), Answer::Line(Some(found)));
        let step = place.leave();
        assert!(matches!(step, Step::Release(Seat { token: 8, .. })));
        answer(&mut place, step, Answer::Refused { token: None });
        assert!(matches!(place.leave(), Step::Tell(Told::Left)));
        assert!(matches!(place.ask(), Step::Tell(Told::Gone(_))));
    }

    #[test]
    fn a_renewal_that_is_refused_is_a_loss_for_good() {
        for (token, expected) in [(None, Loss::Removed), (Some(9), Loss::Usurped)] {
            let (mut place, attempt) = unsettled();
            answer(&mut place, Step::Acquire(attempt), Answer::Applied);
            place.ask();
            let step = place.ask();
            answer(&mut place, step, Answer::Refused { token });
            for _ in 0..2 {
                assert!(matches!(place.ask(), Step::Tell(Told::Gone(loss)) if loss == expected));
            }
            assert!(matches!(place.leave(), Step::Tell(Told::Left)));
        }
    }

    #[test]
    fn who_waits_looks_again_each_time() {
        let mut place = Place::new(ME, Mode::Exclusive);
        let taken = line(7, 7, vec![holder(0, 7, Mode::Exclusive)]);
        answer(&mut place, Step::Look, Answer::Line(Some(taken)));
        let told = place.ask();
        assert!(matches!(
            told,
            Step::Tell(Told::Waiting(Waiting { holder: Some(_), .. }, Some(_)))
        ));
        assert!(matches!(place.ask(), Step::Look));
    }

    #[test]
    fn a_semaphore_is_numbered_once_and_later_changes_are_followed() {
        let permits = Permits::new(2, 2).unwrap();
        let mut place = Place::new(ME, Mode::Permits(permits));
        let mut unnumbered = line(7, 5, vec![]);
        unnumbered.permits = None;
        answer(&mut place, Step::Look, Answer::Line(Some(unnumbered)));
        assert!(matches!(place.ask(), Step::Resize { fence: 7, .. }));
        let numbered = |number, holders| {
            let mut line = line(8, 5, holders);
            line.permits = NonZeroU32::new(number);
            Answer::Line(Some(line))
        };
        let error = place.on(&Step::Look, numbered(3, vec![])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Disagreement);
        let one = Mode::Permits(Permits::new(1, 2).unwrap());
        answer(&mut place, Step::Look, numbered(2, vec![holder(0, 6, one)]));
        assert!(matches!(place.ask(), Step::Tell(Told::Waiting(..))));
        answer(&mut place, Step::Look, numbered(3, vec![holder(0, 6, one)]));
        assert!(matches!(place.ask(), Step::Acquire(_)), "by now there are three");
    }

    #[test]
    fn a_waiter_for_more_than_are_left_is_told() {
        let mut place = Place::new(ME, Mode::Permits(Permits::new(2, 3).unwrap()));
        let all = Mode::Permits(Permits::new(3, 3).unwrap());
        answer(&mut place, Step::Look, Answer::Line(Some(line(7, 7, vec![holder(0, 7, all)]))));
        let mut smaller = line(8, 7, vec![]);
        smaller.permits = NonZeroU32::new(1);
        let error = place.on(&Step::Look, Answer::Line(Some(smaller))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Disagreement);
    }
}
