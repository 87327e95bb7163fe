//! An embedded single-node server that speaks ZooKeeper's client protocol.

// What the durable log will need is here and tested, but nothing outside of tests uses it yet.
#![allow(dead_code)]

mod core;
mod engine;
mod front;
mod journal;
mod limits;
pub mod log;
mod outbox;
mod server;
pub mod snapshot;

pub use crate::core::access::digest;
pub use crate::core::words::Word;
pub use crate::limits::Limits;
pub use crate::server::{Builder, InProcess, Paused, Remains, Running, Server};
