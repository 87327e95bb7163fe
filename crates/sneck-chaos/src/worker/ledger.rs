//! What a lane tells the arbiter, and the numbers of its attempts.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sneck_history::{Access, Event, Teller, monotonic_ns};

use crate::orders::{ATTEMPTS_OF_ONE, Orders};

/// A connection to the arbiter, for one lane. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Ledger {
    teller: Arc<Mutex<Teller>>,
    next: Arc<AtomicU64>,
    arbiter: PathBuf,
    client: u32,
}

impl Ledger {
    pub(super) fn open(orders: &Orders) -> io::Result<Ledger> {
        let next = Arc::new(AtomicU64::new(u64::from(orders.client) * ATTEMPTS_OF_ONE));
        Ledger::connect(orders.arbiter.clone(), orders.client, next)
    }

    /// A connection of its own, with numbers that this one does not give.
    pub(super) fn another(&self) -> io::Result<Ledger> {
        Ledger::connect(self.arbiter.clone(), self.client, self.next.clone())
    }

    fn connect(arbiter: PathBuf, client: u32, next: Arc<AtomicU64>) -> io::Result<Ledger> {
        let teller = Arc::new(Mutex::new(Teller::connect(&arbiter, Some(client))?));
        Ok(Ledger { teller, next, arbiter, client })
    }

    /// A number that no other attempt has.
    pub(super) fn attempt(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Tells of what happens now.
    pub(super) fn tell(&self, event: Event) {
        self.tell_of(monotonic_ns(), event);
    }

    /// Tells of what happened then.
    pub(super) fn tell_of(&self, own_ns: u64, event: Event) {
        or_exit(self.teller().tell_of(own_ns, event));
    }

    /// Reads what a lock protects.
    pub(super) fn read(&self, lock: &str, attempt: u64, token: Option<u64>) -> Access {
        or_exit(self.teller().read(lock, attempt, token))
    }

    /// Writes what a lock protects.
    pub(super) fn write(&self, lock: &str, attempt: u64, token: Option<u64>, base: u64) -> Access {
        or_exit(self.teller().write(lock, attempt, token, Some(base)))
    }

    fn teller(&self) -> MutexGuard<'_, Teller> {
        self.teller.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What cannot be told must not happen: without an arbiter there is nothing to do.
fn or_exit<T>(told: io::Result<T>) -> T {
    told.unwrap_or_else(|_| std::process::exit(3))
}
