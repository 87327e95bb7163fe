//! What is kept of a run: one JSON document, for people and programs.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value, json};
use sneck_history::{Count, Latency, Property, Report};

use crate::campaign::{Campaign, Run};

/// The whole of a run, as it is written down.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// Whether no property was violated, floors among them.
    pub clean: bool,
    /// What was run, where and for how long.
    pub about: Value,
    /// How often what happened.
    pub counts: Value,
    /// Faults of each kind that were made.
    pub faults: Value,
    /// Kinds of fault that could not be made here, and why.
    pub not_possible: Value,
    /// Times in milliseconds, and the bounds they are held to.
    pub times_ms: Value,
    /// Violations of each property.
    pub violated: Value,
    /// The violations, the first of each property.
    pub violations: Vec<String>,
    /// What could not be judged.
    pub not_judged: Vec<String>,
}

impl Outcome {
    /// Sums a run up.
    ///
    /// # Errors
    /// When its history cannot be read again.
    pub fn new(campaign: &Campaign, run: &Run) -> io::Result<Outcome> {
        let report = &run.report;
        let missing = run.missing.iter().map(|(kind, reason)| (kind.name(), json!(reason)));
        Ok(Outcome {
            clean: report.is_clean(),
            about: about(campaign, run)?,
            counts: report.counts.iter().map(|(count, n)| (count.to_string(), json!(n))).collect(),
            faults: json!(report.faults),
            not_possible: missing.collect(),
            times_ms: times(run),
            violated: violated(report),
            violations: report.violations.iter().map(ToString::to_string).collect(),
            not_judged: report.unjudged.clone(),
        })
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let document = serde_json::to_string_pretty(self).map_err(|_| std::fmt::Error)?;
        f.write_str(&document)
    }
}

fn about(campaign: &Campaign, run: &Run) -> io::Result<Value> {
    let grants = run.report.count(Count::Grants);
    let seconds = run.length.as_secs_f64();
    Ok(json!({
        "store": campaign.store.to_string(),
        "seed": campaign.seed,
        "commit": run.commit,
        "build": if cfg!(debug_assertions) { "debug" } else { "release" },
        "machine": machine(),
        "clients": campaign.clients,
        "tasks of each": campaign.lanes,
        "session ms": campaign.session.as_millis(),
        "defect on purpose": campaign.defect.map(|defect| format!("{defect:?}")),
        "seconds": seconds,
        "steps": run.plan.steps.len(),
        "grants per second": grants as f64 / seconds,
        "judged in seconds": run.judged_in.as_secs_f64(),
        "history sha1": sha1(&campaign.history)?,
        "history bytes": std::fs::metadata(&campaign.history)?.len(),
    }))
}

fn times(run: &Run) -> Value {
    let bounds = run.header.bounds;
    let takeover = bounds.session_ns + bounds.tick_ns + bounds.slack_ns;
    let bound = |latency| match latency {
        Latency::Wakeup => Some(bounds.grant_ns),
        Latency::Takeover => Some(takeover),
        _ => None,
    };
    let all = [Latency::Wait, Latency::Handoff, Latency::Wakeup, Latency::Takeover];
    let of = |latency: Latency| {
        let ms = |percent| run.report.percentile_ns(latency, percent).map(|ns| ns as f64 / 1e6);
        let value = json!({
            "p50": ms(50), "p90": ms(90), "p99": ms(99), "max": ms(100),
            "bound without a fault": bound(latency).map(|ns| ns as f64 / 1e6),
        });
        (latency.to_string(), value)
    };
    all.into_iter().map(of).collect::<Map<_, _>>().into()
}

fn violated(report: &Report) -> Value {
    let of = |property: Property| {
        let total = report.totals.get(&property).copied().unwrap_or_default();
        (property.to_string(), json!(total))
    };
    Property::ALL.into_iter().map(of).collect::<Map<_, _>>().into()
}

fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split_once(": ")).map_or("?", |(_, model)| model);
    let count = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{count} x {model}, Linux {}", kernel.trim())
}

fn sha1(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = sha1_smol::Sha1::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.digest().to_string()),
            read => hash.update(&buffer[..read]),
        }
    }
}
