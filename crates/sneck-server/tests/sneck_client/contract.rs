//! The contract of a lock backend, kept on this server over each way in.

use std::sync::Arc;
use std::time::Duration;

use sneck_testkit::contract::{self, OnZooKeeper};
use sneck_zookeeper::ZooKeeper;

use crate::{Way, World};

struct Embedded {
    world: World,
    way: Way,
}

impl contract::Way for Embedded {
    /// A client whose locks are below a root of the case.
    async fn connect(&self, case: &'static str, timeout: Duration) -> ZooKeeper {
        self.world.backend_below(&format!("/{case}"), &self.way, timeout).await
    }
}

async fn keeps_the_contract(number: usize) {
    let world = World::start().await;
    let way = world.ways()[number].clone();
    contract::run_all(Arc::new(OnZooKeeper(Embedded { world, way }))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tcp() {
    keeps_the_contract(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_the_socket() {
    keeps_the_contract(1).await;
}

// Without other threads a task that never yields would stop everything, and be seen.
#[tokio::test]
async fn within_the_process() {
    keeps_the_contract(2).await;
}
