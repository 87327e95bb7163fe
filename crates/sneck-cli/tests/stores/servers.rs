//! The stores, each a part of one for a test alone.

use std::sync::atomic::{AtomicU32, Ordering};

use sneck_testkit::StartError;
use sneck_testkit::cassandra::{self, SUPERUSER};
use sneck_testkit::redis::{self, Builder, Servers};

/// Short, for tests that wait for a term to end.
const TERM: &str = "4s";

/// A store, and how to take a lock in it away by hand.
pub(crate) struct Store {
    pub(crate) url: String,
    /// Whether there is a line, and so a place for those who wait.
    pub(crate) has_line: bool,
    wreck: Wreck,
    /// Owns the servers of this test, where they are not shared.
    _servers: Option<Servers>,
}

enum Wreck {
    /// Deletes every key with this prefix on these servers.
    Redis { servers: Vec<std::net::SocketAddr>, prefix: String },
    /// What belongs to sneck can be deleted by plain statements only, which is no business of this test.
    Nothing,
}

impl Store {
    fn redis(servers: Servers, primaries: usize, has_line: bool) -> Store {
        let (prefix, url) = (part(), servers.url());
        let wreck = Wreck::Redis {
            servers: (0..primaries).map(|server| servers.addr(server)).collect(),
            prefix: prefix.clone(),
        };
        let url = format!("{url}?prefix={prefix}&term={TERM}");
        Store { url, has_line, wreck, _servers: Some(servers) }
    }

    /// Takes every lock away, where that can be done; says whether it was.
    pub(crate) async fn wreck(&self) -> bool {
        let Wreck::Redis { servers, prefix } = &self.wreck else { return false };
        for server in servers {
            let pattern = format!("{prefix}:*");
            let keys = redis::ask(*server, &["KEYS", &pattern]).await.unwrap();
            for key in keys.list() {
                redis::ask(*server, &["DEL", key.text()]).await.unwrap();
            }
        }
        true
    }
}

/// A name that no other test has.
fn part() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("cli-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) async fn redis() -> Result<Store, StartError> {
    Ok(Store::redis(Builder::new().start().await?, 1, true))
}

pub(crate) async fn sentinels() -> Result<Store, StartError> {
    Ok(Store::redis(Builder::new().replicas(1).sentinels(3).start().await?, 1, true))
}

pub(crate) async fn cluster() -> Result<Store, StartError> {
    Ok(Store::redis(Builder::new().cluster().primaries(3).start().await?, 3, true))
}

pub(crate) async fn majority() -> Result<Store, StartError> {
    Ok(Store::redis(Builder::new().primaries(3).start().await?, 3, false))
}

pub(crate) async fn cassandra() -> Result<Store, StartError> {
    let node = cassandra::shared().await?;
    let (user, password) = SUPERUSER;
    // A namespace, and no keyspace, of its own: changes of the schema are what costs most.
    let options = format!("namespace={}&ttl={TERM}&skew=0s&poll=100ms&connect-timeout=60s", part());
    let url = format!(
        "cassandra://{user}:{password}@{}/sneck_cli?create=keyspace&replicas=1&{options}",
        node.contact_points()
    );
    Ok(Store { url, has_line: false, wreck: Wreck::Nothing, _servers: None })
}
