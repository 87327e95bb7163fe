//! `cargo xtask chaos`: real servers and clients under every fault a machine can make.

use clap::Args;

use crate::talk::say;
use crate::workspace::cargo;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// `--minutes M`, `--hours H` or `--faults N`, `--seed S`, `--backend zookeeper|embedded`,
    /// `--recipe set`, `--others` and more; `--help` after `--` tells all of them.
    #[arg(value_name = "OPTIONS", trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

/// Hands everything to the program that does it, with optimisation: what is slow sees few faults.
pub(crate) fn run(arguments: &Arguments) -> bool {
    let mut chaos = cargo();
    chaos.args(["run", "--quiet", "--release", "--package", "sneck-chaos", "--"]);
    match chaos.args(&arguments.options).status() {
        Ok(status) => status.success(),
        Err(error) => {
            say(format_args!("{chaos:?}: {error}"));
            false
        }
    }
}
