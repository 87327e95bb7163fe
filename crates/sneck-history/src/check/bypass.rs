//! P7: first come, first served; and the half of P8 by which no reader passes a writer.
//!
//! If the store had told A of its place before B asked, and A and B cannot hold together, then B is
//! not granted before A. Only an A that is granted in the end is judged: one that gave up, expired
//! or died may have been passed. Of two that can hold together the first grant may be told last,
//! so that pairs of them are left out.
//!
//! For each grant the latest asking among the conflicting grants before it is compared with its
//! place: one look, or O(log permits) for semaphores, in a Fenwick tree of maxima.

use std::collections::HashMap;

use super::Checker;
use crate::report::{Count, Property, Report};
use crate::story::{Attempt, Moment, Story};
use crate::{Entry, Event, Mode};

#[derive(Debug, Default)]
pub(super) struct Bypass {
    locks: HashMap<usize, Granted>,
}

/// The latest asking among the grants of a lock, by mode, with the entry of the grant.
#[derive(Debug, Default)]
struct Granted {
    exclusive: Latest,
    shared: Latest,
    permits: Maxima,
}

/// When somebody asked who was granted, and the entry of the grant.
type Latest = Option<(Moment, u64)>;

impl Checker for Bypass {
    fn see(&mut self, entry: &Entry, story: &Story, report: &mut Report) {
        let Event::Granted { attempt, .. } = &entry.event else { return };
        let Some(attempt) = story.attempt(*attempt) else { return };
        if attempt.granted.is_none_or(|(at, _)| at.seq != entry.seq) {
            return;
        }
        let before = self.locks.entry(attempt.lock).or_default();
        if let (Some(queued), Some((granted, _))) = (attempt.queued, attempt.granted) {
            // Whoever comes after a place that is gone does not pass it, also where its owner is told that he
            // holds the lock before he is told that he has lost his place.
            let robbed = story.health.was_robbed(attempt.client, queued.ns, granted.ns);
            for (passing, property) in before.conflicting(attempt.mode) {
                if let Some((asked, seq)) = passing.filter(|(asked, _)| *asked > queued) {
                    if robbed {
                        report.add(Count::ExplainedBypasses, 1);
                        continue;
                    }
                    let seqs = [queued.seq, asked.seq, seq, entry.seq];
                    found(attempt, property, &seqs, story, report);
                }
            }
        }
        before.insert(attempt.mode, (attempt.asked, entry.seq));
    }
}

fn found(
    attempt: &Attempt,
    property: Property,
    seqs: &[u64; 4],
    story: &Story,
    report: &mut Report,
) {
    let is_shared = story.header.shared.contains(story.name(attempt.lock));
    if is_shared || !story.header.claims.fifo {
        return report.add(Count::UnclaimedBypasses, 1);
    }
    let passing = if property == Property::Order { "somebody" } else { "a reader" };
    let sentence = format!(
        "{} had its place in the line of {:?} when {passing} asked who was granted first",
        super::who(attempt),
        story.name(attempt.lock),
    );
    report.violate(property, seqs, sentence);
}

impl Granted {
    /// The latest of each kind of grant that conflicts with a mode, and whose concern it is.
    fn conflicting(&self, mode: Mode) -> [(Latest, Property); 2] {
        let (first, second) = match mode {
            Mode::Exclusive => (self.exclusive, self.shared),
            Mode::Shared => (self.exclusive, None),
            // Together they want more than there are.
            Mode::Permits { take, of } => {
                (self.permits.latest_from(of.saturating_sub(take).saturating_add(1)), None)
            }
        };
        [(first, Property::Order), (second, Property::ReadersAndWriters)]
    }

    fn insert(&mut self, mode: Mode, new: (Moment, u64)) {
        match mode {
            Mode::Exclusive => self.exclusive = self.exclusive.max(Some(new)),
            Mode::Shared => self.shared = self.shared.max(Some(new)),
            Mode::Permits { take, .. } => self.permits.insert(take, new),
        }
    }
}

/// The largest value among those with at least a given key: a Fenwick tree over the keys that
/// occurred, counted from the top.
#[derive(Debug, Default)]
struct Maxima {
    /// Sparse, as a history may name any number of permits.
    nodes: HashMap<u32, (Moment, u64)>,
}

/// Keys from 0 to this; larger ones count as this one.
const KEY_MAX: u32 = 1 << 20;

impl Maxima {
    fn insert(&mut self, key: u32, value: (Moment, u64)) {
        let mut index = KEY_MAX - key.min(KEY_MAX) + 1;
        while index <= KEY_MAX + 1 {
            let node = self.nodes.entry(index).or_insert(value);
            *node = (*node).max(value);
            index += index & index.wrapping_neg();
        }
    }

    fn latest_from(&self, key: u32) -> Latest {
        let mut index = KEY_MAX - key.min(KEY_MAX) + 1;
        let mut latest = None;
        while index > 0 {
            latest = latest.max(self.nodes.get(&index).copied());
            index -= index & index.wrapping_neg();
        }
        latest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maxima_are_those_of_a_plain_search() {
        let mut maxima = Maxima::default();
        let mut plain: Vec<(u32, (Moment, u64))> = Vec::new();
        for (key, ns) in [(3, 7), (1, 90), (8, 2), (4, 40), (KEY_MAX, 1), (u32::MAX, 0), (0, 99)] {
            let value = (Moment::own(ns), ns);
            maxima.insert(key, value);
            plain.push((key, value));
            for from in [0, 1, 2, 3, 4, 5, 8, 9, KEY_MAX] {
                let expected = plain.iter().filter(|(key, _)| *key >= from).map(|(_, v)| *v).max();
                assert_eq!(maxima.latest_from(from), expected, "from {from}");
            }
        }
    }
}
