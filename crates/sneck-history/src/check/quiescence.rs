//! P5 at the end: every call has returned, and no place is left over.
//!
//! Judged at [`Event::Quiet`], when whoever made the faults says that all are over and that
//! everybody was given time. Whoever was killed need not return; its places have to be gone. Places
//! of those who gave up and live are P12's. O(n).

use std::collections::{BTreeMap, HashMap};

use super::{Checker, who};
use crate::report::{Property, Report};
use crate::story::{Attempt, Story};
use crate::{Entry, Event};

#[derive(Debug, Default)]
pub(super) struct Quiescence {
    /// The places there are: the attempt, and the entry that told of it.
    places: BTreeMap<u64, (u64, u64)>,
    /// Questions without an answer: the client, and the entry.
    questions: HashMap<u64, (u32, u64)>,
}

impl Checker for Quiescence {
    fn see(&mut self, entry: &Entry, story: &Story, report: &mut Report) {
        let client = entry.client.unwrap_or_default();
        match &entry.event {
            Event::Placed { attempt, place, .. } => {
                self.places.insert(*place, (*attempt, entry.seq));
            }
            Event::Vacated { place } => {
                self.places.remove(place);
            }
            Event::Ask { question, .. } => {
                self.questions.insert(*question, (client, entry.seq));
            }
            Event::Answer { question, .. } => {
                self.questions.remove(question);
            }
            Event::Quiet => {
                self.calls(story, report);
                self.orphans(story, report);
            }
            _ => {}
        }
    }
}

impl Quiescence {
    fn calls(&self, story: &Story, report: &mut Report) {
        let lives = |client| story.health.crash_of(client).is_none();
        let now = story.end.seq;
        for attempt in story.attempts.iter().filter(|attempt| lives(attempt.client)) {
            let (call, since) = match attempt.release {
                _ if attempt.waits() => ("the call for the lock", attempt.asked),
                Some(release) if attempt.holds() => ("the release", release),
                _ => continue,
            };
            let (who, name) = (who(attempt), story.name(attempt.lock));
            let sentence = format!("{call} of {who} on {name:?} had not returned at the end");
            report.violate(Property::NoLostWakeup, &[since.seq, now], sentence);
        }
        let mut questions: Vec<_> = self.questions.iter().collect();
        questions.sort();
        for (question, (client, seq)) in questions {
            if lives(*client) {
                let sentence = format!("question {question} of client {client} was never answered");
                report.violate(Property::NoLostWakeup, &[*seq, now], sentence);
            }
        }
    }

    fn orphans(&self, story: &Story, report: &mut Report) {
        for (place, (attempt, seq)) in &self.places {
            let owner = story.attempt(*attempt);
            if owner.is_some_and(|owner| has_a_right(owner, story)) {
                continue;
            }
            let of =
                owner.map_or("of nobody known".to_owned(), |owner| format!("of {}", who(owner)));
            let sentence = format!("place {place} {of} was left over at the end");
            report.violate(Property::NoLostWakeup, &[*seq, story.end.seq], sentence);
        }
    }
}

/// Whether an attempt may have a place at the end, or is to be judged by another property.
fn has_a_right(attempt: &Attempt, story: &Story) -> bool {
    let lives = story.health.crash_of(attempt.client).is_none();
    lives && (attempt.is_cancelled() || attempt.holds() || attempt.waits())
}
