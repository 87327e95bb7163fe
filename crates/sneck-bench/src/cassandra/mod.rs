//! Locks on Cassandra: how many there are in a second, and what each costs the cluster.

mod statements;

use std::io;
use std::time::Duration;

use sneck_testkit::cassandra::{Builder, Cluster, RELEASE};
use tokio::runtime::Runtime;

use crate::client::{Client, Kind};
use crate::contention::{Contention, contend, cycle};
use crate::figure::{median, quantile};
use crate::reading::Reading;
use crate::report::Report;
use crate::talk::say;
use statements::Statements;

/// How the server runs, for people.
pub(crate) const CONFIGURATION: &str = "one node on loopback, heap 1 GiB, serial collector, commit log synced every 10 s; \
     Paxos as it comes, v1; clients and server share the processors";

/// How many want one lock at the same time.
const CROWD: usize = 16;

/// How much to measure.
#[derive(Debug, Clone, Copy)]
struct Size {
    /// Odd, so that there is a middle one.
    rounds: usize,
    /// Locks one after the other, in a round.
    locks: usize,
    /// How long several contend for one, in a round.
    contended: Duration,
    /// Locks before anything is measured, until the server's compilers have done their work.
    warm_up: usize,
}

impl Size {
    const QUICK: Size =
        Size { rounds: 5, locks: 50, contended: Duration::from_secs(2), warm_up: 500 };
    const FULL: Size =
        Size { rounds: 15, locks: 150, contended: Duration::from_secs(5), warm_up: 4_000 };
}

/// What the server is.
pub(crate) fn release() -> String {
    format!("Cassandra {RELEASE}")
}

/// All of it, on a new node.
pub(crate) fn measure(quick: bool, report: &mut Report) -> Result<(), Box<dyn std::error::Error>> {
    let size = if quick { Size::QUICK } else { Size::FULL };
    let runtime = Runtime::new()?;
    let node = runtime.block_on(Builder::new().heap_mb(1_024).optimised().start());
    let node = node.map_err(|error| error.to_string())?;
    let client = client(&node)?;
    let counter = runtime.block_on(Statements::of(node.addr(0)))?;
    let count = || runtime.block_on(counter.executed());
    say("warming up");
    cycle(&client, "warm-up", size.warm_up)?;
    say("one lock after another");
    report.readings.extend(alone(&client, size, count)?);
    for contenders in [1, CROWD] {
        say(format_args!("{contenders} for one lock"));
        report.readings.extend(contended(&client, size, contenders, count)?);
    }
    Ok(())
}

fn client(node: &Cluster) -> io::Result<Client> {
    let hosts = node.contact_points();
    let url = format!("cassandra://{hosts}/bench?create=keyspace&replicas=1&ttl=30s");
    Client::open(&url, Kind::TwoWorkers)
}

type Counted = Result<u64, Box<dyn std::error::Error>>;

fn alone(
    client: &Client,
    size: Size,
    count: impl Fn() -> Counted,
) -> Result<Vec<Reading>, Box<dyn std::error::Error>> {
    // Its partition is made here, and not in a round.
    cycle(client, "alone", 1)?;
    let before = count()?;
    let mut rounds = Vec::new();
    for _ in 0..size.rounds {
        rounds.push(cycle(client, "alone", size.locks)?);
    }
    let statements = count()? - before;
    let per_s =
        rounds.iter().map(|took_us| took_us.len() as f64 * 1e6 / took_us.iter().sum::<f64>());
    let per_s = median(per_s);
    let mut all = rounds.concat();
    all.sort_by(f64::total_cmp);
    let each = statements as f64 / all.len() as f64;
    Ok(vec![
        reading("lock + unlock, p50".to_owned(), "ms", quantile(&all, 0.5) / 1e3),
        reading("lock + unlock, p99".to_owned(), "ms", quantile(&all, 0.99) / 1e3),
        reading("one lock after another".to_owned(), "locks/s", per_s),
        reading("statements for a lock with its unlock".to_owned(), "", each),
    ])
}

fn contended(
    client: &Client,
    size: Size,
    contenders: usize,
    count: impl Fn() -> Counted,
) -> Result<Vec<Reading>, Box<dyn std::error::Error>> {
    let lock = format!("contended/{contenders}");
    cycle(client, &lock, 1)?;
    let before = count()?;
    let mut rounds: Vec<Contention> = Vec::new();
    for _ in 0..size.rounds {
        rounds.push(contend(client, &lock, contenders, size.contended)?);
    }
    let statements = count()? - before;
    let grants_per_s = median(rounds.iter().map(Contention::grants_per_s));
    let mut waits: Vec<f64> = rounds.into_iter().flat_map(|round| round.waits_us).collect();
    waits.sort_by(f64::total_cmp);
    let each = statements as f64 / waits.len() as f64;
    let what = |what: &str| format!("{contenders} for one lock, {what}");
    Ok(vec![
        reading(what("grants"), "1/s", grants_per_s),
        reading(what("the wait for it, p50"), "ms", quantile(&waits, 0.5) / 1e3),
        reading(what("the wait for it, p99"), "ms", quantile(&waits, 0.99) / 1e3),
        reading(what("statements for each grant"), "", each),
    ])
}

fn reading(what: String, unit: &'static str, value: f64) -> Reading {
    Reading { what, unit, ours: Some(value), theirs: None }
}
