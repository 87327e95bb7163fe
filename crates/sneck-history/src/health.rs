//! Who was under which fault, and when.

use std::collections::{BTreeSet, HashMap};

use crate::story::{Moment, class, is_crash};
use crate::{CLOCK, PAUSE, REMOVAL};

/// The faults of a history, by whom they befell.
#[derive(Debug, Default)]
pub(crate) struct Health {
    timelines: HashMap<(Scope, Ill), Timeline>,
    open: HashMap<u64, (Scope, String)>,
    crashes: HashMap<u32, Moment>,
    /// When each client that was killed was known to be gone.
    gone: HashMap<u32, Moment>,
    /// When operators began to take places of a client away, in order.
    removals: HashMap<u32, Vec<Moment>>,
    /// The clients that are known to be gone, in the order in which they went.
    last_gone: Option<u32>,
}

/// A client, or the store with everybody.
type Scope = Option<u32>;

/// Which faults a timeline is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Ill {
    Anyhow,
    Paused,
    Clock,
    Removed,
}

impl Health {
    pub(crate) fn begin(&mut self, fault: u64, kind: &str, client: Scope, at: Moment) {
        if self.open.insert(fault, (client, kind.to_owned())).is_some() {
            return;
        }
        for ill in ills(kind) {
            self.timelines.entry((client, ill)).or_default().begin(at.ns);
        }
        if let (true, Some(client)) = (is_crash(kind), client) {
            self.crashes.entry(client).or_insert(at);
        }
        if let (REMOVAL, Some(client)) = (class(kind), client) {
            self.removals.entry(client).or_default().push(at);
        }
    }

    pub(crate) fn heal(&mut self, fault: u64, at: Moment) {
        self.last_gone = None;
        let Some((client, kind)) = self.open.remove(&fault) else { return };
        if is_crash(&kind) {
            // Nobody is well again after that; the end says that the process is gone.
            self.last_gone = client;
            if let Some(client) = client {
                self.gone.entry(client).or_insert(at);
            }
            return;
        }
        for ill in ills(&kind) {
            self.timelines.entry((client, ill)).or_default().heal(at.ns);
        }
    }

    /// When a client began to be killed.
    pub(crate) fn crash_of(&self, client: u32) -> Option<Moment> {
        self.crashes.get(&client).copied()
    }

    /// The client whose death the last fault that was healed has been.
    pub(crate) fn just_gone(&self) -> Option<u32> {
        self.last_gone
    }

    /// Whether a client was stopped at any time between.
    pub(crate) fn was_paused(&self, client: u32, from_ns: u64, to_ns: u64) -> bool {
        self.meets(Some(client), Ill::Paused, from_ns, to_ns)
    }

    /// Whether the clock of a client, or of the store, was wrong at any time between.
    pub(crate) fn was_misled(&self, client: u32, from_ns: u64, to_ns: u64) -> bool {
        [Some(client), None].into_iter().any(|scope| self.meets(scope, Ill::Clock, from_ns, to_ns))
    }

    /// Whether an operator took a place of a client away at any time between.
    pub(crate) fn was_robbed(&self, client: u32, from_ns: u64, to_ns: u64) -> bool {
        self.meets(Some(client), Ill::Removed, from_ns, to_ns)
    }

    /// When an operator first began to take a place of a client away, from then on.
    pub(crate) fn first_removal(&self, client: u32, from: Moment) -> Option<Moment> {
        let removals = self.removals.get(&client)?;
        removals.get(removals.partition_point(|at| *at < from)).copied()
    }

    /// Since when operators have been taking places of a client away by then; then, if they have not.
    pub(crate) fn under_removal_since(&self, client: u32, then: Moment) -> Moment {
        let timeline = self.timelines.get(&(Some(client), Ill::Removed));
        let span = timeline.and_then(|timeline| timeline.between(then.ns, then.ns).first());
        span.map_or(then, |(from_ns, _)| Moment::own(*from_ns).min(then))
    }

    /// When an operator last began to take a place of a client away, before then.
    pub(crate) fn last_removal(&self, client: u32, before: Moment) -> Option<Moment> {
        let removals = self.removals.get(&client)?;
        removals[..removals.partition_point(|at| *at < before)].last().copied()
    }

    /// Whether the store was under any fault between.
    pub(crate) fn store_was_ill(&self, from_ns: u64, to_ns: u64) -> bool {
        self.meets(None, Ill::Anyhow, from_ns, to_ns)
    }

    /// Whether a client itself was under any fault between.
    pub(crate) fn was_ill(&self, client: u32, from_ns: u64, to_ns: u64) -> bool {
        self.meets(Some(client), Ill::Anyhow, from_ns, to_ns)
    }

    /// The longest time between two instants in which neither a client nor the store was ill.
    pub(crate) fn longest_well_ns(&self, client: u32, from_ns: u64, to_ns: u64) -> u64 {
        self.longest_well_among_ns(client, &BTreeSet::new(), from_ns, to_ns)
    }

    /// The same, and none of these others was ill either, or died: who is known to be gone is ill no longer.
    pub(crate) fn longest_well_among_ns(
        &self,
        client: u32,
        others: &BTreeSet<u32>,
        from_ns: u64,
        to_ns: u64,
    ) -> u64 {
        let spans = |scope| {
            let timeline = self.timelines.get(&(scope, Ill::Anyhow));
            timeline.map_or(&[][..], |timeline| timeline.between(from_ns, to_ns))
        };
        let of_other = |other: &u32| {
            let gone_ns = self.gone.get(other).map_or(u64::MAX, |gone| gone.ns);
            spans(Some(*other)).iter().map(move |(ill_from, to)| (*ill_from, gone_ns.min(*to)))
        };
        let own_and_common = spans(Some(client)).iter().chain(spans(None)).copied();
        let mut ill: Vec<_> = own_and_common.chain(others.iter().flat_map(of_other)).collect();
        ill.sort_unstable();
        let (mut well_since, mut longest) = (from_ns, 0);
        for (ill_from, ill_to) in ill {
            longest = longest.max(ill_from.saturating_sub(well_since));
            well_since = well_since.max(ill_to);
        }
        longest.max(to_ns.saturating_sub(well_since))
    }

    fn meets(&self, scope: Scope, ill: Ill, from_ns: u64, to_ns: u64) -> bool {
        let timeline = self.timelines.get(&(scope, ill));
        timeline.is_some_and(|timeline| !timeline.between(from_ns, to_ns).is_empty())
    }
}

fn ills(kind: &str) -> impl Iterator<Item = Ill> {
    let special = match class(kind) {
        PAUSE => Some(Ill::Paused),
        CLOCK => Some(Ill::Clock),
        REMOVAL => Some(Ill::Removed),
        _ => None,
    };
    [Some(Ill::Anyhow), special].into_iter().flatten()
}

/// The times in which at least one fault was on, in order, none touching the next.
#[derive(Debug, Default)]
struct Timeline {
    spans: Vec<(u64, u64)>,
    depth: usize,
}

impl Timeline {
    fn begin(&mut self, at_ns: u64) {
        self.depth += 1;
        if self.depth == 1 {
            self.spans.push((at_ns, u64::MAX));
        }
    }

    fn heal(&mut self, at_ns: u64) {
        self.depth = self.depth.saturating_sub(1);
        if let (0, Some(last)) = (self.depth, self.spans.last_mut()) {
            last.1 = at_ns;
        }
    }

    /// The spans that have an instant in common with this one.
    fn between(&self, from_ns: u64, to_ns: u64) -> &[(u64, u64)] {
        let first = self.spans.partition_point(|(_, to)| *to < from_ns);
        let last = self.spans.partition_point(|(from, _)| *from <= to_ns);
        self.spans.get(first..last).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ns: u64) -> Moment {
        Moment { ns, seq: ns }
    }

    #[test]
    fn the_longest_time_in_health_is_what_no_fault_touches() {
        let mut health = Health::default();
        assert_eq!(health.longest_well_ns(1, 10, 30), 20);
        health.begin(1, "partition", Some(1), at(14));
        health.begin(2, "partition", Some(1), at(16));
        health.heal(1, at(18));
        health.begin(3, "no leader", None, at(19));
        health.heal(2, at(20));
        health.heal(3, at(24));
        assert_eq!(health.longest_well_ns(1, 10, 30), 6);
        assert_eq!(health.longest_well_ns(2, 10, 30), 9);
        assert_eq!(health.longest_well_ns(1, 15, 24), 0);
        assert!(!health.was_paused(1, 0, 99) && health.store_was_ill(24, 30));
    }

    #[test]
    fn others_are_ill_until_they_are_well_or_gone() {
        let mut health = Health::default();
        health.begin(1, "partition", Some(2), at(12));
        health.heal(1, at(15));
        health.begin(2, crate::CRASH, Some(3), at(19));
        health.heal(2, at(21));
        let among = |others: &[u32]| {
            health.longest_well_among_ns(1, &others.iter().copied().collect(), 10, 30)
        };
        assert_eq!([among(&[]), among(&[2]), among(&[3]), among(&[2, 3])], [20, 15, 9, 9]);
        assert_eq!(health.longest_well_ns(3, 10, 30), 9);
    }

    #[test]
    fn a_kind_may_be_told_apart_behind_a_colon() {
        let mut health = Health::default();
        health.begin(1, "clock: fast", Some(7), at(5));
        health.begin(2, "pause: for long", Some(8), at(5));
        health.begin(3, "clockwork", Some(9), at(5));
        assert!(health.was_misled(7, 0, 9) && health.was_paused(8, 0, 9));
        assert!(!health.was_misled(9, 0, 9) && health.was_ill(9, 0, 9));
    }

    #[test]
    fn who_was_killed_is_never_well_again() {
        let mut health = Health::default();
        health.begin(1, crate::CRASH, Some(7), at(5));
        assert_eq!(health.just_gone(), None);
        health.heal(1, at(6));
        assert_eq!(health.just_gone(), Some(7));
        assert_eq!(health.longest_well_ns(7, 0, 100), 5);
        assert_eq!(health.crash_of(7), Some(at(5)));
    }
}
