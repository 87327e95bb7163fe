//! What the log's thread shares with those who append and wait.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::batch::Batch;
use super::error::{AppendError, Failure, Stopped};
use super::sealed::Sealed;
use super::segment::Segment;

/// The meeting point.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Wakes the log's thread.
    pub(super) work: Condvar,
    /// Wakes all others.
    pub(super) news: Condvar,
    open_bytes_max: usize,
    payload_bytes_max: usize,
}

#[derive(Debug)]
pub(super) struct State {
    /// The batch that fills while the one before it is written.
    pub(super) open: Batch,
    /// The zxid of the last entry that was taken.
    pub(super) appended: i64,
    /// The zxid of the last entry that is durable.
    pub(super) durable: i64,
    /// All segments that are not written to any more, oldest first.
    pub(super) sealed: Vec<Sealed>,
    pub(super) next: Next,
    /// How many rotations were asked for, and answered.
    pub(super) rotations_wanted: u64,
    pub(super) rotations_done: u64,
    /// Why the last one could not be done.
    pub(super) rotation_failure: Option<Arc<Failure>>,
    pub(super) closing: bool,
    /// The log's thread waits for work.
    idle: bool,
    /// How many threads wait for news. To wake nobody is a system call, too.
    waiting: usize,
    pub(super) stopped: Option<Stopped>,
}

/// The segment after the current one.
#[derive(Debug)]
pub(super) enum Next {
    /// Nobody has begun to prepare it.
    Missing,
    /// A thread is preparing it.
    Preparing,
    /// It can be entered.
    Ready(Segment),
    /// It could not be prepared.
    Failed(Arc<Failure>),
}

impl State {
    /// Whether there is anything for the log's thread to do.
    fn has_work(&self) -> bool {
        let rotate = self.rotations_wanted > self.rotations_done;
        let can_rotate = rotate && !matches!(self.next, Next::Preparing);
        !self.open.is_empty() || self.closing || can_rotate
    }
}

impl Shared {
    pub(super) fn new(
        zxid: i64,
        sealed: Vec<Sealed>,
        open_bytes_max: usize,
        payload_bytes_max: usize,
    ) -> Shared {
        let state = State {
            open: Batch::new(),
            appended: zxid,
            durable: zxid,
            sealed,
            next: Next::Missing,
            rotations_wanted: 0,
            rotations_done: 0,
            rotation_failure: None,
            closing: false,
            idle: false,
            waiting: 0,
            stopped: None,
        };
        let (work, news) = (Condvar::new(), Condvar::new());
        Shared { state: Mutex::new(state), work, news, open_bytes_max, payload_bytes_max }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Every change below is complete before anything that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an entry into the open batch. The log's thread may sleep on until [`Shared::wake`].
    pub(super) fn gather(&self, zxid: i64, payload: &[u8]) -> Result<(), AppendError> {
        let bytes_max = self.payload_bytes_max;
        if payload.len() > bytes_max {
            return Err(AppendError::TooLarge { bytes: payload.len(), bytes_max });
        }
        let mut state = self.lock();
        while state.open.length() >= self.open_bytes_max && state.stopped.is_none() {
            // Who makes room may not know yet that there is anything to do.
            self.work.notify_one();
            state = self.wait(state);
        }
        if let Some(stopped) = &state.stopped {
            return Err(AppendError::Stopped(stopped.clone()));
        }
        if state.closing {
            return Err(AppendError::Stopped(Stopped::Closed));
        }
        if zxid <= state.appended {
            return Err(AppendError::NotAscending { zxid, last_zxid: state.appended });
        }
        state.open.push(zxid, payload);
        state.appended = zxid;
        Ok(())
    }

    /// Wakes the log's thread if it sleeps over entries. It takes all there is by then, and looks
    /// for more before it sleeps again.
    pub(super) fn wake(&self) {
        let mut state = self.lock();
        if state.idle && !state.open.is_empty() {
            state.idle = false;
            drop(state);
            self.work.notify_one();
        }
    }

    /// Waits until there is work, and takes the open batch for the empty one given.
    pub(super) fn take_work(&self, batch: &mut Batch) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        while !state.has_work() {
            state.idle = true;
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.idle = false;
        std::mem::swap(&mut state.open, batch);
        // Whoever waited for room has it now.
        self.tell(&state);
        state
    }

    /// Waits until `zxid` is durable, or the time is up, which is `Ok(false)`.
    pub(super) fn wait_for(&self, zxid: i64, until: Option<Instant>) -> Result<bool, Stopped> {
        let mut state = self.lock();
        loop {
            if state.durable >= zxid {
                return Ok(true);
            }
            if let Some(stopped) = &state.stopped {
                return Err(stopped.clone());
            }
            state = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => self.wait(state),
                Some(Duration::ZERO) => return Ok(false),
                Some(left) => self.wait_at_most(state, left),
            };
        }
    }

    pub(super) fn wait<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        state.waiting += 1;
        let mut state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        state
    }

    fn wait_at_most<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        left: Duration,
    ) -> MutexGuard<'a, State> {
        state.waiting += 1;
        let waited = self.news.wait_timeout(state, left);
        let mut state = waited.map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state);
        state.waiting -= 1;
        state
    }

    /// Wakes those who wait for news, if any do.
    pub(super) fn tell(&self, state: &State) {
        if state.waiting > 0 {
            self.news.notify_all();
        }
    }

    /// Ends the log for all who wait.
    pub(super) fn stop(&self, stopped: Stopped) {
        let mut state = self.lock();
        state.stopped.get_or_insert(stopped);
        drop(state);
        self.news.notify_all();
    }
}
