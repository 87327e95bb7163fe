//! `cargo xtask chaos`: real servers and clients under every fault a machine can make.

use clap::Args;

use crate::talk::say;
use crate::workspace::cargo;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// `--minutes M`, `--hours H` or `--faults N`, `--seed S`, `--backend
    /// zookeeper|embedded|redis|cassandra`,
    /// `--recipe set`, `--others` and more; `--help` after `--` tells all of them.
    #[arg(value_name = "OPTIONS", trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

/// Hands everything to the program that does it, with optimisation: what is slow sees few faults.
pub(crate) fn run(arguments: &Arguments) -> bool {
    let mut chaos = cargo();
    chaos.args(["run", "--quiet", "--release", "--package", "sneck-chaos"]);
    chaos.args(features(&arguments.options)).arg("--");
    match chaos.args(&arguments.options).status() {
        Ok(status) => status.success(),
        Err(error) => {
            say(format_args!("{chaos:?}: {error}"));
            false
        }
    }
}

/// What the program has in it only where it is asked for, as it takes minutes to build: stores, by their names,
/// and libraries of others.
const FEATURES: [&str; 3] = ["redis", "cassandra", "others"];

fn features(options: &[String]) -> Vec<&'static str> {
    let names = |option: &str, name: &str| {
        let word = option.trim_start_matches("--backend=").trim_start_matches("--");
        // Jepsen's recipe is done with the libraries of others, too.
        word == name || (name == "others" && word.starts_with("recipe"))
    };
    let asked = |name: &&str| options.iter().any(|option| names(option, name));
    FEATURES.into_iter().filter(asked).flat_map(|name| ["--features", name]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_built_in_where_it_is_asked_for() {
        let of = |line: &str| features(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert!(of("--backend zookeeper --seed 2").is_empty());
        assert_eq!(of("--backend embedded --others"), ["--features", "others"]);
        assert_eq!(of("--recipe set"), ["--features", "others"]);
        assert_eq!(of("--backend redis --faults 20"), ["--features", "redis"]);
        assert_eq!(of("--backend=cassandra"), ["--features", "cassandra"]);
    }
}
