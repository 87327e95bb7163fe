//! What could not be tested, said aloud.
//!
//! A test that needs a server this machine cannot run does not fail, and does not pass in silence
//! either: it writes a line that `cargo xtask test` prints at its end. Where the environment
//! variable `SNECK_REQUIRE` names the backend, it fails.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use crate::jars::target_folder;

/// Names the backends that must be tested, separated by commas.
pub const REQUIRE: &str = "SNECK_REQUIRE";
/// Names the file that skips are written to; `cargo xtask test` sets it.
pub const SKIPS: &str = "SNECK_SKIPS";
/// What a test says that could not begin: its failure shows nothing about what it is there to show.
pub const NO_SERVER: &str = "a server of the test did not start";

/// A backend that cannot be had on this machine, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable {
    /// `zookeeper`, `curator` for the Java peer, or what else of the machine is needed.
    pub backend: &'static str,
    /// For a person: what is missing.
    pub reason: String,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.backend, self.reason)
    }
}

impl std::error::Error for Unavailable {}

/// Why a server did not start.
#[derive(Debug)]
pub enum StartError {
    /// This machine lacks what is needed to run it; a test may be skipped for it.
    Unavailable(Unavailable),
    /// It should have started. The text holds the end of its log where there is one.
    Failed(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Unavailable(unavailable) => unavailable.fmt(f),
            StartError::Failed(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for StartError {}

impl From<Unavailable> for StartError {
    fn from(unavailable: Unavailable) -> StartError {
        StartError::Unavailable(unavailable)
    }
}

impl From<std::io::Error> for StartError {
    fn from(error: std::io::Error) -> StartError {
        StartError::Failed(error.to_string())
    }
}

/// Whether `SNECK_REQUIRE` names this backend.
pub fn is_required(backend: &str) -> bool {
    let required = std::env::var(REQUIRE).unwrap_or_default();
    required.split(',').any(|name| name.trim() == backend)
}

/// Records that the calling test could not run; `place` says where in the source it gave up.
///
/// # Panics
///
/// When `SNECK_REQUIRE` names the backend, or when the record cannot be written: a skip that
/// nobody hears of is worse than a failure.
pub fn report(unavailable: &Unavailable, place: &str) {
    assert!(
        !is_required(unavailable.backend),
        "{REQUIRE} names a backend that cannot be tested here: {unavailable}"
    );
    let Unavailable { backend, reason } = unavailable;
    // The test harness names each test's thread after it; the place alone may be a shared function.
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("unnamed");
    let reason = reason.replace(['\n', '\t'], " ");
    let line = format!("{backend}\t{reason}\t{test} at {place}\n");
    let path = file();
    // One write of a short line to a file opened for appending does not mix with others.
    let written = path
        .parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| OpenOptions::new().create(true).append(true).open(&path))
        .and_then(|mut file| file.write_all(line.as_bytes()));
    if let Err(error) = written {
        panic!("cannot record a skipped test in {}: {error}", path.display());
    }
}

/// Where skips are written: the file named by `SNECK_SKIPS`, or one in the target folder.
pub fn file() -> PathBuf {
    match std::env::var_os(SKIPS) {
        Some(path) => PathBuf::from(path),
        None => target_folder().join("servers").join("skipped-tests"),
    }
}

/// Unwraps the result of starting a server, or ends the test.
///
/// Where the server cannot be had on this machine, the test is recorded as skipped and returns;
/// any other failure panics. For use in functions that return nothing.
///
/// ```no_run
/// use sneck_testkit::{or_skip, zookeeper};
///
/// async fn a_test() {
///     let server = or_skip!(zookeeper::shared(zookeeper::Version::V3_9).await);
///     println!("{}", server.connect_string());
/// }
/// ```
#[macro_export]
macro_rules! or_skip {
    ($started:expr) => {
        match $started {
            Ok(started) => started,
            Err($crate::StartError::Unavailable(unavailable)) => {
                $crate::skip::report(&unavailable, concat!(module_path!(), ":", line!()));
                return;
            }
            Err($crate::StartError::Failed(reason)) => {
                panic!("{}: {reason}", $crate::skip::NO_SERVER)
            }
        }
    };
}
