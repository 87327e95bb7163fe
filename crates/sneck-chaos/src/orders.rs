//! What a worker is told to do: its one argument, as JSON.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Attempts of one client are numbered from the client's number times this.
pub const ATTEMPTS_OF_ONE: u64 = 1_000_000_000;

/// Whose an attempt is.
pub(crate) fn client_of(attempt: u64) -> u32 {
    u32::try_from(attempt / ATTEMPTS_OF_ONE).unwrap_or(u32::MAX)
}

/// How many permits the semaphore has.
pub const PERMITS: u32 = 3;
/// The locks that workers contend for.
pub mod name {
    /// Mutexes that nobody takes together with others.
    pub const MUTEXES: [&str; 2] = ["m1", "m2"];
    /// Mutexes that are taken one by one, and both at once.
    pub const SEVERAL: [&str; 2] = ["s1", "s2"];
    /// A lock of readers and writers.
    pub const RW_LOCK: &str = "rw";
    /// A semaphore.
    pub const SEMAPHORE: &str = "permits";
    /// An election.
    pub const ELECTION: &str = "lead";
    /// A mutex in whose line some workers share a place among their tasks.
    pub const SHARED: &str = "shared";
    /// A lock of readers and writers of that kind.
    pub const SHARED_RW: &str = "shared-rw";
    /// What guards the set of the recipe.
    pub const SET: &str = "set";
}

/// What one worker process does.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Orders {
    /// Where its locks are.
    pub url: String,
    /// Where the arbiter listens.
    pub arbiter: PathBuf,
    /// Its number, which no other process of the history has.
    pub client: u32,
    /// What all its choices follow from.
    pub seed: u64,
    /// How many tasks take locks in it, on one session.
    pub lanes: u32,
    /// The session timeout, in milliseconds.
    pub session_ms: u64,
    /// What it does with locks.
    pub work: Work,
    /// How its tasks share places in the lines where that may be.
    #[serde(default)]
    pub sharing: Share,
    /// Whether a process looks on that ends its session when it has died.
    #[serde(default)]
    pub guarded: bool,
    /// What is wrong with it, if anything: to see that it is found.
    #[serde(default)]
    pub defect: Option<Defect>,
}

/// How the tasks of a worker share places in lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Share {
    /// Each has its own.
    #[default]
    No,
    /// They hand one place on among themselves.
    Coalescing,
    /// They also keep it while nobody else wants it.
    Sticky,
}

impl Share {
    /// How the worker of this number shares: every way comes in turn.
    pub fn of(client: u32) -> Share {
        [Share::No, Share::Sticky, Share::Coalescing][client as usize % 3]
    }
}

/// What a worker does with locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Every kind of lock, in every manner.
    Mixed,
    /// Jepsen's: under one mutex read a set, sleep, write it back.
    Set {
        /// What stands between the read and the write besides the lock.
        care: Care,
        /// How long it sleeps in between, in milliseconds.
        sleep_ms: u64,
    },
}

/// What whoever holds a lock does before it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Care {
    /// Nothing: a lock that was had is believed in.
    None,
    /// It asks its guard whether it still holds.
    Checks,
    /// It shows its fencing token to the resource, which refuses those that are too old.
    Fence,
}

/// A mistake that users of locks, and makers of them, have made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Defect {
    /// Nobody listens when the lock is lost, and no deadline is known: it is believed in for ever.
    Deaf,
    /// The deadline is taken for a whole session later than it is.
    Late,
}
