//! At most one run in each interval, across all machines.

use super::alarm::Alarm;
use super::driver::Driver;
use crate::{Ran, Skipped, WorkError};
#[cfg(doc)]
use sneck_core::ErrorKind;
use sneck_core::{End, Error, LastRun, Loss, Token};
use std::time::{Duration, SystemTime};
use tokio::sync::oneshot;

/// A job that is to run at most once in each interval, without `async`; as [`sneck::Once`](crate::Once).
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let locks = sneck::blocking::connect("memory:")?;
/// use sneck::Ran;
/// use std::time::Duration;
/// let report = locks.once("report", Duration::from_secs(3600));
/// let ran = report.run(|_token| Ok::<_, std::io::Error>("sent"))?;
/// assert!(matches!(ran, Ran::Here("sent")));
/// let again = report.run(|_token| Ok::<_, std::io::Error>("sent"))?;
/// assert!(matches!(again, Ran::Skipped(_)));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Once {
    inner: crate::Once,
    driver: Driver,
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

/// A job that is done on the thread that waits, and where to say what came of it.
type Errand<T, E> = (Token, oneshot::Sender<Result<T, E>>);

impl Once {
    pub(super) fn new(driver: &Driver, inner: crate::Once) -> Self {
        Once { inner, driver: driver.clone() }
    }

    /// The same job, where a run that failed, or whose process died, does not use up its interval.
    #[must_use]
    pub fn retry_unfinished(self) -> Self {
        Once { inner: self.inner.retry_unfinished(), ..self }
    }

    /// Runs `work` on this thread if it is due. The lock it runs under may be lost meanwhile, which does
    /// not stop it; work that is to know uses [`start`](Once::start) and [`Run::check`].
    ///
    /// # Errors
    /// As for [`sneck::Once::run`](crate::Once::run).
    pub fn run<T: Send + 'static, E: Send + 'static>(
        &self,
        work: impl FnOnce(Token) -> Result<T, E>,
    ) -> Result<Ran<T>, WorkError<E>> {
        let (once, mut work) = (self.inner.clone(), Some(work));
        self.driver.serve(
            |desk| async move { once.run(|token| desk.ask(move |reply| (token, reply))).await },
            |(token, reply): Errand<T, E>| {
                // Not begun when the lock was lost before.
                if let Some(work) = work.take_if(|_| !reply.is_closed()) {
                    let _ = reply.send(work(token));
                }
            },
        )
    }

    /// Starts the job if it is due. The interval is used up as soon as this has answered
    /// [`Start::Run`].
    ///
    /// # Errors
    /// As for [`sneck::Once::start`](crate::Once::start).
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// use sneck::{End, blocking::Start};
    /// use std::time::Duration;
    /// let report = locks.once("report", Duration::from_secs(3600));
    /// if let Start::Run(run) = report.start()? {
    ///     run.check()?; // before each step
    ///     run.end(End::Done)?;
    /// }
    /// assert!(report.last()?.expect("it has run").is_done());
    /// # Ok(()) }
    /// ```
    pub fn start(&self) -> Result<Start, Error> {
        Ok(match self.ask(|once| async move { once.start().await })? {
            crate::Start::Run(run) => Start::Run(Run::new(&self.driver, run)),
            crate::Start::Skip(skipped) => Start::Skip(skipped),
        })
    }

    /// The last run; `None` if there was none yet.
    ///
    /// # Errors
    /// As for [`start`](Once::start).
    pub fn last(&self) -> Result<Option<LastRun>, Error> {
        self.ask(|once| async move { once.last().await })
    }

    /// Forgets the last run, so that the job is due at once.
    ///
    /// # Errors
    /// As for [`start`](Once::start).
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// use std::time::Duration;
    ///
    /// let report = locks.once("report", Duration::from_secs(3600));
    /// report.forget()?;
    /// assert!(report.last()?.is_none(), "it is due");
    /// # Ok(()) }
    /// ```
    pub fn forget(&self) -> Result<(), Error> {
        self.ask(|once| async move { once.forget().await })
    }

    fn ask<F>(&self, question: impl FnOnce(crate::Once) -> F) -> F::Output
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.driver.drive(question(self.inner.clone()))
    }
}

/// A run of a job, until it is ended; as [`sneck::Run`](crate::Run). Dropping it counts as a run that did
/// not end.
#[derive(Debug)]
#[must_use = "a run that is dropped counts as one that did not end"]
pub struct Run {
    inner: crate::Run,
    alarm: Alarm,
}

impl Run {
    fn new(driver: &Driver, inner: crate::Run) -> Self {
        Run { inner, alarm: Alarm::new(driver) }
    }

    /// The fencing token: larger than that of every earlier run.
    pub fn token(&self) -> Token {
        self.inner.token()
    }

    /// When the run began, by the store's clock.
    pub fn started(&self) -> SystemTime {
        self.inner.started()
    }

    /// Whether the run may go on: its lock is certainly still held.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] when it is not, with the reason: somebody else may run the job.
    pub fn check(&self) -> Result<(), Error> {
        self.inner.check()
    }

    /// Waits until the lock the run holds is lost, for ever if need be, and says why.
    pub fn wait_lost(&self) -> Loss {
        self.alarm.wait(self.inner.lost())
    }

    /// The same for at most `timeout`; `None` when the lock was not lost by then.
    pub fn wait_lost_timeout(&self, timeout: Duration) -> Option<Loss> {
        self.alarm.wait_timeout(self.inner.lost(), timeout)
    }

    /// Calls back once when the lock is lost; see [`Guard::on_lost`](super::Guard::on_lost).
    pub fn on_lost(&self, callback: impl FnOnce(Loss) + Send + 'static) {
        self.alarm.set(self.inner.lost(), callback);
    }

    /// Does some work, and says afterwards whether the lock was held all the time. The work is not
    /// stopped; see [`Guard::protect`](super::Guard::protect).
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] when it was lost before the work began, or by the time it was done.
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// use std::time::Duration;
    ///
    /// use sneck::{End, blocking::Start};
    /// if let Start::Run(run) = locks.once("report", Duration::from_secs(3600)).start()? {
    ///     let pages = run.protect(|_| 3)?;
    ///     println!("{pages} pages");
    ///     run.end(End::Done)?;
    /// }
    /// # Ok(()) }
    /// ```
    pub fn protect<T>(&self, work: impl FnOnce(&Self) -> T) -> Result<T, Error> {
        self.check()?;
        let done = work(self);
        self.check().map(|()| done)
    }

    /// Records how the run ended, and gives the lock back.
    ///
    /// # Errors
    /// As for [`sneck::Run::end`](crate::Run::end).
    pub fn end(self, end: End) -> Result<(), Error> {
        let Run { inner, alarm } = self;
        alarm.driver().drive(inner.end(end))
    }
}
