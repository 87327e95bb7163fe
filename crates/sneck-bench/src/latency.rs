//! Uncontended locks, one after the other: how long one takes, and what it costs the client's processor.

use std::io;
use std::time::Instant;

use crate::client::{Client, Kind};
use crate::figure::{Figure, median};
use crate::raw::{self, Raw};
use crate::scene::{RAW_DIR, Scene, Size, pair, processor_time, recipe};

const PAIR: &str = "socket: create, delete";
const RECIPE: &str = "socket: create+list, delete";
const UNAWAITED: &str = "socket: the same, delete not awaited";

/// What a round found.
#[derive(Debug, Clone, Copy)]
struct Round {
    /// The median of the times, in microseconds.
    time_us: f64,
    /// Processor time of each, in microseconds.
    processor_us: f64,
}

/// Lets server and clients become quick.
pub(crate) fn warm_up(scene: &mut Scene, locks: usize) -> io::Result<()> {
    let data = scene.data();
    for _ in 0..locks {
        recipe(&mut scene.raw[0], &data)?;
    }
    for client in [&scene.ours[0], &scene.ours[1], &scene.one_thread] {
        lock(client, locks / 10)?;
    }
    Ok(())
}

/// Everybody takes turns.
pub(crate) fn measure(scene: &mut Scene, size: Size) -> io::Result<Vec<Figure>> {
    let data = scene.data();
    let (mut pairs, mut recipes) = (Vec::new(), Vec::new());
    let (mut two_workers, mut one_thread) = (Vec::new(), Vec::new());
    let mut unawaited = Vec::new();
    for _ in 0..size.rounds {
        pairs.push(raw(&mut scene.raw[0], size.locks, |raw| pair(raw, &data))?);
        two_workers.push(lock(&scene.ours[0], size.locks)?);
        recipes.push(raw(&mut scene.raw[0], size.locks, |raw| recipe(raw, &data))?);
        one_thread.push(lock(&scene.one_thread, size.locks)?);
        let ours = lock_and_drop(&scene.ours[0], size.locks)?;
        unawaited.push((ours, raw_unawaited(&mut scene.raw[0], &data, size.locks)?));
    }
    let mut figures = Vec::new();
    for (kind, ours) in [(Kind::TwoWorkers, &two_workers), (Kind::OneThread, &one_thread)] {
        for (name, theirs) in [(PAIR, &pairs), (RECIPE, &recipes)] {
            figures.push(figure(scene, "lock + unlock, p50", (kind, ours), (name, theirs), |r| {
                r.time_us
            }));
        }
    }
    for (kind, ours) in [(Kind::TwoWorkers, &two_workers), (Kind::OneThread, &one_thread)] {
        let theirs = (RECIPE, &recipes[..]);
        let what = "client's processor time of lock + unlock";
        figures.push(figure(scene, what, (kind, ours), theirs, |r| r.processor_us));
    }
    figures.push(Figure {
        what: "lock + drop, mean",
        unit: "us",
        scene: scene.name(),
        ours: Kind::TwoWorkers.name(),
        theirs: UNAWAITED,
        rounds: unawaited,
    });
    Ok(figures)
}

fn figure(
    scene: &Scene,
    what: &'static str,
    (kind, ours): (Kind, &[Round]),
    (theirs_name, theirs): (&'static str, &[Round]),
    of: impl Fn(&Round) -> f64,
) -> Figure {
    let rounds = ours.iter().zip(theirs).map(|(ours, theirs)| (of(ours), of(theirs))).collect();
    let (unit, scene, ours) = ("us", scene.name(), kind.name());
    Figure { what, unit, scene, ours, theirs: theirs_name, rounds }
}

fn raw(
    raw: &mut Raw,
    times: usize,
    mut cycle: impl FnMut(&mut Raw) -> io::Result<()>,
) -> io::Result<Round> {
    let used = processor_time();
    let mut took = Vec::with_capacity(times);
    for _ in 0..times {
        let began = Instant::now();
        cycle(raw)?;
        took.push(began.elapsed().as_secs_f64() * 1e6);
    }
    let used = (processor_time() - used).as_secs_f64() * 1e6;
    Ok(Round { time_us: median(took), processor_us: used / times as f64 })
}

fn lock(client: &Client, times: usize) -> io::Result<Round> {
    let mutex = client.locks.mutex("latency");
    let used = processor_time();
    let took = client.run(async move {
        let mut took = Vec::with_capacity(times);
        for _ in 0..times {
            let began = Instant::now();
            mutex.lock().await?.unlock().await?;
            took.push(began.elapsed().as_secs_f64() * 1e6);
        }
        Ok(took)
    })?;
    let used = (processor_time() - used).as_secs_f64() * 1e6;
    Ok(Round { time_us: median(took), processor_us: used / times as f64 })
}

/// The answer to a release is read with those of the next place. In microseconds for each, the last
/// answer included.
fn raw_unawaited(raw: &mut Raw, data: &str, times: usize) -> io::Result<f64> {
    let began = Instant::now();
    for at in 0..times {
        raw.put(&raw::place(RAW_DIR, data));
        raw.put(&raw::list(RAW_DIR));
        raw.flush()?;
        if at > 0 {
            raw.frame()?.reply()?;
        }
        let path = raw.frame()?.reply()?.created()?;
        raw.frame()?.reply()?;
        raw.put(&raw::delete(path));
        raw.flush()?;
    }
    raw.frame()?.reply()?;
    Ok(began.elapsed().as_secs_f64() * 1e6 / times as f64)
}

/// The same with guards that are dropped. Each takes its place behind the one that is being given up.
fn lock_and_drop(client: &Client, times: usize) -> io::Result<f64> {
    let mutex = client.locks.mutex("latency");
    client.run(async move {
        let began = Instant::now();
        for _ in 1..times {
            drop(mutex.lock().await?);
        }
        mutex.lock().await?.unlock().await?;
        Ok(began.elapsed().as_secs_f64() * 1e6 / times as f64)
    })
}
