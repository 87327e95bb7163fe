//! A Go program that takes locks with go-zookeeper, to stand in one line with.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::jars::{first_error, lock, require, target_folder};
use crate::peer::Peer;
use crate::skip::{StartError, Unavailable};

/// The peer's name in skips and in `SNECK_REQUIRE`.
pub const BACKEND: &str = "go";

const PROGRAM: Source = Source { folder: "go", name: "go-peer", backend: BACKEND };

/// Fetches go-zookeeper and builds the peer, so that the first test need not.
///
/// # Errors
///
/// [`StartError::Unavailable`] where this machine has no Go, or no module and no way to fetch it.
pub fn prepare() -> Result<(), StartError> {
    PROGRAM.build().map(drop)
}

/// Starts a peer, and returns when it has a session. It has [`Recipe::Lock`](crate::peer::Recipe) only, and
/// cannot try.
///
/// # Errors
///
/// As [`prepare`], and [`StartError::Failed`] when it gets no session.
pub async fn start(connect_string: &str, session_timeout: Duration) -> Result<Peer, StartError> {
    let program = tokio::task::spawn_blocking(|| PROGRAM.build()).await;
    let program = program.expect("building does not panic")?;
    let timeout_ms = session_timeout.as_millis().to_string();
    let args: [OsString; 2] = [connect_string.into(), timeout_ms.into()];
    Peer::start("go-zookeeper", program.into(), args).await
}

/// The source of a program in Go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source {
    /// Below this crate.
    pub(crate) folder: &'static str,
    /// What the program is called.
    pub(crate) name: &'static str,
    /// Whose it is, in skips.
    pub(crate) backend: &'static str,
}

impl Source {
    /// The program, built once; Go itself sees whether it has to be built anew. The modules and their
    /// digests are listed beside the source, so nothing else is had than what was tried.
    pub(crate) fn build(self) -> Result<PathBuf, StartError> {
        let Source { folder, name, backend } = self;
        require(backend, "go", &["version"])?;
        let servers = target_folder().join("servers");
        std::fs::create_dir_all(&servers)?;
        let servers = servers.canonicalize()?;
        let _lock = lock(&servers.join(format!("{name}.lock")))?;
        let program = servers.join(name);
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let mut fetch = Command::new("go");
        let fetched = fetch.args(["mod", "download"]).current_dir(&source).output()?;
        if !fetched.status.success() {
            let reason = format!("go cannot fetch the modules: {}", first_error(&fetched));
            return Err(Unavailable { backend, reason }.into());
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
}
