//! Mutants of a target's corpus: so many from a seed, or for so long from one seed after the other.

use std::fmt;
use std::io;
use std::panic::catch_unwind;
use std::time::{Duration, Instant};

use crate::random::Random;
use crate::{Target, corpus, mutator};

/// How many mutants of a target there are from a seed before it is the next one's turn, where it goes by time.
pub const ROUNDS: u64 = 2_000;

/// An input that makes a target panic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defect {
    /// The name of the target.
    pub target: &'static str,
    /// What the mutants were made from.
    pub seed: u64,
    /// Which of them it is, from 1 on.
    pub round: u64,
    /// The input.
    pub bytes: Vec<u8>,
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Defect { target, seed, round, .. } = self;
        write!(f, "{target} panics: cargo xtask fuzz --seed {seed} --rounds {round} {target}")
    }
}

/// Tries so many mutants from a seed, the same ones each time.
///
/// # Errors
///
/// When the target has no corpus.
pub fn mutants(target: &'static Target, rounds: u64, seed: u64) -> io::Result<Option<Defect>> {
    let inputs = corpus::inputs(target.name)?;
    let inputs: Vec<Vec<u8>> = inputs.into_iter().map(|(_, bytes)| bytes).collect();
    let mut random = Random::new(seed);
    for round in 1..=rounds {
        let bytes = mutator::mutant(&inputs, &mut random);
        if catch_unwind(|| (target.run)(&bytes)).is_err() {
            return Ok(Some(Defect { target: target.name, seed, round, bytes }));
        }
    }
    Ok(None)
}

/// What came of a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hunted {
    /// How many mutants of each target were tried.
    pub mutants: u64,
    /// The last seed.
    pub seed: u64,
    /// What was found, which ends it.
    pub defect: Option<Defect>,
}

/// Tries mutants of each target from a seed, then of each from the next, until the time is up: so all get
/// their share of it, and once at least.
///
/// # Errors
///
/// When a target has no corpus.
pub fn until_over(targets: &[&'static Target], time: Duration, seed: u64) -> io::Result<Hunted> {
    let began = Instant::now();
    let mut hunted = Hunted { mutants: 0, seed, defect: None };
    loop {
        for target in targets {
            hunted.defect = mutants(target, ROUNDS, hunted.seed)?;
            if hunted.defect.is_some() {
                return Ok(hunted);
            }
        }
        hunted.mutants += ROUNDS;
        if began.elapsed() >= time {
            return Ok(hunted);
        }
        hunted.seed = hunted.seed.wrapping_add(1);
    }
}
