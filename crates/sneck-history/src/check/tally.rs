//! Counts and times that are no judgements.

use std::collections::HashMap;

use super::Checker;
use crate::report::{Count, Latency, Report};
use crate::story::{Moment, Story};
use crate::{Entry, Event};

#[derive(Debug, Default)]
pub(super) struct Tally {
    /// The last release of each lock that nobody has followed yet.
    releases: HashMap<usize, Moment>,
}

impl Checker for Tally {
    fn see(&mut self, entry: &Entry, story: &Story, report: &mut Report) {
        report.add(Count::Entries, 1);
        let count = match &entry.event {
            Event::Acquire { .. } => Count::Attempts,
            Event::Granted { attempt, .. } => {
                self.grant(*attempt, story, report);
                Count::Grants
            }
            Event::Release { attempt } => {
                if let Some(attempt) = story.attempt(*attempt) {
                    self.releases.insert(attempt.lock, story.end);
                }
                return;
            }
            Event::Expired { .. } => Count::Expiries,
            Event::Leader { .. } => Count::Leaders,
            Event::Fault { kind, .. } => {
                *report.faults.entry(kind.clone()).or_default() += 1;
                Count::Faults
            }
            Event::Write { admitted: true, .. } => Count::Writes,
            Event::Write { admitted: false, .. } => Count::RefusedWrites,
            _ => return,
        };
        report.add(count, 1);
    }

    fn conclude(&mut self, story: &Story, report: &mut Report) {
        if story.quiet.is_none() {
            report.unjudged.push("P5: what is left over at the end: there is no `quiet`".into());
        }
    }
}

impl Tally {
    fn grant(&mut self, attempt: u64, story: &Story, report: &mut Report) {
        let Some(attempt) = story.attempt(attempt) else { return };
        report.measure(Latency::Wait, story.end.ns - attempt.asked.ns);
        let release = self.releases.remove(&attempt.lock);
        if let Some(release) = release.filter(|release| attempt.asked < *release) {
            report.add(Count::Handoffs, 1);
            report.measure(Latency::Handoff, story.end.ns - release.ns);
        }
    }
}
