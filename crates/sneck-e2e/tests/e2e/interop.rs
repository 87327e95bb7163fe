//! One line with other libraries: Apache Curator, kazoo and go-zookeeper, on ZooKeeper and on sneck's own
//! server. Which test shows what is told in `docs/proof/interop.md`.

mod counting;
mod curator;
mod elections;
mod grid;
mod kazoo;
mod killing;

use crate::stage::{Site, connect};
use sneck::Locks;
use std::time::Duration;

/// The session of a peer that is to outlast the test.
const LASTING: Duration = Duration::from_secs(20);

/// A client that speaks this dialect below the root of the test.
async fn speaking(site: &Site, dialect: &str) -> Locks {
    connect(&format!("{}&dialect={dialect}", site.url("20s"))).await
}
