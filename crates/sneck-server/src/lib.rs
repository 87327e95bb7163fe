//! An embedded single-node server that speaks ZooKeeper's client protocol.

mod core;
mod engine;
mod front;
mod journal;
mod limits;
pub mod log;
mod outbox;
mod server;
pub mod snapshot;
mod start_error;

pub use crate::core::access::digest;
pub use crate::core::words::Word;
pub use crate::limits::Limits;
pub use crate::log::Durability;
pub use crate::server::{Builder, InProcess, Paused, Remains, Running, Server};
pub use crate::start_error::StartError;
