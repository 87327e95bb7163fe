//! `cargo xtask test`: everything there is to check, and what could not be.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use sneck_testkit::skip::{self, REQUIRE, SKIPS};
use sneck_testkit::zookeeper::{self, ENSEMBLE_VARIABLE, Ensemble, Version};
use sneck_testkit::{StartError, Unavailable, cassandra, curator, go, kazoo};

use crate::talk::say;
use crate::tidy;
use crate::workspace::cargo;

/// The crates whose tests take minutes: processes, faults and time.
const LONG: [&str; 2] = ["sneck-e2e", "sneck-chaos"];

/// The command line as it is installed, and chaos on what it can be installed for; what is built by default has
/// fewer stores.
const EVERY_STORE: &str = "sneck-cli/full,sneck-chaos/redis,sneck-chaos/cassandra";

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Leave out the long tests, those of whole processes under faults and kazoo's own suite, and the
    /// documentation.
    #[arg(long)]
    quick: bool,
    /// Run only tests whose name contains this, and no other check.
    filter: Option<String>,
}

/// Runs all checks, also after one failed, and sums up.
pub(crate) async fn run(arguments: &Arguments) -> bool {
    let mut report = Report::default();
    let servers = start_servers(&mut report).await;
    // A skip of an earlier run is none of this one.
    let _ = std::fs::remove_file(skip::file());
    if arguments.filter.is_none() {
        report.step("cargo fmt", &mut command(["fmt", "--all", "--check"]));
        report.done("cargo xtask tidy", Instant::now(), tidy::run());
        let mut clippy = command(["clippy", "--workspace", "--all-targets"]);
        clippy.args(["--features", EVERY_STORE, "--", "-D", "warnings"]);
        report.step("cargo clippy", &mut clippy);
    }
    report.step("cargo test", &mut tests(arguments, &servers));
    drop(servers);
    if arguments.filter.is_none() && !arguments.quick {
        fuzz(&mut report);
        run_kazoo(&mut report);
        let mut doc = command(["doc", "--workspace", "--no-deps", "--features", EVERY_STORE]);
        report.step("cargo doc", doc.env("RUSTDOCFLAGS", "-D warnings"));
    }
    report.collect_skips();
    report.conclude()
}

fn command<const N: usize>(args: [&str; N]) -> Command {
    let mut cargo = cargo();
    cargo.args(args);
    cargo
}

fn tests(arguments: &Arguments, servers: &[(&'static str, Ensemble)]) -> Command {
    let mut tests = command(["test", "--workspace", "--no-fail-fast", "--features", EVERY_STORE]);
    if arguments.quick {
        tests.args(LONG.into_iter().flat_map(|long| ["--exclude", long]));
    }
    tests.args(&arguments.filter).env(SKIPS, skip::file());
    for (variable, ensemble) in servers {
        tests.env(variable, ensemble.connect_string());
    }
    tests
}

/// Gives every target of the fuzzer its share of a minute, from a seed that nobody had before. It is said, and what is
/// found says how it is found again. Built as the other tests are, with what is checked in a debug build.
fn fuzz(report: &mut Report) {
    const SECONDS: u64 = 60;
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs());
    let mut minute = command(["test", "--workspace", "--features", EVERY_STORE]);
    minute.args(["--test", "minute", "--", "--nocapture"]);
    minute.env("SNECK_FUZZ_SECONDS", SECONDS.to_string());
    minute.env("SNECK_FUZZ_SEED", seed.to_string());
    report.step(&format!("fuzz, for {SECONDS} s from seed {seed}"), &mut minute);
}

/// Runs what kazoo's authors expect of a server. After the other tests, as waiting is what it tests.
fn run_kazoo(report: &mut Report) {
    const NAME: &str = "kazoo's own suite";
    say(format_args!("== {NAME}"));
    let began = Instant::now();
    match crate::kazoo::suite() {
        Ok(outcome) => {
            report.done(&format!("{NAME} ({outcome})"), began, outcome.failures().is_empty());
        }
        Err(error) => report.not_started(NAME, error),
    }
}

/// Fetches and compiles what tests need, and starts the servers they share. What is not to be had
/// goes into the report; the tests that need it will be skipped.
async fn start_servers(report: &mut Report) -> Vec<(&'static str, Ensemble)> {
    let began = Instant::now();
    if let Err(error) = curator::prepare() {
        report.not_started("Curator", error);
    }
    if let Err(error) = kazoo::prepare() {
        report.not_started("kazoo", error);
    }
    if let Err(error) = go::prepare() {
        report.not_started("go-zookeeper", error);
    }
    if let Err(error) = cassandra::prepare() {
        report.not_started("Cassandra", error);
    }
    let mut servers = Vec::new();
    let wanted = [
        (Version::V3_8.variable(), Version::V3_8, 1),
        (Version::V3_9.variable(), Version::V3_9, 1),
        (ENSEMBLE_VARIABLE, Version::V3_9, 3),
    ];
    for (variable, version, nodes) in wanted {
        match zookeeper::shared_builder(version).nodes(nodes).start().await {
            Ok(ensemble) => servers.push((variable, ensemble)),
            Err(error) => report.not_started(variable, error),
        }
    }
    let running = servers.iter().map(|(_, ensemble)| ensemble.nodes()).sum::<usize>();
    say(format_args!("{running} shared servers run after {:.1} s", began.elapsed().as_secs_f64()));
    servers
}

/// How the run went.
#[derive(Debug, Default)]
struct Report {
    steps: Vec<(String, bool)>,
    /// By backend and reason, the tests that did not run for it.
    untested: BTreeMap<(String, String), BTreeSet<String>>,
}

impl Report {
    fn step(&mut self, name: &str, command: &mut Command) {
        say(format_args!("== {name}"));
        let began = Instant::now();
        let well = match command.status() {
            Ok(status) => status.success(),
            Err(error) => {
                say(format_args!("{name}: {error}"));
                false
            }
        };
        self.done(name, began, well);
    }

    fn done(&mut self, name: &str, began: Instant, well: bool) {
        let seconds = began.elapsed().as_secs_f64();
        let how = if well { "passed" } else { "FAILED" };
        self.steps.push((format!("{name}: {how} ({seconds:.1} s)"), well));
    }

    fn not_started(&mut self, what: &str, error: StartError) {
        match error {
            StartError::Unavailable(Unavailable { backend, reason }) => {
                self.untested.entry((backend.to_owned(), reason)).or_default();
            }
            StartError::Failed(reason) => {
                say(&reason);
                self.steps.push((format!("{what}: did not start"), false));
            }
        }
    }

    /// Adds what the tests themselves wrote down.
    fn collect_skips(&mut self) {
        let text = std::fs::read_to_string(skip::file()).unwrap_or_default();
        for line in text.lines() {
            let mut fields = line.splitn(3, '\t').map(str::to_owned);
            let (Some(backend), Some(reason), Some(test)) =
                (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            self.untested.entry((backend, reason)).or_default().insert(test);
        }
    }

    fn conclude(&self) -> bool {
        say("== summary");
        for (line, _) in &self.steps {
            say(line);
        }
        let mut well = self.steps.iter().all(|(_, well)| *well);
        for ((backend, reason), tests) in &self.untested {
            say(format_args!("not tested: {backend}: {reason} (skipped tests: {})", tests.len()));
            if skip::is_required(backend) {
                say(format_args!("{REQUIRE} names {backend}, so this is a failure"));
                well = false;
            }
        }
        if self.untested.is_empty() {
            say("no test was skipped for want of a backend");
        }
        well
    }
}
