//! New snapshots of old ones and the log, in the background and without touching the live state.

use std::error::Error;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::encode::WriteError;
use super::restore::Replica;
use super::snapshots::Snapshots;
use crate::log::{Archive, Failure, OpenError, replay_sealed};

/// How often the length of the log is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How often the wait after a failure is doubled.
const DOUBLINGS_MAX: u32 = 6;

/// When to make a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Bytes of sealed segments that have to gather first. Where the last snapshot is longer than this,
    /// as much as it is long: a large state is not written again for every little bit of log.
    pub log_bytes: u64,
    /// How long after a failure to try again. It doubles with each that follows, up to 64 times as
    /// long.
    pub retry_after: Duration,
}

impl Pace {
    /// Only when asked.
    pub const ON_REQUEST: Pace = Pace { log_bytes: u64::MAX, retry_after: Duration::from_secs(5) };
}

/// A thread that keeps the log short.
#[derive(Debug)]
pub struct Compactor {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
}

/// What a compaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// The zxid of the newest snapshot; the folder's first where there is nothing to have one of.
    pub zxid: i64,
    /// The length of the snapshot that was written; 0 if the newest one had everything.
    pub snapshot_bytes: u64,
    /// How many segments of the log were removed.
    pub segments_removed: usize,
}

/// Why there is no new snapshot. The ones before and the log are as they were.
#[derive(Debug)]
#[non_exhaustive]
pub enum CompactError {
    /// The log could not go on in a new segment.
    Rotate(Arc<Failure>),
    /// The last snapshot or the log cannot be read.
    Read(OpenError),
    /// The new snapshot cannot be written.
    Write(WriteError),
    /// What is not needed any more cannot be removed. There is a new snapshot, though.
    Remove(io::Error),
    /// The compactor has ended.
    Ended,
}

impl fmt::Display for CompactError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rotate(_) => "the log cannot go on in a new segment",
            Self::Read(_) => "the last snapshot or the log cannot be read",
            Self::Write(_) => "a new snapshot cannot be written",
            Self::Remove(_) => "old snapshots or segments cannot be removed",
            Self::Ended => "the compactor has ended",
        })
    }
}

impl Error for CompactError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Rotate(failure) => Some(failure.as_ref()),
            Self::Read(error) => Some(error),
            Self::Write(error) => Some(error),
            Self::Remove(error) => Some(error),
            Self::Ended => None,
        }
    }
}

/// Where requests are left for the thread.
#[derive(Debug, Default)]
struct Desk {
    state: Mutex<Requests>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct Requests {
    wanted: u64,
    done: u64,
    last: Option<Result<Compacted, Arc<CompactError>>>,
    /// The log has grown by a segment since its length was looked at.
    grown: bool,
    ending: bool,
    ended: bool,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Requests> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Compactor {
    /// Starts the thread. It makes a snapshot whenever enough log has gathered since the last one, and
    /// a while after it could not make one; and it calls `report` with what came of it.
    ///
    /// # Errors
    ///
    /// When no thread can be had.
    pub fn start<R: Replica + 'static>(
        archive: Archive,
        pace: Pace,
        report: impl FnMut(&Result<Compacted, Arc<CompactError>>) + Send + 'static,
    ) -> io::Result<Compactor> {
        let desk = Arc::new(Desk::default());
        let worker = Worker::<R> {
            archive,
            pace,
            snapshot_zxid: i64::MIN,
            snapshot_bytes: 0,
            failures: 0,
            retry_at: None,
            report: Box::new(report),
            replica: PhantomData,
        };
        let at_desk = Arc::clone(&desk);
        let run = move || {
            let _sign = EndSign(Arc::clone(&at_desk));
            stand_back();
            worker.run(&at_desk);
        };
        let thread = std::thread::Builder::new().name("sneck-compact".to_owned()).spawn(run)?;
        Ok(Compactor { desk, thread: Some(thread) })
    }

    /// Where to say that the log has grown.
    pub(crate) fn bell(&self) -> Bell {
        Bell(Arc::clone(&self.desk))
    }

    /// Makes a snapshot of everything appended so far, and returns when it is durable.
    ///
    /// # Errors
    ///
    /// See [`CompactError`].
    pub fn compact_now(&self) -> Result<Compacted, Arc<CompactError>> {
        let mut state = self.desk.lock();
        state.wanted += 1;
        let mine = state.wanted;
        self.desk.news.notify_all();
        while state.done < mine {
            if state.ended {
                return Err(Arc::new(CompactError::Ended));
            }
            state = self.desk.news.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.last.clone().unwrap_or_else(|| Err(Arc::new(CompactError::Ended)))
    }
}

/// Tells a compactor that the log has grown. It does not keep it alive.
#[derive(Debug, Clone)]
pub(crate) struct Bell(Arc<Desk>);

impl Bell {
    /// Lets it look at the length of the log now, rather than in a while.
    pub(crate) fn ring(&self) {
        self.0.lock().grown = true;
        self.0.news.notify_all();
    }
}

impl Drop for Compactor {
    /// Waits for a compaction in progress, which is no work to throw away.
    fn drop(&mut self) {
        self.desk.lock().ending = true;
        self.desk.news.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed, and concerns nobody else.
            let _ = thread.join();
        }
    }
}

/// Tells those who wait that nobody works any more, also after a panic.
struct EndSign(Arc<Desk>);

impl Drop for EndSign {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.news.notify_all();
    }
}

type Report = Box<dyn FnMut(&Result<Compacted, Arc<CompactError>>) + Send>;

struct Worker<R> {
    archive: Archive,
    pace: Pace,
    /// What is sealed up to here is in the last snapshot.
    snapshot_zxid: i64,
    snapshot_bytes: u64,
    /// How many have failed since one has succeeded.
    failures: u32,
    /// When to try again, after a failure.
    retry_at: Option<Instant>,
    report: Report,
    replica: PhantomData<fn() -> R>,
}

impl<R: Replica> Worker<R> {
    fn run(mut self, desk: &Desk) {
        let mut state = desk.lock();
        while !state.ending {
            let wanted = state.wanted;
            let asked = wanted > state.done;
            state.grown = false;
            drop(state);
            if asked || self.is_due() {
                let outcome = self.compact(asked).map_err(Arc::new);
                (self.report)(&outcome);
                let mut state = desk.lock();
                state.done = wanted;
                state.last = Some(outcome);
                desk.news.notify_all();
            }
            state = desk.lock();
            if state.wanted == state.done && !state.ending && !state.grown {
                let waited = desk.news.wait_timeout(state, self.rest());
                state = waited.map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state);
            }
        }
    }

    fn is_due(&self) -> bool {
        let enough = self.pace.log_bytes.max(self.snapshot_bytes);
        match self.retry_at {
            // What has failed is not tried more often for the log that gathers meanwhile.
            Some(at) => Instant::now() >= at,
            None => self.archive.sealed_bytes_after(self.snapshot_zxid) >= enough,
        }
    }

    /// How long there is nothing to look at.
    fn rest(&self) -> Duration {
        let retry = self.retry_at.map(|at| at.saturating_duration_since(Instant::now()));
        retry.map_or(LOOK_EVERY, |retry| retry.min(LOOK_EVERY))
    }

    fn compact(&mut self, rotate: bool) -> Result<Compacted, CompactError> {
        let outcome = self.try_to_compact(rotate);
        match &outcome {
            Ok(_) => (self.failures, self.retry_at) = (0, None),
            Err(_) => {
                self.failures = self.failures.saturating_add(1);
                self.retry_at =
                    Some(Instant::now() + wait_after(self.pace.retry_after, self.failures));
            }
        }
        outcome
    }

    fn try_to_compact(&mut self, rotate: bool) -> Result<Compacted, CompactError> {
        if rotate {
            self.archive.seal_and_rotate().map_err(CompactError::Rotate)?;
        }
        let sealed_zxid = self.archive.sealed_zxid();
        let outcome = compact::<R>(&self.archive)?;
        self.snapshot_zxid = sealed_zxid;
        if outcome.snapshot_bytes > 0 {
            self.snapshot_bytes = outcome.snapshot_bytes;
        }
        Ok(outcome)
    }
}

/// Lets requests go first where processors are scarce: a snapshot is for later, they are for now.
/// It still gets a tenth of a processor that is never idle.
fn stand_back() {
    /// Steps of niceness, of which ten make the weight of a thread a tenth.
    #[cfg(target_os = "linux")]
    const STEPS: i32 = 10;
    // Elsewhere it would be the whole process. Without permission it works on as it is.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(STEPS);
}

/// How long to wait after so many failures in a row.
fn wait_after(first: Duration, failures: u32) -> Duration {
    first * 2_u32.pow(failures.saturating_sub(1).min(DOUBLINGS_MAX))
}

/// Makes a snapshot of the last one and all sealed segments, and removes what nobody needs then:
/// all snapshots but the last two, and the log up to the older one.
fn compact<R: Replica>(archive: &Archive) -> Result<Compacted, CompactError> {
    let folder = archive.folder();
    let snapshots = Snapshots::new(folder.disk().as_ref());
    let base = snapshots.load_newest().map_err(CompactError::Read)?.image;
    let base_zxid = base.as_ref().map(|image| image.zxid);
    let after = base_zxid.unwrap_or(folder.floor());
    let sealed = archive.sealed();
    if sealed.last().is_none_or(|last| last.last_zxid <= after) {
        return Ok(Compacted { zxid: after, snapshot_bytes: 0, segments_removed: 0 });
    }
    let invalid = |source| CompactError::Read(OpenError::Replay { zxid: after, source });
    let mut replica = R::restore(base, folder.floor()).map_err(invalid)?;
    let mut replay = |zxid: i64, payload: &[u8]| replica.replay(zxid, payload);
    let zxid = replay_sealed(folder, &sealed, after, &mut replay).map_err(CompactError::Read)?;
    let image = super::Image { zxid, ..replica.into_image() };
    let snapshot_bytes = snapshots.save(&image).map_err(CompactError::Write)?;
    let kept = [Some(zxid), base_zxid];
    let kept: Vec<i64> = kept.into_iter().flatten().collect();
    snapshots.keep_only(&kept).map_err(CompactError::Remove)?;
    let segments_removed = archive.remove_segments_up_to(after).map_err(CompactError::Remove)?;
    Ok(Compacted { zxid, snapshot_bytes, segments_removed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound() {
        let seconds = |failures| wait_after(Duration::from_secs(5), failures).as_secs();
        assert_eq!([1, 2, 3, 7, 8].map(seconds), [5, 10, 20, 320, 320]);
        assert_eq!(seconds(u32::MAX), 320);
    }
}
