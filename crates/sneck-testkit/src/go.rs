//! A Go program that takes locks with go-zookeeper, to stand in one line with.
//!
//! It speaks a line at a time; what it can be told is said in `main.go`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::jars::{first_error, lock, require, target_folder};
use crate::peer::{CONNECTED, PeerProcess};
use crate::skip::{StartError, Unavailable};

/// The peer's name in skips and in `SNECK_REQUIRE`.
pub const BACKEND: &str = "go";

/// Fetches go-zookeeper and builds the peer, so that the first test need not.
///
/// # Errors
///
/// [`StartError::Unavailable`] where this machine has no Go, or no module and no way to fetch it.
pub fn prepare() -> Result<(), StartError> {
    program().map(drop)
}

/// A running Go process with a go-zookeeper client; killed when dropped.
#[derive(Debug)]
pub struct Peer(PeerProcess);

impl Peer {
    /// Starts a peer and returns when it has a session.
    ///
    /// # Errors
    ///
    /// As [`prepare`], and [`StartError::Failed`] when it gets no session.
    pub async fn start(
        connect_string: &str,
        session_timeout: Duration,
    ) -> Result<Peer, StartError> {
        let program = tokio::task::spawn_blocking(program).await;
        let program = program.expect("building does not panic")?;
        let timeout_ms = session_timeout.as_millis().to_string();
        let args: [OsString; 2] = [connect_string.into(), timeout_ms.into()];
        PeerProcess::start("go-zookeeper", program.into(), args, CONNECTED).await.map(Peer)
    }

    /// Takes the lock, and returns when it is held.
    ///
    /// # Panics
    ///
    /// As all that follows: with the peer's log, when the answer is an error or does not come.
    pub async fn lock(&mut self, path: &str) {
        self.begin_lock(path);
        self.held(path).await;
    }

    /// Gets in line and does not wait.
    pub fn begin_lock(&mut self, path: &str) {
        self.0.say(&format!("lock {path}"));
    }

    /// Returns when the lock asked for is held.
    pub async fn held(&mut self, path: &str) {
        self.0.expect(&format!("held {path}")).await;
    }

    /// Whether `held` would return at once.
    pub fn is_held(&mut self, path: &str) -> bool {
        self.0.has_said(&format!("held {path}"))
    }

    /// Gives the lock back.
    pub async fn unlock(&mut self, path: &str) {
        self.0.say(&format!("unlock {path}"));
        self.0.expect(&format!("free {path}")).await;
    }

    /// Begins to add one to the number in `file` so many times, each time under the lock.
    pub fn begin_count(&mut self, path: &str, file: &Path, times: u32) {
        self.0.say(&format!("count {path} {} {times}", file.display()));
    }

    /// Returns when the counting is done.
    pub async fn counted(&mut self, path: &str) {
        self.0.expect(&format!("counted {path}")).await;
    }

    /// Closes the session, and with it gives up every lock.
    pub async fn exit(self) {
        self.0.exit().await;
    }

    /// Kills the peer with -9; its session is left to expire.
    pub async fn kill(self) {
        self.0.kill().await;
    }
}

/// The peer's program, built once; Go itself sees whether it has to be built anew. The module and its
/// digest are listed beside the source, so nothing else is had than what was tried.
fn program() -> Result<PathBuf, StartError> {
    require(BACKEND, "go", &["version"])?;
    let servers = target_folder().join("servers");
    std::fs::create_dir_all(&servers)?;
    let servers = servers.canonicalize()?;
    let _lock = lock(&servers.join("go-peer.lock"))?;
    let program = servers.join("go-peer");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("go");
    let mut fetch = Command::new("go");
    let fetched = fetch.args(["mod", "download"]).current_dir(&source).output()?;
    if !fetched.status.success() {
        let reason = format!("go cannot fetch the module: {}", first_error(&fetched));
        return Err(Unavailable { backend: BACKEND, reason }.into());
    }
    let mut build = Command::new("go");
    build.args(["build", "-mod=readonly", "-buildvcs=false", "-o"]).arg(&program).arg(".");
    let built = build.current_dir(&source).output()?;
    if built.status.success() {
        return Ok(program);
    }
    // A compiler that refuses our own source is no lack of this machine's.
    Err(StartError::Failed(format!("go build: {}", first_error(&built))))
}
