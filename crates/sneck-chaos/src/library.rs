//! Whose locks are taken: sneck's, or those of libraries that are not ours, by programs that all speak one
//! language.

use std::path::Path;
use std::time::Duration;

use sneck_testkit::peer::Peer;
use sneck_testkit::{StartError, Unavailable, curator, go, kazoo, redis};

use crate::servers::{ROOT, StoreKind};

/// The first argument that makes the program of this crate a peer with our own library.
pub const PEER: &str = "peer";

/// A library with a lock on ZooKeeper or Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Library {
    /// This one, asked as all others are.
    Sneck,
    /// Apache Curator, in Java: `InterProcessMutex`.
    Curator,
    /// kazoo, in Python: `Lock`.
    Kazoo,
    /// go-zookeeper, in Go: `Lock`.
    Go,
    /// zookeeper-client, in Rust: `Client::lock`, in a build with the feature `others`.
    ZookeeperClient,
    /// redis-py, in Python: `Lock`, whose term its user makes longer by `reacquire`.
    RedisPy,
    /// Redisson, in Java: `RFencedLock`, whose term the library makes longer.
    Redisson,
}

/// What a library says of its lock beyond that it excludes, in the order of its line. What is not said is
/// not held against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promises {
    /// A holder is given a number that a resource can check.
    pub token: bool,
    /// A holder is told that its lock is lost or in doubt; with kazoo and Curator by the connection's state,
    /// which their manuals tell holders to listen to, with zookeeper-client by the session's, and with redis-py
    /// by a renewal that fails.
    pub notice: bool,
    /// A lock can be had at once or not at all.
    pub tries: bool,
    /// Whoever comes first is granted first.
    pub order: bool,
}

impl Library {
    /// Those that are not ours and have a lock on such a store.
    pub fn others(store: StoreKind) -> &'static [Library] {
        match store {
            StoreKind::ZooKeeper | StoreKind::Embedded => {
                &[Library::Curator, Library::Kazoo, Library::Go, Library::ZookeeperClient]
            }
            StoreKind::Redis => &[Library::RedisPy, Library::Redisson],
            StoreKind::Cassandra => &[],
        }
    }

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Library::Sneck => "sneck",
            Library::Curator => "Curator",
            Library::Kazoo => "kazoo",
            Library::Go => "go-zookeeper",
            Library::ZookeeperClient => "zookeeper-client",
            Library::RedisPy => "redis-py",
            Library::Redisson => "Redisson",
        }
    }

    /// Its name, and the release that is built in.
    pub fn release(self) -> &'static str {
        match self {
            Library::Sneck => concat!("sneck ", env!("CARGO_PKG_VERSION")),
            Library::Curator => "Curator 5.9.0",
            Library::Kazoo => "kazoo 2.11.0",
            Library::Go => "go-zookeeper 1.0.4",
            Library::ZookeeperClient => "zookeeper-client 0.11.2",
            Library::RedisPy => redis::Library::RedisPy.name(),
            Library::Redisson => redis::Library::Redisson.name(),
        }
    }

    /// What it says of its lock.
    pub fn promises(self) -> Promises {
        let (token, notice, tries, order) = match self {
            Library::Sneck => (true, true, true, true),
            Library::Curator | Library::Kazoo => (false, true, true, true),
            Library::Go => (false, false, false, true),
            Library::ZookeeperClient => (false, true, false, true),
            Library::RedisPy => (false, true, true, false),
            Library::Redisson => (true, false, true, false),
        };
        Promises { token, notice, tries, order }
    }

    /// Where it finds a lock.
    pub(crate) fn path(self, lock: &str) -> String {
        match self {
            // Its names begin below the root of its URL, and those of Redis with nothing.
            Library::Sneck | Library::RedisPy | Library::Redisson => lock.to_owned(),
            _ => format!("{ROOT}/{lock}"),
        }
    }

    /// Fetches and builds what it needs, so that the first start need not. Blocks.
    ///
    /// # Errors
    /// [`StartError::Unavailable`] where this machine does not have the library.
    pub fn prepare(self) -> Result<(), StartError> {
        match self {
            Library::Sneck => Ok(()),
            Library::Curator => curator::prepare(),
            Library::Kazoo => kazoo::prepare(),
            Library::Go => go::prepare(),
            Library::RedisPy => redis::holder::prepare(redis::Library::RedisPy),
            Library::Redisson => redis::holder::prepare(redis::Library::Redisson),
            Library::ZookeeperClient if cfg!(feature = "others") => Ok(()),
            Library::ZookeeperClient => {
                let reason = "this build is without the feature `others`".to_owned();
                Err(Unavailable { backend: "others", reason }.into())
            }
        }
    }

    /// Starts a program with it. `program` is that of this crate, for those in Rust.
    ///
    /// # Errors
    /// As [`Library::prepare`], and [`StartError::Failed`] when it gets no session.
    pub async fn start(
        self,
        program: &Path,
        (store, hosts): (StoreKind, &str),
        session: Duration,
    ) -> Result<Peer, StartError> {
        let on_redis = async |library| {
            let server = hosts.parse().map_err(|_| format!("{hosts:?} is no address"));
            redis::holder::start(library, server.map_err(StartError::Failed)?, session).await
        };
        match self {
            Library::Curator => curator::start(hosts, session).await,
            Library::Kazoo => kazoo::start(hosts, session, "chaos").await,
            Library::Go => go::start(hosts, session).await,
            Library::RedisPy => on_redis(redis::Library::RedisPy).await,
            Library::Redisson => on_redis(redis::Library::Redisson).await,
            Library::Sneck => {
                let args = [PEER, self.name(), &store.url(hosts, session)].map(Into::into);
                Peer::start(self.name(), program.into(), args).await
            }
            Library::ZookeeperClient => {
                let session_ms = session.as_millis().to_string();
                let args = [PEER, self.name(), hosts, &session_ms].map(Into::into);
                Peer::start(self.name(), program.into(), args).await
            }
        }
    }
}
