//! The session against real ZooKeeper servers, through a proxy where something has to break.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stdout, reason = "margins are for a person to read")]

mod operations;
mod outages;
mod strangers;
#[cfg(feature = "tls")]
mod tls;
mod watches;

use sneck_testkit::zookeeper::Ensemble;
use sneck_zookeeper::wire::{Acl, ErrorCode};
use sneck_zookeeper::{
    CreateMode, End, RequestError, Server, Session, SessionOptions, SessionState,
};
use std::fmt::Debug;
use std::net::SocketAddr;
use std::time::Duration;

/// Far more than anything takes that is waited for here, so that only a real failure reaches it.
const SOON: Duration = Duration::from_secs(40);

/// Runs tests, each an async function of a server, on the shared server of each version.
macro_rules! on_each_version {
    ($($test:ident)*) => {$(
        mod $test {
            use sneck_testkit::{or_skip, zookeeper::{Version, shared}};

            #[tokio::test]
            async fn on_3_8() {
                super::$test(or_skip!(shared(Version::V3_8).await)).await;
            }

            #[tokio::test]
            async fn on_3_9() {
                super::$test(or_skip!(shared(Version::V3_9).await)).await;
            }
        }
    )*};
}
pub(crate) use on_each_version;

fn server(addr: SocketAddr) -> Server {
    Server::new(addr.ip().to_string(), addr.port())
}

/// Options for a session of 4 s with these servers.
fn options(addrs: impl IntoIterator<Item = SocketAddr>) -> SessionOptions {
    let mut options = SessionOptions::new(addrs.into_iter().map(server).collect());
    options.timeout = Duration::from_secs(4);
    options.connect_timeout = SOON;
    options
}

async fn connect(options: SessionOptions) -> Session {
    soon(Session::connect(options)).await.unwrap()
}

async fn open(ensemble: &Ensemble) -> Session {
    connect(options([ensemble.addr(0)])).await
}

/// A session whose root is a node of its own, on a server that others use too.
async fn open_below(ensemble: &Ensemble) -> Session {
    root(open(ensemble).await).await
}

/// The same session, below a new node.
async fn root(session: Session) -> Session {
    let path = format!("/session-{:x}", session.id());
    persistent(&session, &path).await;
    session.chroot(&path).unwrap()
}

async fn persistent(session: &Session, path: &str) {
    soon(session.create(path, "", CreateMode::Persistent, Acl::open())).await.unwrap();
}

async fn ephemeral(session: &Session, path: &str) {
    soon(session.create(path, "", CreateMode::Ephemeral, Acl::open())).await.unwrap();
}

async fn soon<F: IntoFuture>(future: F) -> F::Output {
    match tokio::time::timeout(SOON, future).await {
        Ok(output) => output,
        Err(_) => panic!("this has not come to an end within {SOON:?}"),
    }
}

/// Returns when a condition holds.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(SOON, wait).await.is_ok(), "waited {SOON:?} until {what}");
}

async fn state(session: &Session, wanted: SessionState) {
    let mut state = session.state();
    let reached = soon(state.wait_for(|state| *state == wanted || state.end().is_some())).await;
    assert_eq!(*reached.unwrap(), wanted);
}

async fn ended(session: &Session) -> End {
    let mut state = session.state();
    let reached = soon(state.wait_for(|state| state.end().is_some())).await;
    reached.unwrap().end().unwrap()
}

#[track_caller]
fn assert_refused<T: Debug>(result: Result<T, RequestError>, code: ErrorCode) {
    assert_eq!(result.unwrap_err(), RequestError::Refused(code));
}
