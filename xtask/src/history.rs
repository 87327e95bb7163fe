//! `cargo xtask history`: what happened to locks, written down and judged.

use std::process::Command;

use clap::Args;

use crate::talk::say;
use crate::workspace::cargo;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// `check FILE...`, `sample SEED ENTRIES CLIENTS FILE` or `arbitrate SOCKET FILE [HEADER]`.
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true)]
    command: Vec<String>,
}

/// Hands everything to the judge's own program, with optimisation: histories are long.
pub(crate) fn run(arguments: &Arguments) -> bool {
    let mut history = judge();
    match history.args(&arguments.command).status() {
        Ok(status) => status.success(),
        Err(error) => {
            say(format_args!("{history:?}: {error}"));
            false
        }
    }
}

fn judge() -> Command {
    let mut judge = cargo();
    judge.args(["run", "--quiet", "--release", "--package", "sneck-history", "--"]);
    judge
}
