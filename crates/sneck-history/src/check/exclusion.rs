//! P2: two holders never believe in one lock at the same time.
//!
//! The mutex model of Jepsen's and Hazelcast's tests, decided by a sweep over holds instead of a
//! search over orders: a hold is a time in which the client *certainly* believed, so two that
//! overlap are a violation in every order. Sorting dominates, O(n log n).

use super::{Checker, Overlap, overlap_sentence, weigh};
use crate::Mode;
use crate::report::{Property, Report};
use crate::story::{Hold, Story};

#[derive(Debug)]
pub(super) struct Exclusion;

impl Checker for Exclusion {
    fn conclude(&mut self, story: &Story, report: &mut Report) {
        let mut longest: Option<Hold<'_>> = None;
        for hold in story.holds().into_iter().filter(|hold| hold.mode == Mode::Exclusive) {
            let lock = hold.attempt.lock;
            let before = longest.filter(|before| before.attempt.lock == lock);
            if let Some(before) = before.filter(|before| hold.from < before.to) {
                overlap(&before, &hold, story, report);
            }
            longest = before.filter(|before| before.to >= hold.to).or(Some(hold));
        }
    }
}

fn overlap(before: &Hold<'_>, hold: &Hold<'_>, story: &Story, report: &mut Report) {
    match weigh(before, hold, story) {
        Overlap::Counted(count) => report.add(count, 1),
        Overlap::Violation => report.violate(
            Property::AdvisoryExclusion,
            &[before.from.seq, hold.from.seq],
            overlap_sentence(before, hold, story),
        ),
    }
}
