//! `cargo xtask kazoo`, which is also a step of `cargo xtask test`: kazoo's own suite, run against
//! `sneck serve`.

use std::path::PathBuf;

use sneck_testkit::StartError;
use sneck_testkit::kazoo::suite::{self, Outcome};

use crate::talk::say;
use crate::workspace::{cargo, root};

/// Runs the suite alone.
pub(crate) fn run() -> bool {
    match suite() {
        Ok(outcome) => {
            say(&outcome);
            outcome.failures().is_empty()
        }
        Err(error) => {
            say(error);
            false
        }
    }
}

/// Runs the suite, and says what went wrong.
///
/// # Errors
///
/// As [`suite::run`].
pub(crate) fn suite() -> Result<Outcome, StartError> {
    let outcome = suite::run(&sneck()?)?;
    for failure in outcome.failures() {
        say(failure);
    }
    Ok(outcome)
}

/// The command line, built if it is not. With the features of the whole workspace, which were just
/// built for the tests.
fn sneck() -> Result<PathBuf, StartError> {
    let status = cargo().args(["build", "--workspace", "--bin", "sneck"]).status()?;
    if !status.success() {
        return Err(StartError::Failed("sneck cannot be built".to_owned()));
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root().join("target"), PathBuf::from);
    Ok(root().join(target).join("debug/sneck"))
}
