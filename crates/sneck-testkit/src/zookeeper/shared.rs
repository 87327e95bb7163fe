//! Servers that many tests use at once, so that a cheap test costs no JVM.
//!
//! A test on a shared server keeps to paths of its own, and neither kills nor reconfigures it.

use std::time::Duration;

use tokio::sync::OnceCell;

use super::{Builder, Ensemble, Version};
use crate::skip::StartError;

/// Holds the connect string of a three-server ensemble started beforehand.
pub const ENSEMBLE_VARIABLE: &str = "SNECK_TEST_ENSEMBLE";

/// Shared servers grant what a test asks for; tests about limits start a server of their own.
const SESSION_TIMEOUT_MAX: Duration = Duration::from_secs(60);

/// The standalone server of this version that this test process shares.
///
/// It is the one named by [`Version::variable`] where that is set, else it is started now and
/// ends with the process.
///
/// # Errors
///
/// As [`Builder::start`].
pub async fn shared(version: Version) -> Result<&'static Ensemble, StartError> {
    static V3_8: OnceCell<Ensemble> = OnceCell::const_new();
    static V3_9: OnceCell<Ensemble> = OnceCell::const_new();
    let cell = match version {
        Version::V3_8 => &V3_8,
        Version::V3_9 => &V3_9,
    };
    cell.get_or_try_init(|| start(version, version.variable(), 1)).await
}

/// The three servers, of the current version, that this test process shares.
///
/// # Errors
///
/// As [`Builder::start`].
pub async fn shared_ensemble() -> Result<&'static Ensemble, StartError> {
    static ENSEMBLE: OnceCell<Ensemble> = OnceCell::const_new();
    ENSEMBLE.get_or_try_init(|| start(Version::V3_9, ENSEMBLE_VARIABLE, 3)).await
}

async fn start(version: Version, variable: &str, nodes: usize) -> Result<Ensemble, StartError> {
    match std::env::var(variable) {
        Ok(connect_string) if !connect_string.is_empty() => {
            Ensemble::attach(version, &connect_string)
        }
        _ => shared_builder(version).nodes(nodes).start().await,
    }
}

/// What a shared server is like, for those who start one for others.
pub fn shared_builder(version: Version) -> Builder {
    Builder::new(version).session_timeout_max(SESSION_TIMEOUT_MAX).heap_mb(256)
}

/// Fetches what is needed to run this version, so that the first test need not.
///
/// # Errors
///
/// As [`Builder::start`].
pub fn prepare(version: Version) -> Result<(), StartError> {
    version.jars().obtain().map(drop)
}
