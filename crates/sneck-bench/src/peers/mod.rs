//! The figures of sneck's locks beside those of other libraries, on the same servers.

mod contestant;
mod crash;
mod pictures;
mod process;
mod servers;
mod sneck_locks;
mod wire;
mod zookeeper_client;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use sneck_testkit::zookeeper::Version;

use crate::figure::Figure;
use crate::report::Report;
use crate::talk::say;
use contestant::Contestant;
pub(crate) use pictures::draw;
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
    /// etcd's own lock, on a server of its own that waits for the disk.
    Etcd,
}

impl Peer {
    /// Whether its locks are compared on this server. etcd has one of its own, which is compared with what
    /// does as much for a lock.
    fn is_on(self, store: Store) -> bool {
        self != Peer::Etcd || store == Store::Standalone
    }
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
    /// Rounds of a thousand tasks for one lock, which are long, and so on one server of each make only.
    crowds: usize,
    /// Holders that are killed, each for as long as a session takes to expire.
    crashes: usize,
    /// Locks before anything is measured, until compilers have done their work.
    warm_up: usize,
}

impl Size {
    /// Four minutes.
    pub(crate) const QUICK: Size =
        Size { rounds: 9, cycles: 30, each: 4, turns: 24, crowds: 1, crashes: 1, warm_up: 1_000 };
    /// Less than twenty.
    pub(crate) const FULL: Size =
        Size { rounds: 25, cycles: 60, each: 6, turns: 40, crowds: 7, crashes: 7, warm_up: 4_000 };
}

/// Tasks with a lock each.
const TASKS: usize = 64;
/// Tasks for one lock.
const CROWD: usize = 1_000;

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
        for peer in peers.iter().filter(|peer| peer.is_on(store)) {
            all.extend(connect(*peer, server.addr())?);
        }
        say(format_args!("{}: warming up", store.name()));
        for one in &mut all {
            one.one_after_another(size.warm_up / one.slowness())?;
            one.many(TASKS, size.each)?;
            one.in_line(8, size.turns / 4)?;
        }
        report.add(on(store.name(), &mut all, size)?);
        if matches!(store, Store::Standalone | Store::Sneck) {
            let mut sharing = sneck_locks::SneckLocks::connect_coalescing(server.addr())?;
            report.add(crowds(store.name(), &mut sharing, &mut all, size)?);
        }
        if store == Store::Quick {
            say("what is on the wire");
            report.readings = wire::measure(peers, &server)?;
        }
    }
    Ok(())
}

/// Kills those who hold a lock.
pub(crate) fn crash(
    binary: &Path,
    version: Version,
    peers: &[Peer],
    size: Size,
    report: &mut Report,
) -> Result<(), Box<dyn std::error::Error>> {
    say("holders that are killed");
    report.add(crash::measure(binary, version, peers, size.crashes)?);
    Ok(())
}

/// Nothing where this machine lacks what it needs.
fn connect(peer: Peer, addr: SocketAddr) -> io::Result<Option<Box<dyn Contestant>>> {
    Ok(Some(match peer {
        Peer::ZookeeperClient => Box::new(zookeeper_client::ZookeeperClient::connect(addr)?),
        Peer::Curator => Box::new(process::Process::curator(addr)?),
        Peer::Kazoo => Box::new(process::Process::kazoo(addr)?),
        Peer::Etcd => match process::Process::etcd()? {
            Some(process) => Box::new(process),
            None => return Ok(None),
        },
    }))
}

/// Everybody takes turns, in each kind of work.
fn on(scene: &'static str, all: &mut [Box<dyn Contestant>], size: Size) -> io::Result<Vec<Figure>> {
    say(format_args!("{scene}: one lock after another"));
    let names: Vec<&'static str> = all.iter().map(|one| one.name()).collect();
    let cycles = turns(all, size.rounds, |one| one.one_after_another(size.cycles))?;
    let mut figures = beside("lock + unlock, p50", "us", scene, &names, &cycles);
    say(format_args!("{scene}: many locks at once"));
    let many = turns(all, size.rounds, |one| many(one, size.each))?;
    let of = |value: fn(&Many) -> f64| -> Vec<Vec<f64>> {
        many.iter().map(|rounds| rounds.iter().map(value).collect()).collect()
    };
    let (speeds, processor) = (of(|round| round.locks_per_s), of(|round| round.processor_us));
    let what = "64 locks at once, more is better";
    figures.extend(beside(what, "locks/s", scene, &names, &speeds));
    let what = "64 locks at once, client's processor time of each";
    figures.extend(beside(what, "us", scene, &names, &processor));
    for (what, sessions, turns_each) in [
        ("hand-off between 2 sessions, mean", 2, size.turns),
        ("hand-off among 8 sessions, mean", 8, size.turns / 4),
    ] {
        say(format_args!("{scene}: {sessions} sessions for one lock"));
        let rounds = turns(all, size.rounds, |one| {
            let began = Instant::now();
            one.in_line(sessions, turns_each)?;
            Ok(each_us(began.elapsed(), sessions * turns_each))
        })?;
        figures.extend(beside(what, "us", scene, &names, &rounds));
    }
    Ok(figures)
}

/// What a round of many locks at once found.
#[derive(Debug, Clone, Copy)]
struct Many {
    locks_per_s: f64,
    processor_us: f64,
}

fn many(one: &mut dyn Contestant, each: usize) -> io::Result<Many> {
    let (began, used) = (Instant::now(), one.processor_time()?);
    one.many(TASKS, each)?;
    let locks = TASKS * each;
    Ok(Many {
        locks_per_s: locks as f64 / began.elapsed().as_secs_f64(),
        processor_us: each_us(one.processor_time()?.saturating_sub(used), locks),
    })
}

/// A thousand tasks of one session for one lock. Those of sneck take turns with the others twice: with a place
/// each, as the others do, and with one place for all.
fn crowds(
    scene: &'static str,
    sharing: &mut dyn Contestant,
    all: &mut [Box<dyn Contestant>],
    size: Size,
) -> io::Result<Vec<Figure>> {
    say(format_args!("{scene}: {CROWD} tasks for one lock"));
    let crowd = |one: &mut dyn Contestant| {
        let began = Instant::now();
        one.crowd(CROWD)?;
        Ok(each_us(began.elapsed(), CROWD))
    };
    let mut shared = Vec::new();
    let rounds = turns(all, size.crowds, |one| {
        if one.name() == sneck_locks::NAME {
            shared.push(crowd(sharing)?);
        }
        crowd(one)
    })?;
    let names: Vec<&'static str> = all.iter().map(|one| one.name()).collect();
    let what = "1,000 tasks of a session for one lock, each";
    let mut figures = beside(what, "us", scene, &names, &rounds);
    let others = [&[sharing.name()], &names[1..]].concat();
    figures.extend(beside(what, "us", scene, &others, &[&[shared], &rounds[1..]].concat()));
    Ok(figures)
}

fn each_us(took: Duration, times: usize) -> f64 {
    took.as_secs_f64() * 1e6 / times as f64
}

/// Rounds in which everybody does the same, with what each found in them.
fn turns<T: Clone>(
    all: &mut [Box<dyn Contestant>],
    rounds: usize,
    mut work: impl FnMut(&mut dyn Contestant) -> io::Result<T>,
) -> io::Result<Vec<Vec<T>>> {
    let mut found = vec![Vec::with_capacity(rounds); all.len()];
    for _ in 0..rounds {
        for (one, found) in all.iter_mut().zip(&mut found) {
            found.push(work(one.as_mut())?);
        }
    }
    Ok(found)
}

/// The first of those who took turns, compared with each of the others.
fn beside(
    what: &'static str,
    unit: &'static str,
    scene: &'static str,
    names: &[&'static str],
    rounds: &[Vec<f64>],
) -> Vec<Figure> {
    let figure = |(name, theirs): (&&'static str, &Vec<f64>)| Figure {
        what,
        unit,
        scene,
        ours: names[0],
        theirs: name,
        rounds: rounds[0].iter().copied().zip(theirs.iter().copied()).collect(),
    };
    names.iter().zip(rounds).skip(1).map(figure).collect()
}
