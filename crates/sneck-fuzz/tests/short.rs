//! The corpus, and the same mutants of it each time.

use std::fmt::Display;
use std::panic::catch_unwind;

use sneck_fuzz::random::Random;
use sneck_fuzz::{TARGETS, Target, corpus, examples, mutator, target};

/// Mutants for each target: some seconds in all without optimisation.
const ROUNDS: usize = 4_000;
const SEED: u64 = 0x5eed;

fn run(target: &Target, what: impl Display, bytes: &[u8]) {
    if catch_unwind(|| (target.run)(bytes)).is_err() {
        let shown: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        panic!("{}: {what} makes it panic: {shown}", target.name);
    }
}

/// Tries every other target.
fn nothing_does_harm(first: usize) {
    for target in TARGETS.iter().skip(first).step_by(2) {
        let inputs = corpus::inputs(target.name).expect("each target has a corpus");
        for (name, bytes) in &inputs {
            run(target, name, bytes);
        }
        let inputs: Vec<Vec<u8>> = inputs.into_iter().map(|(_, bytes)| bytes).collect();
        let mut random = Random::new(SEED);
        for round in 0..ROUNDS {
            let mutant = mutator::mutant(&inputs, &mut random);
            run(target, format_args!("mutant {round}"), &mutant);
        }
    }
}

#[test]
fn nothing_in_the_corpus_and_no_mutant_of_it_does_harm() {
    nothing_does_harm(0);
}

/// Apart, so that two processors share the work.
#[test]
fn nor_is_there_any_that_harms_the_other_targets() {
    nothing_does_harm(1);
}

/// An example that no decoder takes any more would leave its target with nothing to do.
#[test]
fn the_corpus_begins_with_what_is_right() {
    for target in TARGETS {
        let inputs = corpus::inputs(target.name).expect("each target has a corpus");
        let examples = examples::of(target.name);
        assert!(!examples.is_empty(), "{}", target.name);
        for example in examples {
            let is_there = inputs.iter().any(|(_, bytes)| *bytes == example);
            assert!(is_there, "{}: `sneck-fuzz examples` writes what is missing", target.name);
        }
    }
}

/// A target that cannot fail would pass for ever.
#[test]
fn a_defect_is_seen() {
    let defect = Target { name: "defect", run: |bytes| assert!(bytes.len() != 3) };
    assert!(catch_unwind(|| run(&defect, "three bytes", b"abc")).is_err());
    run(&defect, "two bytes", b"ab");
    assert!(target("requests").is_some() && target("defect").is_none());
}
