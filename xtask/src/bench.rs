//! `cargo xtask bench`: what a lock costs, in a release build of the crate that measures it.

use clap::Args;

use crate::talk::say;
use crate::workspace::{cargo, root};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Less than a minute instead of less than five, once it is built.
    #[arg(long)]
    quick: bool,
}

/// Builds and runs it; the table goes to standard output, every round to `target/bench`.
pub(crate) fn run(arguments: &Arguments) -> bool {
    let mut bench = cargo();
    bench.args(["run", "--quiet", "--release", "--package", "sneck-bench", "--"]);
    bench.arg("--out").arg(root().join("target/bench"));
    if arguments.quick {
        bench.arg("--quick");
    }
    match bench.status() {
        Ok(status) => status.success(),
        Err(error) => {
            say(format_args!("cargo run: {error}"));
            false
        }
    }
}
