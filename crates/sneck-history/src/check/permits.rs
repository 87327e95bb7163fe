//! P9: never more permits than there are, and after the end exactly as many.
//!
//! Hazelcast's semaphore model, decided by a sweep with a heap of the ends of holds, O(n log n). How
//! many permits there are is what the history declares, or else what the first who asked said; who
//! is granted with another number in mind was not checked by the store.
//!
//! That no permit leaked shows only if somebody takes all of them after [`Event::Quiet`].

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};

use super::{Checker, Overlap, weigh};
use crate::report::{Property, Report};
use crate::story::{Attempt, Hold, Moment, Story};
use crate::{Entry, Event, Mode};

#[derive(Debug, Default)]
pub(super) struct Permits {
    /// For each semaphore how many permits it had, and from when on.
    declared: HashMap<usize, Vec<(Moment, u32)>>,
}

impl Checker for Permits {
    fn see(&mut self, entry: &Entry, story: &Story, _report: &mut Report) {
        let at = Moment { ns: entry.at_ns, seq: entry.seq };
        match &entry.event {
            Event::Permits { lock, of } => {
                self.declared.entry(story.lock(lock)).or_default().push((at, *of));
            }
            Event::Acquire { lock, mode: Mode::Permits { of, .. }, .. } => {
                self.declared.entry(story.lock(lock)).or_insert_with(|| vec![(at, *of)]);
            }
            _ => {}
        }
    }

    fn conclude(&mut self, story: &Story, report: &mut Report) {
        let holds = story.holds();
        let of_semaphores = |hold: &&Hold<'_>| matches!(hold.mode, Mode::Permits { .. });
        let holds: Vec<&Hold<'_>> = holds.iter().filter(of_semaphores).collect();
        for holds in holds.chunk_by(|one, other| one.attempt.lock == other.attempt.lock) {
            self.sweep(holds, story, report);
        }
        self.leaks(story, report);
    }
}

impl Permits {
    fn sweep(&self, holds: &[&Hold<'_>], story: &Story, report: &mut Report) {
        let mut ends: BinaryHeap<Reverse<(Moment, usize)>> = BinaryHeap::new();
        let mut taken = 0;
        for (index, hold) in holds.iter().enumerate() {
            while let Some(Reverse((end, ended))) = ends.peek().copied()
                && end <= hold.from
            {
                taken -= u64::from(take(holds[ended].attempt));
                ends.pop();
            }
            taken += u64::from(take(hold.attempt));
            self.agrees(hold, story, report);
            let most = self.in_force(hold).max().unwrap_or_default();
            if taken > u64::from(most) {
                let others: Vec<&Hold<'_>> =
                    ends.iter().map(|Reverse((_, index))| holds[*index]).collect();
                too_many(hold, &others, taken, most, story, report);
            }
            ends.push(Reverse((hold.to, index)));
        }
    }

    /// The numbers of permits in force from when a hold was asked for until it was granted.
    fn in_force<'a>(&'a self, hold: &Hold<'_>) -> impl Iterator<Item = u32> + 'a {
        let (asked, granted) = (hold.attempt.asked, hold.from);
        let declared = self.declared.get(&hold.attempt.lock).map(Vec::as_slice).unwrap_or_default();
        let first = declared.partition_point(|(from, _)| *from <= asked).saturating_sub(1);
        let last = declared.partition_point(|(from, _)| *from < granted).max(first);
        declared[first..last.max((first + 1).min(declared.len()))].iter().map(|(_, of)| *of)
    }

    fn agrees(&self, hold: &Hold<'_>, story: &Story, report: &mut Report) {
        let Mode::Permits { of, .. } = hold.attempt.mode else { return };
        if !self.in_force(hold).any(|declared| declared == of) {
            let sentence = format!(
                "{} was granted permits of {:?} as one of {of}, and there are {}",
                super::who(hold.attempt),
                story.name(hold.attempt.lock),
                self.in_force(hold).next().unwrap_or_default(),
            );
            let seqs = [hold.attempt.asked.seq, hold.from.seq];
            report.violate(Property::PermitCount, &seqs, sentence);
        }
    }

    /// Judges whoever asked for all permits after the end.
    fn leaks(&self, story: &Story, report: &mut Report) {
        let Some(quiet) = story.quiet else { return };
        let locks: BTreeMap<usize, u32> = self
            .declared
            .iter()
            .filter_map(|(lock, declared)| Some((*lock, declared.last()?.1)))
            .collect();
        let mut probed: HashSet<usize> = HashSet::new();
        for attempt in story.attempts.iter().rev().take_while(|attempt| attempt.asked > quiet) {
            if Some(&take(attempt)) != locks.get(&attempt.lock) {
                continue;
            }
            probed.insert(attempt.lock);
            if attempt.granted.is_none() {
                let sentence = format!(
                    "nobody holds permits of {:?} any more, and {} did not get all {} of them",
                    story.name(attempt.lock),
                    super::who(attempt),
                    take(attempt),
                );
                report.violate(Property::PermitCount, &[quiet.seq, attempt.asked.seq], sentence);
            }
        }
        for lock in locks.keys().filter(|lock| !probed.contains(lock)) {
            let name = story.name(*lock);
            let note =
                format!("P9: whether permits of {name:?} leaked: nobody took all at the end");
            report.unjudged.push(note);
        }
    }
}

fn too_many(
    hold: &Hold<'_>,
    others: &[&Hold<'_>],
    taken: u64,
    most: u32,
    story: &Story,
    report: &mut Report,
) {
    for other in others {
        if let Overlap::Counted(count) = weigh(other, hold, story) {
            return report.add(count, 1);
        }
    }
    let sentence = format!(
        "{} was granted permits of {:?}, and with it {taken} of {most} are taken",
        super::who(hold.attempt),
        story.name(hold.attempt.lock),
    );
    let mut seqs: Vec<u64> = others.iter().map(|other| other.from.seq).collect();
    seqs.push(hold.from.seq);
    seqs.sort_unstable();
    report.violate(Property::PermitCount, &seqs, sentence);
}

fn take(attempt: &Attempt) -> u32 {
    match attempt.mode {
        Mode::Permits { take, .. } => take,
        _ => 0,
    }
}
