//! The stores, each a part of one for a test alone.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sneck_testkit::StartError;
use sneck_testkit::cassandra::{self, SUPERUSER};
use sneck_testkit::redis::{self, Builder, Servers};

/// Longer than a busy machine makes a renewal late. No test waits for the end of one.
const TERM: Duration = Duration::from_secs(20);
/// For majorities, whose servers grant nothing before they are so old.
const TERM_OF_MAJORITY: Duration = Duration::from_secs(6);

/// A store, and how to take a lock in it away by hand.
pub(crate) struct Store {
    pub(crate) url: String,
    /// How long a lock lasts that nobody renews.
    pub(crate) term: Duration,
    /// Whether there is a line, and so a place for those who wait.
    pub(crate) has_line: bool,
    /// Whether it keeps what outlives a process.
    pub(crate) has_records: bool,
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
    fn redis(servers: Servers, primaries: usize) -> Store {
        let (prefix, url) = (part(), servers.url());
        let is_majority = url.starts_with("redlock");
        let wreck = Wreck::Redis {
            servers: (0..primaries).map(|server| servers.addr(server)).collect(),
            prefix: prefix.clone(),
        };
        let term = if is_majority { TERM_OF_MAJORITY } else { TERM };
        let url = format!("{url}?prefix={prefix}&term={}s", term.as_secs());
        let (has_line, has_records) = (!is_majority, !is_majority);
        Store { url, term, has_line, has_records, wreck, _servers: Some(servers) }
    }

    /// The same store, for clients with another term.
    pub(crate) fn lasting(self, term: Duration) -> Store {
        let [before, after] = [self.term, term].map(|term| format!("={}s", term.as_secs()));
        assert_eq!(self.url.matches(&before).count(), 1, "{}", self.url);
        Store { url: self.url.replace(&before, &after), term, ..self }
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
    Ok(Store::redis(Builder::new().start().await?, 1))
}

pub(crate) async fn sentinels() -> Result<Store, StartError> {
    Ok(Store::redis(Builder::new().replicas(1).sentinels(3).start().await?, 1))
}

pub(crate) async fn cluster() -> Result<Store, StartError> {
    Ok(Store::redis(Builder::new().cluster().primaries(3).start().await?, 3))
}

pub(crate) async fn majority() -> Result<Store, StartError> {
    Ok(Store::redis(Builder::new().primaries(3).start().await?, 3))
}

pub(crate) async fn cassandra() -> Result<Store, StartError> {
    let node = cassandra::shared().await?;
    let (user, password) = SUPERUSER;
    // A namespace, and no keyspace, of its own: changes of the schema are what costs most.
    let options = format!(
        "namespace={}&ttl={}s&skew=0s&poll=100ms&connect-timeout=60s",
        part(),
        TERM.as_secs()
    );
    let url = format!(
        "cassandra://{user}:{password}@{}/sneck_cli?create=keyspace&replicas=1&{options}",
        node.contact_points()
    );
    let (has_line, has_records) = (false, false);
    Ok(Store { url, term: TERM, has_line, has_records, wreck: Wreck::Nothing, _servers: None })
}
