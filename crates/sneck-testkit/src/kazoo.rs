//! kazoo, the Python client: a peer to stand in one line with, and its own suite, to be run against
//! another server than it was written for.

mod peer;
pub mod suite;

pub use peer::{Peer, Recipe};

use crate::python;
use crate::skip::StartError;

/// kazoo's name in skips and in `SNECK_REQUIRE`.
pub const BACKEND: &str = "kazoo";

/// Fetches kazoo and what its suite needs, so that the first test need not.
///
/// # Errors
///
/// [`StartError::Unavailable`] where this machine has no Python 3.11 with `venv`, or no packages and
/// no way to fetch them.
pub fn prepare() -> Result<(), StartError> {
    python::interpreter(BACKEND).map(drop)
}
