//! At most one run in each interval, across all machines.

use crate::locks::Locks;
use crate::work_error::WorkError;
use sneck_core::{
    Change, ClaimId, Contender, End, Error, ErrorKind, Guard, Judgement, LastRun, Loss, Name,
    Record, RecordKey, RecordKind, Records, Token,
};
use std::future::Future;
use std::time::{Duration, SystemTime};

/// A job that is to run at most once in each interval, however many machines try.
///
/// An interval is counted from the *start* of the last run, by the store's clock: no clock of a client
/// decides anything. Whoever comes too early skips and is told who ran, and when the next run is due.
///
/// * Runs never overlap. While one goes on it holds the mutex of the same name, so that a run by hand
///   under that mutex is kept apart from it too; who comes meanwhile skips, also when the next run is
///   due. A run that outlives its interval is followed by the first who tries after its end.
/// * A run uses up its interval by starting: one that fails, or whose process dies, is not repeated
///   before the next. That is *at most once*. With [`retry_unfinished`](Once::retry_unfinished) the next
///   caller repeats it at once: *until it has succeeded*.
/// * A timer that fires every hour fires a little early or late. Ask for an interval somewhat shorter
///   than the timer's, such as 55 minutes, lest every other run be skipped.
/// * When the store's clock steps forward, one run may come early, and the next one a whole interval
///   after it. When it steps back, a run comes late, by two intervals at most, and never early.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use sneck::Ran;
/// use std::time::Duration;
/// let locks = sneck::connect("memory:").await?;
/// let report = locks.once("report", Duration::from_secs(3600));
/// for expected in [true, false] {
///     match report.run(|_token| async { Ok::<_, std::io::Error>("sent") }).await? {
///         Ran::Here(said) => assert!(expected && said == "sent"),
///         Ran::Skipped(skipped) => {
///             let last = skipped.last.expect("it has run");
///             println!("ran at {:?} by {:?}; next at {:?}", last.started, last.by, skipped.due);
///             assert!(!expected);
///         }
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Once {
    locks: Locks,
    name: Result<Name, Error>,
    every: Duration,
    retry: bool,
}

/// What came of trying to start a job.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "it is made once in an interval, and taken apart at once"
)]
pub enum Start {
    /// It is due, and it is ours to run.
    Run(Run),
    /// It is not.
    Skip(Box<Skipped>),
}

/// What came of a job.
#[derive(Debug)]
pub enum Ran<T> {
    /// It ran here, to a good end.
    Here(T),
    /// It was not to run here and now.
    Skipped(Box<Skipped>),
}

/// Why a job was not to run.
#[derive(Clone, Debug)]
pub struct Skipped {
    /// The last run, if there was one.
    pub last: Option<LastRun>,
    /// When the next run is due, by the store's clock. It may lie in the past while a run goes on.
    pub due: Option<SystemTime>,
    /// Who is at it, if somebody is.
    pub running: Option<Contender>,
}

impl Once {
    pub(crate) fn new(locks: Locks, name: Result<Name, Error>, every: Duration) -> Self {
        Once { locks, name, every, retry: false }
    }

    /// The same job, where a run that failed, or whose process died, does not use up its interval: the
    /// next caller runs it again. That a process died is known when its session with the store has
    /// ended.
    #[must_use]
    pub fn retry_unfinished(mut self) -> Self {
        self.retry = true;
        self
    }

    /// Runs `work` if it is due. It runs under the mutex of the job's name, whose token it is given, and
    /// is dropped where it stands when that is lost.
    ///
    /// Whether the end of the run could be recorded is not told: with
    /// [`retry_unfinished`](Once::retry_unfinished), a run whose end could not is run again. Use
    /// [`start`](Once::start) to know.
    ///
    /// # Errors
    /// [`WorkError::Work`] with what `work` said; [`WorkError::Lock`] as for [`start`](Once::start), and
    /// when the lock was lost while the work went on.
    ///
    /// # Cancel safety
    /// When the future is dropped, the work is dropped where it stands; the run counts as one that did
    /// not end.
    pub async fn run<T, E, F: Future<Output = Result<T, E>>>(
        &self,
        work: impl FnOnce(Token) -> F,
    ) -> Result<Ran<T>, WorkError<E>> {
        let run = match self.start().await? {
            Start::Run(run) => run,
            Start::Skip(skipped) => return Ok(Ran::Skipped(skipped)),
        };
        let done = run.protect(work(run.token())).await?;
        let end = if done.is_ok() { End::Done } else { End::Failed };
        let recorded = run.end(end).await;
        drop(recorded);
        done.map(Ran::Here).map_err(WorkError::Work)
    }

    /// Starts the job if it is due. The interval is used up as soon as this has answered
    /// [`Start::Run`].
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a bad name or an interval of zero, before anything is sent;
    /// [`ErrorKind::Refused`] when the store keeps nothing that outlives a process;
    /// [`ErrorKind::Unavailable`] when it cannot be reached, with an unknown outcome if the interval may
    /// have been used up.
    ///
    /// # Cancel safety
    /// When the future is dropped, the interval may be used up by a run that never took place.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// use std::time::Duration;
    ///
    /// use sneck::{End, Start};
    /// let report = locks.once("report", Duration::from_secs(3600));
    /// match report.start().await? {
    ///     Start::Run(run) => {
    ///         println!("running with token {}", run.token());
    ///         run.end(End::Done).await?;
    ///     }
    ///     Start::Skip(skipped) => println!("not before {:?}", skipped.due),
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn start(&self) -> Result<Start, Error> {
        let (key, records) = (self.key()?, self.records()?);
        let before = self.read(records, &key).await?;
        if let Some(skipped) = self.too_early(records, &key, before).await? {
            return Ok(Start::Skip(skipped));
        }
        let Some(guard) = self.locks.mutex(key.name.as_str()).try_lock().await? else {
            return Ok(Start::Skip(self.running(records, &key).await?));
        };
        // Another run may have come and gone before the lock was had.
        let before = self.read(records, &key).await?;
        if let Some(skipped) = self.too_early(records, &key, before.clone()).await? {
            return Ok(Start::Skip(skipped));
        }
        let (expected, id) = (before.as_ref().map(|record| record.id), ClaimId::random());
        let caller = self.locks.caller_now();
        let text = LastRun::begun(&caller, guard.token());
        let begun =
            self.locks.locker().settle(|| records.write(&key, expected, id, text.as_bytes()));
        let begun = guard.protect(begun).await??;
        Ok(match begun {
            Change::Done(record) => {
                Start::Run(Run { locks: self.locks.clone(), key, record, guard })
            }
            // Who wrote it had the lock after us: we have lost it, and only do not know yet.
            Change::Conflict(current) => Start::Skip(self.skipped(current.as_ref(), None)),
        })
    }

    /// The last run; `None` if there was none yet.
    ///
    /// # Errors
    /// As for [`start`](Once::start).
    ///
    /// # Cancel safety
    /// Cancel safe.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// use std::time::Duration;
    ///
    /// use sneck::{End, Start};
    /// let report = locks.once("report", Duration::from_secs(3600));
    /// assert!(report.last().await?.is_none());
    /// if let Start::Run(run) = report.start().await? {
    ///     run.end(End::Done).await?;
    /// }
    /// assert!(report.last().await?.is_some());
    /// # Ok(()) }
    /// ```
    pub async fn last(&self) -> Result<Option<LastRun>, Error> {
        let record = self.read(self.records()?, &self.key()?).await?;
        Ok(record.as_ref().map(LastRun::of))
    }

    /// Forgets the last run, so that the job is due at once.
    ///
    /// # Errors
    /// As for [`start`](Once::start).
    ///
    /// # Cancel safety
    /// When the future is dropped, the last run may be forgotten or not.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// use std::time::Duration;
    ///
    /// let report = locks.once("report", Duration::from_secs(3600));
    /// report.forget().await?;
    /// assert!(report.last().await?.is_none(), "it is due");
    /// # Ok(()) }
    /// ```
    pub async fn forget(&self) -> Result<(), Error> {
        let (key, records) = (self.key()?, self.records()?);
        while let Some(record) = self.read(records, &key).await? {
            let deleted = self.locks.locker().settle(|| records.delete(&key, record.id));
            if let Change::Done(()) = deleted.await? {
                break;
            }
        }
        Ok(())
    }

    /// Why the job is not to run now, unless it is.
    async fn too_early(
        &self,
        records: &dyn Records,
        key: &RecordKey,
        record: Option<Record>,
    ) -> Result<Option<Box<Skipped>>, Error> {
        let last = record.as_ref().map(LastRun::of);
        let Some(record) = record else { return Ok(None) };
        if self.retry && last.as_ref().is_some_and(|last| !last.is_done()) {
            return Ok(None);
        }
        let now = self.locks.locker().settle(|| records.now()).await?;
        match LastRun::judge(last.as_ref(), now, self.every) {
            Judgement::Due => Ok(None),
            Judgement::NotBefore(_) => Ok(Some(self.skipped(Some(&record), None))),
            Judgement::SteppedBack => {
                let text = last.map(|last| last.rebased()).unwrap_or_default();
                let (expected, id) = (Some(record.id), ClaimId::random());
                let write = || records.write(key, expected, id, text.as_bytes());
                let current = match self.locks.locker().settle(write).await? {
                    Change::Done(rebased) => Some(rebased),
                    Change::Conflict(current) => current,
                };
                Ok(Some(self.skipped(current.as_ref(), None)))
            }
        }
    }

    async fn running(&self, records: &dyn Records, key: &RecordKey) -> Result<Box<Skipped>, Error> {
        // Who it is, is told if it can be learnt: it does not matter for skipping.
        let line = self.locks.line(key.name.as_str()).await.unwrap_or_default();
        let record = self.read(records, key).await?;
        Ok(self.skipped(record.as_ref(), line.into_iter().next()))
    }

    fn skipped(&self, record: Option<&Record>, running: Option<Contender>) -> Box<Skipped> {
        let last = record.map(LastRun::of);
        let due = last.as_ref().and_then(|last| last.next(self.every));
        Box::new(Skipped { last, due, running })
    }

    async fn read(&self, records: &dyn Records, key: &RecordKey) -> Result<Option<Record>, Error> {
        self.locks.locker().settle(|| records.read(key)).await
    }

    fn key(&self) -> Result<RecordKey, Error> {
        let name = self.name.clone()?;
        if self.every.is_zero() {
            let error = Error::new(ErrorKind::Invalid, "an interval of zero is none");
            return Err(error
                .with_lock(&name)
                .with_hint("use a mutex for a job without an interval"));
        }
        Ok(RecordKey { kind: RecordKind::Once, name })
    }

    fn records(&self) -> Result<&dyn Records, Error> {
        self.locks.records()
    }
}

/// A run of a job, until it is ended. Dropping it counts as a run that did not end.
#[derive(Debug)]
#[must_use = "a run that is dropped counts as one that did not end"]
pub struct Run {
    locks: Locks,
    key: RecordKey,
    record: Record,
    guard: Guard,
}

impl Run {
    /// The fencing token: larger than that of every earlier run.
    pub fn token(&self) -> Token {
        self.guard.token()
    }

    /// The mutex that the run holds, for those who look after the work themselves.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// When the run began, by the store's clock.
    pub fn started(&self) -> SystemTime {
        self.record.written
    }

    /// Whether the run may go on: its lock is certainly still held.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] when it is not, with the reason: somebody else may run the job.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// use std::time::Duration;
    ///
    /// use sneck::{End, Start};
    /// if let Start::Run(run) = locks.once("report", Duration::from_secs(3600)).start().await? {
    ///     for page in 1..=3 {
    ///         run.check()?;
    ///         println!("page {page}");
    ///     }
    ///     run.end(End::Done).await?;
    /// }
    /// # Ok(()) }
    /// ```
    pub fn check(&self) -> Result<(), Error> {
        self.guard.check()
    }

    /// Resolves when the lock the run holds is lost, and says why: somebody else may run the job then.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub fn lost(&self) -> impl Future<Output = Loss> + Send + use<> {
        self.guard.lost()
    }

    /// Runs `work` while the lock is held. When it is lost, `work` is dropped where it stands.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] when the lock was lost before `work` was done, or by the time it was.
    ///
    /// # Cancel safety
    /// As cancel safe as `work`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// use std::time::Duration;
    ///
    /// use sneck::{End, Start};
    /// if let Start::Run(run) = locks.once("report", Duration::from_secs(3600)).start().await? {
    ///     let pages = run.protect(async { 3 }).await?;
    ///     println!("{pages} pages");
    ///     run.end(End::Done).await?;
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn protect<F: Future>(&self, work: F) -> Result<F::Output, Error> {
        self.guard.protect(work).await
    }

    /// Records how the run ended, and gives the lock back.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] when the lock was lost, or another run is recorded by now; and what the store
    /// reports. Where [`retry_unfinished`](Once::retry_unfinished) is asked for, the job may run again.
    ///
    /// # Cancel safety
    /// When the future is dropped, the end may be recorded or not; the lock is given back in the
    /// background.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// use std::time::Duration;
    ///
    /// use sneck::{End, Start};
    /// let report = locks.once("report", Duration::from_secs(3600)).retry_unfinished();
    /// if let Start::Run(run) = report.start().await? {
    ///     run.end(End::Failed).await?;
    /// }
    /// assert!(matches!(report.start().await?, Start::Run(_)), "it is repeated");
    /// # Ok(()) }
    /// ```
    pub async fn end(self, end: End) -> Result<(), Error> {
        let Run { locks, key, record, guard } = self;
        let (records, id) = (locks.records()?, ClaimId::random());
        let text = LastRun::of(&record).over(end);
        // Not given up when the lock is lost: the condition alone says whether it is still our run.
        let write = || records.write(&key, Some(record.id), id, text.as_bytes());
        let written = locks.locker().settle(write).await;
        let released = guard.unlock().await;
        match written? {
            Change::Done(_) => released,
            Change::Conflict(_) => {
                let error = Error::new(ErrorKind::Lost, "another run is recorded by now");
                Err(error.with_lock(&key.name).with_backend(&locks.label()))
            }
        }
    }
}
