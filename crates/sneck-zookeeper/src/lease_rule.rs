//! The deadline rule: how long an answer of an ensemble proves that it still holds our session.
//!
//! A session ends at the leader, when the leader has not heard of it for the negotiated timeout `T`.
//! What the leader has heard is not what we have sent:
//!
//! * On the leader itself every request counts at once.
//! * A follower answers pings by itself and tells the leader about live sessions only when the leader
//!   asks, every half tick. A follower that is cut off from its leader goes on answering pings for
//!   seconds after the leader has ended the session. So an answered ping proves nothing.
//! * An answer that went through the quorum (any write, or a `multi` of checks) proves that the leader
//!   held the session when it was processed, and that our follower was in touch with it then. It does
//!   not by itself touch the session at the leader.
//!
//! Let such a request be sent at `s` and answered. The leader processed it at `s` or later, so the last
//! round in which it asked our follower for live sessions was at `s - tick/2` or later. If we send
//! *something* at least every `p`, the follower had heard of us within the `p` before that round, and
//! has passed it on by then. So the leader touched the session at `s - tick/2 - p` or later and ends it
//! at `s - tick/2 - p + T` or later (it rounds up, which we do not count on).
//!
//! Servers grant no timeout below two ticks unless configured to, so `tick/2 <= T/4`. With `p = T/12`
//! the session lives until `s + 2T/3`; we believe in it until `s + 5T/8`. The `T/24` in between is for
//! clocks that run at different rates and timers that fire late.

use sneck_core::Instant;
use std::time::Duration;

/// Until when the answer to a request that was sent at `sent` and went through the quorum proves the
/// session, on a connection whose greeting was sent at `greeted` and answered at `answered`.
///
/// The argument above needs a follower that has heard of us before its last round with the leader. Up
/// to `tick/2 + p <= T/3` after the answer to the greeting there may not have been such a round; what
/// is certain then is that the leader touched the session when it was resumed or opened, at `greeted`
/// or later, and so keeps it until `greeted + T`. This matters only when the greeting was answered
/// slowly.
pub(crate) fn until(
    timeout: Duration,
    greeted: Instant,
    answered: Instant,
    sent: Instant,
) -> Instant {
    let until = sent + term(timeout);
    if sent > answered + timeout / 3 { until } else { until.min(greeted + timeout * 23 / 24) }
}

/// How long an answer that went through the quorum may be believed in, from the instant its request
/// was sent.
pub(crate) fn term(timeout: Duration) -> Duration {
    timeout * 5 / 8
}

/// The longest silence on our side.
pub(crate) fn ping_interval(timeout: Duration) -> Duration {
    timeout / 12
}

/// How long after the last proof was asked for the next one is.
pub(crate) fn proof_interval(timeout: Duration) -> Duration {
    timeout / 4
}

/// How long an answer may take before the connection is given up for another server's.
///
/// Together with the proof interval this is half the timeout, which leaves an eighth of it to find a
/// server that is not cut off before the lease ends.
pub(crate) fn answer_max(timeout: Duration) -> Duration {
    timeout / 4
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The argument above, as arithmetic: for every tick that fits the timeout the lease ends first.
    #[test]
    fn the_lease_ends_before_the_session_can() {
        for timeout_ms in [400_u64, 1_000, 4_000, 10_000, 40_000, 60_000] {
            let timeout = Duration::from_millis(timeout_ms);
            let tick_max = timeout / 2;
            let session_end = timeout - tick_max / 2 - ping_interval(timeout);
            let margin = session_end - term(timeout);
            assert!(margin >= timeout / 25, "{timeout:?}: {margin:?}");
        }
    }

    #[test]
    fn a_slow_greeting_shortens_the_first_leases_only() {
        let timeout = Duration::from_secs(24);
        let at = |secs| Instant::from_nanos(0) + Duration::from_secs(secs);
        assert_eq!(until(timeout, at(10), at(10), at(10)), at(25));
        assert_eq!(
            until(timeout, at(10), at(10), at(18)),
            at(33),
            "a quick greeting costs nothing"
        );
        assert_eq!(until(timeout, at(10), at(15), at(15)), at(30));
        assert_eq!(until(timeout, at(10), at(15), at(22)), at(33), "the leader knows us since 10");
        assert_eq!(until(timeout, at(10), at(15), at(24)), at(39), "a round has come since 15");
    }

    #[test]
    fn a_cut_off_follower_is_left_before_the_lease_ends() {
        let timeout = Duration::from_secs(4);
        assert!(proof_interval(timeout) + answer_max(timeout) < term(timeout));
    }
}
