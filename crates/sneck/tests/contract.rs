//! The contract of a lock backend, kept by the stores that need no set-up: `memory:`, `embedded:DIR` and
//! `local:DIR`, as their URLs are opened; and by sneck's server in another dialect than its own.
#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use sneck::Sharing;
use sneck::embedded::{self, EmbeddedUrl};
use sneck::local::Local;
use sneck::zookeeper::{ZooKeeper, ZooKeeperUrl};
use sneck_server::{Running, Server};
use sneck_testkit::contract::{self, OnZooKeeper, SharedPlaces, Way};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::Mutex;

fn folder() -> TempDir {
    tempfile::Builder::new().prefix("sneck-contract-").tempdir().unwrap()
}

/// A server in memory for each case, kept for as long as the test runs by a client of its own.
#[derive(Default)]
struct Memory(Mutex<HashMap<&'static str, ZooKeeper>>);

impl Way for Memory {
    async fn connect(&self, case: &'static str, timeout: Duration) -> ZooKeeper {
        let url = format!("memory:contract-{:p}-{case}", &self.0);
        let mut keepers = self.0.lock().await;
        if !keepers.contains_key(case) {
            keepers.insert(case, open(&url).await);
        }
        open(&format!("{url}?timeout={}s", timeout.as_secs())).await
    }
}

/// A folder for each case. Its server ends with the last client and begins with the next one.
struct Folders(TempDir);

impl Way for Folders {
    async fn connect(&self, case: &'static str, timeout: Duration) -> ZooKeeper {
        let place = self.0.path().join(case);
        open(&format!("embedded:{}?timeout={}s", place.display(), timeout.as_secs())).await
    }
}

async fn open(url: &str) -> ZooKeeper {
    embedded::open(EmbeddedUrl::parse(url).unwrap()).await.unwrap()
}

/// A server for each case, where one that runs in the background would be.
struct Shared {
    folder: TempDir,
    servers: Mutex<HashMap<&'static str, Running>>,
}

impl Way for Shared {
    async fn connect(&self, case: &'static str, timeout: Duration) -> ZooKeeper {
        let place = self.folder.path().join(case);
        let url = format!("local:{}?timeout={}s", place.display(), timeout.as_secs());
        // Were there no server, this would be the one to start, which cannot be.
        let local = Local::parse(&url).unwrap().with_program("/dev/null");
        let mut servers = self.servers.lock().await;
        if !servers.contains_key(case) {
            local.prepare().unwrap();
            let tick = Duration::from_millis(500);
            let server = Server::builder().tick(tick).data(local.data()).socket(local.socket());
            servers.insert(case, server.start().await.unwrap());
        }
        local.connect().await.unwrap()
    }
}

/// A server on the network, each case under a root of its own.
struct Kazoo(Running);

impl Way for Kazoo {
    async fn connect(&self, case: &'static str, timeout: Duration) -> ZooKeeper {
        let address = self.0.addresses()[0];
        let url = format!("zk://{address}/{case}?dialect=kazoo&timeout={}s", timeout.as_secs());
        let url = ZooKeeperUrl::parse(&url).unwrap();
        ZooKeeper::connect(url.session, url.lock).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locks_in_the_dialect_of_kazoo_keep_the_contract() {
    let tick = Duration::from_millis(500);
    let server = Server::builder().tick(tick).listen(([127, 0, 0, 1], 0).into());
    let server = server.start().await.unwrap();
    contract::run_all(Arc::new(OnZooKeeper(Kazoo(server)))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_keeps_the_contract() {
    contract::run_all(Arc::new(OnZooKeeper(Memory::default()))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_keeps_the_contract_with_places_that_are_handed_on() {
    let memory = OnZooKeeper(Memory::default());
    contract::run_all(Arc::new(SharedPlaces(memory, Sharing::coalescing()))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_keeps_the_contract_with_places_that_are_kept() {
    let memory = OnZooKeeper(Memory::default());
    contract::run_all(Arc::new(SharedPlaces(memory, Sharing::sticky()))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_keeps_the_contract() {
    contract::run_all(Arc::new(OnZooKeeper(Folders(folder())))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_server_keeps_the_contract() {
    let shared = Shared { folder: folder(), servers: Mutex::default() };
    contract::run_all(Arc::new(OnZooKeeper(shared))).await;
}
