//! A Java program that takes locks with Apache Curator, to stand in one line with.
//!
//! It speaks a line at a time; what it can be told is said in `CuratorPeer.java`.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::jars::{Jars, first_error, java_folder, lock, remove, require, target_folder};
use crate::peer::{CONNECTED, PeerProcess};
use crate::skip::StartError;

/// The peer's name in skips and in `SNECK_REQUIRE`.
pub const BACKEND: &str = "curator";

const JARS: Jars = Jars { name: "curator-5.9.0", select: &["-Pcurator"], backend: BACKEND };

/// Fetches Curator and compiles the peer, so that the first test need not.
///
/// # Errors
///
/// [`StartError::Unavailable`] where this machine has no JDK, or no jars and no way to fetch them.
pub fn prepare() -> Result<(), StartError> {
    class_path().map(drop)
}

/// A running Java process with a Curator client; killed when dropped.
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
        let class_path = tokio::task::spawn_blocking(class_path).await;
        let class_path = class_path.expect("compiling does not panic")?;
        let timeout_ms = session_timeout.as_millis().to_string();
        let args: [OsString; 9] = [
            "-XX:TieredStopAtLevel=1".into(),
            "-XX:+UseSerialGC".into(),
            "-XX:-UsePerfData".into(),
            "-Xmx96m".into(),
            "-cp".into(),
            class_path,
            "sneck.testkit.CuratorPeer".into(),
            connect_string.into(),
            timeout_ms.into(),
        ];
        PeerProcess::start("Curator", "java".into(), args, CONNECTED).await.map(Peer)
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

    /// The names of the nodes in line, in the order in which Curator would grant.
    pub async fn queue(&mut self, path: &str) -> Vec<String> {
        let command = format!("queue {path}");
        self.0.say(&command);
        self.0.words(&command).await
    }

    /// Begins to add one to the number in `file` so many times, each time under the lock.
    pub fn begin_count(&mut self, path: &str, file: &Path, times: u32) {
        self.0.say(&format!("count {path} {} {times}", file.display()));
    }

    /// Returns when the counting is done.
    pub async fn counted(&mut self, path: &str) {
        self.0.expect(&format!("counted {path}")).await;
    }

    /// Gets in line to `read` or to `write`, and does not wait.
    pub fn begin(&mut self, read_or_write: &str, path: &str) {
        self.0.say(&format!("{read_or_write} {path}"));
    }

    /// Ends what was begun with `read` or `write`.
    pub async fn end(&mut self, read_or_write: &str, path: &str) {
        self.0.say(&format!("un{read_or_write} {path}"));
        self.0.expect(&format!("free {path}")).await;
    }

    /// Asks for permits of a semaphore that has so many, and does not wait.
    pub fn begin_permits(&mut self, path: &str, take: u32, of: u32) {
        self.0.say(&format!("permits {path} {take} {of}"));
    }

    /// Gives back all permits of the semaphore.
    pub async fn give_back(&mut self, path: &str) {
        self.0.say(&format!("return {path}"));
        self.0.expect(&format!("free {path}")).await;
    }

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

    /// Closes the session, and with it gives up every lock.
    pub async fn exit(self) {
        self.0.exit().await;
    }

    /// Kills the peer with -9; its session is left to expire.
    pub async fn kill(self) {
        self.0.kill().await;
    }

    /// Stops the peer's clock (SIGSTOP).
    pub fn pause(&self) {
        self.0.signal(Signal::STOP);
    }

    /// Lets a paused peer go on.
    pub fn resume(&self) {
        self.0.signal(Signal::CONT);
    }

    /// The pid of the Java process.
    pub fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// What Curator logged.
    pub fn log(&self) -> String {
        self.0.log()
    }
}

/// Jars and compiled classes, as Java takes them.
fn class_path() -> Result<OsString, StartError> {
    let lib = JARS.obtain()?;
    let servers = target_folder().join("servers").canonicalize()?;
    let classes = servers.join("curator-peer");
    let _lock = lock(&servers.join("curator-peer.lock"))?;
    let source = java_folder().join("src/sneck/testkit/CuratorPeer.java");
    let text = std::fs::read(&source)?;
    // What was compiled lies beside the classes, so that a changed source is compiled anew.
    if std::fs::read(classes.join("CuratorPeer.java")).ok().as_ref() != Some(&text) {
        compile(&source, &lib, &classes)?;
        std::fs::write(classes.join("CuratorPeer.java"), text)?;
    }
    Ok(joined(&classes, &lib))
}

fn joined(classes: &Path, lib: &Path) -> OsString {
    let mut class_path = classes.as_os_str().to_owned();
    class_path.push(":");
    class_path.push(lib.join("*"));
    class_path
}

fn compile(source: &Path, lib: &Path, classes: &Path) -> Result<(), StartError> {
    require(BACKEND, "javac", &["-version"])?;
    remove(classes)?;
    let output = Command::new("javac")
        .args(["--release", "11", "-cp"])
        .arg(lib.join("*"))
        .arg("-d")
        .arg(classes)
        .arg(source)
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    // A compiler that refuses our own source is no lack of this machine's.
    Err(StartError::Failed(format!("javac: {}", first_error(&output))))
}
