//! The exclusive lock.

use crate::attempt::Attempt;
use crate::locks::Locks;
use crate::queued::Queued;
#[cfg(doc)]
use sneck_core::ErrorKind;
use sneck_core::{Contender, Error, Guard, Mode, Name, Progress};
use std::time::Duration;

/// An exclusive lock across processes and machines.
///
/// It is fair: first come, first served. It is not re-entrant by itself: a task that asks for a lock it
/// holds waits for itself; see [`Reentrant`](crate::Reentrant). Each acquisition is a claim of its own, so one `Mutex` may be used by many tasks at
/// once, and clones are the same lock.
///
/// Do not use it to keep threads or tasks of one process apart: `tokio::sync::Mutex` does that ten
/// thousand times faster.
#[derive(Clone, Debug)]
pub struct Mutex {
    name: Result<Name, Error>,
    attempt: Attempt,
}

impl Mutex {
    pub(crate) fn new(locks: Locks, name: Result<Name, Error>) -> Self {
        Mutex { name, attempt: Attempt::new(locks) }
    }

    /// The same lock, asked for with a free text that others in line can see, such as why.
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.attempt.set_note(note.into());
        self
    }

    /// The same lock, telling `progress` how waiting goes: the place in line, and that the store cannot
    /// be reached just now.
    ///
    /// It is called from the task that waits, so it should return soon.
    #[must_use]
    pub fn on_progress(mut self, progress: impl Fn(Progress<'_>) + Send + Sync + 'static) -> Self {
        self.attempt.set_progress(progress);
        self
    }

    /// Waits for the lock, for ever if need be, also while the store cannot be reached.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] when the place in line was lost, because the session ended or somebody
    /// removed it: ask again. [`ErrorKind::Invalid`] for a bad name, [`ErrorKind::Denied`] and
    /// [`ErrorKind::Refused`] when asking again would not help.
    ///
    /// # Cancel safety
    /// When the future is dropped, the place in line is given up in the background. The place is
    /// lost, so do not poll it in a loop with a timer; see [`lock_timeout`](Mutex::lock_timeout).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// let guard = locks.mutex("cache").lock().await?;
    /// assert!(guard.is_held());
    /// # Ok(()) }
    /// ```
    pub async fn lock(&self) -> Result<Guard, Error> {
        self.attempt.wait(&self.name, Mode::Exclusive).await
    }

    /// Takes the lock if nobody holds it: `Ok(None)` when somebody does.
    ///
    /// # Errors
    /// As for [`lock`](Mutex::lock), and [`ErrorKind::Unavailable`] when the store cannot be reached.
    ///
    /// # Cancel safety
    /// When the future is dropped, what it may have taken is given up in the background.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// let guard = locks.mutex("cache").try_lock().await?;
    /// assert!(guard.is_some());
    /// assert!(locks.mutex("cache").try_lock().await?.is_none());
    /// # Ok(()) }
    /// ```
    pub async fn try_lock(&self) -> Result<Option<Guard>, Error> {
        self.attempt.once(&self.name, Mode::Exclusive).await
    }

    /// Waits for the lock for at most `timeout`.
    ///
    /// # Errors
    /// As for [`lock`](Mutex::lock), and [`ErrorKind::Timeout`], whose
    /// [`holder`](Error::holder) says who has the lock if it could be learnt.
    ///
    /// # Cancel safety
    /// When the future is dropped, the place in line is given up in the background.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// use std::time::Duration;
    /// let _guard = locks.mutex("cache").lock().await?;
    /// let error = locks.mutex("cache").lock_timeout(Duration::from_millis(5)).await.unwrap_err();
    /// assert_eq!(error.kind(), sneck::ErrorKind::Timeout);
    /// println!("{error}"); // and who holds it, since when
    /// # Ok(()) }
    /// ```
    pub async fn lock_timeout(&self, timeout: Duration) -> Result<Guard, Error> {
        self.attempt.within(&self.name, Mode::Exclusive, timeout).await
    }

    /// Waits as [`lock`](Mutex::lock) does, and tells the place in line and who holds the lock meanwhile.
    /// What it fails with is told by [`Queued::guard`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// let mut queued = locks.mutex("cache").lock_queued();
    /// while let Some(waiting) = queued.next().await {
    ///     println!("{:?} ahead", waiting.ahead);
    /// }
    /// let guard = queued.guard().await?;
    /// # guard.unlock().await?;
    /// # Ok(()) }
    /// ```
    pub fn lock_queued(&self) -> Queued<Guard> {
        self.attempt.queued(self.name.clone().map(|name| vec![(name, Mode::Exclusive)]))
    }

    /// The line for this lock, its holder first; empty when nobody holds it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a bad name, and what the store reports.
    ///
    /// # Cancel safety
    /// Cancel safe.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// let mutex = locks.mutex("cache");
    /// let guard = mutex.lock().await?;
    /// let line = mutex.line().await?;
    /// assert!(line[0].held && line[0].token == Some(guard.token()));
    /// # Ok(()) }
    /// ```
    pub async fn line(&self) -> Result<Vec<Contender>, Error> {
        self.attempt.locks().line(self.name.clone()?.as_str()).await
    }
}
