//! Real Redis on loopback: one server, replicas, sentinels, a cluster, to be killed, paused and cut off.
//!
//! ```no_run
//! # async fn example() -> Result<(), sneck_testkit::StartError> {
//! use sneck_testkit::redis::Builder;
//!
//! let servers = Builder::new().start().await?;
//! servers.ask(0, &["SET", "a", "b"]).await;
//! servers.pause(0);
//! println!("clients of {} get no answer now", servers.url());
//! # Ok(())
//! # }
//! ```

mod builder;
mod cluster;
pub mod holder;
mod mutant;
mod peer;
mod relay;
mod resp;
mod servers;

pub use builder::{Builder, Clients};
pub use peer::{Library, Peer};
pub use relay::Relay;
pub use resp::{Reply, ask};
pub use servers::{Servers, shared};

/// The backend's name in skips and in `SNECK_REQUIRE`.
pub const BACKEND: &str = "redis";

/// What the sentinels call the primary.
pub const PRIMARY: &str = "main";
