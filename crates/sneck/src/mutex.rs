//! The exclusive lock.

use crate::identity;
use crate::locks::Locks;
use sneck_core::{
    Caller, Contender, Error, ErrorKind, Guard, Mode, Name, Patience, Progress, Request,
};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// An exclusive lock across processes and machines.
///
/// It is fair: first come, first served. It is not re-entrant: a task that asks for a lock it holds
/// waits for itself. Each acquisition is a claim of its own, so one `Mutex` may be used by many tasks at
/// once, and clones are the same lock.
///
/// Do not use it to keep threads or tasks of one process apart: `tokio::sync::Mutex` does that ten
/// thousand times faster.
#[derive(Clone)]
pub struct Mutex {
    locks: Locks,
    name: Result<Name, Error>,
    note: String,
    progress: Option<Arc<OnProgress>>,
}

/// Told how waiting goes.
type OnProgress = dyn Fn(Progress<'_>) + Send + Sync;

impl Mutex {
    pub(crate) fn new(locks: Locks, name: Result<Name, Error>) -> Self {
        Mutex { locks, name, note: String::new(), progress: None }
    }

    /// The same lock, asked for with a free text that others in line can see, such as why.
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// The same lock, telling `progress` how waiting goes: the place in line, and that the store cannot
    /// be reached just now.
    ///
    /// It is called from the task that waits, so it should return soon.
    #[must_use]
    pub fn on_progress(mut self, progress: impl Fn(Progress<'_>) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(progress));
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
        let guard = self.acquire(Patience::Forever).await?;
        guard.ok_or_else(|| Error::new(ErrorKind::Internal, "waiting for ever came to an end"))
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
        self.acquire(Patience::Once).await
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
    /// assert!(error.holder().is_some());
    /// # Ok(()) }
    /// ```
    pub async fn lock_timeout(&self, timeout: Duration) -> Result<Guard, Error> {
        let deadline = self.locks.locker().clock().now() + timeout;
        let guard = self.acquire(Patience::Until(deadline)).await?;
        guard.ok_or_else(|| Error::new(ErrorKind::Internal, "waiting ended without an answer"))
    }

    /// The line for this lock, its holder first; empty when nobody holds it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a bad name, and what the store reports.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn line(&self) -> Result<Vec<Contender>, Error> {
        self.locks.line(self.name.clone()?.as_str()).await
    }

    async fn acquire(&self, patience: Patience) -> Result<Option<Guard>, Error> {
        let name = self.name.clone()?;
        let caller = Caller {
            since: identity::now(),
            note: self.note.clone(),
            ..self.locks.caller().clone()
        };
        let request = Request::new(name, Mode::Exclusive, caller);
        let silent = |_: Progress<'_>| {};
        match &self.progress {
            Some(progress) => {
                self.locks.locker().acquire_with(request, patience, &**progress).await
            }
            None => self.locks.locker().acquire_with(request, patience, &silent).await,
        }
    }
}

impl fmt::Debug for Mutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").field("name", &self.name).finish_non_exhaustive()
    }
}
