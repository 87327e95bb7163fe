//! Waiters on one line, and what it takes to hand the lock from one to the next.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sneck::{Locks, Mutex};
use sneck_wire::{Acl, CreateMode, NewNode, Request};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::stage::{Costs, Stage};
use super::told;
use crate::curve::Curve;
use crate::figure::median;
use crate::raw::Raw;
use crate::talk::say;

/// Over so many sessions waiters are spread.
const SESSIONS: usize = 100;
/// Holds that are counted.
const HAND_OFFS: usize = 64;
/// Bare nodes that are on the way at once.
const ON_THE_WAY: usize = 500;
/// Looks from the end of a line.
const LOOKS: usize = 9;

/// Waiters with a place each. The lock goes from one to the next as often as it is let.
struct Line {
    /// One permit for each hold that may end.
    gate: Arc<Semaphore>,
    /// Who has begun to wait.
    come: Arc<AtomicUsize>,
    /// Holds that have begun.
    held: Arc<AtomicUsize>,
}

/// What handing the lock over has sent.
struct HandOffs {
    requests: Curve,
    events: Curve,
}

impl Line {
    fn new() -> Line {
        let number = || Arc::new(AtomicUsize::new(0));
        Line { gate: Arc::new(Semaphore::new(0)), come: number(), held: number() }
    }

    /// Waits, holds until a hold may end, and ends it.
    fn wait(&self, stage: &Stage, mutex: Mutex) {
        let (gate, come, held) = (self.gate.clone(), self.come.clone(), self.held.clone());
        stage.runtime.spawn(async move {
            come.fetch_add(1, Ordering::Relaxed);
            // Whoever gives up is missed by those who count, and here is why.
            let guard = mutex.lock().await.inspect_err(|error| say(format_args!("{error:?}")))?;
            held.fetch_add(1, Ordering::Relaxed);
            tokio::select! {
                permit = gate.acquire() => permit.into_iter().for_each(SemaphorePermit::forget),
                // On a machine that is busy with something else; who was next has the lock.
                loss = guard.lost() => say(format_args!("a lock was lost: {loss}")),
            }
            guard.unlock().await
        });
    }

    /// How many are in line, with the holder.
    fn there(&self) -> u64 {
        let held = self.held.load(Ordering::Relaxed);
        (self.come.load(Ordering::Relaxed) - held.saturating_sub(1)) as u64
    }

    fn has_come(&self, number: usize) -> io::Result<()> {
        until("waiters", || self.come.load(Ordering::Relaxed) >= number)
    }

    /// Lets some holds end, one after the other, and counts what was sent.
    fn hand_on(&self, stage: &Stage, size: usize, counted: &mut HandOffs) -> io::Result<()> {
        let sent = || -> io::Result<(u64, u64)> {
            Ok((stage.figure("zk_packets_received")?, stage.figure("zk_packets_sent")?))
        };
        until("a holder", || self.held.load(Ordering::Relaxed) > 0)?;
        let (before, from) = (sent()?, self.held.load(Ordering::Relaxed));
        self.gate.add_permits(HAND_OFFS);
        until("hand-offs", || self.held.load(Ordering::Relaxed) >= from + HAND_OFFS)?;
        let after = sent()?;
        let (received, sent) = (after.0 - before.0, after.1 - before.1);
        counted.requests.put(size, received as f64 / HAND_OFFS as f64);
        // Every request has one answer; what else is sent is an event.
        counted.events.put(size, sent.saturating_sub(received) as f64 / HAND_OFFS as f64);
        Ok(())
    }
}

impl HandOffs {
    fn on(line: &str) -> HandOffs {
        HandOffs {
            requests: Curve::new(&format!("requests for each hand-off, {line}"), "", "waiters"),
            events: Curve::new(&format!("events for each hand-off, {line}"), "", "waiters"),
        }
    }
}

/// Everybody has a place of their own. Whoever comes lists all who are there, so that filling a line from its
/// end is quadratic: with 10,000 it is 50 million names, and with 100,000 it would be 300 GB.
pub(super) fn each_in_line(
    stage: &mut Stage,
    sizes: &[usize],
    idle: Duration,
) -> io::Result<Vec<Curve>> {
    let mut costs = Costs::of("a waiter with a place of its own", "waiters");
    let mut counted = HandOffs::on("a place each");
    let sessions = sessions(stage)?;
    stage.begin()?;
    let line = Line::new();
    let mut come = 0;
    for size in sizes {
        while come < size + HAND_OFFS {
            // Some at a time, for a line of sessions that are all starved by each other is of no use.
            let next = (come + SESSIONS).min(size + HAND_OFFS);
            (come..next).for_each(|at| line.wait(stage, sessions[at % SESSIONS].mutex("line")));
            come = next;
            line.has_come(come)?;
            stage.until("zk_ephemerals_count", |count| count >= line.there())?;
        }
        stage.until("zk_watch_count", |count| count >= line.there() - 1)?;
        stage.note(*size, idle, &mut costs)?;
        line.hand_on(stage, *size, &mut counted)?;
        say(format_args!("waiting: {size}"));
    }
    Ok([costs.into_curves(), vec![counted.requests, counted.events]].concat())
}

/// The tasks of a session share its place in the line, and hand the lock on among themselves.
pub(super) fn coalesced(
    stage: &mut Stage,
    sizes: &[usize],
    idle: Duration,
) -> io::Result<Vec<Curve>> {
    let mut costs =
        Costs::of("a task that shares its process's place", "tasks on 100 shared places");
    let mut counted = HandOffs::on("places that are shared");
    let sessions: Vec<Locks> = sessions(stage)?.into_iter().map(Locks::coalescing).collect();
    stage.begin()?;
    let line = Line::new();
    let mut come = 0;
    for size in sizes {
        for at in come..size + HAND_OFFS {
            line.wait(stage, sessions[at % SESSIONS].mutex("line"));
        }
        come = size + HAND_OFFS;
        line.has_come(come)?;
        stage.until("zk_ephemerals_count", |count| count >= SESSIONS as u64)?;
        stage.note(*size, idle, &mut costs)?;
        line.hand_on(stage, *size, &mut counted)?;
        say(format_args!("coalesced: {size}"));
    }
    Ok([costs.into_curves(), vec![counted.requests, counted.events]].concat())
}

/// A line in which those who are handed the lock have very many behind them: bare nodes, as other clients'. And
/// what it takes to look at it from its end.
pub(super) fn ahead_of(stage: &Stage, sizes: &[usize]) -> io::Result<Vec<Curve>> {
    let mut counted = HandOffs::on("with so many behind");
    let mut looks = Curve::new("a look from the end of the line, p50", "ms", "waiters");
    let sessions = sessions(stage)?;
    let at_end = stage.connect()?;
    let (mut lines, mut behind) = (Vec::<Line>::new(), 0);
    for (round, size) in sizes.iter().enumerate() {
        // Each time in another line: those in front have to come first.
        let name = format!("line-{round}");
        let line = Line::new();
        let all = 2 * HAND_OFFS;
        (0..all).for_each(|at| line.wait(stage, sessions[at % SESSIONS].mutex(&*name)));
        line.has_come(all)?;
        let earlier: u64 = lines.iter().map(Line::there).sum();
        stage.until("zk_ephemerals_count", |count| count >= earlier + line.there())?;
        fill(stage, &name, *size)?;
        behind += size;
        line.hand_on(stage, *size, &mut counted)?;
        looks.put(*size, look(stage, &at_end, &name)?);
        say(format_args!("behind: {size}, {behind} in all"));
        lines.push(line);
    }
    Ok(vec![counted.requests, counted.events, looks])
}

/// The time of an attempt that does not wait, in milliseconds.
fn look(stage: &Stage, locks: &Locks, name: &str) -> io::Result<f64> {
    let mut took = Vec::new();
    for _ in 0..LOOKS {
        let mutex = locks.mutex(name);
        let began = Instant::now();
        if stage.run(async move { mutex.try_lock().await })?.is_some() {
            return Err(told("somebody holds the lock"));
        }
        took.push(began.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(took))
}

/// Places behind all others. They are kept when their session ends, as this one is never heard of again.
fn fill(stage: &Stage, name: &str, nodes: usize) -> io::Result<()> {
    let mut raw = Raw::connect_busy(stage.server().addr)?;
    let mut unanswered = 0;
    for at in 0..nodes {
        raw.put(&Request::Create(NewNode {
            path: format!("/scale/{name}/_c_00000000-0000-4000-8000-{at:012}-lock-"),
            data: Some(Bytes::new()),
            acl: Acl::open(),
            mode: CreateMode::PersistentSequential,
        }));
        raw.flush()?;
        unanswered += 1;
        if unanswered == ON_THE_WAY {
            raw.frame()?.reply()?;
            unanswered -= 1;
        }
    }
    (0..unanswered).try_for_each(|_| raw.frame()?.reply().map(drop))
}

fn sessions(stage: &Stage) -> io::Result<Vec<Locks>> {
    let url = stage.url();
    let connect = |_| {
        let url = url.clone();
        async move { sneck::connect(&url).await }
    };
    stage.each((0..SESSIONS).map(connect))
}

/// Returns when it is so; what is waited for does not take a minute.
fn until(what: &str, holds: impl Fn() -> bool) -> io::Result<()> {
    let began = Instant::now();
    while !holds() {
        if began.elapsed() > Duration::from_secs(60) {
            return Err(told(format!("waited in vain for {what}")));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}
