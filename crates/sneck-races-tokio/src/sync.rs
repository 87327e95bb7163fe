//! Tokio's channels, and its `Notify` with a step before each use.

use shuttle::thread;
use std::time::Duration;
use tokio::sync::futures::Notified;
pub use tokio::sync::{Semaphore, mpsc, oneshot, watch};

/// As [`tokio::sync::Notify`]. Another thread may come in before each operation: between a look at what is
/// waited for and the wait is where wake-ups get lost.
#[derive(Debug, Default)]
pub struct Notify(tokio::sync::Notify);

impl Notify {
    /// One that nobody has been told of.
    pub fn new() -> Self {
        Notify::default()
    }

    /// Resolves when somebody tells.
    pub fn notified(&self) -> Notified<'_> {
        step();
        self.0.notified()
    }

    /// Tells one of those who wait, or the next to come.
    pub fn notify_one(&self) {
        step();
        self.0.notify_one();
    }

    /// Tells all who wait.
    pub fn notify_waiters(&self) {
        step();
        self.0.notify_waiters();
    }
}

/// Lets the checker choose who goes on. Unlike `yield_now` it says nothing about who should.
fn step() {
    thread::sleep(Duration::ZERO);
}
