//! Many independent locks of one process, all through one session.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use crate::client::Kind;
use crate::figure::Figure;
use crate::raw::{self, Raw};
use crate::scene::{RAW_DIR, Scene, Size, processor_time};

const LOCKS: usize = 64;

/// What a round found.
#[derive(Debug, Clone, Copy)]
struct Round {
    locks_per_s: f64,
    processor_us: f64,
}

/// Both take turns.
pub(crate) fn measure(scene: &mut Scene, size: Size) -> io::Result<Vec<Figure>> {
    let data = scene.data();
    for lock in 0..LOCKS {
        scene.raw[0].make(&dir(lock))?;
    }
    // The nodes above are made here, and not in a round.
    with_sneck(scene, size.locks_each)?;
    on_a_socket(&mut scene.raw[0], &data, size.locks_each)?;
    let (mut speeds, mut processor) = (Vec::new(), Vec::new());
    for _ in 0..size.rounds {
        let theirs = on_a_socket(&mut scene.raw[0], &data, size.locks_each)?;
        let ours = with_sneck(scene, size.locks_each)?;
        speeds.push((ours.locks_per_s, theirs.locks_per_s));
        processor.push((ours.processor_us, theirs.processor_us));
    }
    let figure = |what, unit, rounds| Figure {
        what,
        unit,
        scene: scene.name(),
        ours: Kind::TwoWorkers.name(),
        theirs: "socket: the same, pipelined",
        rounds,
    };
    Ok(vec![
        figure("64 locks at once, more is better", "locks/s", speeds),
        figure("64 locks at once, client's processor time of each", "us", processor),
    ])
}

fn dir(lock: usize) -> String {
    format!("{RAW_DIR}/{lock}")
}

fn round(began: Instant, used: Duration, locks: usize) -> Round {
    let locks = locks as f64;
    Round {
        locks_per_s: locks / began.elapsed().as_secs_f64(),
        processor_us: (processor_time() - used).as_secs_f64() * 1e6 / locks,
    }
}

/// Which of a lock's requests a reply is to.
enum Step {
    Create,
    List,
    Delete,
}

fn on_a_socket(raw: &mut Raw, data: &str, locks_each: usize) -> io::Result<Round> {
    let (began, used) = (Instant::now(), processor_time());
    let mut on_the_way = VecDeque::new();
    let mut left = [locks_each; LOCKS];
    let mut places = vec![String::new(); LOCKS];
    let dirs: Vec<String> = (0..LOCKS).map(dir).collect();
    let enter = |raw: &mut Raw, on_the_way: &mut VecDeque<(usize, Step)>, lock: usize| {
        raw.put(&raw::place(&dirs[lock], data));
        raw.put(&raw::list(&dirs[lock]));
        on_the_way.extend([(lock, Step::Create), (lock, Step::List)]);
    };
    for lock in 0..LOCKS {
        enter(raw, &mut on_the_way, lock);
    }
    while let Some((lock, step)) = on_the_way.pop_front() {
        // What is to be sent goes out together once there is nothing more to read at once.
        if !raw.has_frame() {
            raw.flush()?;
        }
        let reply = raw.frame()?.reply()?;
        match step {
            Step::Create => places[lock] = reply.created()?,
            Step::List => {
                raw.put(&raw::delete(std::mem::take(&mut places[lock])));
                on_the_way.push_back((lock, Step::Delete));
            }
            Step::Delete => {
                left[lock] -= 1;
                if left[lock] > 0 {
                    enter(raw, &mut on_the_way, lock);
                }
            }
        }
    }
    Ok(round(began, used, LOCKS * locks_each))
}

fn with_sneck(scene: &Scene, locks_each: usize) -> io::Result<Round> {
    let locks = scene.ours[0].locks.clone();
    let (began, used) = (Instant::now(), processor_time());
    scene.ours[0].run(async move {
        let mut tasks = Vec::new();
        for lock in 0..LOCKS {
            let mutex = locks.mutex(format!("many/{lock}"));
            tasks.push(tokio::spawn(async move {
                for _ in 0..locks_each {
                    mutex.lock().await?.unlock().await?;
                }
                Ok::<_, sneck::Error>(())
            }));
        }
        for task in tasks {
            task.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
        }
        Ok(())
    })?;
    Ok(round(began, used, LOCKS * locks_each))
}
