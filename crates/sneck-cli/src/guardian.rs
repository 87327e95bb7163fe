//! The process that frees what we hold when we are killed.
//!
//! It is this program once more, started as `sneck __guardian`. It is dispatched before the command line is
//! parsed, and so has no place in help and completions.

use crate::background;
use crate::failure::Failure;
use crate::server::ServerUrl;
use crate::verb::detach::{kept_environment, own_program};
use sneck::guardian::Guardian;
use sneck::zookeeper::ZooKeeper;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The hidden subcommand.
pub(crate) const VERB: &str = "__guardian";

/// Starts one for this backend. What a secret is goes through a pipe, and never by its arguments or its
/// environment.
///
/// # Errors
/// When it cannot be started.
pub(crate) fn start(zookeeper: &ZooKeeper, url: &ServerUrl) -> Result<Guardian, Failure> {
    let mut command = Command::new(own_program());
    command.arg0("sneck").arg(VERB).env_clear().envs(kept_environment());
    Ok(Guardian::start(zookeeper, url.secret(), command)?)
}

/// Is one.
///
/// # Errors
/// When it cannot be.
pub(crate) fn serve() -> Result<(), Failure> {
    // A pipe that a script reads would not end before we do.
    background::close_the_rest();
    Ok(sneck::guardian::serve()?)
}
