//! P8: readers and writers exclude each other, and a change of mode ends in one of the two modes.
//!
//! That no reader passes a writer who waits is judged with the order of grants, in `bypass.rs`;
//! that two writers exclude each other is P2. A sweep over holds, O(n log n).

use super::{Checker, Overlap, overlap_sentence, weigh};
use crate::report::{Count, Property, Report};
use crate::story::{Hold, Story};
use crate::{Entry, Event, Mode};

#[derive(Debug)]
pub(super) struct Readers;

impl Checker for Readers {
    fn see(&mut self, entry: &Entry, story: &Story, report: &mut Report) {
        let Event::Converted { attempt, to } = &entry.event else { return };
        let Some(attempt) = story.attempt(*attempt) else { return };
        let before = attempt.conversions.iter().rev().nth(1).and_then(|earlier| earlier.done);
        let before = before.map_or(attempt.mode, |(_, mode)| mode);
        if let Some(last) = attempt.conversions.last()
            && *to != last.wanted
            && *to != before
        {
            let sentence = format!(
                "{} asked for {:?} and got {to:?}, which it did not have before either",
                super::who(attempt),
                last.wanted
            );
            report.violate(Property::ReadersAndWriters, &[last.asked.seq, entry.seq], sentence);
        }
    }

    fn conclude(&mut self, story: &Story, report: &mut Report) {
        let (mut reader, mut writer): (Option<Hold<'_>>, Option<Hold<'_>>) = (None, None);
        for hold in story.holds() {
            let same = |other: &Hold<'_>| other.attempt.lock == hold.attempt.lock;
            (reader, writer) = (reader.filter(same), writer.filter(same));
            let overlaps =
                |other: &Hold<'_>| hold.from < other.to && other.attempt.id != hold.attempt.id;
            let (own, other) = match hold.mode {
                Mode::Exclusive => (&mut writer, reader),
                Mode::Shared => (&mut reader, writer),
                Mode::Permits { .. } => continue,
            };
            if let Some(other) = other.filter(overlaps) {
                match weigh(&other, &hold, story) {
                    Overlap::Counted(count) => report.add(count, 1),
                    Overlap::Violation => report.violate(
                        Property::ReadersAndWriters,
                        &[other.from.seq, hold.from.seq],
                        overlap_sentence(&other, &hold, story),
                    ),
                }
            }
            if hold.mode == Mode::Shared && own.as_ref().is_some_and(overlaps) {
                report.add(Count::SharedOverlaps, 1);
            }
            if own.is_none_or(|own| own.to < hold.to) {
                *own = Some(hold);
            }
        }
    }
}
