//! Thousands of seeds, whatever failed once, and that a run can be repeated.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;

use sneck_history::Count;
use sneck_sim::{MUTANTS, Mutant, Plan, Witness, campaign, run};

/// Others than those of earlier days are run by `cargo xtask sim`.
const SEEDS: u64 = 1_600;
/// Of those whose plans have more in them.
const WIDER: u64 = 200;
/// Of those whose plans have an ensemble, too.
const ENSEMBLES: u64 = 200;

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[test]
fn no_seed_breaks_a_promise() {
    let totals = campaign(0..SEEDS, threads(), 5, None);
    assert!(totals.failures.is_empty(), "{totals}");
    assert_eq!(totals.runs, SEEDS);
    let wider = campaign(Plan::WIDER_FROM..Plan::WIDER_FROM + WIDER, threads(), 5, None);
    assert!(wider.failures.is_empty() && wider.runs == WIDER, "{wider}");
    assert!(wider.count(Count::Grants) >= WIDER * 25, "{wider}");
    // What has hardly happened has not been tried.
    let enough = |count, least| assert!(totals.count(count) >= least, "{count}:\n{totals}");
    enough(Count::Grants, SEEDS * 25);
    enough(Count::Handoffs, SEEDS * 10);
    enough(Count::Expiries, SEEDS);
    enough(Count::RefusedWrites, SEEDS / 100);
    enough(Count::SharedOverlaps, SEEDS);
    for kind in [
        "crash",
        "cut",
        "hold",
        "pause",
        "refuse",
        "removal",
        "server killed",
        "server paused",
        "slow",
        "slow disk",
        "swallowed replies",
        "swallowed requests",
    ] {
        assert!(
            totals.faults.get(kind).is_some_and(|count| *count >= SEEDS / 10),
            "{kind}:\n{totals}"
        );
    }
}

/// Leaders that die, are stopped or cut off; members that lag behind; clients that move between them.
#[test]
fn no_ensemble_breaks_a_promise() {
    let seeds = Plan::ENSEMBLES_FROM..Plan::ENSEMBLES_FROM + ENSEMBLES;
    let totals = campaign(seeds, threads(), 5, None);
    assert!(totals.failures.is_empty() && totals.runs == ENSEMBLES, "{totals}");
    assert!(totals.reigns >= ENSEMBLES * 3 / 2, "{totals}");
    assert!(totals.count(Count::Grants) >= ENSEMBLES * 25, "{totals}");
    assert!(totals.count(Count::Expiries) >= ENSEMBLES / 2, "{totals}");
    for kind in [
        "leader cut off",
        "leader killed",
        "leader paused",
        "member cut off",
        "member killed",
        "member lags",
        "member paused",
    ] {
        let count = totals.faults.get(kind).copied().unwrap_or_default();
        assert!(count >= ENSEMBLES / 20, "{kind}:\n{totals}");
    }
}

#[test]
fn a_run_can_be_repeated() {
    let mut others = 0;
    for seed in 0..20 {
        let plan = Plan::of_seed(seed);
        let once = run(&plan, false);
        assert_eq!(run(&plan, false).trace, once.trace, "{plan:?}");
        let other = Plan { seed: !seed, ..plan };
        others += u32::from(run(&other, false).trace != once.trace);
    }
    // Whoever shares places may be woken in another order.
    let shares = |plan: &Plan| plan.clients.iter().any(|client| client.sharing.is_some());
    let ensembles = (Plan::ENSEMBLES_FROM..).map(Plan::of_seed).filter(|plan| !shares(plan));
    for plan in ensembles.take(2) {
        assert_eq!(run(&plan, false).trace, run(&plan, false).trace, "{plan:?}");
    }
    // Where everything takes the same time there is little left for a seed to decide.
    assert!(others >= 15, "only {others} of 20 are different with another seed");
}

#[test]
fn a_plan_survives_being_written() {
    for seed in (0..100).chain(Plan::ENSEMBLES_FROM..Plan::ENSEMBLES_FROM + 100) {
        let plan = Plan::of_seed(seed);
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    }
}

/// Each file is a plan that has failed, made as small as it could be while it did.
#[test]
fn what_failed_once_goes_well_now() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let plan: Plan = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let run = run(&plan, false);
        assert!(run.is_well(), "{}: {run}", file.display());
    }
}

/// The deliberate bugs that few seeds are enough for; `cargo xtask sim --mutants` looks for all.
#[test]
fn deliberate_bugs_are_seen() {
    for name in [
        "who-was-ahead-was-the-holder",
        "a-writer-trusts-a-deletion",
        "gone-before-it-is-watched",
        "a-lost-create-was-not-made",
        "an-open-create-is-not-left",
        "a-create-is-open-once-answered",
        "a-token-is-the-number",
        "a-dropped-wait-stays-in-line",
    ] {
        let mutant = MUTANTS.iter().find(|mutant| mutant.name == name).unwrap().name;
        let totals = campaign(0..100, threads(), 1, Some(mutant));
        assert!(!totals.failures.is_empty(), "{mutant} is not seen");
    }
}

/// Each deliberate bug is in the code once or more often; and where a test has to see it, that test is there,
/// and another sees to it that it does.
#[test]
fn every_deliberate_bug_has_its_place_and_its_witness() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let code: String = ["sneck", "sneck-core", "sneck-zookeeper", "sneck-server"]
        .iter()
        .map(|of| sources(&crates.join(of).join("src")))
        .collect();
    for Mutant { name, seen_by, .. } in MUTANTS {
        assert!(code.contains(&format!("mutant!({name:?})")), "{name} is nowhere in the code");
        if let Witness::Test { file, name: test } = seen_by {
            let text = std::fs::read_to_string(crates.join(file)).unwrap();
            assert!(text.contains(&format!("fn {test}()")), "{test} is not in {file}");
            assert!(text.contains(&format!("assert_noticed({name:?}")), "{name} is not tried");
        }
    }
    let names: std::collections::BTreeSet<_> = MUTANTS.iter().map(|mutant| mutant.name).collect();
    assert!(names.len() == MUTANTS.len() && names.len() >= 40, "{}", names.len());
    let switches = code.split("mutant!(\"").skip(1).filter_map(|text| text.split('"').next());
    for switch in switches {
        assert!(names.contains(switch), "{switch} is in the code, and nobody looks for it");
    }
}

/// All that is written in a folder of Rust.
fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for file in std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
        if file.is_dir() {
            text += &sources(&file);
        } else {
            text += &std::fs::read_to_string(file).unwrap();
        }
    }
    text
}
