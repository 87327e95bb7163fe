//! Stands in the store's line for those who wait inside the process.

use super::line::Ticket;
use super::lines::{Key, LocalLines, lost};
use super::waiter::News;
use crate::acquire::{Locker, Patience, Progress};
use crate::backend::Order;
use crate::backoff::Backoff;
use crate::claim::Request;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Outcome};
use crate::guard::Hold;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

/// What it takes to stand in the store's line.
#[derive(Clone)]
pub(crate) struct Stand {
    /// Tells nobody, and shares nothing.
    locker: Locker,
    runtime: Handle,
}

impl Stand {
    pub(crate) fn new(locker: Locker) -> Self {
        Stand { locker, runtime: Handle::current() }
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &**self.locker.clock()
    }

    /// Whether the store shows who waits.
    pub(super) fn shows_waiters(&self) -> bool {
        let backend = self.locker.backend();
        backend.survey().is_some() && backend.promises().order == Order::Fifo
    }
}

/// Gets one place, and looks after it until it is given back.
pub(super) struct Agent {
    /// Not kept alive from here: it ends with those who use it.
    pub(super) lines: Weak<LocalLines>,
    pub(super) key: Key,
    /// The number of the place.
    pub(super) place: u64,
    pub(super) stand: Stand,
    pub(super) request: Request,
    /// For whom it asks, if that one does not wait.
    pub(super) once: Option<Ticket>,
    /// Whether to look out for others; closed when the place is not wanted any more.
    pub(super) wanted: watch::Receiver<bool>,
    /// Told whether anything may be left in the store, by one who has nothing more to do.
    pub(super) left: Option<oneshot::Sender<Outcome>>,
}

impl Agent {
    /// Runs in the background.
    pub(super) fn start(self) {
        self.stand.runtime.clone().spawn(self.run());
    }

    async fn run(mut self) {
        let outcome = self.work().await;
        if let Some(left) = self.left.take() {
            // Mostly nobody waits for that.
            let _ = left.send(outcome);
        }
    }

    async fn work(&mut self) -> Outcome {
        let locker = self.stand.locker.clone();
        let patience = self.once.map_or(Patience::Forever, |_| Patience::Once);
        let mut wanted = self.wanted.clone();
        let give_up = async {
            tokio::select! {
                biased;
                error = locker.run_out(patience) => error,
                error = unwanted(&mut wanted) => error,
            }
        };
        let tell = |progress: Progress<'_>| {
            let news = match progress {
                Progress::Waiting(waiting) => News::Waiting(waiting.clone()),
                Progress::Trouble(error) => News::Trouble(error.clone()),
            };
            if let Some(lines) = self.lines.upgrade() {
                lines.tell(&self.key, news);
            }
        };
        let request = self.request.clone();
        let acquired = locker.acquire_unless(request, patience, give_up, &tell).await;
        match (acquired, self.lines.upgrade(), self.once) {
            (Ok(Some(guard)), Some(lines), _) => {
                let hold = lines.granted(&self.key, self.place, guard);
                drop(lines);
                if let Some(hold) = hold {
                    self.look_after(&hold).await;
                }
            }
            (Ok(None), Some(lines), Some(ticket)) => {
                lines.refused(&self.key, self.place, ticket, Ok(None));
            }
            // Those who wait would not have given up at that.
            (Err(error), Some(lines), Some(ticket)) => {
                lines.refused(&self.key, self.place, ticket, Err(error.clone()));
                return error.outcome();
            }
            (Err(error), lines, _) => {
                if let Some(lines) = lines {
                    lines.over(&self.key, self.place, &error);
                }
                return error.outcome();
            }
            // Nobody is left. A guard is dropped, and the lock with it.
            (Ok(_), _, _) => {}
        }
        Outcome::Known
    }

    /// Tells those who share the place what becomes of it, until it is given back or lost.
    async fn look_after(&mut self, hold: &Arc<Hold>) {
        let (mut seen, mut asked) = (false, false);
        loop {
            let looking = *self.wanted.borrow_and_update();
            let lines = &self.lines;
            let wanted = |revoked| {
                if let Some(lines) = lines.upgrade() {
                    lines.wanted(&self.key, self.place, revoked);
                }
            };
            tokio::select! {
                biased;
                loss = hold.lost() => {
                    if let Some(lines) = lines.upgrade() {
                        lines.over(&self.key, self.place, &lost(hold, loss));
                    }
                    return;
                }
                changed = self.wanted.changed() => if changed.is_err() {
                    return;
                },
                () = hold.revoked(), if !asked => {
                    asked = true;
                    wanted(true);
                }
                () = others(&self.stand.locker, &self.key), if looking && !seen => {
                    seen = true;
                    wanted(false);
                }
            }
        }
    }
}

impl Drop for Agent {
    /// It goes before it is done only when its runtime does, and then nobody stands in the store's line.
    fn drop(&mut self) {
        if let (Some(_), Some(lines)) = (self.left.take(), self.lines.upgrade()) {
            lines.over(&self.key, self.place, &abandoned());
        }
    }
}

/// Nobody stands in the store's line any more.
pub(super) fn abandoned() -> Error {
    let text = "the runtime that the lock was asked for on has been shut down";
    Error::new(ErrorKind::Unavailable, text).with_unknown_outcome()
}

/// Resolves when nobody wants the place any more.
async fn unwanted(wanted: &mut watch::Receiver<bool>) -> Error {
    while wanted.changed().await.is_ok() {}
    Error::new(ErrorKind::Lost, "nobody wants the place in line any more")
}

/// Resolves when somebody who does not hold the lock stands in the store's line.
async fn others(locker: &Locker, key: &Key) {
    let backend = locker.backend();
    let Some(survey) = backend.survey() else { return std::future::pending().await };
    let (first, max) = (Duration::from_millis(50), Duration::from_secs(2));
    let mut pauses = Backoff::new(first, max, locker.seed());
    loop {
        // What the store did not tell is seen some time later.
        let recheck = pauses.jitter(locker.limits().recheck);
        match tokio::time::timeout(recheck, survey.contended(&key.name)).await {
            Ok(Ok(())) => return,
            Ok(Err(_)) => tokio::time::sleep(pauses.pause()).await,
            Err(_) => pauses.reset(),
        }
    }
}
