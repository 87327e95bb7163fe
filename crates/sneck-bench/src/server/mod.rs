//! The figures of sneck's own server beside Apache's, with the disk waited for, on the same machine.

pub(crate) mod contestant;
mod disk;
mod history;
mod memory;
mod pairs;
pub(crate) mod process;
mod round_trips;
mod start;
mod throughput;

use std::io;
use std::path::Path;
use std::time::Duration;

use clap::ValueEnum;
use sneck_testkit::zookeeper::Version;

use crate::figure::quantile;
use crate::reading::Reading;
use crate::report::Report;
use crate::talk::say;
use contestant::Contestants;
use disk::Disk;

/// How both run, for tables.
const SCENE: &str = "fsync on";
/// What a place in a lock's line holds, about.
const DATA: &str = "{\"host\":\"build-17\",\"pid\":4711,\"user\":\"ci\",\"since\":\"2026-11-01T00:00:00Z\",\"command\":\"make\"}";

/// How the servers run, for people.
pub(crate) const CONFIGURATION: &str = "one standalone server each, on loopback and on the same disk, waiting for it; ZooKeeper: \
                             tick 2 s, heap 1 GiB, serial collector; clients and servers share the processors";

/// How much to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// Odd, so that there is a middle one.
    pub(crate) rounds: usize,
    /// How long a round of one side takes.
    pub(crate) round: Duration,
    /// Pairs that each side makes before it is measured, with each shape of load.
    pub(crate) warm_up: u64,
    /// Round trips of each kind and way, in a round.
    pub(crate) round_trips: usize,
    /// Syncs of the disk to measure, before and after.
    pub(crate) syncs: usize,
    /// Starts from nothing.
    pub(crate) starts: usize,
    /// Starts after a long history.
    pub(crate) restarts: usize,
    /// How much is written before these.
    pub(crate) history_mib: usize,
    /// What the servers are filled with.
    pub(crate) nodes: usize,
    pub(crate) sessions: usize,
}

impl Size {
    pub(crate) const QUICK: Size = Size {
        rounds: 9,
        round: Duration::from_millis(150),
        warm_up: 3_000,
        round_trips: 20,
        syncs: 100,
        starts: 3,
        restarts: 3,
        history_mib: 64,
        nodes: 10_000,
        sessions: 500,
    };
    pub(crate) const FULL: Size = Size {
        rounds: 31,
        round: Duration::from_millis(300),
        warm_up: 50_000,
        round_trips: 60,
        syncs: 1_000,
        starts: 9,
        restarts: 5,
        history_mib: 1_024,
        nodes: 100_000,
        sessions: 10_000,
    };
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// From nothing to the first lock.
    Start,
    /// Memory, idle and full.
    Memory,
    /// As many durable pairs as they take.
    Pairs,
    /// One request after another.
    RoundTrips,
    /// Starting after a long history.
    History,
}

/// Measures a part, on new servers.
pub(crate) fn measure(
    binary: &Path,
    version: Version,
    size: Size,
    part: Part,
    report: &mut Report,
) -> Result<(), Box<dyn std::error::Error>> {
    let both = || Contestants::start(binary, version);
    let (figures, readings) = match part {
        Part::Start => {
            say("from nothing to the first lock");
            start::measure(binary, version, size)?
        }
        Part::Memory => {
            say("memory");
            (Vec::new(), memory::measure(&both()?, size)?)
        }
        Part::Pairs => {
            say("as many durable pairs as they take");
            throughput::measure(&both()?, size)?
        }
        Part::RoundTrips => {
            say("one request after another");
            round_trips::measure(&both()?, size)?
        }
        Part::History => {
            say("starting after a long history");
            (history::measure(binary, version, size)?, Vec::new())
        }
    };
    report.add(figures);
    report.readings.extend(readings);
    report.readings.extend(disk(size, part)?);
    Ok(())
}

/// What the disk takes for a sync, as close to a part as can be: it is not the same all the time.
fn disk(size: Size, after: Part) -> io::Result<Vec<Reading>> {
    if !matches!(after, Part::Pairs | Part::RoundTrips) {
        return Ok(Vec::new());
    }
    let folder = tempfile::Builder::new().prefix("sneck-bench-").tempdir()?;
    let mut syncs = Disk::new(folder.path())?.sync_us(size.syncs)?;
    syncs.sort_by(f64::total_cmp);
    let reading = |(name, part)| Reading {
        what: format!("a page written and synced on this disk, {name}"),
        unit: "us",
        ours: Some(quantile(&syncs, part)),
        theirs: None,
    };
    Ok([("p50", 0.5), ("p99", 0.99)].map(reading).into())
}
