//! P6: a holder that dies is followed in time.
//!
//! The bound is a session, a tick of the store and some slack; and an election, where the store was
//! under a fault meanwhile. As with wakeups the time counts in which a waiter and the store were
//! well at a stretch, and so was everybody who may stand in line between: whoever of those dies or
//! is cut off keeps a place for a session of its own. Exclusive holders only: after the death of one
//! reader the others may go on. For each death those are looked at who wait for that lock.

use std::collections::{BTreeSet, HashMap};

use super::{Checker, ms, who};
use crate::report::{Latency, Property, Report};
use crate::story::{Attempt, Moment, Story};
use crate::{Entry, Event, Mode};

#[derive(Debug, Default)]
pub(super) struct Takeover {
    /// The locks whose last holder is dead.
    deaths: HashMap<usize, Death>,
    /// The last attempt that was granted each lock.
    holders: HashMap<usize, u64>,
}

#[derive(Debug, Clone, Copy)]
struct Death {
    at: Moment,
    holder: u64,
}

impl Checker for Takeover {
    fn see(&mut self, entry: &Entry, story: &Story, report: &mut Report) {
        match &entry.event {
            Event::Healed { .. } => self.bury(story),
            Event::Granted { attempt, .. } => {
                let Some(attempt) = story.attempt(*attempt) else { return };
                self.holders.insert(attempt.lock, attempt.id);
                if let Some(death) = self.deaths.remove(&attempt.lock) {
                    let since = death.at.max(attempt.asked);
                    report.measure(Latency::Takeover, story.end.ns - since.ns);
                    let waiting = std::iter::once(attempt).chain(story.waiting(attempt.lock));
                    judge_first_late(death, waiting, story, report);
                }
            }
            Event::Refused { attempt } | Event::Unsure { attempt } | Event::Cancel { attempt } => {
                let Some(attempt) = story.attempt(*attempt) else { return };
                if let Some(death) = self.deaths.get(&attempt.lock).copied()
                    && attempt.end.is_some_and(|(at, _)| at == story.end)
                {
                    judge_first_late(death, [attempt], story, report);
                }
            }
            _ => {}
        }
    }

    fn conclude(&mut self, story: &Story, report: &mut Report) {
        let mut deaths: Vec<_> = self.deaths.iter().collect();
        deaths.sort_by_key(|(lock, _)| **lock);
        for (lock, death) in deaths {
            judge_first_late(*death, story.waiting(*lock), story, report);
        }
    }
}

impl Takeover {
    /// Remembers the locks of a client that is now known to be gone.
    fn bury(&mut self, story: &Story) {
        let Some(client) = story.health.just_gone() else { return };
        for attempt in story.open(client) {
            let is_last = self.holders.get(&attempt.lock) == Some(&attempt.id);
            if is_last && attempt.granted.is_some() && attempt.mode == Mode::Exclusive {
                self.deaths.insert(attempt.lock, Death { at: story.end, holder: attempt.id });
            }
        }
    }
}

/// Says it once for each death, of the first who waited for too long.
fn judge_first_late<'a>(
    death: Death,
    waiting: impl IntoIterator<Item = &'a Attempt>,
    story: &Story,
    report: &mut Report,
) {
    for attempt in waiting {
        let bounds = story.header.bounds;
        let since = death.at.max(attempt.asked);
        let election = story.health.store_was_ill(death.at.ns, story.end.ns);
        let election_ns = if election { bounds.election_ns } else { 0 };
        let bound = bounds.session_ns + bounds.tick_ns + bounds.slack_ns + election_ns;
        let well_among = |others: &BTreeSet<u32>| {
            let health = &story.health;
            health.longest_well_among_ns(attempt.client, others, since.ns, story.end.ns)
        };
        // Mostly nobody is late, and then it does not matter who is in between.
        if well_among(&BTreeSet::new()) <= bound {
            continue;
        }
        let well = well_among(&between(death, attempt, bound, story));
        if well > bound {
            let sentence = format!(
                "{} waited for {:?} for {} ms after its holder, attempt {}, was dead; the bound is \
                 {} ms",
                who(attempt),
                story.name(attempt.lock),
                ms(well),
                death.holder,
                ms(bound)
            );
            let seqs = [death.at.seq, attempt.asked.seq, story.end.seq];
            return report.violate(Property::Takeover, &seqs, sentence);
        }
    }
}

/// The clients that may have a place between that of a dead holder and a waiter's.
fn between(death: Death, waiter: &Attempt, bound_ns: u64, story: &Story) -> BTreeSet<u32> {
    // Whoever asked after the waiter's place was told of stands behind it; but where places are shared, the
    // place that was told of may be handed on to others until the waiter has to get another one.
    let is_shared = story.header.shared.contains(story.name(waiter.lock));
    let queued = waiter.queued.filter(|_| !is_shared);
    let may_be_ahead = |asked: Moment| queued.is_none_or(|queued| asked < queued);
    // Whoever has given up waiting, and is cut off, has its place for a session all the same.
    let may_be_left = |end: Moment| end.ns.saturating_add(bound_ns) > death.at.ns;
    let others = story.attempts.iter().filter(|other| {
        other.lock == waiter.lock
            && other.client != waiter.client
            && other.granted.is_none_or(|(at, _)| at > death.at)
            && may_be_ahead(other.asked)
            && other.end.is_none_or(|(end, _)| may_be_left(end))
    });
    others.map(|other| other.client).collect()
}
