//! When the command must be told to end, and when it must be killed. Pure: time is passed in.

use sneck::Instant;
use std::time::Duration;

/// The bounds that follow from a session timeout `T`.
///
/// An answer of the servers is believed in for 5/8 of `T`, and one is asked for every quarter of it. So
/// in normal life between 5/8 and 3/8 of `T`, less a round trip, are left, and an answer that is a
/// quarter of `T` late has the session look for another server. A command that is told to end a
/// quarter of `T` before the end, or later, is therefore never told so while the servers answer; more
/// than that would end commands for no reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// How long before the end the command is told to end.
    pub(crate) grace: Duration,
    /// How long before the end it is killed.
    pub(crate) reserve: Duration,
}

impl Bounds {
    /// The longest default grace: longer notice is seldom of use, and costs that much of every
    /// outage that the session could have survived.
    const GRACE_MAX_DEFAULT: Duration = Duration::from_secs(2);
    /// How long it may take on a busy machine until a killed process is gone.
    const RESERVE_MAX: Duration = Duration::from_millis(500);

    /// The bounds for this session timeout, with a grace of the user's.
    ///
    /// # Errors
    /// The longest grace that is possible, when the user's is longer.
    pub(crate) fn new(timeout: Duration, grace: Option<Duration>) -> Result<Self, Duration> {
        let grace_max = timeout / 4;
        let grace = match grace {
            Some(grace) if grace > grace_max => return Err(grace_max),
            Some(grace) => grace,
            None => (timeout / 8).min(Self::GRACE_MAX_DEFAULT),
        };
        let reserve = (timeout / 32).min(Self::RESERVE_MAX);
        // Without any grace the command is killed at once, but still before the end.
        Ok(Bounds { grace: grace.max(reserve), reserve })
    }
}

/// What to do next about the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing before this moment, unless the deadline moves on.
    Wait(Instant),
    /// Tell it to end.
    Terminate,
    /// Kill it.
    Kill,
}

/// Follows a lock's deadline.
#[derive(Debug)]
pub(crate) struct Schedule {
    bounds: Bounds,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// The lock is held, at least until the deadline seen last.
    Held { deadline: Option<Instant> },
    /// The command has been told to end.
    Ending { kill_at: Instant },
    /// It has been killed. There is no way back: it could not go on anyway.
    Killed { again_at: Instant },
}

impl Schedule {
    /// A signal to a group misses nobody; this is for what was just being born.
    const KILL_AGAIN: Duration = Duration::from_millis(20);

    /// A schedule within these bounds.
    pub(crate) fn new(bounds: Bounds) -> Self {
        Schedule { bounds, phase: Phase::Held { deadline: None } }
    }

    /// Whether the command has been told to end.
    pub(crate) fn is_ending(&self) -> bool {
        !matches!(self.phase, Phase::Held { .. })
    }

    /// What to do now, with the lock held until `deadline`, or lost.
    pub(crate) fn step(&mut self, now: Instant, deadline: Option<Instant>) -> Step {
        let Bounds { grace, reserve } = self.bounds;
        match (&mut self.phase, deadline) {
            (Phase::Held { deadline: seen }, Some(deadline)) => {
                let terminate_at = before(deadline, grace);
                if now < terminate_at {
                    *seen = Some(deadline);
                    return Step::Wait(terminate_at);
                }
                self.phase = Phase::Ending { kill_at: before(deadline, reserve) };
                Step::Terminate
            }
            (Phase::Held { deadline: seen }, None) => {
                // Lost ahead of time. What is left of the old deadline bounds the notice too.
                let kill_at = now + (grace - reserve);
                let last = seen.map_or(now, |deadline| before(deadline, reserve));
                self.phase = Phase::Ending { kill_at: kill_at.min(last) };
                Step::Terminate
            }
            (Phase::Ending { kill_at }, _) if now < *kill_at => Step::Wait(*kill_at),
            (Phase::Killed { again_at }, _) if now < *again_at => Step::Wait(*again_at),
            (Phase::Ending { .. } | Phase::Killed { .. }, _) => {
                self.phase = Phase::Killed { again_at: now + Self::KILL_AGAIN };
                Step::Kill
            }
        }
    }
}

fn before(instant: Instant, length: Duration) -> Instant {
    let nanos = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
    Instant::from_nanos(instant.as_nanos().saturating_sub(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn at(at_ms: u64) -> Instant {
        Instant::from_nanos(1_000_000_000) + ms(at_ms)
    }

    fn schedule() -> Schedule {
        Schedule::new(Bounds { grace: ms(500), reserve: ms(100) })
    }

    #[test]
    fn the_grace_follows_the_session() {
        let bounds = |timeout, grace| Bounds::new(ms(timeout), grace);
        assert_eq!(bounds(4_000, None), Ok(Bounds { grace: ms(500), reserve: ms(125) }));
        assert_eq!(bounds(60_000, None), Ok(Bounds { grace: ms(2_000), reserve: ms(500) }));
        assert_eq!(bounds(4_000, Some(ms(1_000))).map(|bounds| bounds.grace), Ok(ms(1_000)));
        assert_eq!(bounds(4_000, Some(ms(1_001))), Err(ms(1_000)));
        assert_eq!(bounds(4_000, Some(ms(0))).map(|bounds| bounds.grace), Ok(ms(125)));
    }

    /// In normal life the deadline is at least 3/8 of the timeout away, less a round trip.
    #[test]
    fn no_grace_reaches_into_normal_life() {
        for timeout in [400, 1_000, 4_000, 10_000, 40_000].map(ms) {
            for grace in [None, Some(timeout / 4)] {
                let bounds = Bounds::new(timeout, grace).unwrap();
                let round_trip = timeout / 9;
                assert!(bounds.grace < timeout * 3 / 8 - round_trip, "{timeout:?} {bounds:?}");
                assert!(bounds.reserve <= bounds.grace);
            }
        }
    }

    #[test]
    fn a_deadline_that_moves_on_is_followed() {
        let mut schedule = schedule();
        assert_eq!(schedule.step(at(0), Some(at(2_000))), Step::Wait(at(1_500)));
        assert_eq!(schedule.step(at(1_000), Some(at(3_000))), Step::Wait(at(2_500)));
        assert!(!schedule.is_ending());
    }

    #[test]
    fn without_an_answer_it_ends_in_time() {
        let mut schedule = schedule();
        assert_eq!(schedule.step(at(1_500), Some(at(2_000))), Step::Terminate);
        assert_eq!(schedule.step(at(1_501), Some(at(2_000))), Step::Wait(at(1_900)));
        // An answer that comes now comes too late for the command, which is on its way out.
        assert_eq!(schedule.step(at(1_600), Some(at(9_000))), Step::Wait(at(1_900)));
        assert_eq!(schedule.step(at(1_900), Some(at(9_000))), Step::Kill);
        assert_eq!(schedule.step(at(1_901), None), Step::Wait(at(1_920)));
        assert_eq!(schedule.step(at(1_920), None), Step::Kill);
    }

    #[test]
    fn a_lock_that_is_taken_away_leaves_no_more_than_the_grace() {
        let mut schedule = schedule();
        let _ = schedule.step(at(0), Some(at(9_000)));
        assert_eq!(schedule.step(at(100), None), Step::Terminate);
        assert_eq!(schedule.step(at(100), None), Step::Wait(at(500)));
        assert_eq!(schedule.step(at(500), None), Step::Kill);
    }

    #[test]
    fn after_a_long_stop_there_is_no_notice() {
        let mut schedule = schedule();
        let _ = schedule.step(at(0), Some(at(2_000)));
        assert_eq!(schedule.step(at(60_000), None), Step::Terminate);
        assert_eq!(schedule.step(at(60_000), None), Step::Kill);
    }
}
