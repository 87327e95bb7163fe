//! `cargo xtask differential`: the long form of the comparison with Apache ZooKeeper.

use clap::Args;

use crate::talk::say;
use crate::workspace::cargo;

/// The variables by which the test is told.
const OPS: &str = "SNECK_DIFFERENTIAL_OPS";
const SEED: &str = "SNECK_DIFFERENTIAL_SEED";

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Operations for each seed.
    #[arg(long, default_value_t = 35_000)]
    ops: u64,
    /// What the operations are made from; can be given several times.
    #[arg(long = "seed", value_name = "SEED", default_values_t = [1, 3, 77])]
    seeds: Vec<u64>,
}

/// Sends the same operations to Apache ZooKeeper and to sneck's server, once for each seed, also
/// after one of them has shown a difference.
pub(crate) fn run(arguments: &Arguments) -> bool {
    let mut well = true;
    for seed in &arguments.seeds {
        let mut test = cargo();
        test.args(["test", "--release", "--package", "sneck-server", "--test", "differential"]);
        // Where there is no Java nothing would be compared, which must not look like a success.
        test.args(["--", "--nocapture"]).env("SNECK_REQUIRE", "zookeeper");
        test.env(OPS, arguments.ops.to_string()).env(SEED, seed.to_string());
        match test.status() {
            Ok(status) => well &= status.success(),
            Err(error) => {
                say(format_args!("cargo test: {error}"));
                return false;
            }
        }
    }
    say(format_args!("{} operations on {} seeds", arguments.ops, arguments.seeds.len()));
    well
}
