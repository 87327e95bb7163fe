//! The contract suite on real servers.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use async_trait::async_trait;
use sneck_core::{Backend, ClaimId, Clock, Name, SystemClock};
use sneck_testkit::contract::{self, Subject};
use sneck_testkit::or_skip;
use sneck_testkit::zookeeper::{Ensemble, Version, shared, shared_ensemble};
use sneck_zookeeper::wire::ErrorCode;
use sneck_zookeeper::{RequestError, ZooKeeper, ZooKeeperUrl};
use std::sync::Arc;
use std::time::Duration;

/// Far longer than a busy machine makes anything wait.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The clients that die are missed after this time.
const TIMEOUT_MORTAL: Duration = Duration::from_secs(2);

/// Servers, each case under a root of its own.
struct Servers {
    hosts: String,
    /// Tells this run from others on the same servers.
    run: ClaimId,
}

impl Servers {
    fn new(ensemble: &Ensemble) -> Arc<Self> {
        Arc::new(Servers { hosts: ensemble.connect_string(), run: ClaimId::random() })
    }

    async fn connect(&self, case: &str, timeout: Duration) -> ZooKeeper {
        let Servers { hosts, run } = self;
        let mut url = ZooKeeperUrl::parse(&format!("zk://{hosts}/contract-{run}/{case}")).unwrap();
        url.session.timeout = timeout;
        url.session.connect_timeout = TIMEOUT;
        ZooKeeper::connect(url.session, url.lock).await.unwrap()
    }
}

#[async_trait]
impl Subject for Servers {
    async fn client(&self, case: &'static str) -> Arc<dyn Backend> {
        Arc::new(self.connect(case, TIMEOUT).await)
    }

    async fn mortal(&self, case: &'static str) -> Arc<dyn Backend> {
        Arc::new(self.connect(case, TIMEOUT_MORTAL).await)
    }

    async fn clear(&self, case: &'static str, name: &Name) {
        let operator = self.connect(case, TIMEOUT).await;
        let (path, session) = (operator.path(name).unwrap(), operator.session().await.unwrap());
        // From the front, so that each deletion makes somebody believe that it is his turn.
        let mut children = session.get_children(&path).await.unwrap();
        children.sort_by_key(|child| child[child.len() - 10..].to_owned());
        for child in children {
            session.delete(&format!("{path}/{child}"), None).await.unwrap();
        }
        // The counter of its places begins anew with it.
        match session.delete(&path, None).await {
            Ok(()) | Err(RequestError::Refused(ErrorCode::NOT_EMPTY)) => {}
            Err(error) => panic!("{error}"),
        }
        operator.close().await;
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock)
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
