//! What came of a run.

use std::fmt;

use sneck_history::{Bounds, Entry, Event, Header, HistoryWriter, Judge, Report, Store};

use crate::handing::number_of;
use crate::plan::Plan;
use crate::trace::Trace;
use crate::truth::Truth;

/// What came of a run.
#[derive(Debug)]
pub struct Run {
    /// A number that stands for everything that happened: two runs that differ in anything differ in it.
    pub trace: u64,
    /// What happened, as lines to read, if that was wanted.
    pub lines: Vec<String>,
    /// What the checkers of histories found.
    pub report: Report,
    /// What is wrong besides.
    pub complaints: Vec<String>,
    /// How long it lasted, in simulated milliseconds.
    pub lasted_ms: u64,
    /// How often a server has come to lead an ensemble.
    pub reigns: u64,
    header: Header,
    entries: Vec<Entry>,
}

impl Run {
    /// Whether nothing is wrong.
    pub fn is_well(&self) -> bool {
        self.report.is_clean() && self.complaints.is_empty()
    }

    /// What kind of wrong it is, in a few letters: the properties that are violated.
    pub fn fault(&self) -> String {
        let mut codes: Vec<&str> =
            self.report.totals.keys().map(|property| property.code()).collect();
        if !self.complaints.is_empty() {
            codes.push("no end");
        }
        codes.join(" ")
    }

    /// The history, as lines of JSON.
    pub fn history(&self) -> Vec<u8> {
        let mut file = Vec::new();
        let written = HistoryWriter::new(&mut file, &self.header)
            .and_then(|mut writer| self.entries.iter().try_for_each(|entry| writer.write(entry)));
        written.expect("memory takes everything");
        file
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for violation in &self.report.violations {
            writeln!(f, "{violation}")?;
        }
        self.complaints.iter().try_for_each(|complaint| writeln!(f, "{complaint}"))
    }
}

pub(crate) fn conclude(
    plan: &Plan,
    mut entries: Vec<Entry>,
    truth: &Truth,
    complaints: Vec<String>,
    trace: Trace,
    (lasted_ms, reigns): (u64, u64),
) -> Run {
    let header = header(plan);
    let mut judge = Judge::new(header.clone());
    for entry in &mut entries {
        // Under which session an attempt was made is known only afterwards: a claim opens a new one
        // when the old one is over.
        if let Event::Acquire { attempt, session, .. } = &mut entry.event {
            *session = truth.session_of(*attempt).cloned();
        }
        // Who shares a place may have had none of its own.
        if let Event::Granted { token, session, .. } = &mut entry.event
            && plan.shares()
        {
            *session = truth.session_at(number_of(*token)).cloned();
        }
        judge.see(entry);
    }
    let (trace, lines) = trace.conclude();
    Run { trace, lines, report: judge.conclude(), complaints, lasted_ms, reigns, header, entries }
}

fn header(plan: &Plan) -> Header {
    const MS: u64 = 1_000_000;
    // As servers grant it.
    let session_ms = plan.session_ms.clamp(2 * plan.tick_ms, 20 * plan.tick_ms);
    let recovery_ms = plan.recovery_ms();
    let store = if plan.servers.is_some() { Store::ZooKeeper } else { Store::Embedded };
    let mut header = Header::new(store);
    header.about = format!("simulation of seed {}", plan.seed);
    header.shared = plan.shared_locks();
    header.bounds = Bounds {
        session_ns: session_ms * MS,
        tick_ns: plan.tick_ms * MS,
        // Who waits for two locks may have to wait for another holder when the first has died.
        slack_ns: if plan.has_pairs() { 120_000 * MS } else { (3_000 + recovery_ms) * MS },
        // A new leader gives all sessions their whole time.
        election_ns: plan.servers.map_or(0, |_| (recovery_ms + session_ms) * MS),
        grant_ns: (2 * session_ms + 3_000 + recovery_ms) * MS,
        cancel_ns: (2 * session_ms + 3_000 + recovery_ms) * MS,
    };
    header
}
