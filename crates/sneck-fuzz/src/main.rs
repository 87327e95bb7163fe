//! `sneck-fuzz`: mutants of the corpus for as long as wanted, and the examples it began with.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use sneck_fuzz::hunt::{self, Defect};
use sneck_fuzz::{TARGETS, Target, corpus, examples};

const USAGE: &str = "\
usage: sneck-fuzz run ROUNDS SEED [TARGET]...   mutants of the corpus, all targets unless named
       sneck-fuzz for MINUTES SEED [TARGET]...  the same with one seed after the other until the time is up
       sneck-fuzz try TARGET FILE...            these inputs
       sneck-fuzz examples                      writes the inputs the corpus began with";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match &arguments[..] {
        ["run", rounds, seed, targets @ ..] => run(rounds, seed, targets),
        ["for", minutes, seed, targets @ ..] => run_for(minutes, seed, targets),
        ["try", target, files @ ..] => try_files(target, files),
        ["examples"] => write_examples(),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            say(&text);
            ExitCode::FAILURE
        }
    }
}

fn run(rounds: &str, seed: &str, names: &[&str]) -> Result<(), String> {
    let (rounds, seed) = (number(rounds)?, number(seed)?);
    for target in named(names)? {
        let defect = hunt::mutants(target, rounds, seed).map_err(|error| error.to_string())?;
        defect.map_or(Ok(()), |defect| Err(kept(&defect)))?;
        say(&format!("{}: {rounds} mutants from seed {seed}", target.name));
    }
    Ok(())
}

fn run_for(minutes: &str, seed: &str, names: &[&str]) -> Result<(), String> {
    let (time, seed) = (Duration::from_secs(60 * number(minutes)?), number(seed)?);
    let hunted = hunt::until_over(&named(names)?, time, seed).map_err(|error| error.to_string())?;
    hunted.defect.map_or(Ok(()), |defect| Err(kept(&defect)))?;
    say(&format!("{} mutants of each target, up to seed {}", hunted.mutants, hunted.seed));
    Ok(())
}

/// What is said of a defect, whose input is kept for the corpus.
fn kept(defect: &Defect) -> String {
    format!("{defect}\n{}", keep(defect.target, &defect.bytes))
}

/// The targets of these names; all, where there are none.
fn named(names: &[&str]) -> Result<Vec<&'static Target>, String> {
    match names {
        [] => Ok(TARGETS.iter().collect()),
        names => names.iter().map(|name| find(name)).collect(),
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| USAGE.to_owned())
}

fn try_files(target: &str, files: &[&str]) -> Result<(), String> {
    let target = find(target)?;
    for file in files {
        let bytes = std::fs::read(file).map_err(|error| format!("{file}: {error}"))?;
        attempt(target, &bytes)?;
    }
    Ok(())
}

fn write_examples() -> Result<(), String> {
    let told = |error: std::io::Error| error.to_string();
    for target in TARGETS {
        let folder = corpus::folder(target.name);
        std::fs::create_dir_all(&folder).map_err(told)?;
        for (number, example) in examples::of(target.name).iter().enumerate() {
            std::fs::write(folder.join(format!("example-{number:02}")), example).map_err(told)?;
        }
    }
    Ok(())
}

fn find(name: &str) -> Result<&'static Target, String> {
    let known = || TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(", ");
    sneck_fuzz::target(name).ok_or_else(|| format!("no target {name:?}; there are {}", known()))
}

/// Runs an input. One that panics is kept for the corpus.
fn attempt(target: &Target, bytes: &[u8]) -> Result<(), String> {
    let done = std::panic::catch_unwind(|| (target.run)(bytes));
    done.map_err(|_| keep(target.name, bytes))
}

fn keep(target: &str, bytes: &[u8]) -> String {
    let file = format!("{target}.panic");
    let kept = std::fs::write(&file, bytes);
    let kept = kept.map_or_else(|error| error.to_string(), |()| "kept".to_owned());
    format!("{target} panics; the input is in {file} ({kept})")
}

fn say(text: &str) {
    // With nobody to read it there is nothing to be said.
    let _ = writeln!(std::io::stderr(), "{text}");
}
