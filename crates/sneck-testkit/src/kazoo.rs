//! kazoo, the Python client: a peer to stand in one line with, and its own suite, to be run against
//! another server than it was written for.

pub mod suite;

use std::time::Duration;

use crate::peer::Peer;
use crate::python::{Environment, python_folder};
use crate::skip::StartError;

/// kazoo's name in skips and in `SNECK_REQUIRE`.
pub const BACKEND: &str = "kazoo";

const PYTHON: Environment =
    Environment { name: "python", list: "requirements.txt", package: "kazoo", backend: BACKEND };

/// Fetches kazoo and what its suite needs, so that the first test need not.
///
/// # Errors
///
/// [`StartError::Unavailable`] where this machine has no Python 3.11 with `venv`, or no packages and
/// no way to fetch them.
pub fn prepare() -> Result<(), StartError> {
    PYTHON.interpreter().map(drop)
}

/// Starts a peer, a Python process, and returns when it has a session. `identifier` is what others in
/// line read of it, without a space.
///
/// # Errors
///
/// As [`prepare`], and [`StartError::Failed`] when it gets no session.
pub async fn start(
    connect_string: &str,
    session_timeout: Duration,
    identifier: &str,
) -> Result<Peer, StartError> {
    let python = tokio::task::spawn_blocking(|| PYTHON.interpreter()).await;
    let python = python.expect("fetching does not panic")?;
    let args = [
        // Nothing is cached beside the source.
        "-B".into(),
        python_folder().join("kazoo_peer.py").into(),
        connect_string.into(),
        session_timeout.as_secs_f64().to_string().into(),
        identifier.into(),
    ];
    Peer::start("kazoo", python.into(), args).await
}

/// What only peers with kazoo can be told.
impl Peer {
    /// Makes this peer wait for contenders of other makes too, by what their names have before the
    /// number, such as `lock-`.
    pub async fn heed(&mut self, path: &str, patterns: &[&str]) {
        self.0.say(&format!("heed {path} {}", patterns.join(" ")));
        self.0.expect(&format!("heeding {path}")).await;
    }

    /// The identifiers of those in line, the holder first.
    pub async fn contenders(&mut self, path: &str) -> Vec<String> {
        self.ask(&format!("contenders {path}")).await
    }

    /// The identifiers of those who have a permit.
    pub async fn holders(&mut self, path: &str, permits: u32) -> Vec<String> {
        self.0.say(&format!("holders {path} {permits}"));
        self.0.words(&format!("holders {path}")).await
    }
}
