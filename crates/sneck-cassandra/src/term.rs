//! For how long a row with a TTL may be believed in.

use sneck_core::{Error, ErrorKind};
use std::time::Duration;

/// The servers count whole seconds, and round down: a TTL of ten seconds that is written at 0.9 ends
/// at 10.0.
const GRANULARITY: Duration = Duration::from_secs(1);
/// Room for the rate at which our clock and theirs drift apart: 1 in 1,000, far more than quartz does.
const DRIFT_DIVISOR: u32 = 1_000;
/// The longest TTL that Cassandra takes is 20 years; nobody who waits for a crashed holder waits a day.
const TTL_MAX: Duration = Duration::from_secs(24 * 3600);

/// The TTL that rows are written with, and what follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TermRule {
    seconds: i32,
    term: Duration,
}

impl TermRule {
    /// The rule for rows of this TTL on servers whose clocks differ by `skew` at most.
    ///
    /// The node that coordinates a read decides what has expired by its own clock, and it need not be
    /// the one by whose clock the row was written. So the holder gives up that much earlier, counted
    /// from before its request was sent.
    pub(crate) fn new(ttl: Duration, skew: Duration) -> Result<TermRule, Error> {
        let allowance = GRANULARITY + skew + ttl / DRIFT_DIVISOR;
        let seconds = i32::try_from(ttl.as_secs()).unwrap_or(i32::MAX);
        let invalid = |text| Err(Error::new(ErrorKind::Invalid, text));
        if ttl > TTL_MAX {
            return invalid(format!("a TTL of {ttl:?} is more than {TTL_MAX:?}"));
        }
        if Duration::from_secs(ttl.as_secs()) != ttl {
            return invalid(format!("a TTL of {ttl:?} is not in whole seconds"));
        }
        match ttl.checked_sub(allowance) {
            Some(term) if term >= ttl / 2 => Ok(TermRule { seconds, term }),
            _ => {
                let text = format!(
                    "of a TTL of {ttl:?}, less than half is left when {allowance:?} are taken off \
                     for the difference and the granularity of the servers' clocks"
                );
                let error = Error::new(ErrorKind::Invalid, text);
                Err(error.with_hint(
                    "give a longer ttl=, such as 10s; or a smaller skew=, if it is true",
                ))
            }
        }
    }

    /// The TTL in the statements.
    pub(crate) fn seconds(self) -> i32 {
        self.seconds
    }

    /// How long a holder may believe in its row, from before its request was sent.
    pub(crate) fn term(self) -> Duration {
        self.term
    }

    /// How long to wait for an answer: a third of the term passes before a renewal, and two attempts
    /// fit into what is left.
    pub(crate) fn answer_within(self) -> Duration {
        Duration::from_secs(self.seconds.unsigned_abs().into()) / 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(ttl_ms: u64, skew_ms: u64) -> Result<TermRule, Error> {
        TermRule::new(Duration::from_millis(ttl_ms), Duration::from_millis(skew_ms))
    }

    #[test]
    fn the_holder_gives_up_before_any_clock_says_so() {
        let rule = rule(10_000, 1_000).unwrap();
        assert_eq!(rule.term(), Duration::from_millis(10_000 - 1_000 - 1_000 - 10));
        assert_eq!(rule.seconds(), 10);
        // A renewal after a third that gets no answer, and another one.
        assert!(rule.term() / 3 + 2 * rule.answer_within() < rule.term());
    }

    #[test]
    fn a_ttl_that_the_allowance_eats_is_refused() {
        for (ttl, skew) in [(3_000, 1_000), (0, 0), (1_000, 0), (10_000, 4_500), (10_500, 1_000)] {
            assert_eq!(rule(ttl, skew).unwrap_err().kind(), ErrorKind::Invalid, "{ttl} {skew}");
        }
        assert!(rule(5_000, 1_000).is_ok());
        assert!(rule(3_000, 100).is_ok());
        let day = 24 * 3600 * 1000;
        assert!(rule(day, 1_000).is_ok() && rule(day + 1_000, 1_000).is_err());
    }
}
