//! How to reach a cluster and how to keep locks there.

use crate::credentials::Credentials;
use sneck_core::{Clock, SystemClock};
use std::sync::Arc;
use std::time::Duration;

/// How to reach a cluster and how to keep locks there.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CassandraOptions {
    /// Some nodes of the cluster, each as `host` or `host:port`; the others are learnt from them.
    pub contact_points: Vec<String>,
    /// The keyspace.
    pub keyspace: String,
    /// The table in it. `sneck_locks`
    pub table: String,
    /// Tells locks of one name apart in one table: applications that share a table and not their locks
    /// have one each. Empty unless set.
    pub namespace: String,
    /// A user and a password.
    pub credentials: Option<Credentials>,
    /// How long a lock outlives a holder that died. Whole seconds; 10 s.
    pub ttl: Duration,
    /// The most by which the clocks of the servers differ. 1 s.
    ///
    /// Holders give up that much earlier than the servers would free their locks.
    pub skew: Duration,
    /// The longest time between two looks of a waiter. 1 s.
    pub poll: Duration,
    /// How long to try before connecting fails. 10 s.
    pub connect_timeout: Duration,
    /// The data centre whose nodes are asked first.
    pub datacenter: Option<String>,
    /// How far a lock excludes.
    pub scope: Scope,
    /// What to make that is not there.
    pub create: Create,
    /// The clock that deadlines go by.
    pub clock: Arc<dyn Clock>,
}

/// How far a lock excludes. All clients of a table must say the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In the whole cluster: consistency SERIAL and QUORUM.
    Cluster,
    /// In each data centre by itself: LOCAL_SERIAL and LOCAL_QUORUM. Two clients in different data
    /// centres then hold the same lock.
    Datacenter,
}

/// What to make when connecting, where it is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Create {
    /// Nothing.
    Nothing,
    /// The table.
    Table,
    /// The keyspace, with so many replicas in each data centre, and the table.
    Keyspace {
        /// At least 3 to survive the loss of one.
        replicas: u8,
    },
}

impl CassandraOptions {
    /// The defaults, for this keyspace of the cluster that these nodes belong to.
    pub fn new(contact_points: Vec<String>, keyspace: impl Into<String>) -> Self {
        CassandraOptions {
            contact_points,
            keyspace: keyspace.into(),
            table: "sneck_locks".to_owned(),
            namespace: String::new(),
            credentials: None,
            ttl: Duration::from_secs(10),
            skew: Duration::from_secs(1),
            poll: Duration::from_secs(1),
            connect_timeout: Duration::from_secs(10),
            datacenter: None,
            scope: Scope::Cluster,
            create: Create::Nothing,
            clock: Arc::new(SystemClock),
        }
    }
}
