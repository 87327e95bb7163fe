//! Going through a small world, and telling what was seen.

use std::fmt;
use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model};

use crate::setting::Setting;
use crate::world::{Action, World};

/// What came of going through a world.
#[derive(Debug)]
pub struct Report {
    /// States that differ.
    pub states: usize,
    /// States that were come to, each as often as it was.
    pub steps: usize,
    /// The longest way from the beginning.
    pub depth: usize,
    /// How long it took.
    pub took: Duration,
    /// What has to hold and does not, each with a way to where it does not.
    pub violations: Vec<Violation>,
    /// What has to be possible and was not seen.
    pub unseen: Vec<&'static str>,
}

/// Something that has to hold and does not.
pub struct Violation {
    /// What has to hold.
    pub property: &'static str,
    /// The way there.
    pub actions: Vec<Action>,
    /// Where it leads.
    pub end: World,
}

/// Goes through all of it, or until `states_max` have been come to, or something is wrong.
///
/// Depth first: what is still to be looked at is then no longer than the way, and of what has been seen
/// only a fingerprint of eight bytes is kept.
pub fn explore(setting: &Setting, threads: usize, states_max: Option<usize>) -> Report {
    let began = Instant::now();
    let mut checker = setting.clone().checker().threads(threads);
    checker = checker.finish_when(HasDiscoveries::AnyFailures);
    if let Some(states_max) = states_max {
        checker = checker.target_state_count(states_max);
    }
    let checker = checker.spawn_dfs().join();
    let found = checker.discoveries();
    let mut violations = Vec::new();
    let mut unseen = Vec::new();
    for property in setting.properties() {
        let fails = property.expectation.discovery_is_failure();
        match found.get(property.name) {
            Some(path) if fails => violations.push(Violation {
                property: property.name,
                actions: path.clone().into_actions(),
                end: path.last_state().clone(),
            }),
            None if !fails => unseen.push(property.name),
            _ => {}
        }
    }
    Report {
        states: checker.unique_state_count(),
        steps: checker.state_count(),
        depth: checker.max_depth(),
        took: began.elapsed(),
        violations,
        unseen,
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { states, steps, depth, took, .. } = self;
        write!(f, "{states} states, {steps} steps, depth {depth}, {:.1} s", took.as_secs_f64())?;
        for violation in &self.violations {
            write!(f, "\n{violation:?}")?;
        }
        for unseen in &self.unseen {
            write!(f, "\nnot seen: {unseen}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "violated: {}, after", self.property)?;
        for action in &self.actions {
            writeln!(f, "  {action:?}")?;
        }
        write!(f, "{:?}", self.end)
    }
}
