//! Sessions of one process.

use std::io;
use std::time::Duration;

use super::stage::{Costs, Stage};
use crate::curve::Curve;
use crate::talk::say;

/// More and more sessions, each with a lock; and how long it takes until all are back when their server was killed.
pub(super) fn measure(
    stage: &mut Stage,
    sizes: &[usize],
    idle: Duration,
) -> io::Result<Vec<Curve>> {
    let over = "sessions of one process";
    let mut costs = Costs::of("a session with a lock", over);
    let mut back = Curve::new("all sessions back after their server was killed", "s", over);
    let mut kept = Curve::new("locks held throughout", "", over);
    let (mut sessions, mut guards) = (Vec::new(), Vec::new());
    for size in sizes {
        let before = sessions.len();
        let url = stage.url();
        let begin = |at| {
            let url = url.clone();
            async move {
                let locks = sneck::connect(&url).await?;
                let guard = locks.mutex(format!("of/{at}")).lock().await?;
                Ok((locks, guard))
            }
        };
        for (locks, guard) in stage.each((before..*size).map(begin))? {
            sessions.push(locks);
            guards.push(guard);
        }
        stage.until("zk_watch_count", |count| count >= *size as u64)?;
        stage.note(*size, idle, &mut costs)?;
        let killed = stage.restart()?;
        stage.until("zk_num_alive_connections", |count| count > *size as u64)?;
        // Whoever is back has set its watches again; who came too late has a new session without any.
        let held = || guards.iter().filter(|guard| guard.is_held()).count();
        stage.until("zk_watch_count", |count| count >= held() as u64)?;
        back.put(*size, killed.elapsed().as_secs_f64());
        let held = held();
        kept.put(*size, held as f64);
        say(format_args!("sessions: {size}, {held} locks held after a restart of the server"));
    }
    Ok([costs.into_curves(), vec![back, kept]].concat())
}
