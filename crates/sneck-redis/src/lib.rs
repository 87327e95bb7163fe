//! sneck's lock backend on Redis.
//!
//! [`Redis`] is the backend on one primary, however it is found: by its address, by sentinels, or in a
//! cluster. Locks are places in a line that lives in a few keys; the scripts in `scripts/` are the whole
//! algorithm on the server's side, and go by the server's clock only.
//!
//! [`Redlock`] is the backend on several primaries of which a majority decides.
//!
//! What Redis cannot promise: replication is asynchronous, so a failover may forget the last grants. The
//! tokens still rise, as each is at least the server's time in microseconds; see
//! `docs/backends/redis.md`.

mod backend;
mod claim;
mod failure;
mod keys;
mod link;
mod options;
mod place;
mod quorum;
mod records;
mod renewal;
mod reply;
mod script;
mod secret;
mod server;
mod store;
mod survey;
mod tls;
mod url;

pub use backend::Redis;
pub use options::{Node, RedisOptions, Replicas, Topology};
pub use quorum::Redlock;
pub use secret::Secret;
pub use server::ServerFacts;
pub use tls::TlsOptions;
