//! Faults on real servers, and what must hold all the same.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod admission;
mod bad_input;
mod cluster;
mod failover;
mod faults;
mod load;
mod stage;
#[cfg(feature = "tls")]
mod tls;
