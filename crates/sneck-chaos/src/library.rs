//! Whose locks are taken: sneck's, or those of libraries that are not ours, by programs that all speak one
//! language.

use std::path::Path;
use std::time::Duration;

use sneck_testkit::peer::Peer;
use sneck_testkit::{StartError, Unavailable, curator, go, kazoo};

use crate::servers::ROOT;

/// The first argument that makes the program of this crate a peer with our own library.
pub const PEER: &str = "peer";

/// A library with a lock on ZooKeeper.
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
}

/// What a library says of its lock beyond that it excludes, in the order of its line. What is not said is
/// not held against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promises {
    /// A holder is given a number that a resource can check.
    pub token: bool,
    /// A holder is told that its lock is lost or in doubt; with kazoo and Curator by the connection's state,
    /// which their manuals tell holders to listen to, and with zookeeper-client by the session's.
    pub notice: bool,
    /// A lock can be had at once or not at all.
    pub tries: bool,
}

impl Library {
    /// All of them.
    pub const ALL: [Library; 5] =
        [Library::Sneck, Library::Curator, Library::Kazoo, Library::Go, Library::ZookeeperClient];

    /// Those that are not ours.
    pub const OTHERS: [Library; 4] =
        [Library::Curator, Library::Kazoo, Library::Go, Library::ZookeeperClient];

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Library::Sneck => "sneck",
            Library::Curator => "Curator",
            Library::Kazoo => "kazoo",
            Library::Go => "go-zookeeper",
            Library::ZookeeperClient => "zookeeper-client",
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
        }
    }

    /// What it says of its lock.
    pub fn promises(self) -> Promises {
        match self {
            Library::Sneck => Promises { token: true, notice: true, tries: true },
            Library::Curator | Library::Kazoo => {
                Promises { token: false, notice: true, tries: true }
            }
            Library::Go => Promises { token: false, notice: false, tries: false },
            Library::ZookeeperClient => Promises { token: false, notice: true, tries: false },
        }
    }

    /// Where it finds a lock.
    pub(crate) fn path(self, lock: &str) -> String {
        match self {
            // Its names begin below the root of its URL.
            Library::Sneck => lock.to_owned(),
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
        hosts: &str,
        session: Duration,
    ) -> Result<Peer, StartError> {
        match self {
            Library::Curator => curator::start(hosts, session).await,
            Library::Kazoo => kazoo::start(hosts, session, "chaos").await,
            Library::Go => go::start(hosts, session).await,
            Library::Sneck | Library::ZookeeperClient => {
                let session_ms = session.as_millis().to_string();
                let args = [PEER, self.name(), hosts, &session_ms].map(Into::into);
                Peer::start(self.name(), program.into(), args).await
            }
        }
    }
}
