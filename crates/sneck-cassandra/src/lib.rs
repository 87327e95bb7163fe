//! Locks in a table of Apache Cassandra or ScyllaDB: a backend of `sneck`.
//!
//! A lock is one partition: static columns for the fence, and a row with a TTL for each holder. A grant
//! is one conditional batch on it, decided by Paxos among the replicas, so that no clock of a client
//! matters and a minority of nodes may be down. What the batch is conditional on is the *fence*, the
//! number of the last grant, which is also where the fencing token comes from.
//!
//! * [`CassandraUrl`] and [`CassandraOptions`] say how to reach a cluster.
//! * [`Cassandra`] is the backend.
//!
//! What it promises and how it fails is told in `docs/backends/cassandra.md`.

mod backend;
mod claim;
mod coordinators;
mod credentials;
mod facts;
mod failure;
mod fields;
mod holds;
mod line;
mod options;
mod place;
mod schema;
mod store;
mod term;
mod url;
mod version;

pub use backend::Cassandra;
pub use credentials::Credentials;
pub use facts::{ClusterFacts, Difference, NodeFacts};
pub use options::{CassandraOptions, Create, Scope};
pub use url::CassandraUrl;
