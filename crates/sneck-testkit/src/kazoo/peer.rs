//! A Python program that takes locks with kazoo, to stand in one line with.
//!
//! It speaks a line at a time; what it can be told is said in `kazoo_peer.py`.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use super::BACKEND;
use crate::peer::{CONNECTED, PeerProcess};
use crate::python::{interpreter, python_folder};
use crate::skip::StartError;

/// How a path is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recipe {
    /// Alone.
    Lock,
    /// Together with other readers.
    Read,
    /// Alone, in line with readers.
    Write,
    /// One of so many permits.
    Semaphore(u32),
}

/// A running Python process with a kazoo client; killed when dropped.
#[derive(Debug)]
pub struct Peer(PeerProcess);

impl Peer {
    /// Starts a peer and returns when it has a session. `identifier` is what others in line read of
    /// it, without a space.
    ///
    /// # Errors
    ///
    /// As [`prepare`](super::prepare), and [`StartError::Failed`] when it gets no session.
    pub async fn start(
        connect_string: &str,
        session_timeout: Duration,
        identifier: &str,
    ) -> Result<Peer, StartError> {
        let python = tokio::task::spawn_blocking(|| interpreter(BACKEND)).await;
        let python = python.expect("fetching does not panic")?;
        let args: [OsString; 5] = [
            // Nothing is cached beside the source.
            "-B".into(),
            python_folder().join("kazoo_peer.py").into(),
            connect_string.into(),
            session_timeout.as_secs_f64().to_string().into(),
            identifier.into(),
        ];
        PeerProcess::start("kazoo", python.into(), args, CONNECTED).await.map(Peer)
    }

    /// Takes a path, and returns when it is held.
    ///
    /// # Panics
    ///
    /// As all that follows: with the peer's log, when the answer is an error or does not come.
    pub async fn acquire(&mut self, recipe: Recipe, path: &str) {
        self.begin(recipe, path);
        self.held(path).await;
    }

    /// Gets in line and does not wait.
    pub fn begin(&mut self, recipe: Recipe, path: &str) {
        self.0.say(&match recipe {
            Recipe::Lock => format!("lock {path}"),
            Recipe::Read => format!("read {path}"),
            Recipe::Write => format!("write {path}"),
            Recipe::Semaphore(permits) => format!("semaphore {path} {permits}"),
        });
    }

    /// Takes the lock if nobody has it; says whether it is held now.
    pub async fn try_lock(&mut self, path: &str) -> bool {
        self.0.say(&format!("try-lock {path}"));
        let (held, busy) = (format!("held {path}"), format!("busy {path}"));
        self.0.expect_either(&held, &busy).await == held
    }

    /// Takes one of so many permits if one is free; says whether it is held now.
    pub async fn try_permit(&mut self, path: &str, permits: u32) -> bool {
        self.0.say(&format!("try-semaphore {path} {permits}"));
        let (held, busy) = (format!("held {path}"), format!("busy {path}"));
        self.0.expect_either(&held, &busy).await == held
    }

    /// Returns when what was begun is held.
    pub async fn held(&mut self, path: &str) {
        self.0.expect(&format!("held {path}")).await;
    }

    /// Whether `held` would return at once.
    pub fn is_held(&mut self, path: &str) -> bool {
        self.0.has_said(&format!("held {path}"))
    }

    /// Gives a path back.
    pub async fn release(&mut self, path: &str) {
        self.0.say(&format!("unlock {path}"));
        self.0.expect(&format!("free {path}")).await;
    }

    /// Makes this peer wait for contenders of other makes too, by what their names have before the
    /// number, such as `lock-`.
    pub async fn heed(&mut self, path: &str, patterns: &[&str]) {
        self.0.say(&format!("heed {path} {}", patterns.join(" ")));
        self.0.expect(&format!("heeding {path}")).await;
    }

    /// The identifiers of those in line, the holder first.
    pub async fn contenders(&mut self, path: &str) -> Vec<String> {
        let command = format!("contenders {path}");
        self.0.say(&command);
        self.0.words(&command).await
    }

    /// The identifiers of those who have a permit.
    pub async fn holders(&mut self, path: &str, permits: u32) -> Vec<String> {
        self.0.say(&format!("holders {path} {permits}"));
        self.0.words(&format!("holders {path}")).await
    }

    /// The names of the nodes in line, in the order of their numbers.
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

    /// The pid of the Python process.
    pub fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// What kazoo logged.
    pub fn log(&self) -> String {
        self.0.log()
    }
}
