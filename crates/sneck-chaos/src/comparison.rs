//! The same faults for mutexes of this library and of others, judged alike, and one table of what came of it.
//!
//! What a library does not say of its lock is not held against it, and shown as not claimed. What is counted
//! beside it says what that costs.

use std::collections::BTreeSet;
use std::time::Duration;
use std::{fmt, iter};

use sneck_history::{Claims, Count, Latency, Property, Report};
use sneck_testkit::StartError;

use crate::campaign::{Campaign, Trouble};
use crate::library::Library;
use crate::servers::StoreKind;

/// What came of one library.
#[derive(Debug)]
pub struct Column {
    /// Whose locks they were.
    pub library: Library,
    /// What kept them.
    pub store: StoreKind,
    /// What the judge says.
    pub report: Report,
    /// How long it took.
    pub length: Duration,
}

/// What came of all of them.
#[derive(Debug)]
pub struct Comparison {
    /// Those that could be had here.
    pub columns: Vec<Column>,
    /// Those that could not, and why.
    pub missing: Vec<(Library, String)>,
}

/// The properties that a mutex can have, with the faults that there were.
const PROPERTIES: [Property; 9] = [
    Property::FencedExclusion,
    Property::AdvisoryExclusion,
    Property::RisingTokens,
    Property::TrueAnswers,
    Property::NoLostWakeup,
    Property::Takeover,
    Property::Order,
    Property::EarlyNotice,
    Property::OneLife,
];

/// Runs a campaign once for each library, with a history of its own.
///
/// # Errors
/// As [`Campaign::run`]. A library that this machine does not have is told, and is none.
pub async fn all(campaign: &Campaign, say: impl Fn(&str)) -> Result<Comparison, Trouble> {
    let mut compared = Comparison { columns: Vec::new(), missing: Vec::new() };
    let store = campaign.store;
    if Library::others(store).is_empty() {
        return Err(format!("there is nobody to be compared with on {store}").into());
    }
    for library in iter::once(Library::Sneck).chain(Library::others(store).iter().copied()) {
        let mut campaign = campaign.clone();
        campaign.library = Some(library);
        // Each is to be looked at, also where little happened.
        campaign.floors = false;
        campaign.history = campaign.history.with_extension(format!("{}.jsonl", library.name()));
        let progress = |done, of| say(&format!("{}: step {done} of {of}", library.name()));
        match campaign.run(progress).await {
            Ok(run) => {
                say(&format!("{}:\n{}", library.release(), run.report));
                let (report, length) = (run.report, run.length);
                compared.columns.push(Column { library, store, report, length });
            }
            Err(Trouble::Start(StartError::Unavailable(missing))) => {
                compared.missing.push((library, missing.to_string()));
            }
            Err(trouble) => return Err(trouble),
        }
    }
    Ok(compared)
}

impl Comparison {
    /// Whether nothing was found that this library promises.
    pub fn is_ours_clean(&self) -> bool {
        let ours = self.columns.iter().find(|column| column.library == Library::Sneck);
        ours.is_some_and(|column| column.report.is_clean())
    }

    fn row(
        &self,
        f: &mut fmt::Formatter<'_>,
        head: &str,
        cell: impl Fn(&Column) -> String,
    ) -> fmt::Result {
        let cells: Vec<String> = self.columns.iter().map(cell).collect();
        writeln!(f, "| {head} | {} |", cells.join(" | "))
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.row(f, "", |column| column.library.release().to_owned())?;
        writeln!(f, "|---|{}", "---|".repeat(self.columns.len()))?;
        let count = |f: &mut fmt::Formatter<'_>, head, count| {
            self.row(f, head, |column| column.report.count(count).to_string())
        };
        self.row(f, "seconds", |column| column.length.as_secs().to_string())?;
        count(f, "faults", Count::Faults)?;
        count(f, "calls for a lock", Count::Attempts)?;
        count(f, "grants", Count::Grants)?;
        count(f, "sessions ended by the store", Count::Expiries)?;
        for property in PROPERTIES {
            self.row(f, &property.to_string(), |column| column.verdict(property))?;
        }
        count(f, "overlaps that a pause or a removal explains", Count::ExplainedOverlaps)?;
        if self.columns.iter().any(|column| !column.claims().exclusion) {
            count(f, "overlaps that nothing explains", Count::UnclaimedOverlaps)?;
        }
        count(f, "writes refused by the fence", Count::RefusedWrites)?;
        count(f, "updates lost without a fence", Count::UnfencedLostUpdates)?;
        for (head, latency) in [
            ("hand-off, p50 and p99", Latency::Handoff),
            ("first in line to granted, p50 and p99", Latency::Wakeup),
            ("a holder's death to the next grant, p50 and p99", Latency::Takeover),
        ] {
            self.row(f, head, |column| column.times(latency))?;
        }
        for (library, reason) in &self.missing {
            writeln!(f, "\nNot possible here: {}: {reason}", library.name())?;
        }
        Ok(())
    }
}

impl Column {
    /// The most that anybody may claim of the store.
    fn claims(&self) -> Claims {
        self.store.of_history().claims_max()
    }

    /// How often a property was held, or broken; or that the library does not claim it.
    fn verdict(&self, property: Property) -> String {
        let promises = self.library.promises();
        let is_claimed = match property {
            Property::FencedExclusion | Property::RisingTokens => promises.token,
            Property::AdvisoryExclusion => self.claims().exclusion,
            Property::Order => promises.order && self.claims().fifo,
            Property::EarlyNotice => promises.notice,
            Property::TrueAnswers => promises.tries,
            _ => true,
        };
        if !is_claimed {
            return "not claimed".to_owned();
        }
        // They are judged by places in line, which nobody looks at where they are no nodes.
        if matches!(property, Property::Order | Property::NoLostWakeup)
            && !self.store.is_zookeeper()
        {
            return "not judged".to_owned();
        }
        let times = self.occasions(property);
        match self.report.totals.get(&property) {
            None if times.starts_with("0 ") => "no occasion".to_owned(),
            None => format!("held, {times}"),
            Some(broken) => format!("**broken {broken}**{}, {times}", self.by_holds(property)),
        }
    }

    /// Of how many holds that lasted for too long others speak, where one can be in the way of many.
    fn by_holds(&self, property: Property) -> String {
        if property != Property::AdvisoryExclusion {
            return String::new();
        }
        let overlaps =
            self.report.violations.iter().filter(|violation| violation.property == property);
        let first: BTreeSet<u64> =
            overlaps.filter_map(|overlap| overlap.seqs.first().copied()).collect();
        match first.len() {
            1 => " (by one hold)".to_owned(),
            holds => format!(" (by {holds} holds)"),
        }
    }

    /// What the property was judged by.
    fn occasions(&self, property: Property) -> String {
        let report = &self.report;
        let count = |count: Count, what: &str| format!("{} {what}", report.count(count));
        let measured = |latency, what: &str| format!("{} {what}", report.measured(latency));
        match property {
            Property::FencedExclusion => count(Count::Writes, "writes"),
            Property::NoLostWakeup => measured(Latency::Wakeup, "first in line"),
            Property::Takeover => measured(Latency::Takeover, "deaths"),
            Property::Order => count(Count::Handoffs, "hand-offs"),
            Property::EarlyNotice => count(Count::Expiries, "ends of sessions"),
            Property::TrueAnswers | Property::OneLife => count(Count::Attempts, "calls"),
            _ => count(Count::Grants, "grants"),
        }
    }

    fn times(&self, latency: Latency) -> String {
        let ms = |percent| {
            let ns = self.report.percentile_ns(latency, percent)?;
            Some(format!("{:.1}", ns as f64 / 1e6))
        };
        match (ms(50), ms(99)) {
            (Some(half), Some(most)) => format!("{half} ms, {most} ms"),
            _ => "none".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use sneck_history::Violation;

    use super::*;

    fn column(library: Library, broken: &[Property]) -> Column {
        let mut report = Report::default();
        report.counts.insert(Count::Grants, 70);
        report.totals = broken.iter().map(|property| (*property, 2)).collect();
        // Both are of the hold that entry 5 began.
        let violation = |property: &Property, seq| {
            let sentence = String::new();
            Violation { property: *property, seqs: vec![5, seq], sentence }
        };
        let violations = broken.iter().flat_map(|of| [violation(of, 7), violation(of, 9)]);
        report.violations = violations.collect();
        let store = StoreKind::ZooKeeper;
        Column { library, store, report, length: Duration::from_secs(9) }
    }

    #[test]
    fn what_is_not_claimed_is_neither_held_nor_broken() {
        let broken = [Property::AdvisoryExclusion, Property::RisingTokens, Property::EarlyNotice];
        let others = column(Library::Go, &broken);
        let verdicts = broken.map(|property| others.verdict(property));
        assert_eq!(verdicts[0], "**broken 2** (by one hold), 70 grants");
        assert_eq!(verdicts[1..], ["not claimed", "not claimed"]);
        let mut ours = column(Library::Sneck, &[]);
        assert_eq!(ours.verdict(Property::RisingTokens), "held, 70 grants");
        assert_eq!(ours.verdict(Property::Takeover), "no occasion");
        ours.store = StoreKind::Redis;
        let verdicts = [Property::AdvisoryExclusion, Property::Order].map(|of| ours.verdict(of));
        assert_eq!(verdicts, ["not claimed", "not judged"]);
    }

    #[test]
    fn the_table_has_a_column_for_each_and_says_who_is_missing() {
        let columns = vec![column(Library::Sneck, &[]), column(Library::Kazoo, &[])];
        let missing = vec![(Library::Go, "no Go".to_owned())];
        let compared = Comparison { columns, missing };
        let table = compared.to_string();
        let rows: Vec<&str> = table.lines().filter(|line| line.starts_with('|')).collect();
        assert!(rows.iter().all(|row| row.matches('|').count() == 4), "{table}");
        assert!(table.ends_with("Not possible here: go-zookeeper: no Go\n"), "{table}");
        assert!(compared.is_ours_clean());
        let broken = vec![column(Library::Sneck, &[Property::Order])];
        assert!(!Comparison { columns: broken, missing: Vec::new() }.is_ours_clean());
    }
}
