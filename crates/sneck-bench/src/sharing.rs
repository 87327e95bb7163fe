//! Places that are shared inside a process: what it costs to have a kept lock again, and how fast a place
//! is handed on among a thousand tasks. Beside it, tokio's own mutex, which excludes nobody outside.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use sneck::Mutex;
use sneck_testkit::proxy::Proxy;
use sneck_testkit::zookeeper::Version;

use crate::client::{Client, Kind};
use crate::figure::Figure;
use crate::reading::Reading;
use crate::report::Report;
use crate::scene::{Disk, Scene};
use crate::talk::say;

const TASKS: usize = 1_000;
const TOKIO: &str = "tokio's mutex, in the process only";

/// How much to measure.
struct Size {
    rounds: usize,
    /// Holds of one task, in a round.
    again: usize,
    /// Holds of each of a thousand tasks, in a round.
    each: usize,
}

/// Measures, beside a server that is asked as good as nothing.
pub(crate) fn measure(
    quick: bool,
    version: Version,
    report: &mut Report,
) -> Result<(), Box<dyn std::error::Error>> {
    let size = match quick {
        true => Size { rounds: 11, again: 20_000, each: 10 },
        false => Size { rounds: 41, again: 100_000, each: 50 },
    };
    let scene = Scene::set(version, Disk::NotWaitedFor)?;
    say("a kept lock, again and again; and from task to task");
    for kind in [Kind::TwoWorkers, Kind::OneThread] {
        let proxy = Proxy::start(scene.server.addr(0))?;
        let client = Client::connect(proxy.addr(), kind)?;
        // What it takes to get a place is not measured here.
        had_again(&client, kind, 1)?;
        proxy.forget_traffic();
        let (mut again, mut handed_on) = (Vec::new(), Vec::new());
        for _ in 0..size.rounds {
            again.push((
                had_again(&client, kind, size.again)?,
                again_in_process(&client, size.again)?,
            ));
            let ours = among_tasks(&client, kind, size.each)?;
            handed_on.push((ours, among_tasks_in_process(&client, size.each)?));
        }
        let figure = |what, unit, rounds| {
            let (scene, ours) = (scene.name(), kind.name());
            Figure { what, unit, scene, ours, theirs: TOKIO, rounds }
        };
        report.add(vec![
            figure("a kept lock: lock + unlock", "us", again),
            figure("1,000 tasks for one lock: hand-ons, more is better", "/s", handed_on),
        ]);
        let holds = size.rounds * (size.again + TASKS * size.each);
        report.readings.push(Reading {
            what: format!("requests for {holds} holds, heartbeats included ({})", kind.name()),
            unit: "",
            ours: Some(proxy.counts().requests_but_pings() as f64),
            theirs: None,
        });
    }
    Ok(())
}

/// A lock of this client's own: one that was kept by another stays taken until that one's session ends.
fn mutex(client: &Client, kind: Kind) -> Mutex {
    client.locks.clone().sticky().mutex(format!("kept by {}", kind.name()))
}

/// Microseconds for each of so many holds.
fn had_again(client: &Client, kind: Kind, times: usize) -> io::Result<f64> {
    let mutex = mutex(client, kind);
    client.run(async move {
        let began = Instant::now();
        for _ in 0..times {
            mutex.lock().await?.unlock().await?;
        }
        Ok(began.elapsed().as_secs_f64() * 1e6 / times as f64)
    })
}

fn again_in_process(client: &Client, times: usize) -> io::Result<f64> {
    client.run(async move {
        let mutex = Arc::new(tokio::sync::Mutex::new(()));
        let began = Instant::now();
        for _ in 0..times {
            drop(mutex.clone().lock_owned().await);
        }
        Ok(began.elapsed().as_secs_f64() * 1e6 / times as f64)
    })
}

/// Holds per second of a thousand tasks that want one lock.
fn among_tasks(client: &Client, kind: Kind, each: usize) -> io::Result<f64> {
    let mutex = mutex(client, kind);
    client.run(async move {
        let began = Instant::now();
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let mutex = mutex.clone();
                tokio::spawn(async move {
                    for _ in 0..each {
                        mutex.lock().await?.unlock().await?;
                    }
                    Ok::<_, sneck::Error>(())
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
        }
        Ok((TASKS * each) as f64 / began.elapsed().as_secs_f64())
    })
}

fn among_tasks_in_process(client: &Client, each: usize) -> io::Result<f64> {
    client.run(async move {
        let mutex = Arc::new(tokio::sync::Mutex::new(()));
        let began = Instant::now();
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let mutex = mutex.clone();
                tokio::spawn(async move {
                    for _ in 0..each {
                        drop(mutex.clone().lock_owned().await);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        }
        Ok((TASKS * each) as f64 / began.elapsed().as_secs_f64())
    })
}
