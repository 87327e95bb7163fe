//! Locks that one session holds.

use std::io;
use std::time::{Duration, Instant};

use super::stage::{Costs, Stage};
use super::told;
use crate::curve::Curve;
use crate::talk::say;

/// More and more locks with names of their own.
pub(super) fn measure(stage: &Stage, sizes: &[usize], idle: Duration) -> io::Result<Vec<Curve>> {
    let locks = stage.connect()?;
    let mut costs = Costs::of("a lock held by one session", "locks held by one session");
    let mut taken =
        Curve::new("locks taken, many at once", "per second", "locks held by one session");
    let mut guards = Vec::new();
    for size in sizes {
        let (began, before) = (Instant::now(), guards.len());
        let lock = |at| {
            let mutex = locks.mutex(format!("held/{at}"));
            async move { mutex.lock().await }
        };
        guards.extend(stage.each((before..*size).map(lock))?);
        taken.put(*size, (size - before) as f64 / began.elapsed().as_secs_f64());
        // Each is watched some time after it was taken, lest somebody removes it.
        stage.until("zk_watch_count", |count| count >= *size as u64)?;
        stage.note(*size, idle, &mut costs)?;
        let lost = guards.iter().filter(|guard| !guard.is_held()).count();
        if lost > 0 {
            return Err(told(format!("{lost} of {size} locks were lost")));
        }
        say(format_args!("held: {size}"));
    }
    Ok([costs.into_curves(), vec![taken]].concat())
}
