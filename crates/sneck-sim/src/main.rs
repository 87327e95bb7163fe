//! `cargo xtask sim`: many seeds, or one to look at.

#![allow(clippy::print_stdout, reason = "it is a program, and this is what it has to say")]

use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use sneck_sim::{MUTANTS, Plan, Witness, campaign, choose, run_safely, shrink};

/// Runs the shipped client and server under simulated networks, disks, clocks and operators.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask sim")]
struct Arguments {
    /// How many seeds to run.
    #[arg(long, default_value_t = 2_000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Run this seed alone, and show what came of it.
    #[arg(long, conflicts_with = "plan")]
    seed: Option<u64>,
    /// Run the plan of this file alone.
    #[arg(long)]
    plan: Option<PathBuf>,
    /// With one plan: show everything that happens.
    #[arg(long)]
    trace: bool,
    /// With one plan that fails: make it smaller, and write it to this file.
    #[arg(long, value_name = "FILE")]
    shrink: Option<PathBuf>,
    /// With one plan: write what happened to this file, for `cargo xtask history check`.
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// Run the seeds under each deliberate bug, or the one of this name, until one of them shows it. With one
    /// plan: run it under the one of this name.
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "")]
    mutants: Option<String>,
    /// How many to run at the same time; as many as there are processors.
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let well = match one_plan(&arguments) {
        Ok(Some(plan)) => look_at(&plan, &arguments),
        Ok(None) => Ok(many(&arguments)),
        Err(error) => Err(error),
    };
    match well {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn one_plan(arguments: &Arguments) -> Result<Option<Plan>, String> {
    if let Some(file) = &arguments.plan {
        let text = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let plan = serde_json::from_slice(&text);
        return plan.map(Some).map_err(|error| format!("{}: {error}", file.display()));
    }
    Ok(arguments.seed.map(Plan::of_seed))
}

fn look_at(plan: &Plan, arguments: &Arguments) -> Result<bool, String> {
    if let Some(name) = &arguments.mutants {
        let mutant = MUTANTS.iter().find(|mutant| mutant.name == name);
        choose(Some(mutant.ok_or_else(|| format!("no deliberate bug {name:?}"))?.name));
    }
    let run = run_safely(plan, arguments.trace)?;
    run.lines.iter().for_each(|line| println!("{line}"));
    println!("{run}{}\ntrace {:016x}", run.report, run.trace);
    let write = |file: &PathBuf, text: &[u8]| {
        std::fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
    };
    if let Some(file) = &arguments.history {
        write(file, &run.history())?;
    }
    if let Some(file) = &arguments.shrink {
        /// Enough for most to come to an end, in a few minutes.
        const RUNS_MAX: usize = 2_000;
        let small = shrink(plan, RUNS_MAX);
        let text = serde_json::to_string_pretty(&small).map_err(|error| error.to_string())?;
        write(file, text.as_bytes())?;
        println!("{}", run_safely(&small, true)?.lines.join("\n"));
    }
    Ok(run.is_well())
}

fn many(arguments: &Arguments) -> bool {
    /// After so many failures there is enough to look at.
    const FAILURES_MAX: usize = 20;
    let began = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = arguments.threads.unwrap_or(threads);
    let seeds = arguments.from..arguments.from.saturating_add(arguments.seeds);
    if let Some(name) = &arguments.mutants {
        return hunt(seeds, threads, name);
    }
    let totals = campaign(seeds, threads, FAILURES_MAX, None);
    println!("{totals}{:>12.1}  seconds", began.elapsed().as_secs_f64());
    totals.failures.is_empty()
}

/// Looks for the first seed that shows each deliberate bug.
fn hunt(seeds: Range<u64>, threads: usize, name: &str) -> bool {
    let mut all = true;
    for mutant in MUTANTS.iter().filter(|mutant| name.is_empty() || mutant.name == name) {
        if let Witness::Test { file, name: test } = mutant.seen_by {
            println!("| {} | {} | {file}, {test} |", mutant.name, mutant.known_from);
            continue;
        }
        let began = Instant::now();
        let totals = campaign(seeds.clone(), threads, 1, Some(mutant.name));
        let shown = match totals.failures.first_key_value() {
            Some((seed, failure)) => format!("{} | {}", seed + 1 - seeds.start, failure.fault),
            None => "not seen | ".to_owned(),
        };
        let (name, seconds) = (mutant.name, began.elapsed().as_secs_f64());
        println!("| {name} | {} | {shown} | {seconds:.1} s |", mutant.known_from);
        all &= !totals.failures.is_empty();
    }
    all
}
