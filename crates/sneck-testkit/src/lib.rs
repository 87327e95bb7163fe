//! What the tests of sneck run against: real servers started on loopback, proxies that break the
//! connections to them, peers that take locks with Apache Curator and with kazoo, and kazoo's own suite.
//!
//! Nothing here needs root, and nothing outlives the test process however that ends: each server
//! is registered with a small shell process that kills it when the test process is gone.
//!
//! A backend that cannot be had on this machine is an [`Unavailable`], never a silent pass: see
//! [`or_skip!`].

mod background;
mod dropped;
mod janitor;
mod jars;
mod port;
mod python;
mod soon;

pub mod cassandra;
pub mod contract;
pub mod curator;
pub mod embedded;
pub mod etcd;
pub mod go;
pub mod kazoo;
pub mod mutation;
pub mod peer;
pub mod proxy;
pub mod redis;
pub mod skip;
pub mod tls;
pub mod zookeeper;

pub use dropped::dropped_after;
pub use skip::{StartError, Unavailable};
pub use soon::{SOON, until_renewed, within};
