//! The figures of sneck's locks beside those of other libraries, on the same servers.

mod contestant;
mod process;
mod servers;
mod sneck_locks;
mod zookeeper_client;

use std::io;
use std::path::Path;
use std::time::Instant;

use clap::ValueEnum;
use sneck_testkit::zookeeper::Version;

use crate::figure::Figure;
use crate::report::Report;
use crate::talk::say;
use contestant::Contestant;
use servers::{Server, Store};

/// How the servers run, for people.
pub(crate) const CONFIGURATION: &str = "servers on loopback, tick 2 s, heap 1 GiB, serial collector, of three nodes everybody is at the \
                                        same follower; clients and servers share the processors";

/// Whose locks they are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    /// The crate `zookeeper-client`, whose release is never awaited.
    ZookeeperClient,
    /// Apache Curator's `InterProcessMutex`.
    Curator,
    /// kazoo's `Lock`.
    Kazoo,
}

/// How much to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// Odd, so that there is a middle one.
    rounds: usize,
    /// Locks one after the other, in a round.
    cycles: usize,
    /// Locks of each of many tasks, in a round.
    each: usize,
    /// Turns of each of two, in a round; of eight it is a quarter.
    turns: usize,
    /// Locks before anything is measured, until compilers have done their work.
    warm_up: usize,
}

impl Size {
    /// Two minutes.
    pub(crate) const QUICK: Size =
        Size { rounds: 9, cycles: 30, each: 4, turns: 24, warm_up: 1_000 };
    /// Less than ten.
    pub(crate) const FULL: Size =
        Size { rounds: 31, cycles: 60, each: 6, turns: 40, warm_up: 4_000 };
}

/// Tasks with a lock each.
const TASKS: usize = 64;

/// Measures on every server.
pub(crate) fn measure(
    binary: &Path,
    version: Version,
    peers: &[Peer],
    size: Size,
    report: &mut Report,
) -> Result<(), Box<dyn std::error::Error>> {
    for store in Store::ALL {
        say(format_args!("{}: starting", store.name()));
        let server = Server::start(store, binary, version)?;
        let mut all: Vec<Box<dyn Contestant>> =
            vec![Box::new(sneck_locks::SneckLocks::connect(server.addr())?)];
        for peer in peers {
            all.push(connect(*peer, &server)?);
        }
        say(format_args!("{}: warming up", store.name()));
        for one in &mut all {
            one.one_after_another(size.warm_up / one.slowness())?;
            one.many(TASKS, size.each)?;
            one.in_line(8, size.turns / 4)?;
        }
        report.add(on(store.name(), &mut all, size)?);
    }
    Ok(())
}

fn connect(peer: Peer, server: &Server) -> io::Result<Box<dyn Contestant>> {
    Ok(match peer {
        Peer::ZookeeperClient => {
            Box::new(zookeeper_client::ZookeeperClient::connect(server.addr())?)
        }
        Peer::Curator => Box::new(process::Process::curator(server.addr())?),
        Peer::Kazoo => Box::new(process::Process::kazoo(server.addr())?),
    })
}

/// Everybody takes turns, in each kind of work.
fn on(scene: &'static str, all: &mut [Box<dyn Contestant>], size: Size) -> io::Result<Vec<Figure>> {
    say(format_args!("{scene}: one lock after another"));
    let mut figures = turns("lock + unlock, p50", "us", scene, all, size, |one| {
        one.one_after_another(size.cycles)
    })?;
    say(format_args!("{scene}: many locks at once"));
    figures.extend(turns(
        "64 locks at once, more is better",
        "locks/s",
        scene,
        all,
        size,
        |one| {
            let began = Instant::now();
            one.many(TASKS, size.each)?;
            Ok((TASKS * size.each) as f64 / began.elapsed().as_secs_f64())
        },
    )?);
    for (what, sessions, turns_each) in [
        ("hand-off between 2 sessions, mean", 2, size.turns),
        ("hand-off among 8 sessions, mean", 8, size.turns / 4),
    ] {
        say(format_args!("{scene}: {sessions} sessions for one lock"));
        figures.extend(turns(what, "us", scene, all, size, |one| {
            let began = Instant::now();
            one.in_line(sessions, turns_each)?;
            Ok(began.elapsed().as_secs_f64() * 1e6 / (sessions * turns_each) as f64)
        })?);
    }
    Ok(figures)
}

/// Rounds in which everybody does the same, the first of them being who is compared with the others.
fn turns(
    what: &'static str,
    unit: &'static str,
    scene: &'static str,
    all: &mut [Box<dyn Contestant>],
    size: Size,
    mut work: impl FnMut(&mut dyn Contestant) -> io::Result<f64>,
) -> io::Result<Vec<Figure>> {
    let mut rounds = vec![Vec::with_capacity(size.rounds); all.len()];
    for _ in 0..size.rounds {
        for (one, rounds) in all.iter_mut().zip(&mut rounds) {
            rounds.push(work(one.as_mut())?);
        }
    }
    let (ours, others) = rounds.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let figures = all[1..].iter().zip(others).map(|(one, theirs)| Figure {
        what,
        unit,
        scene,
        ours: all[0].name(),
        theirs: one.name(),
        rounds: ours.iter().copied().zip(theirs.iter().copied()).collect(),
    });
    Ok(figures.collect())
}
