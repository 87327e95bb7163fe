//! Whoever takes locks to be measured.

use std::io;
use std::time::Duration;

/// A library and its sessions on one server.
pub(crate) trait Contestant {
    /// For tables.
    fn name(&self) -> &'static str;

    /// By how much fewer locks are enough to warm it up, as it is that much slower.
    fn slowness(&self) -> usize {
        1
    }

    /// Locks and unlocks so many times; the median of what that took, in microseconds.
    fn one_after_another(&mut self, times: usize) -> io::Result<f64>;

    /// Lets so many tasks lock and unlock so many times each, on one session, each a lock of its own.
    fn many(&mut self, tasks: usize, times: usize) -> io::Result<()>;

    /// Lets so many sessions lock and unlock the same lock so many times each.
    fn in_line(&mut self, sessions: usize, times: usize) -> io::Result<()>;

    /// Lets so many tasks of one session lock and unlock the same lock once each.
    fn crowd(&mut self, tasks: usize) -> io::Result<()>;

    /// The processor time that those on the first session have used so far.
    fn processor_time(&self) -> io::Result<Duration>;
}
