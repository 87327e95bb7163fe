//! The first line of a history: what was run, what it claims, and what is demanded of it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The version of the format that this crate writes and reads.
pub const VERSION: u32 = 1;

/// The first line of a history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The version of the format. A reader refuses one that it does not know.
    pub sneck_history: u32,
    /// What was run, for those who read it: commit, seed, machine.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// What kept the locks.
    pub store: Store,
    /// What the store is held to.
    #[serde(default)]
    pub claims: Claims,
    /// How long things may take.
    #[serde(default)]
    pub bounds: Bounds,
    /// How much has to have happened, lest the history prove nothing.
    #[serde(default)]
    pub floors: Floors,
    /// The locks in whose lines attempts of one client may share a place, and hand it on or keep it. Their
    /// order is counted and not judged, and neither are refusals of those who do not wait: nobody need hold
    /// what is kept. Tokens of readers need not rise among themselves, as one may join an older place.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub shared: BTreeSet<String>,
    /// Whether writes without a token are an experiment, and not a hole in the test.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unfenced: bool,
}

impl Header {
    /// A header for a store that is held to what it may claim, with bounds of a session of 10 s and
    /// without floors.
    pub fn new(store: Store) -> Header {
        Header {
            sneck_history: VERSION,
            about: String::new(),
            store,
            claims: store.claims_max(),
            bounds: Bounds::default(),
            floors: Floors::default(),
            shared: BTreeSet::new(),
            unfenced: false,
        }
    }
}

/// What keeps the locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Store {
    /// Apache ZooKeeper.
    #[serde(rename = "zookeeper")]
    ZooKeeper,
    /// The embedded server.
    Embedded,
    /// The memory of one process.
    Memory,
    /// One Redis, with replicas or without.
    Redis,
    /// A majority of independent Redis servers.
    Redlock,
    /// Cassandra or ScyllaDB.
    Cassandra,
    /// Anything else: it may claim what it likes.
    Other,
}

impl Store {
    /// The most that may be claimed of this store.
    ///
    /// Redis copies to its replicas after it has answered, and Cassandra ends a lease by clocks of
    /// several nodes: on neither exclusion without a fence is claimed. A majority of Redis servers
    /// and Cassandra keep no line.
    pub fn claims_max(self) -> Claims {
        let (exclusion, fifo) = match self {
            Store::ZooKeeper | Store::Embedded | Store::Memory | Store::Other => (true, true),
            Store::Redis => (false, true),
            Store::Redlock | Store::Cassandra => (false, false),
        };
        Claims { exclusion, fifo }
    }
}

/// What a store is held to beyond the fence. What is not claimed is counted, not condemned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// Holders exclude each other also where no resource checks their tokens.
    pub exclusion: bool,
    /// First come, first served.
    pub fifo: bool,
}

impl Default for Claims {
    fn default() -> Self {
        Claims { exclusion: true, fifo: true }
    }
}

/// How long things may take, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bounds {
    /// The negotiated session timeout, or the term of a lease.
    pub session_ns: u64,
    /// The step in which the store ends sessions.
    pub tick_ns: u64,
    /// How much longer a busy machine may take for anything.
    pub slack_ns: u64,
    /// How long a store may be without a leader after a fault.
    pub election_ns: u64,
    /// From when a waiter is first in line to its grant.
    pub grant_ns: u64,
    /// From when a waiter gave up to the end of its place.
    pub cancel_ns: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        const SECOND: u64 = 1_000_000_000;
        Bounds {
            session_ns: 10 * SECOND,
            tick_ns: 2 * SECOND,
            slack_ns: SECOND,
            election_ns: 5 * SECOND,
            grant_ns: 5 * SECOND,
            cancel_ns: 15 * SECOND,
        }
    }
}

/// How often things have to have happened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Floors {
    /// Grants.
    pub grants: u64,
    /// Grants to somebody who was waiting when the holder before it let go.
    pub handoffs: u64,
    /// Sessions that the store ended.
    pub expiries: u64,
    /// Changes of the leading server.
    pub leaders: u64,
    /// Writes that the fence refused.
    pub refused_writes: u64,
    /// Grants to a reader beside another reader.
    pub shared_overlaps: u64,
    /// Faults, by kind.
    pub faults: BTreeMap<String, u64>,
}
