//! Many seeds, on all processors, and what came of them together.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use sneck_history::Count;

use crate::mutants::choose;
use crate::plan::Plan;
use crate::verdict::Run;
use crate::world::run;

/// What came of many runs together.
#[derive(Debug, Default)]
pub struct Totals {
    /// How many runs there were.
    pub runs: u64,
    /// How long they lasted, in simulated milliseconds.
    pub lasted_ms: u64,
    /// How often a server has come to lead an ensemble.
    pub reigns: u64,
    /// A number that stands for all their traces, in whatever order they came.
    pub traces: u64,
    /// What was counted in their histories.
    pub counts: BTreeMap<Count, u64>,
    /// Faults by kind.
    pub faults: BTreeMap<String, u64>,
    /// The seeds that failed, and how, in their order.
    pub failures: BTreeMap<u64, Failure>,
}

/// How a run failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The properties that were violated, by their codes.
    pub fault: String,
    /// What happened, in sentences.
    pub text: String,
}

impl Totals {
    /// How often something was counted.
    pub fn count(&self, count: Count) -> u64 {
        self.counts.get(&count).copied().unwrap_or_default()
    }

    fn add(&mut self, seed: u64, outcome: Result<Run, String>) {
        self.runs += 1;
        let run = match outcome {
            Ok(run) => run,
            Err(text) => {
                self.failures.insert(seed, Failure { fault: "panic".into(), text });
                return;
            }
        };
        self.lasted_ms += run.lasted_ms;
        self.reigns += run.reigns;
        self.traces = self.traces.wrapping_add(run.trace.rotate_left(seed as u32 % 64));
        for (count, more) in &run.report.counts {
            *self.counts.entry(*count).or_default() += more;
        }
        for (kind, more) in &run.report.faults {
            *self.faults.entry(kind.clone()).or_default() += more;
        }
        if !run.is_well() {
            let failure = Failure { fault: run.fault(), text: run.to_string() };
            self.failures.insert(seed, failure);
        }
    }
}

/// Runs the plans of these seeds on so many threads, until all are done or so many have failed; under a
/// [deliberate bug](crate::MUTANTS), if one is named.
pub fn campaign(
    seeds: Range<u64>,
    threads: usize,
    failures_max: usize,
    mutant: Option<&'static str>,
) -> Totals {
    let next = AtomicU64::new(seeds.start);
    let totals = Mutex::new(Totals::default());
    let lock = || totals.lock().unwrap_or_else(PoisonError::into_inner);
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                choose(mutant);
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || lock().failures.len() >= failures_max {
                        return;
                    }
                    let outcome = run_safely(&Plan::of_seed(seed), false);
                    lock().add(seed, outcome);
                }
            });
        }
    });
    totals.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a plan; what panics in it, other than in a client, is the error.
pub fn run_safely(plan: &Plan, readable: bool) -> Result<Run, String> {
    catch_unwind(AssertUnwindSafe(|| run(plan, readable))).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "a panic".to_owned())
    })
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hours = self.lasted_ms as f64 / 3_600_000.0;
        writeln!(f, "{:>12}  runs, {hours:.1} simulated hours", self.runs)?;
        writeln!(f, "{:>12}  leaders of ensembles", self.reigns)?;
        for (count, value) in &self.counts {
            writeln!(f, "{value:>12}  {count}")?;
        }
        for (kind, value) in &self.faults {
            writeln!(f, "{value:>12}  faults: {kind}")?;
        }
        writeln!(f, "traces: {:016x}", self.traces)?;
        for (seed, failure) in &self.failures {
            writeln!(f, "cargo xtask sim --seed {seed} --trace   # {}", failure.fault)?;
            write!(f, "{}", failure.text)?;
        }
        Ok(())
    }
}
