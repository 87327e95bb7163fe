//! P14: enough has happened to prove anything.
//!
//! As in etcd's robustness tests, where a run with too little traffic fails: a history without
//! contention or faults violates nothing. The floors are in the header, O(1).

use super::Checker;
use crate::report::{Count, Property, Report};
use crate::story::Story;

#[derive(Debug)]
pub(super) struct Floors;

impl Checker for Floors {
    fn conclude(&mut self, story: &Story, report: &mut Report) {
        let floors = &story.header.floors;
        let wanted = [
            (Count::Grants, floors.grants),
            (Count::Handoffs, floors.handoffs),
            (Count::Expiries, floors.expiries),
            (Count::Leaders, floors.leaders),
            (Count::RefusedWrites, floors.refused_writes),
            (Count::SharedOverlaps, floors.shared_overlaps),
        ];
        let counted = wanted.map(|(count, floor)| (count.to_string(), report.count(count), floor));
        let faults = floors.faults.iter().map(|(kind, floor)| {
            let count = report.faults.get(kind).copied().unwrap_or_default();
            (format!("faults of kind {kind:?}"), count, *floor)
        });
        let low: Vec<_> =
            counted.into_iter().chain(faults).filter(|(_, n, floor)| n < floor).collect();
        for (what, count, floor) in low {
            let sentence = format!("{count} {what}, and at least {floor} are demanded");
            report.violate(Property::Floors, &[], sentence);
        }
    }
}
