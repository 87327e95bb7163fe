//! P6: a holder that dies is followed in time.
//!
//! The bound is a session, a tick of the store and some slack; and an election, where the store was
//! under a fault meanwhile. As with wakeups the time counts in which a waiter and the store were
//! well at a stretch, and only since the last of those has died who may stand in line between: each of their
//! places goes with a session of its own. Exclusive holders only: after the death of one reader the others may go
//! on. For each death those are looked at who wait for that lock.

use std::collections::HashMap;

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

#[derive(Debug, Clone)]
struct Death {
    at: Moment,
    holder: u64,
    /// When those who died later, and before they were granted it, had asked for the lock, and died.
    between: Vec<(Moment, Moment)>,
}

impl Death {
    /// Since when nobody has died who may stand in line between the dead holder and a waiter.
    fn since(&self, waiter: &Attempt) -> Moment {
        // Whoever asked after the waiter's place was told of stands behind it.
        let may_be_ahead = |asked: &Moment| waiter.queued.is_none_or(|queued| *asked < queued);
        let died = self.between.iter().filter(|(asked, _)| may_be_ahead(asked));
        died.map(|(_, died)| *died).fold(self.at.max(waiter.asked), Moment::max)
    }
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
                    judge_first_late(&death, waiting, story, report);
                }
            }
            Event::Refused { attempt } | Event::Unsure { attempt } | Event::Cancel { attempt } => {
                let Some(attempt) = story.attempt(*attempt) else { return };
                if let Some(death) = self.deaths.get(&attempt.lock)
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
            judge_first_late(death, story.waiting(*lock), story, report);
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
                let death = Death { at: story.end, holder: attempt.id, between: Vec::new() };
                self.deaths.insert(attempt.lock, death);
            } else if attempt.granted.is_none()
                && let Some(death) = self.deaths.get_mut(&attempt.lock)
            {
                death.between.push((attempt.asked, story.end));
            }
        }
    }
}

/// Says it once for each death, of the first who waited for too long.
fn judge_first_late<'a>(
    death: &Death,
    waiting: impl IntoIterator<Item = &'a Attempt>,
    story: &Story,
    report: &mut Report,
) {
    for attempt in waiting {
        let bounds = story.header.bounds;
        let since = death.since(attempt);
        let election = story.health.store_was_ill(death.at.ns, story.end.ns);
        let election_ns = if election { bounds.election_ns } else { 0 };
        let bound = bounds.session_ns + bounds.tick_ns + bounds.slack_ns + election_ns;
        let well = story.health.longest_well_ns(attempt.client, since.ns, story.end.ns);
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
