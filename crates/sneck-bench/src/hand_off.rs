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
    let mutexes = [&scene.ours[0], &scene.ours[1]].map(|client| client.locks.mutex("hand-off"));
    // Both sessions are driven by their own runtimes; only this task is moved between them.
    let took = scene.ours[0].run(async move {
        let [mut next, mut after] = mutexes;
        let mut guard = after.lock().await?;
        let mut took = Vec::with_capacity(times);
        for _ in 0..times {
            let (mut in_line, waiting) = wait_for(&next);
            // It stands in line, and watches the place ahead.
            let _ = in_line.recv().await;
            let began = Instant::now();
            let (released, granted) = tokio::join!(guard.unlock(), waiting);
            released?;
            let (granted, at) =
                granted.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
            guard = granted?;
            took.push(at.duration_since(began).as_secs_f64() * 1e6);
            std::mem::swap(&mut next, &mut after);
        }
        guard.unlock().await?;
        Ok(took)
    })?;
    Ok(median(took))
}

type Waiting = tokio::task::JoinHandle<(Result<sneck::Guard, sneck::Error>, Instant)>;

fn wait_for(mutex: &Mutex) -> (mpsc::UnboundedReceiver<()>, Waiting) {
    let (told, in_line) = mpsc::unbounded_channel();
    let mutex = mutex.clone().on_progress(move |progress| {
        if let Progress::Waiting(_) = progress {
            let _ = told.send(());
        }
    });
    let waiting = tokio::spawn(async move { (mutex.lock().await, Instant::now()) });
    (in_line, waiting)
}
