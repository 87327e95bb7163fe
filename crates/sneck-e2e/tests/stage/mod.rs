//! What the tests stand on.

pub(crate) mod server;

use server::Kind;
use sneck::zookeeper::wire::Acl;
use sneck::zookeeper::{CreateMode, Server, Session, SessionOptions};
use sneck::{ClaimId, Locks};
use sneck_e2e::worker_process::Worker;
use sneck_testkit::StartError;
use sneck_testkit::proxy::Proxy;
use sneck_testkit::zookeeper::Ensemble;
use std::net::SocketAddr;
use std::time::Duration;

/// The worker program, built together with these tests.
pub(crate) const WORKER: &str = env!("CARGO_BIN_EXE_sneck-worker");

/// Far more than anything takes that comes at all.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A root of one test's own on a server that others use, too.
pub(crate) struct Site {
    pub(crate) server: &'static Ensemble,
    pub(crate) observer: Session,
    root: String,
}

impl Site {
    /// A new root on the shared server of this kind.
    pub(crate) async fn on(kind: Kind) -> Result<Site, StartError> {
        let server = kind.shared().await?;
        let root = format!("/site-{}", ClaimId::random());
        Ok(Site { server, observer: observer_of(server).await, root })
    }

    /// The path that all locks of the test are below.
    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    /// The path of a lock's node.
    pub(crate) fn dir(&self, name: &str) -> String {
        format!("{}/{name}", self.root)
    }

    /// A URL of this root, with a session of this length.
    pub(crate) fn url(&self, timeout: &str) -> String {
        url(&self.server.connect_string(), &self.root[1..], timeout)
    }

    /// The same root through a proxy.
    pub(crate) fn url_by(&self, proxy: &Proxy, timeout: &str) -> String {
        url(&proxy.addr().to_string(), &self.root[1..], timeout)
    }

    /// A client with a session that outlasts every disturbance.
    pub(crate) async fn locks(&self) -> Locks {
        connect(&self.url("20s")).await
    }

    /// A way to the server that can be disturbed.
    pub(crate) fn proxy(&self) -> Proxy {
        Proxy::start(self.server.addr(0)).expect("a port")
    }

    /// The nodes in a lock's line.
    pub(crate) async fn places(&self, name: &str) -> Vec<String> {
        places(&self.observer, &self.dir(name)).await
    }

    /// Waits until a lock's line has this many places.
    pub(crate) async fn line_of(&self, name: &str, length: usize) {
        line_of(&self.observer, &self.dir(name), length).await;
    }
}

/// Opens a client.
pub(crate) async fn connect(url: &str) -> Locks {
    sneck::connect(url).await.expect("the server serves")
}

/// Awaits what comes soon if it comes at all.
///
/// # Panics
/// When it does not come.
pub(crate) async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what}: not within {PATIENCE:?}"),
    }
}

/// Makes a node that is not there.
pub(crate) async fn make(observer: &Session, path: &str, mode: CreateMode) {
    observer.create(path, "", mode, Acl::open()).await.expect("it is new");
}

/// Deletes a node that is there.
pub(crate) async fn remove(observer: &Session, path: &str) {
    observer.delete(path, None).await.expect("it is there, without children");
}

/// A URL of these servers, under a root of the test's own.
pub(crate) fn url(servers: &str, root: &str, timeout: &str) -> String {
    format!("zk://{servers}/{root}?timeout={timeout}&connect-timeout=30s")
}

/// Starts a worker process.
pub(crate) async fn worker(url: &str) -> Worker {
    Worker::start(WORKER, url).await
}

/// A session with one server, to look at what is really there.
pub(crate) async fn observer(addr: SocketAddr) -> Session {
    let mut options = SessionOptions::new(vec![Server::new(addr.ip().to_string(), addr.port())]);
    options.connect_timeout = PATIENCE;
    options.timeout = Duration::from_secs(30);
    Session::connect(options).await.expect("the server serves")
}

/// A session with the first server of an ensemble.
pub(crate) async fn observer_of(ensemble: &Ensemble) -> Session {
    observer(ensemble.addr(0)).await
}

/// The nodes in a lock's line; none where there is no line.
pub(crate) async fn places(observer: &Session, dir: &str) -> Vec<String> {
    observer.sync(dir).await.expect("the observer is connected");
    let mut children = observer.get_children(dir).await.unwrap_or_default();
    children.sort_by_key(|child| child[child.len() - 10..].to_owned());
    children
}

/// Waits until the line has this many places.
pub(crate) async fn line_of(observer: &Session, dir: &str, length: usize) {
    let waiting = async {
        while places(observer, dir).await.len() != length {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
        panic!("never came true: {length} places in {dir}");
    }
}

/// Waits until something is so, by looking again and again.
///
/// # Panics
/// When it does not come true.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
        panic!("never came true: {what}");
    }
}

/// The middle and the ends of some lengths of time, for people.
pub(crate) fn spread(mut lengths: Vec<Duration>) -> String {
    lengths.sort();
    let (min, max) = (lengths[0], lengths[lengths.len() - 1]);
    let median = lengths[lengths.len() / 2];
    format!("min {min:.0?}, median {median:.0?}, max {max:.0?} of {}", lengths.len())
}
