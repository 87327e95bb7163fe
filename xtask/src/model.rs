//! `cargo xtask model`: every order of events in small worlds of locks.

use clap::Args;

use crate::talk::say;
use crate::workspace::cargo;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Names of worlds, `--large`, `--mutants`, `--steps N`, `--threads N`; `--help` says more.
    #[arg(value_name = "OPTION", trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

/// Hands everything to the model's own program, with optimisation: there are many states.
pub(crate) fn run(arguments: &Arguments) -> bool {
    let mut model = cargo();
    model.args(["run", "--quiet", "--release", "--package", "sneck-model", "--"]);
    match model.args(&arguments.options).status() {
        Ok(status) => status.success(),
        Err(error) => {
            say(format_args!("{model:?}: {error}"));
            false
        }
    }
}
