//! The examination of servers.

#[cfg(feature = "cassandra")]
pub(crate) mod cassandra;
pub(crate) mod check;
pub(crate) mod ensemble;
pub(crate) mod local;
#[cfg(feature = "redis")]
pub(crate) mod redis;
pub(crate) mod server;
mod srvr;
