//! Being told what becomes of every attempt and every hold, for metrics and traces.

use crate::acquire::Progress;
use crate::claim::{Mode, Waiting};
use crate::clock::{Clock, Instant};
use crate::error::Error;
use crate::lease::Loss;
use crate::name::Name;
use crate::token::Token;
use std::sync::Arc;
use std::time::Duration;

/// Told of every attempt to acquire a lock; see [`Locker::with_instrument`].
///
/// It is called on the way to the lock, so it must return at once.
///
/// [`Locker::with_instrument`]: crate::Locker::with_instrument
pub trait Instrument: Send + Sync + 'static {
    /// An attempt begins.
    fn attempt(&self, subject: &Subject<'_>) -> Box<dyn Probe>;
}

/// What is asked for. None of it is secret.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Subject<'a> {
    /// The store's name in messages.
    pub store: &'a str,
    /// The lock; where several are asked for at once, the first of them.
    pub name: &'a Name,
    /// How it excludes others.
    pub mode: Mode,
}

/// Told what becomes of one attempt, and of the hold that comes of it.
///
/// A life goes one way: `waiting` and `trouble` any number of times, then one of `acquired`, `refused`,
/// `failed` and `abandoned`; after `acquired` one of `released`, `lost` and `abandoned`.
pub trait Probe: Send + Sync {
    /// The store has told the place in line.
    fn waiting(&self, waiting: &Waiting);

    /// The store cannot be asked just now; the attempt goes on.
    fn trouble(&self, error: &Error);

    /// The lock is held, after so long.
    fn acquired(&self, token: Token, waited: Duration);

    /// Somebody else holds the lock, and the attempt was not to wait.
    fn refused(&self);

    /// The lock was not had, after so long: the time was up, or asking again would not help.
    fn failed(&self, error: &Error, waited: Duration);

    /// The lock is being given back, after so long.
    fn released(&self, held: Duration);

    /// The lock was lost, after so long.
    fn lost(&self, loss: Loss, held: Duration);

    /// The future of the attempt was dropped, or the runtime of the hold was shut down.
    fn abandoned(&self);
}

/// One attempt or hold, and what is to be told of its end, once.
pub(crate) struct Watched(Option<Watching>);

struct Watching {
    probe: Box<dyn Probe>,
    clock: Arc<dyn Clock>,
    since: Instant,
}

impl Watched {
    pub(crate) fn new(probe: Box<dyn Probe>, clock: Arc<dyn Clock>) -> Self {
        let since = clock.now();
        Watched(Some(Watching { probe, clock, since }))
    }

    /// Nobody is told.
    pub(crate) fn by_nobody() -> Self {
        Watched(None)
    }

    pub(crate) fn progress(&self, progress: &Progress<'_>) {
        match (&self.0, progress) {
            (Some(watching), Progress::Waiting(waiting)) => watching.probe.waiting(waiting),
            (Some(watching), Progress::Trouble(error)) => watching.probe.trouble(error),
            (None, _) => {}
        }
    }

    /// From now on it is a hold.
    pub(crate) fn acquired(&mut self, token: Token) {
        if let Some(watching) = &mut self.0 {
            let waited = watching.lasted();
            watching.since = watching.clock.now();
            watching.probe.acquired(token, waited);
        }
    }

    pub(crate) fn refused(mut self) {
        if let Some(watching) = self.0.take() {
            watching.probe.refused();
        }
    }

    pub(crate) fn failed(mut self, error: &Error) {
        if let Some(watching) = self.0.take() {
            watching.probe.failed(error, watching.lasted());
        }
    }

    pub(crate) fn ended(&mut self, loss: Option<Loss>) {
        let Some(watching) = self.0.take() else { return };
        match loss {
            Some(loss) => watching.probe.lost(loss, watching.lasted()),
            None => watching.probe.released(watching.lasted()),
        }
    }
}

impl Watching {
    fn lasted(&self) -> Duration {
        self.clock.now().since(self.since)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(watching) = self.0.take() {
            watching.probe.abandoned();
        }
    }
}
