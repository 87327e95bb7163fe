//! P3: who asks later than another was granted has the larger token.
//!
//! Hazelcast's fenced mutex demands tokens that rise in the order of returns. That is too much: two
//! calls that overlap may return in either order. Here a token has to be larger than those of all
//! grants that had *returned before it was asked for*, and no two may be equal. One pass that keeps
//! the largest token of each lock, O(n).
//!
//! Where clients share places, a reader may join a place that is older than that of another reader, whom it
//! cannot know of without asking the store. Its token has to be larger than those of the writers before it.
//! And a place that an operator has taken away is handed on within its process until that hears of its loss,
//! where others may have larger tokens by then.

use std::collections::HashMap;

use super::Checker;
use crate::report::{Count, Property, Report};
use crate::story::{Attempt, Story};
use crate::{Entry, Event, Mode};

/// A token, and the entry of its grant.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    token: u64,
    seq: u64,
}

#[derive(Debug, Default)]
pub(super) struct Tokens {
    largest: HashMap<usize, Known>,
    /// The same among the grants of writers.
    largest_alone: HashMap<usize, Known>,
    /// The largest token of the lock when an attempt began.
    floors: HashMap<u64, Known>,
    seen: HashMap<(usize, u64), u64>,
}

impl Checker for Tokens {
    fn see(&mut self, entry: &Entry, story: &Story, report: &mut Report) {
        let Some(attempt) = entry.event.attempt().and_then(|id| story.attempt(id)) else {
            return;
        };
        let lock = attempt.lock;
        match &entry.event {
            Event::Acquire { .. } if attempt.asked.seq == entry.seq => {
                let joins =
                    attempt.mode == Mode::Shared && story.header.shared.contains(story.name(lock));
                let largest = if joins { &self.largest_alone } else { &self.largest };
                let floor = largest.get(&lock).copied().unwrap_or_default();
                self.floors.insert(attempt.id, floor);
            }
            Event::Granted { token, .. }
                if attempt.granted.is_some_and(|(at, _)| at.seq == entry.seq) =>
            {
                let known = Known { token: *token, seq: entry.seq };
                self.judge(attempt, known, story, report);
                raise(self.largest.entry(lock).or_default(), known);
                if attempt.mode != Mode::Shared {
                    raise(self.largest_alone.entry(lock).or_default(), known);
                }
            }
            Event::Refused { .. } | Event::Unsure { .. } | Event::Cancel { .. } => {
                self.floors.remove(&attempt.id);
            }
            _ => {}
        }
    }
}

impl Tokens {
    fn judge(&mut self, attempt: &Attempt, new: Known, story: &Story, report: &mut Report) {
        let (id, lock, name) = (attempt.id, attempt.lock, story.name(attempt.lock));
        let Known { token, seq } = new;
        let floor = self.floors.remove(&id).unwrap_or_default();
        if let Some(other) = self.seen.insert((lock, token), seq) {
            let sentence = format!("token {token} of {name:?} was granted twice");
            report.violate(Property::RisingTokens, &[other, seq], sentence);
        } else if token <= floor.token && hands_on_what_is_gone(attempt, new, story) {
            report.add(Count::ExplainedTokens, 1);
        } else if token <= floor.token {
            let sentence = format!(
                "attempt {id} on {name:?} was granted token {token}, and token {} had been granted \
                 before it began",
                floor.token
            );
            report.violate(Property::RisingTokens, &[floor.seq, seq], sentence);
        }
    }
}

/// Whether a place may be shared, and was taken away by somebody else while it was asked for.
fn hands_on_what_is_gone(attempt: &Attempt, new: Known, story: &Story) -> bool {
    let granted = attempt.granted.filter(|(at, _)| at.seq == new.seq);
    let to_ns = granted.map_or(story.end.ns, |(at, _)| at.ns);
    story.header.shared.contains(story.name(attempt.lock))
        && story.health.was_robbed(attempt.client, attempt.asked.ns, to_ns)
}

fn raise(largest: &mut Known, known: Known) {
    if largest.token < known.token {
        *largest = known;
    }
}
