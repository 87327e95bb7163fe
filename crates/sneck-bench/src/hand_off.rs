//! From the call that releases a lock to the moment the next in line has it.

use std::io;
use std::time::Instant;

use sneck::{Mutex, Progress};
use sneck_wire::{Request, xid};
use tokio::sync::mpsc;

use crate::client::Kind;
use crate::figure::{Figure, median};
use crate::raw::{self, Raw};
use crate::scene::{RAW_DIR, Scene, Size};

/// Two sessions hand a lock to and fro.
pub(crate) fn measure(scene: &mut Scene, size: Size) -> io::Result<Vec<Figure>> {
    let data = scene.data();
    let mut rounds = Vec::new();
    for _ in 0..size.rounds {
        let theirs = on_sockets(&mut scene.raw, &data, size.hand_offs)?;
        rounds.push((with_sneck(scene, size.hand_offs)?, theirs));
    }
    Ok(vec![Figure {
        what: "hand-off to the next in line, p50",
        unit: "us",
        scene: scene.name(),
        ours: Kind::TwoWorkers.name(),
        theirs: "socket: delete until its event",
        rounds,
    }])
}

fn on_sockets(sockets: &mut [Raw; 2], data: &str, times: usize) -> io::Result<f64> {
    let [holder, waiter] = sockets;
    let (mut holder, mut waiter) = (holder, waiter);
    let mut held = holder.call(&raw::place(RAW_DIR, data))?.created()?;
    let mut took = Vec::with_capacity(times);
    for _ in 0..times {
        let next = waiter.call(&raw::place(RAW_DIR, data))?.created()?;
        waiter.call(&Request::GetData { path: held.clone(), watch: true })?;
        let began = Instant::now();
        holder.put(&raw::delete(held));
        holder.flush()?;
        let event = waiter.frame()?;
        took.push(began.elapsed().as_secs_f64() * 1e6);
        if event.header.xid != xid::NOTIFICATION {
            return Err(io::Error::other("the event did not come"));
        }
        holder.frame()?.reply()?;
        held = next;
        std::mem::swap(&mut holder, &mut waiter);
    }
    holder.call(&raw::delete(held))?;
    Ok(median(took))
}

fn with_sneck(scene: &Scene, times: usize) -> io::Result<f64> {
    let (tell_second, first_in_line) = mpsc::unbounded_channel();
    let (tell_first, second_in_line) = mpsc::unbounded_channel();
    let first = Side { times, in_line: tell_second, other_in_line: second_in_line };
    let second = Side { times, in_line: tell_first, other_in_line: first_in_line };
    let [one, other] = &scene.ours;
    // Each side on the runtime of its own session, as if they were two processes.
    let first = one.spawn(first.take_turns(one.locks.mutex("hand-off")));
    let second = other.spawn(second.take_turns(other.locks.mutex("hand-off")));
    let (mut first, mut second) = (one.wait_for(first)?, other.wait_for(second)?);
    if first.first().map(|turn| turn.held) > second.first().map(|turn| turn.held) {
        std::mem::swap(&mut first, &mut second);
    }
    let turns: Vec<Turn> =
        first.into_iter().zip(second).flat_map(|(first, second)| [first, second]).collect();
    Ok(median(
        turns.windows(2).map(|pair| {
            pair[1].held.saturating_duration_since(pair[0].released).as_secs_f64() * 1e6
        }),
    ))
}

/// One of the two who take turns.
struct Side {
    times: usize,
    /// Tells the other that we stand in line, and watch its place.
    in_line: mpsc::UnboundedSender<()>,
    /// Told by the other; it ends once that one has had all its turns.
    other_in_line: mpsc::UnboundedReceiver<()>,
}

/// When a lock was had, and when it was given back.
struct Turn {
    held: Instant,
    released: Instant,
}

impl Side {
    async fn take_turns(self, mutex: Mutex) -> Result<Vec<Turn>, sneck::Error> {
        let Side { times, in_line, mut other_in_line } = self;
        let mutex = mutex.on_progress(move |progress| {
            if let Progress::Waiting(_) = progress {
                let _ = in_line.send(());
            }
        });
        let mut turns = Vec::with_capacity(times);
        for _ in 0..times {
            let guard = mutex.lock().await?;
            let held = Instant::now();
            let _ = other_in_line.recv().await;
            turns.push(Turn { held, released: Instant::now() });
            guard.unlock().await?;
        }
        Ok(turns)
    }
}
