//! P12: who gives up waiting leaves nothing behind.
//!
//! After a future was dropped its attempt is granted nothing, writes nothing, and has no place once
//! client and store were well for the bound. That the next in line is woken is P5. Where to drop is
//! for whoever makes the history: a simulator can do it at every poll. O(n).

use std::collections::{BTreeMap, HashSet};

use super::{Checker, ms, who};
use crate::report::{Property, Report};
use crate::story::{Attempt, End, Moment, Story};
use crate::{Entry, Event};

#[derive(Debug, Default)]
pub(super) struct Cancel {
    /// The places there are: whose, and since when.
    places: BTreeMap<u64, (u64, Moment)>,
    seen: HashSet<u64>,
}

impl Checker for Cancel {
    fn see(&mut self, entry: &Entry, story: &Story, report: &mut Report) {
        match &entry.event {
            Event::Placed { attempt, place, .. } => {
                self.places.insert(*place, (*attempt, story.end));
            }
            Event::Vacated { place } => {
                if let Some((attempt, since)) = self.places.remove(place) {
                    judge(attempt, *place, since, story, report);
                }
            }
            Event::Granted { attempt, .. } => self.acts("was granted", *attempt, story, report),
            Event::Extended { attempt, .. } => self.acts("was extended", *attempt, story, report),
            Event::Check { attempt, held: true } => {
                self.acts("was said to hold", *attempt, story, report);
            }
            Event::Write { attempt, admitted: true, .. } => {
                self.acts("wrote", *attempt, story, report);
            }
            _ => {}
        }
    }

    fn conclude(&mut self, story: &Story, report: &mut Report) {
        for (place, (attempt, since)) in &self.places {
            judge(*attempt, *place, *since, story, report);
        }
    }
}

impl Cancel {
    /// Something was done that only a holder does.
    fn acts(&mut self, what: &str, attempt: u64, story: &Story, report: &mut Report) {
        let Some((attempt, cancelled)) = cancelled(attempt, story) else { return };
        if self.seen.insert(attempt.id) {
            let name = story.name(attempt.lock);
            let sentence = format!("{} {what} on {name:?} after it had given up", who(attempt));
            report.violate(Property::CleanCancel, &[cancelled.seq, story.end.seq], sentence);
        }
    }
}

fn cancelled(attempt: u64, story: &Story) -> Option<(&Attempt, Moment)> {
    let attempt = story.attempt(attempt)?;
    match attempt.end {
        Some((at, End::Cancelled)) => Some((attempt, at)),
        _ => None,
    }
}

/// Judges a place that was there until now.
fn judge(attempt: u64, place: u64, since: Moment, story: &Story, report: &mut Report) {
    let Some((attempt, cancelled)) = cancelled(attempt, story) else { return };
    let since = since.max(cancelled);
    let bound = story.header.bounds.cancel_ns;
    let well = story.health.longest_well_ns(attempt.client, since.ns, story.end.ns);
    if well > bound {
        let sentence = format!(
            "place {place} of {} was there for {} ms without a fault after it had given up; the \
             bound is {} ms",
            who(attempt),
            ms(well),
            ms(bound)
        );
        let seqs = [cancelled.seq, since.seq, story.end.seq];
        report.violate(Property::CleanCancel, &seqs, sentence);
    }
}
