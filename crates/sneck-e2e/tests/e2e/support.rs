//! What the tests share.

use sneck::zookeeper::{Server, Session, SessionOptions};
use sneck_e2e::worker_process::Worker;
use sneck_testkit::zookeeper::Ensemble;
use std::net::SocketAddr;
use std::time::Duration;

/// The worker program, built together with these tests.
pub(crate) const WORKER: &str = env!("CARGO_BIN_EXE_sneck-worker");

/// Far more than anything takes that comes at all.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

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
