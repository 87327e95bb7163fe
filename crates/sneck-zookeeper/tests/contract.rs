//! The contract suite on real servers.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use sneck_core::ClaimId;
use sneck_testkit::contract::{self, OnZooKeeper, Way};
use sneck_testkit::or_skip;
use sneck_testkit::zookeeper::{Ensemble, Version, shared, shared_ensemble};
use sneck_zookeeper::{ZooKeeper, ZooKeeperUrl};
use std::sync::Arc;
use std::time::Duration;

/// Far longer than a busy machine makes anything wait.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// Servers, each case under a root of its own.
struct Servers {
    hosts: String,
    /// Tells this run from others on the same servers.
    run: ClaimId,
}

impl Servers {
    fn new(ensemble: &Ensemble) -> Arc<OnZooKeeper<Self>> {
        let (hosts, run) = (ensemble.connect_string(), ClaimId::random());
        Arc::new(OnZooKeeper(Servers { hosts, run }))
    }
}

impl Way for Servers {
    async fn connect(&self, case: &'static str, timeout: Duration) -> ZooKeeper {
        let Servers { hosts, run } = self;
        let mut url = ZooKeeperUrl::parse(&format!("zk://{hosts}/contract-{run}/{case}")).unwrap();
        url.session.timeout = timeout;
        url.session.connect_timeout = CONNECT_TIMEOUT;
        ZooKeeper::connect(url.session, url.lock).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zookeeper_3_8_keeps_the_contract() {
    let server = or_skip!(shared(Version::V3_8).await);
    contract::run_all(Servers::new(server)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zookeeper_3_9_keeps_the_contract() {
    let server = or_skip!(shared(Version::V3_9).await);
    contract::run_all(Servers::new(server)).await;
}

// Without other threads a task that never yields would stop everything, and be seen.
#[tokio::test]
async fn an_ensemble_keeps_the_contract() {
    let ensemble = or_skip!(shared_ensemble().await);
    contract::run_all(Servers::new(ensemble)).await;
}
