//! Distributed locks with fencing tokens.
//!
//! In a distributed system only one process at a time may refresh a cache, synchronise data, or run a
//! scheduled job. A [`Mutex`] makes sure of that across processes and machines:
//!
//! * **Fair.** First come, first served; a release wakes one waiter.
//! * **The holder knows first.** A [`Guard`] says that it is lost no later than the moment the store
//!   could give the lock to somebody else, whatever the network does.
//! * **Fenced.** Every grant carries a [`Token`] that is larger than every earlier one, so that the
//!   guarded resource can refuse the late write of a process that was stopped in between.
//! * **Cancel safe.** Any future can be dropped at any point; nothing is left behind.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
//! // In earnest: sneck::connect("zk://zk1,zk2,zk3/apps/billing")
//! let locks = sneck::connect("memory:").await?;
//! let guard = locks.mutex("invoice/42").lock().await?;
//!
//! // The resource refuses a token smaller than the largest it has seen.
//! println!("write with token {}", guard.token());
//!
//! guard.unlock().await?; // or drop it: released in the background
//! # Ok(()) }
//! ```
//!
//! # Which stores
//!
//! | URL | store | feature |
//! |---|---|---|
//! | `zk://host1,host2/path` | Apache ZooKeeper 3.5 or later; see [`zookeeper::ZooKeeperUrl`] | `zookeeper` (default) |
//! | `zks://host1,host2/path` | the same over TLS | `tls` |
//! | `cassandra://host1,host2/keyspace` | Apache Cassandra or ScyllaDB | `cassandra` |
//! | `redis://host`, `redis+sentinel://`, `redis+cluster://` | Redis 6.2 or later | `redis` |
//! | `redlock://a,b,c` | a majority of several Redis servers | `redis` |
//! | `local:`, `local:DIR` | a server that all processes of a user share; see [`local`] | `zookeeper` (default) |
//! | `embedded:DIR` | a server within this process, with its data in a folder; see [`embedded`] | `embedded` (default) |
//! | `memory:`, `memory:NAME` | the same without a folder, for tests and examples | `embedded` (default) |
//!
//! Programs without `async` find all of it in [`blocking`].
//!
//! # When not to use it
//!
//! A lock can keep two *correct* processes apart. It cannot stop a process that was paused past its
//! deadline and writes before it looks at the clock. If the resource cannot check tokens, ask whether a
//! conditional write to it would do instead of a lock.

mod all;
mod attempt;
pub mod blocking;
mod connect;
mod durable;
mod election;
#[cfg(feature = "embedded")]
pub mod embedded;
#[cfg(feature = "zookeeper")]
pub mod guardian;
mod identity;
#[cfg(feature = "zookeeper")]
pub mod local;
mod locks;
mod mutex;
mod once;
mod queued;
mod reentrant;
mod refresh;
mod rw_lock;
mod semaphore;
pub mod telemetry;
mod work_error;

pub use all::All;
pub use connect::connect;
pub use durable::{Durable, DurableHold};
pub use election::{Election, Leader, Leaders, Leadership};
pub use locks::Locks;
pub use mutex::Mutex;
pub use once::{Once, Ran, Run, Skipped, Start};
pub use queued::Queued;
pub use reentrant::Reentrant;
pub use rw_lock::{ReadGuard, RwLock, WriteGuard};
pub use semaphore::Semaphore;
pub use sneck_core::{
    Backend, Caller, ClaimId, Clock, Contender, Crash, Deadlock, Deadlocks, DurableHolder, End,
    Error, ErrorKind, ForcedRelease, Guard, HISTORY_MAX, Instant, Judgement, LastRun, Limits, Loss,
    Memory, Mode, Name, Order, Outcome, Permits, Progress, Promises, Sharing, SystemClock, Ties,
    Token, TokenScope, Wait, Waiting, Wake,
};
pub use work_error::WorkError;

/// The Cassandra backend.
#[cfg(feature = "cassandra")]
pub use sneck_cassandra as cassandra;
/// The Redis backend.
#[cfg(feature = "redis")]
pub use sneck_redis as redis;
/// The ZooKeeper backend and its low-level client.
#[cfg(feature = "zookeeper")]
pub use sneck_zookeeper as zookeeper;
