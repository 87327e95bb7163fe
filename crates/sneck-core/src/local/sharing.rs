//! How a place in the store's line is shared inside a process.

use crate::claim::{Mode, Request};
use std::time::Duration;

/// How those of one process who ask for one lock share a place in the store's line.
///
/// While nobody outside waits, a shared place is handed on inside the process as often as somebody asks.
/// From the moment the process learns that somebody waits outside, it is handed on for at most
/// [`hand_ons`](Sharing::hand_ons) times, and not after [`span`](Sharing::span); then it is given back, and
/// whoever waits inside gets a new place, at the end of the store's line. So whoever waits outside waits
/// for a bounded number of holds of each process ahead, and not for all its tasks.
///
/// ```
/// use sneck_core::Sharing;
/// let mut sharing = Sharing::sticky();
/// sharing.hand_ons = 4;
/// assert!(sharing.keep && !Sharing::coalescing().keep);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sharing {
    /// Whether the place is kept when nobody inside wants it, until somebody outside does.
    pub keep: bool,
    /// The most hand-ons while somebody waits outside: 16. Readers that join others count, too.
    pub hand_ons: u32,
    /// How long the place is handed on while somebody waits outside: 50 ms. The hold that lasts then
    /// goes on.
    pub span: Duration,
    /// The most holds of one place in all; by default as many as can be counted. With 4,096 every
    /// token has a [64-bit form](crate::Token::packed).
    pub turns: u32,
}

impl Sharing {
    /// The place is shared by those who ask while it is held or waited for, and then given back.
    pub const fn coalescing() -> Self {
        let span = Duration::from_millis(50);
        Sharing { keep: false, hand_ons: 16, span, turns: u32::MAX }
    }

    /// The same, and the place is kept while nobody else waits: asking again costs no request.
    pub const fn sticky() -> Self {
        Sharing { keep: true, ..Sharing::coalescing() }
    }

    /// Whether a place for this request can be shared. Permits differ in how many are taken, and what
    /// says it holds something else meanwhile must be seen in the store by itself.
    pub(crate) fn suits(request: &Request) -> bool {
        let alike = matches!(request.mode, Mode::Exclusive | Mode::Shared | Mode::Write);
        alike && request.ties.is_none()
    }
}
