//! The examination of ZooKeeper servers.

pub(crate) mod check;
pub(crate) mod ensemble;
pub(crate) mod local;
pub(crate) mod server;
mod srvr;
