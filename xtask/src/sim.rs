//! `cargo xtask sim`: the shipped client and server, simulated from seeds.

use clap::Args;

use crate::talk::say;
use crate::workspace::cargo;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// `--seeds N [--from S]`, or `--seed S [--trace] [--shrink FILE]`; `--help` says more.
    #[arg(value_name = "OPTION", trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

/// Hands everything to the simulator's own program, with optimisation: it runs many.
pub(crate) fn run(arguments: &Arguments) -> bool {
    let mut sim = cargo();
    sim.args(["run", "--quiet", "--release", "--package", "sneck-sim", "--"]);
    match sim.args(&arguments.options).status() {
        Ok(status) => status.success(),
        Err(error) => {
            say(format_args!("{sim:?}: {error}"));
            false
        }
    }
}
