//! The arguments of `sneck durable`.

use super::{WaitArgs, hold_id};
use clap::{Args, Subcommand};
use sneck::ClaimId;
use std::ffi::OsString;

/// The arguments of `sneck durable`.
#[derive(Debug, Args)]
#[command(after_long_help = ENDING)]
pub(crate) struct DurableArgs {
    #[command(subcommand)]
    pub(crate) action: DurableAction,
}

/// What to do with a durable lock.
#[derive(Debug, Subcommand)]
pub(crate) enum DurableAction {
    /// Take the lock, or take it up again as its owner, and print its fencing token
    Take(TakeArgs),
    /// Free the lock as its owner
    Free(FreeArgs),
    /// Free the lock whoever has it, as a last resort, and leave a record of that
    Force(ForceArgs),
    /// Show who has the lock and why, and who was made to give it up
    Show(ShowArgs),
    /// List the durable locks that are taken
    Ls(DurableLsArgs),
}

/// The arguments of `sneck durable take`.
#[derive(Debug, Args)]
pub(crate) struct TakeArgs {
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
    /// Whose the lock is to be: a name that is known again after a restart
    ///
    /// Whoever says the same name is the same owner, and takes the lock up again with a larger token.
    #[arg(long, value_name = "ID")]
    pub(crate) owner: OsString,
    /// Why, for others to read; at most 256 bytes
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) reason: String,
    /// Print {"name", "token", "owner", "server"} instead of the bare token
    #[arg(long)]
    pub(crate) json: bool,
    /// The lock: segments separated by '/', such as db/migration
    #[arg(value_name = "NAME")]
    pub(crate) name: OsString,
}

/// The arguments of `sneck durable free`.
#[derive(Debug, Args)]
pub(crate) struct FreeArgs {
    /// Whose the lock is
    #[arg(long, value_name = "ID")]
    pub(crate) owner: OsString,
    /// Print {"name", "freed"}
    #[arg(long)]
    pub(crate) json: bool,
    /// The lock: segments separated by '/', such as db/migration
    #[arg(value_name = "NAME")]
    pub(crate) name: OsString,
}

/// The arguments of `sneck durable force`.
#[derive(Debug, Args)]
pub(crate) struct ForceArgs {
    /// The hold that is to be ended, as `sneck durable show` has it
    ///
    /// So that nobody ends another one than he looked at.
    #[arg(long, value_name = "ID", value_parser = hold_id)]
    pub(crate) hold: ClaimId,
    /// Why, for the record; at most 256 bytes
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Print {"name", "freed"}
    #[arg(long)]
    pub(crate) json: bool,
    /// The lock: segments separated by '/', such as db/migration
    #[arg(value_name = "NAME")]
    pub(crate) name: OsString,
}

/// The arguments of `sneck durable show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// The lock: segments separated by '/', such as db/migration
    #[arg(value_name = "NAME")]
    pub(crate) name: OsString,
}

/// The arguments of `sneck durable ls`.
#[derive(Debug, Args)]
pub(crate) struct DurableLsArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

const ENDING: &str = "\
A durable lock stays taken when the process that took it ends, crashes or loses its connection, until
its owner frees it or somebody does by force: for a half-done migration, or a machine that somebody has
to look at. Nothing ends it by time, so most work wants `sneck run`. It is not fair: whoever is quickest
has it. Its names are apart from those of other locks.

Examples:
  token=$(sneck durable take --owner deployer-7 --reason 'schema 12' db/migration)
  sneck durable show db/migration
  sneck durable free --owner deployer-7 db/migration
  sneck durable force --hold 6f0e2c1a-... --reason 'deployer-7 burnt down' db/migration

Exit codes:
  0 done, also when nobody had what was to be freed; 65 when the lock is somebody else's, or held under
  another id; 75 (or -E) when it was not had in time; more in `sneck --help`.

JSON of show: {\"name\", \"held\", \"holder\", \"forced\"}, where holder is null or {\"hold\", \"owner\", \"reason\",
\"since\", \"token\", \"user\", \"host\", \"pid\", \"command\"}, and forced an array, the latest last, of {\"at\",
\"reason\", \"user\", \"host\", \"pid\", \"ended\"}, ended being a holder. JSON of ls: an array of show's.";
