//! What the checkers found.

use std::collections::BTreeMap;
use std::fmt;

/// How many violations of one property are kept; the rest are counted.
pub const KEPT_MAX: usize = 100;

/// What is demanded of a lock. `docs/proof/checkers.md` says what each means.
///
/// There is no `P13`: it is about an embedded server, and judged by comparing it with a real one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Property {
    /// P1: a resource that checks tokens has one writer after the other, and no update is lost.
    FencedExclusion,
    /// P2: two holders never believe in one lock at the same time.
    AdvisoryExclusion,
    /// P3: who asks later than another was granted has the larger token.
    RisingTokens,
    /// P4: answers about a lock, and refusals of it, fit one order of all that happened.
    TrueAnswers,
    /// P5: who is first in line is granted in time, and nothing is left over at the end.
    NoLostWakeup,
    /// P6: a holder that dies is followed in time.
    Takeover,
    /// P7: first come, first served.
    Order,
    /// P8: readers and writers exclude each other, and no reader passes a writer.
    ReadersAndWriters,
    /// P9: never more permits than there are, and never fewer.
    PermitCount,
    /// P10: a holder knows of its loss before the store gives its lock away.
    EarlyNotice,
    /// P11: an attempt goes one way, and has one place.
    OneLife,
    /// P12: who gives up waiting leaves nothing behind.
    CleanCancel,
    /// P14: enough has happened to prove anything.
    Floors,
    /// P15: nobody claims more of a store than it can keep.
    HonestClaims,
}

impl Property {
    /// Every property, in order.
    pub const ALL: [Property; 14] = [
        Property::FencedExclusion,
        Property::AdvisoryExclusion,
        Property::RisingTokens,
        Property::TrueAnswers,
        Property::NoLostWakeup,
        Property::Takeover,
        Property::Order,
        Property::ReadersAndWriters,
        Property::PermitCount,
        Property::EarlyNotice,
        Property::OneLife,
        Property::CleanCancel,
        Property::Floors,
        Property::HonestClaims,
    ];

    /// Its short name, such as `P1`.
    pub fn code(self) -> &'static str {
        self.words().0
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Property::FencedExclusion => ("P1", "fenced exclusion"),
            Property::AdvisoryExclusion => ("P2", "advisory exclusion"),
            Property::RisingTokens => ("P3", "rising tokens"),
            Property::TrueAnswers => ("P4", "true answers"),
            Property::NoLostWakeup => ("P5", "no lost wakeup"),
            Property::Takeover => ("P6", "takeover in time"),
            Property::Order => ("P7", "first come, first served"),
            Property::ReadersAndWriters => ("P8", "readers and writers"),
            Property::PermitCount => ("P9", "permits"),
            Property::EarlyNotice => ("P10", "early notice of a loss"),
            Property::OneLife => ("P11", "one life for each attempt"),
            Property::CleanCancel => ("P12", "clean cancellation"),
            Property::Floors => ("P14", "enough happened"),
            Property::HonestClaims => ("P15", "honest claims"),
        }
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (code, name) = self.words();
        write!(f, "{code} {name}")
    }
}

/// Something that a property does not allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which property.
    pub property: Property,
    /// The numbers of the entries that show it.
    pub seqs: Vec<u64>,
    /// What happened, in one sentence.
    pub sentence: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.property.code(), self.sentence)?;
        let seqs: Vec<String> = self.seqs.iter().map(u64::to_string).collect();
        if seqs.is_empty() { Ok(()) } else { write!(f, " (entries {})", seqs.join(", ")) }
    }
}

/// Something counted that is no violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Count {
    /// Entries of any kind.
    Entries,
    /// Attempts to get a lock.
    Attempts,
    /// Grants.
    Grants,
    /// Grants to somebody who was waiting when the holder before it let go.
    Handoffs,
    /// Sessions that the store ended.
    Expiries,
    /// Changes of the leading server.
    Leaders,
    /// Faults of any kind.
    Faults,
    /// Writes that the fence let pass.
    Writes,
    /// Writes that the fence refused.
    RefusedWrites,
    /// Updates that were overwritten unread, by writes without a token.
    UnfencedLostUpdates,
    /// Overlaps of holds that a recorded pause or clock fault explains.
    ExplainedOverlaps,
    /// Overlaps of holds on a store that claims no exclusion, which no fault explains.
    UnclaimedOverlaps,
    /// Grants out of turn on a store that claims no order.
    UnclaimedBypasses,
    /// Grants out of turn, before somebody whose place an operator had taken away.
    ExplainedBypasses,
    /// Tokens below that of an earlier grant, of a place that was handed on after an operator had taken it away.
    ExplainedTokens,
    /// Grants to a reader beside another reader.
    SharedOverlaps,
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Count::Entries => "entries",
            Count::Attempts => "attempts",
            Count::Grants => "grants",
            Count::Handoffs => "hand-offs",
            Count::Expiries => "sessions ended by the store",
            Count::Leaders => "changes of leader",
            Count::Faults => "faults",
            Count::Writes => "writes admitted",
            Count::RefusedWrites => "writes refused by the fence",
            Count::UnfencedLostUpdates => "updates lost without a fence",
            Count::ExplainedOverlaps => "overlaps explained by a fault",
            Count::UnclaimedOverlaps => {
                "overlaps that nothing explains, where no exclusion is claimed"
            }
            Count::UnclaimedBypasses => "grants out of turn where no order is claimed",
            Count::ExplainedBypasses => "grants out of turn that a removal explains",
            Count::ExplainedTokens => "tokens below an earlier one that a removal explains",
            Count::SharedOverlaps => "readers beside readers",
        })
    }
}

/// A time that was measured often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Latency {
    /// From asking to the grant.
    Wait,
    /// From the release to the grant of somebody who was waiting.
    Handoff,
    /// From when a waiter was first in line to its grant.
    Wakeup,
    /// From the death of a holder to the grant after it.
    Takeover,
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Latency::Wait => "wait",
            Latency::Handoff => "hand-off",
            Latency::Wakeup => "wakeup",
            Latency::Takeover => "takeover",
        })
    }
}

/// What the checkers found in one history.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The violations, at most [`KEPT_MAX`] of each property, by property and then by entry.
    pub violations: Vec<Violation>,
    /// How often each property was violated.
    pub totals: BTreeMap<Property, u64>,
    /// What else was counted.
    pub counts: BTreeMap<Count, u64>,
    /// Faults by kind.
    pub faults: BTreeMap<String, u64>,
    /// What could not be judged, and why.
    pub unjudged: Vec<String>,
    latencies: BTreeMap<Latency, Vec<u64>>,
}

impl Report {
    /// Whether no property was violated.
    pub fn is_clean(&self) -> bool {
        self.totals.is_empty()
    }

    /// How often something happened.
    pub fn count(&self, count: Count) -> u64 {
        self.counts.get(&count).copied().unwrap_or_default()
    }

    /// A percentile, 0 to 100, of a time that was measured, in nanoseconds: the smallest value that
    /// so many percent of all do not exceed. None if it was never measured.
    pub fn percentile_ns(&self, latency: Latency, percent: u8) -> Option<u64> {
        let sorted = self.latencies.get(&latency)?;
        let rank = (sorted.len() * usize::from(percent)).div_ceil(100);
        sorted.get(rank.saturating_sub(1)).or(sorted.last()).copied()
    }

    /// How often a time was measured.
    pub fn measured(&self, latency: Latency) -> usize {
        self.latencies.get(&latency).map_or(0, Vec::len)
    }

    pub(crate) fn violate(&mut self, property: Property, seqs: &[u64], sentence: String) {
        let total = self.totals.entry(property).or_default();
        *total += 1;
        if *total <= KEPT_MAX as u64 {
            // Numbers of 0 stand for moments that are no entries.
            let seqs = seqs.iter().copied().filter(|seq| *seq > 0).collect();
            self.violations.push(Violation { property, seqs, sentence });
        }
    }

    pub(crate) fn add(&mut self, count: Count, more: u64) {
        *self.counts.entry(count).or_default() += more;
    }

    pub(crate) fn measure(&mut self, latency: Latency, ns: u64) {
        self.latencies.entry(latency).or_default().push(ns);
    }

    pub(crate) fn close(&mut self) {
        for values in self.latencies.values_mut() {
            values.sort_unstable();
        }
        self.violations
            .sort_by(|one, other| (one.property, &one.seqs).cmp(&(other.property, &other.seqs)));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (count, value) in &self.counts {
            writeln!(f, "{value:>12}  {count}")?;
        }
        for (kind, value) in &self.faults {
            writeln!(f, "{value:>12}  faults: {}", kind.escape_debug())?;
        }
        for (latency, values) in &self.latencies {
            write!(f, "{latency} ({} measured):", values.len())?;
            for percent in [50, 90, 99, 100] {
                let ns = self.percentile_ns(*latency, percent).unwrap_or_default();
                write!(f, "  p{percent} {} ms", Milliseconds(ns))?;
            }
            writeln!(f)?;
        }
        for note in &self.unjudged {
            writeln!(f, "not judged: {note}")?;
        }
        for violation in &self.violations {
            writeln!(f, "{violation}")?;
        }
        for property in Property::ALL {
            match self.totals.get(&property) {
                None => writeln!(f, "{property}: no violation")?,
                Some(total) => writeln!(f, "{property}: {total} VIOLATIONS")?,
            }
        }
        Ok(())
    }
}

/// Nanoseconds, shown as milliseconds.
pub(crate) struct Milliseconds(pub(crate) u64);

impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1_000_000, self.0 / 1000 % 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let mut report = Report::default();
        assert_eq!(report.percentile_ns(Latency::Wait, 50), None);
        for ns in [40, 10, 30, 20] {
            report.measure(Latency::Wait, ns);
        }
        report.close();
        let percentile = |percent| report.percentile_ns(Latency::Wait, percent);
        assert_eq!([0, 25, 50, 51, 99, 100].map(percentile), [10, 10, 20, 30, 40, 40].map(Some));
    }

    #[test]
    fn many_violations_are_counted_and_few_kept() {
        let mut report = Report::default();
        for seq in 0..1000 {
            report.violate(Property::Order, &[seq], "out of turn".into());
        }
        assert_eq!(report.violations.len(), KEPT_MAX);
        assert!(report.to_string().contains("P7 first come, first served: 1000 VIOLATIONS"));
    }
}
