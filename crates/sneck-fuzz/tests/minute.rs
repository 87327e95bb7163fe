//! Mutants of seeds that nobody had before, for as long as `cargo xtask test` gives.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::panic::catch_unwind;
use std::time::Duration;

use sneck_fuzz::hunt::{self, Defect, Hunted, ROUNDS};
use sneck_fuzz::{TARGETS, Target};

/// A number that `cargo xtask test` gives.
fn given(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}

/// The time is that of all processors together, and no processor's is left over. Without any, there is one seed.
#[test]
fn no_mutant_of_a_new_seed_does_harm() {
    let (seconds, seed) = (given("SNECK_FUZZ_SECONDS", 0), given("SNECK_FUZZ_SEED", 1));
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let targets: Vec<&'static Target> = TARGETS.iter().collect();
    let time = Duration::from_secs(seconds) / u32::try_from(processors).unwrap();
    let shares = targets.chunks(targets.len().div_ceil(processors));
    std::thread::scope(|scope| {
        for targets in shares {
            scope.spawn(move || {
                let hunted = hunt::until_over(targets, time, seed).unwrap();
                assert!(hunted.defect.is_none(), "{}", hunted.defect.unwrap());
                let (mutants, last) = (hunted.mutants, hunted.seed);
                let (count, first) = (targets.len(), targets[0].name);
                println!("{count} targets from {first:?}: {mutants} mutants of each, seeds {seed} to {last}");
            });
        }
    });
}

#[test]
fn a_defect_is_found_and_found_again_by_what_is_said_of_it() {
    static BAD: Target = Target { name: "ticket", run: |bytes| assert!(bytes.len() % 16 != 3) };
    let hunted = hunt::until_over(&[&BAD], Duration::ZERO, 7).unwrap();
    let Hunted { mutants: 0, seed: 7, defect: Some(defect) } = hunted else { panic!("{hunted:?}") };
    assert!(catch_unwind(|| (BAD.run)(&defect.bytes)).is_err());
    let Defect { round, .. } = defect;
    assert_eq!(hunt::mutants(&BAD, round, 7).unwrap(), Some(defect.clone()));
    assert_eq!(hunt::mutants(&BAD, round - 1, 7).unwrap(), None);
    assert!(round <= ROUNDS);
    let again = format!("cargo xtask fuzz --seed 7 --rounds {round} ticket");
    assert!(defect.to_string().ends_with(&again), "{defect}");
}
