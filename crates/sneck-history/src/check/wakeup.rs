//! P5: who is first in line is granted in time.
//!
//! The line is the store's own, as an observer tells it; nobody is ahead of its first place, so that
//! whatever the mode, its owner is to be granted. It is too late when owner and store were both well
//! for longer than the bound, at a stretch, and there was no grant. This is leads-to with a bound in
//! place of "eventually". Lines are trees by number, O(n log n).

use std::collections::{BTreeMap, HashMap};

use super::{Checker, ms, who};
use crate::report::{Latency, Property, Report};
use crate::story::{Attempt, Moment, Story};
use crate::{Entry, Event};

#[derive(Debug, Default)]
pub(super) struct Wakeup {
    lines: HashMap<usize, Line>,
    /// The lock in whose line a place is.
    places: HashMap<u64, usize>,
}

#[derive(Debug, Default)]
struct Line {
    /// Who has which place.
    places: BTreeMap<u64, u64>,
    /// The first place, and since when it is the first.
    first: Option<(u64, Moment)>,
}

impl Checker for Wakeup {
    fn see(&mut self, entry: &Entry, story: &Story, report: &mut Report) {
        match &entry.event {
            Event::Placed { lock, attempt, place, .. } => {
                let lock = story.lock(lock);
                self.places.insert(*place, lock);
                let line = self.lines.entry(lock).or_default();
                line.change(story, report, |places| places.insert(*place, *attempt));
            }
            Event::Vacated { place } => {
                let line = self.places.remove(place).and_then(|lock| self.lines.get_mut(&lock));
                if let Some(line) = line {
                    line.change(story, report, |places| places.remove(place));
                }
            }
            Event::Granted { attempt, .. }
            | Event::Refused { attempt }
            | Event::Unsure { attempt }
            | Event::Cancel { attempt } => {
                let attempt = story.attempt(*attempt);
                let Some(attempt) = attempt.filter(|attempt| ended_at(attempt) == story.end) else {
                    return;
                };
                if let Some(line) = self.lines.get(&attempt.lock) {
                    line.settle(attempt, story, report);
                }
            }
            _ => {}
        }
    }

    fn conclude(&mut self, story: &Story, report: &mut Report) {
        if self.lines.is_empty() {
            report.unjudged.push("P5: wakeups: no observer told of places in line".into());
        }
        let mut lines: Vec<_> = self.lines.iter().collect();
        lines.sort_by_key(|(lock, _)| **lock);
        for (_, line) in lines {
            line.judge_first(story, report);
        }
    }
}

impl Line {
    /// Lets places come and go, and judges who was first if that is now somebody else.
    fn change(
        &mut self,
        story: &Story,
        report: &mut Report,
        change: impl FnOnce(&mut BTreeMap<u64, u64>) -> Option<u64>,
    ) {
        let before = self.first.and_then(|(place, _)| self.places.get(&place).copied());
        change(&mut self.places);
        let first = self.places.keys().next().copied();
        if first == self.first.map(|(place, _)| place) {
            return;
        }
        if let (Some((_, since)), Some(attempt)) = (self.first, before) {
            judge(attempt, since, story, report);
        }
        self.first = first.map(|place| (place, story.end));
    }

    fn judge_first(&self, story: &Story, report: &mut Report) {
        if let Some((place, since)) = self.first
            && let Some(attempt) = self.places.get(&place)
        {
            judge(*attempt, since, story, report);
        }
    }

    /// The wait of an attempt is over: judges it if it was the first.
    fn settle(&self, attempt: &Attempt, story: &Story, report: &mut Report) {
        let Some((place, since)) = self.first else { return };
        if self.places.get(&place) != Some(&attempt.id) {
            return;
        }
        if attempt.granted.is_some() {
            report.measure(Latency::Wakeup, story.end.ns.saturating_sub(since.ns));
        }
        late(attempt, since, story, report);
    }
}

/// Judges an attempt that was first until now, unless its wait was over and judged before.
fn judge(attempt: u64, since: Moment, story: &Story, report: &mut Report) {
    if let Some(attempt) = story.attempt(attempt).filter(|attempt| attempt.waits()) {
        late(attempt, since, story, report);
    }
}

fn late(attempt: &Attempt, since: Moment, story: &Story, report: &mut Report) {
    let bound = story.header.bounds.grant_ns;
    let since = since.max(attempt.asked);
    let well = story.health.longest_well_ns(attempt.client, since.ns, story.end.ns);
    if well > bound {
        let sentence = format!(
            "{} was first in the line of {:?} for {} ms without a fault and without a grant; the \
             bound is {} ms",
            who(attempt),
            story.name(attempt.lock),
            ms(well),
            ms(bound)
        );
        report.violate(Property::NoLostWakeup, &[since.seq, story.end.seq], sentence);
    }
}

/// When the wait of an attempt was over.
fn ended_at(attempt: &Attempt) -> Moment {
    let granted = attempt.granted.map(|(at, _)| at);
    granted.or(attempt.end.map(|(at, _)| at)).unwrap_or(Moment::NEVER)
}
