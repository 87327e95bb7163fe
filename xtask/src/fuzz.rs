//! `cargo xtask fuzz`: the decoders under mutants of their corpus, or under libFuzzer.

use std::process::Command;

use clap::Args;

use crate::talk::say;
use crate::workspace::{cargo, root};

/// What makes the compiler count which code an input reaches. All of it works on a stable compiler,
/// and so there is no need for `cargo fuzz`.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
     -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";
/// libFuzzer is linked to what it is to watch, and that alone is instrumented: not build scripts.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Mutants for each target.
    #[arg(long, default_value_t = 1_000_000)]
    rounds: u64,
    /// Go on for so long instead, with one seed after the other.
    #[arg(long, conflicts_with = "rounds")]
    minutes: Option<u64>,
    /// What the mutants are made from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Let libFuzzer look for inputs that reach new code, for so many seconds for each target. It goes
    /// on from where it was last time. Needs a C++ compiler.
    #[arg(long, value_name = "SECONDS")]
    coverage: Option<u32>,
    /// What to try; all there is unless named.
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
}

/// Runs until something panics, which is said with the input, or to the end.
pub(crate) fn run(arguments: &Arguments) -> bool {
    match arguments.coverage {
        Some(seconds) => names(arguments).iter().all(|target| cover(target, seconds)),
        None => {
            let (verb, much) = match arguments.minutes {
                Some(minutes) => ("for", minutes),
                None => ("run", arguments.rounds),
            };
            let how = [verb.to_owned(), much.to_string(), arguments.seed.to_string()];
            succeeds(fuzz().args(how).args(&arguments.targets))
        }
    }
}

/// The mutants' own program, with optimisation.
fn fuzz() -> Command {
    let mut fuzz = cargo();
    fuzz.args(["run", "--quiet", "--release", "--package", "sneck-fuzz", "--"]);
    fuzz
}

/// The targets to try, of which the corpus has a folder each.
fn names(arguments: &Arguments) -> Vec<String> {
    if !arguments.targets.is_empty() {
        return arguments.targets.clone();
    }
    let folders = std::fs::read_dir(root().join("crates/sneck-fuzz/corpus"));
    let folders = folders.into_iter().flatten().flatten();
    let mut names: Vec<String> =
        folders.map(|folder| folder.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Lets libFuzzer work on the corpus in a folder of its own: it finds thousands of inputs, of which
/// only those that show a defect belong into the repository.
fn cover(target: &str, seconds: u32) -> bool {
    say(format_args!("== {target}"));
    let corpus = root().join("crates/sneck-fuzz/corpus").join(target);
    let found = root().join("target/fuzz").join(target);
    if let Err(error) = std::fs::create_dir_all(&found) {
        say(format_args!("{}: {error}", found.display()));
        return false;
    }
    let artifacts = format!("-artifact_prefix={}/../panic-{target}-", found.display());
    let time = format!("-max_total_time={seconds}");
    let mut driver = cargo();
    driver.current_dir(root().join("fuzz"));
    driver.args(["run", "--quiet", "--release", "--target", TRIPLE, "--"]);
    driver.args(["-max_len=4096", "-timeout=10", "-verbosity=0", "-print_final_stats=1"]);
    driver.args([&time, &artifacts]).arg(&found).arg(&corpus);
    driver.env("CARGO_TARGET_DIR", root().join("target/libfuzzer"));
    driver.env("RUSTFLAGS", COVERAGE).env("SNECK_FUZZ_TARGET", target);
    succeeds(&mut driver)
}

fn succeeds(command: &mut Command) -> bool {
    match command.status() {
        Ok(status) => status.success(),
        Err(error) => {
            say(format_args!("{command:?}: {error}"));
            false
        }
    }
}
