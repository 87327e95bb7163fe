//! A clock that can be made wrong while its process goes on.
//!
//! Shims of the C library do not reach it: the library under test asks the kernel without one.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sneck::{Clock, Instant, SystemClock};
use sneck_history::monotonic_ns;

const TRUE_RATE: u64 = 1_000;

/// The machine's clock, until it is told otherwise. It never goes back.
#[derive(Debug)]
pub(super) struct WarpedClock {
    warp: Mutex<Warp>,
    /// By how much the library's clock, which counts sleep, is ahead of that of histories.
    ahead_ns: u64,
}

/// From an instant of the machine's clock on, another reading and another rate.
#[derive(Debug, Clone, Copy)]
struct Warp {
    from_ns: u64,
    reading_ns: u64,
    permille: u64,
}

impl WarpedClock {
    pub(super) fn new() -> WarpedClock {
        let now = SystemClock.now().as_nanos();
        let ahead_ns = now.saturating_sub(monotonic_ns());
        let warp = Warp { from_ns: now, reading_ns: now, permille: TRUE_RATE };
        WarpedClock { warp: Mutex::new(warp), ahead_ns }
    }

    /// Leaps ahead.
    pub(super) fn leap(&self, by: Duration) {
        let mut warp = self.warp();
        warp.reading_ns += u64::try_from(by.as_nanos()).unwrap_or_default();
    }

    /// Runs at so many thousandths of its rate from now on.
    pub(super) fn run_at(&self, permille: u64) {
        let now = SystemClock.now().as_nanos();
        let mut warp = self.warp();
        *warp = Warp { from_ns: now, reading_ns: warp.reading_ns(now), permille };
    }

    /// When this clock will say so, or said so, on the clock of histories.
    pub(super) fn true_ns(&self, reading: Instant) -> u64 {
        let warp = *self.warp();
        let off = i128::from(reading.as_nanos()) - i128::from(warp.reading_ns);
        let off = off * i128::from(TRUE_RATE) / i128::from(warp.permille.max(1));
        let true_ns = i128::from(warp.from_ns) + off - i128::from(self.ahead_ns);
        u64::try_from(true_ns.max(0)).unwrap_or(u64::MAX)
    }

    fn warp(&self) -> MutexGuard<'_, Warp> {
        self.warp.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Warp {
    fn reading_ns(&self, now_ns: u64) -> u64 {
        self.reading_ns + now_ns.saturating_sub(self.from_ns) * self.permille / TRUE_RATE
    }
}

impl Clock for WarpedClock {
    fn now(&self) -> Instant {
        let warp = *self.warp();
        Instant::from_nanos(warp.reading_ns(SystemClock.now().as_nanos()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_wrong_rate_bends_readings_and_what_they_mean() {
        let warp = Warp { from_ns: 100 * MS, reading_ns: 500 * MS, permille: 2_000 };
        assert_eq!(warp.reading_ns(110 * MS), 520 * MS);
        let clock = WarpedClock { warp: Mutex::new(warp), ahead_ns: 40 * MS };
        assert_eq!(clock.true_ns(Instant::from_nanos(520 * MS)), 70 * MS);
        assert_eq!(clock.true_ns(Instant::from_nanos(480 * MS)), 50 * MS);
        assert_eq!(clock.true_ns(Instant::from_nanos(0)), 0);
    }

    #[test]
    fn a_leap_goes_ahead_and_not_back() {
        let clock = WarpedClock::new();
        let before = clock.now();
        clock.leap(Duration::from_secs(30));
        assert!(clock.now().since(before) >= Duration::from_secs(30));
        clock.run_at(500);
        assert!(clock.now().since(before) >= Duration::from_secs(30));
    }
}
