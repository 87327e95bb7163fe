//! The clock of histories of real processes.

use rustix::time::{ClockId, clock_gettime};

/// The monotonic clock of this machine, in nanoseconds: the same for all of its processes.
///
/// It is read by a system call and not through the C library, so that it tells the truth also in a
/// process whose library calls are shimmed to tell another time.
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or_default()
}
