//! The clock that decides how long a lock may be believed in.

use std::fmt;
use std::ops::Add;
use std::time::{Duration, SystemTime};

/// A point on a machine's monotonic clock, in nanoseconds since an origin of the clock's choosing.
///
/// Unlike [`std::time::Instant`] it can be stored in an atomic, made up by a simulator, and, when it
/// comes from [`SystemClock`], goes on counting while the machine is suspended. Instants of different
/// clocks or machines must not be compared.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// Later than anything that happens.
    pub const FAR: Instant = Instant(u64::MAX);

    /// The point `nanos` nanoseconds after the clock's origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Instant(nanos)
    }

    /// Nanoseconds since the clock's origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to `self`, or zero when `earlier` is the later one.
    pub fn since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    /// Saturates at [`Instant::FAR`].
    fn add(self, length: Duration) -> Instant {
        let nanos = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        Instant(self.0.saturating_add(nanos))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", Duration::from_nanos(self.0))
    }
}

/// Where the time comes from. Passed in at the rim, so that tests and simulators own it.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Now. Never goes back.
    fn now(&self) -> Instant;

    /// The time of day. It is only shown to people: nothing is decided by it.
    fn time_of_day(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// The machine's monotonic clock that also counts the time it is suspended.
///
/// A laptop that wakes after an hour must see at once that its locks are gone, so the clock has to
/// have counted that hour: `CLOCK_BOOTTIME` on Linux and Android, `CLOCK_MONOTONIC` elsewhere (which
/// counts suspend on Apple systems). [`std::time::Instant`] does not on Linux.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Boottime;
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Monotonic;

        let time = rustix::time::clock_gettime(CLOCK);
        let secs = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
        Instant(secs.saturating_mul(1_000_000_000).saturating_add(nanos))
    }
}

/// Tokio's own clock, which tests can pause and advance.
#[derive(Clone, Copy, Debug)]
pub struct TokioClock {
    origin: tokio::time::Instant,
}

impl TokioClock {
    /// A clock whose origin is now.
    pub fn new() -> Self {
        TokioClock { origin: tokio::time::Instant::now() }
    }
}

impl Default for TokioClock {
    fn default() -> Self {
        TokioClock::new()
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Instant {
        Instant::from_nanos(0) + self.origin.elapsed()
    }
}

/// Waits until `clock` shows `until`.
///
/// Tokio's timers stand still while the machine is suspended. The wait is therefore cut into naps of
/// at most one second, so that after a resume it ends at most a second late, however long it was.
pub async fn sleep_until(clock: &dyn Clock, until: Instant) {
    const NAP_MAX: Duration = Duration::from_secs(1);
    // A timer of tokio has a granularity of a millisecond and fires after its deadline, never before.
    loop {
        let left = until.since(clock.now());
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(NAP_MAX)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_goes_forward() {
        let first = SystemClock.now();
        let second = SystemClock.now();
        assert!(second >= first);
        assert!(first > Instant::from_nanos(0));
    }

    #[test]
    fn adding_saturates() {
        assert_eq!(Instant::from_nanos(1) + Duration::MAX, Instant::FAR);
        assert_eq!(Instant::from_nanos(5).since(Instant::from_nanos(9)), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn sleeping_ends_when_the_clock_says_so() {
        let clock = TokioClock::new();
        let until = clock.now() + Duration::from_millis(3_500);
        sleep_until(&clock, until).await;
        assert!(clock.now() >= until);
        assert!(clock.now() < until + Duration::from_millis(50));
    }
}
