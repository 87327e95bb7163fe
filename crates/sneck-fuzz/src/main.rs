//! `sneck-fuzz`: mutants of the corpus for as long as wanted, and the examples it began with.

use std::io::Write as _;
use std::process::ExitCode;

use sneck_fuzz::random::Random;
use sneck_fuzz::{TARGETS, Target, corpus, examples, mutator};

const USAGE: &str = "\
usage: sneck-fuzz run ROUNDS SEED [TARGET]...   mutants of the corpus, all targets unless named
       sneck-fuzz try TARGET FILE...            these inputs
       sneck-fuzz examples                      writes the inputs the corpus began with";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match &arguments[..] {
        ["run", rounds, seed, targets @ ..] => run(rounds, seed, targets),
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
    let number = |text: &str| text.parse::<u64>().map_err(|_| USAGE.to_owned());
    let (rounds, seed) = (number(rounds)?, number(seed)?);
    let mut targets: Vec<&Target> =
        names.iter().map(|name| find(name)).collect::<Result<_, _>>()?;
    if targets.is_empty() {
        targets = TARGETS.iter().collect();
    }
    for target in targets {
        let inputs = corpus::inputs(target.name).map_err(|error| error.to_string())?;
        let inputs: Vec<Vec<u8>> = inputs.into_iter().map(|(_, bytes)| bytes).collect();
        let mut random = Random::new(seed);
        for _ in 0..rounds {
            let mutant = mutator::mutant(&inputs, &mut random);
            attempt(target, &mutant)?;
        }
        say(&format!("{}: {rounds} mutants from seed {seed}", target.name));
    }
    Ok(())
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
    match std::panic::catch_unwind(|| (target.run)(bytes)) {
        Ok(()) => Ok(()),
        Err(_) => {
            let file = format!("{}.panic", target.name);
            let kept = std::fs::write(&file, bytes);
            let kept = kept.map_or_else(|error| error.to_string(), |()| "kept".to_owned());
            Err(format!("{} panics; the input is in {file} ({kept})", target.name))
        }
    }
}

fn say(text: &str) {
    // With nobody to read it there is nothing to be said.
    let _ = writeln!(std::io::stderr(), "{text}");
}
