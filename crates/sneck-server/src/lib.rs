//! An embedded single-node server that speaks ZooKeeper's client protocol.
//!
//! It is for trying things out, for tests, and for programs of one machine. Clients of ZooKeeper
//! cannot tell it from a standalone Apache server of release 3.9, but for what is listed below. It
//! keeps what it knows in memory, or in a folder as well; whoever grows out of it takes the folder's
//! snapshot along into an ensemble. It knows nothing of locks.
//!
//! # How it works
//!
//! ```text
//!  TCP, Unix socket, in-process          one thread                       one thread
//!  front: frames <-> bytes  ---input--->  core: checks and makes  --txns-->  log: write, sync
//!        ^                                a change at once                       |
//!        +---- outbox <---- frames whose zxid is durable <------ durable --------+
//! ```
//!
//! The core is a pure state machine. What a change reveals, be it in a reply, an event or a read
//! by somebody else, is held back until the change is durable; meanwhile the next changes gather,
//! and share the next sync.
//!
//! # Where it differs from Apache on purpose
//!
//! - The password of a session is checked before its older connection is dropped.
//! - A write that fails takes no zxid, nor does a multi that only checks.
//! - If the server itself stood still, no session expires for the time of it.
//! - A new server's zxids begin at the time of day, so that they never go back when data are wiped.
//! - Who may not read a node does not hear either, on setting watches again, what happened to it.
//! - The root does not count as one of the nodes below the empty path.
//! - Text that is not UTF-8 is refused as a marshalling error, rather than mended.
//! - Nodes with a time to live need no switch.
//! - What would make it hold too much is refused: see [`Limits`].
//! - There are no quotas, SASL, reconfiguration, admin server over HTTP, digests of the tree, or
//!   read-only mode.

mod compactions;
mod core;
mod departure;
mod engine;
mod front;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod journal;
mod limits;
pub mod log;
mod mutant;
#[cfg(feature = "mutants")]
#[doc(hidden)]
pub mod mutants;
mod outbox;
mod refusals;
mod server;
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub mod simulation;
pub mod snapshot;
mod start_error;
pub mod testing;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub mod value;

pub use crate::compactions::Compactions;
pub use crate::core::access::digest;
pub use crate::core::words::Word;
pub use crate::departure::Departure;
pub use crate::limits::Limits;
pub use crate::log::Durability;
pub use crate::refusals::{Limit, Refusals};
pub use crate::server::{Builder, InProcess, Paused, Remains, Running, Server};
pub use crate::start_error::StartError;
#[cfg(feature = "tls")]
pub use crate::tls::{Tls, TlsFiles};
