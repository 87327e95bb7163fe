//! `cargo xtask model`: goes through small worlds, and through larger ones for as long as wanted.

#![allow(clippy::print_stdout, reason = "it is a program, and this is what it has to say")]

use std::process::ExitCode;

use clap::Parser;
use sneck_model::{MUTANTS, Setting, explore, large, small};

/// Comes to every state of small worlds of locks, over the shipped state machines.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask model")]
struct Arguments {
    /// The worlds to go through; all small ones unless named.
    #[arg(value_name = "WORLD")]
    worlds: Vec<String>,
    /// All large ones as well: this takes hours, and gigabytes.
    #[arg(long)]
    large: bool,
    /// With this deliberate bug.
    #[arg(long, value_name = "NAME")]
    mutant: Option<String>,
    /// Look for each deliberate bug in the world that shows it.
    #[arg(long)]
    mutants: bool,
    /// Stop in each world after so many steps.
    #[arg(long, value_name = "STEPS")]
    steps: Option<usize>,
    /// How many threads go through one world.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let well = if arguments.mutants { look_for_mutants(&arguments) } else { go(&arguments) };
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn go(arguments: &Arguments) -> bool {
    let (mut states, mut well) = (0, true);
    let named = !arguments.worlds.is_empty();
    for setting in
        small().into_iter().chain(large().into_iter().filter(|_| named || arguments.large))
    {
        if named && !arguments.worlds.iter().any(|name| name == setting.name) {
            continue;
        }
        let setting = Setting { mutant: mutant(arguments), ..setting };
        let report = explore(&setting, arguments.threads, arguments.steps);
        println!("{}: {report}", setting.name);
        states += report.states;
        well &= report.violations.is_empty();
    }
    println!("{states} states in all");
    well && states > 0
}

fn mutant(arguments: &Arguments) -> Option<&'static str> {
    let name = arguments.mutant.as_ref()?;
    MUTANTS.iter().find(|mutant| mutant.name == name).map(|mutant| mutant.name)
}

fn look_for_mutants(arguments: &Arguments) -> bool {
    let mut well = true;
    for mutant in MUTANTS {
        let setting = small().into_iter().find(|setting| setting.name == mutant.world);
        let Some(setting) = setting else { return false };
        let report = explore(&setting.with_mutant(mutant.name), arguments.threads, arguments.steps);
        match report.violations.first() {
            Some(seen) => println!(
                "| `{}` | {} | {} | {} | {} |",
                mutant.name,
                mutant.world,
                report.states,
                seen.actions.len(),
                seen.property
            ),
            None => println!("{} is not seen in {}: {report}", mutant.name, mutant.world),
        }
        well &= !report.violations.is_empty();
    }
    well
}
