//! A Java program that takes locks with Apache Curator, to stand in one line with.
//!
//! What it can be told beyond the language of all peers is said in `CuratorPeer.java`.

use std::ffi::OsString;
use std::time::Duration;

use crate::jars::{Jars, SERVERS};
use crate::peer::Peer;
use crate::skip::StartError;

/// The peer's name in skips and in `SNECK_REQUIRE`.
pub const BACKEND: &str = "curator";

const JARS: Jars =
    Jars { name: "curator-5.9.0", list: SERVERS, select: &["-Pcurator"], backend: BACKEND };
const PROGRAM: &str = "sneck.testkit.CuratorPeer";

/// Fetches Curator and compiles the peer, so that the first test need not.
///
/// # Errors
///
/// [`StartError::Unavailable`] where this machine has no JDK, or no jars and no way to fetch them.
pub fn prepare() -> Result<(), StartError> {
    class_path().map(drop)
}

/// Starts a peer, a Java process, and returns when it has a session.
///
/// # Errors
///
/// As [`prepare`], and [`StartError::Failed`] when it gets no session.
pub async fn start(connect_string: &str, session_timeout: Duration) -> Result<Peer, StartError> {
    // It lives for a test, and starts many times.
    start_with(&["-XX:TieredStopAtLevel=1", "-Xmx96m"], connect_string, session_timeout).await
}

/// The same with the compiler and the memory that a program of long life has, to be measured.
///
/// # Errors
///
/// As [`start`].
pub async fn start_optimised(
    connect_string: &str,
    session_timeout: Duration,
) -> Result<Peer, StartError> {
    start_with(&["-Xmx512m"], connect_string, session_timeout).await
}

async fn start_with(
    options: &[&str],
    connect_string: &str,
    session_timeout: Duration,
) -> Result<Peer, StartError> {
    let class_path = tokio::task::spawn_blocking(class_path).await;
    let class_path = class_path.expect("compiling does not panic")?;
    let timeout_ms = session_timeout.as_millis().to_string();
    let options = ["-XX:+UseSerialGC", "-XX:-UsePerfData"].iter().chain(options);
    let mut args: Vec<OsString> = options.map(OsString::from).collect();
    args.extend([
        "-cp".into(),
        class_path,
        PROGRAM.into(),
        connect_string.into(),
        timeout_ms.into(),
    ]);
    Peer::start("Curator", "java".into(), args).await
}

/// What only peers with Curator can be told.
impl Peer {
    /// Takes the lock and listens for requests to let go.
    pub async fn lock_revocably(&mut self, path: &str) {
        self.0.say(&format!("revocable {path}"));
        self.held(path).await;
    }

    /// Returns when somebody has asked for the lock.
    pub async fn asked(&mut self, path: &str) {
        self.0.expect(&format!("asked {path}")).await;
    }

    /// Asks the holder, whose node this is, to let go.
    pub async fn revoke(&mut self, path: &str, node: &str) {
        self.0.say(&format!("revoke {path} {node}"));
        self.0.expect(&format!("revoked {path}")).await;
    }

    /// Lets so many sessions of its own lock and unlock one lock so many times each.
    pub async fn contend(&mut self, path: &str, sessions: usize, times: usize) {
        self.0.say(&format!("contend {path} {sessions} {times}"));
        self.0.expect(&format!("contend {path}")).await;
    }

    /// Who leads, in the words of a `LeaderLatch` of this peer's; nothing when nobody does.
    pub async fn leader(&mut self, path: &str) -> String {
        self.ask(&format!("leader {path}")).await.join(" ")
    }
}

/// Jars and compiled classes, as Java takes them.
fn class_path() -> Result<OsString, StartError> {
    JARS.with_program(PROGRAM, "curator-peer")
}
