//! The contract suite on real servers.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use async_trait::async_trait;
use sneck_core::{Backend, ClaimId, Clock, Name, SystemClock};
use sneck_redis::{Redis, RedisOptions, Redlock, Topology};
use sneck_testkit::contract::{self, Subject};
use sneck_testkit::or_skip;
use sneck_testkit::redis::{Builder, Reply, Servers, shared};
use std::sync::Arc;
use std::time::Duration;

/// Far longer than a busy machine makes a renewal late.
const TERM: Duration = Duration::from_secs(20);
/// The clients that die are missed after this time.
const TERM_MORTAL: Duration = Duration::from_millis(1500);

/// Servers, each case under a prefix of its own.
struct Store<S> {
    servers: S,
    /// How many of the servers have keys of their own.
    primaries: usize,
    /// Tells this run from others on the same servers.
    run: ClaimId,
}

impl<S: AsRef<Servers> + Send + Sync + 'static> Store<S> {
    fn new(servers: S, primaries: usize) -> Arc<Self> {
        Arc::new(Store { servers, primaries, run: ClaimId::random() })
    }

    async fn connect(&self, case: &str, term: Duration) -> Arc<dyn Backend> {
        let mut options = RedisOptions::parse(&self.servers.as_ref().url()).unwrap();
        options.prefix = format!("{}-{case}", self.run);
        options.term = term;
        match options.topology {
            Topology::Quorum => Arc::new(Redlock::connect(options).await.unwrap()),
            _ => Arc::new(Redis::connect(options).await.unwrap()),
        }
    }
}

#[async_trait]
impl<S: AsRef<Servers> + Send + Sync + 'static> Subject for Store<S> {
    async fn client(&self, case: &'static str) -> Arc<dyn Backend> {
        self.connect(case, TERM).await
    }

    async fn mortal(&self, case: &'static str) -> Arc<dyn Backend> {
        self.connect(case, TERM_MORTAL).await
    }

    async fn clear(&self, case: &'static str, _: &Name) {
        let servers = self.servers.as_ref();
        let pattern = format!("{}-{case}:*", self.run);
        for server in 0..self.primaries {
            let keys = servers.ask(server, &["KEYS", &pattern]).await;
            for key in keys.list() {
                // Also the counter of tokens, and what is known about the server.
                let deleted = servers.ask(server, &["DEL", key.text()]).await;
                assert!(matches!(deleted, Reply::Int(_)), "{deleted:?}");
            }
        }
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }
}

/// The servers of this process, or some of one test.
struct Shared(&'static Servers);

impl AsRef<Servers> for Shared {
    fn as_ref(&self) -> &Servers {
        self.0
    }
}

struct Own(Servers);

impl AsRef<Servers> for Own {
    fn as_ref(&self) -> &Servers {
        &self.0
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_keeps_the_contract() {
    let servers = or_skip!(shared().await);
    contract::run_all(Store::new(Shared(servers), 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_found_by_sentinels_keep_the_contract() {
    let servers = or_skip!(Builder::new().replicas(1).sentinels(3).start().await);
    contract::run_all(Store::new(Own(servers), 1)).await;
}

// Without other threads a task that never yields would stop everything, and be seen.
#[tokio::test]
async fn a_cluster_keeps_the_contract() {
    let servers = or_skip!(Builder::new().cluster().primaries(3).start().await);
    contract::run_all(Store::new(Own(servers), 3)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_majority_of_servers_keeps_the_contract() {
    let servers = or_skip!(Builder::new().primaries(3).start().await);
    // Until then they grant nothing, as they might have granted it before they were started.
    for server in 0..3 {
        let uptime = async || servers.info(server, "uptime_in_seconds").await.parse().unwrap_or(0);
        servers
            .until("a server older than a term", async || uptime().await >= TERM.as_secs())
            .await;
    }
    contract::run_all(Store::new(Own(servers), 3)).await;
}
