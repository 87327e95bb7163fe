//! The lock of readers and writers.

use crate::attempt::Attempt;
use crate::locks::Locks;
use crate::queued::Queued;
use sneck_core::{Contender, Error, ErrorKind, Guard, Mode, Name, Progress};
use std::ops::Deref;
use std::time::Duration;

/// A lock across processes and machines that many readers share, or one writer has alone.
///
/// It is fair: readers and writers stand in one line, first come, first served. Readers that stand
/// together hold the lock together; a reader that comes after a waiting writer waits behind it, so that
/// writers do not starve.
///
/// A name is either that of a [`Mutex`](crate::Mutex) or of an `RwLock`. On ZooKeeper other clients keep
/// the two in lines that do not see each other, so sneck refuses to mix them. There it stands in one line
/// with Apache Curator's `InterProcessReadWriteLock`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
/// # let locks = sneck::connect("memory:").await?;
/// let catalogue = locks.rw_lock("catalogue");
/// let (one, another) = (catalogue.read().await?, catalogue.read().await?);
/// assert!(catalogue.try_write().await?.is_none());
/// drop((one, another));
///
/// let writer = catalogue.write().await?;
/// println!("write with token {}", writer.token());
/// let reader = writer.downgrade().await?; // nobody writes in between
/// reader.unlock().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct RwLock {
    name: Result<Name, Error>,
    attempt: Attempt,
}

impl RwLock {
    pub(crate) fn new(locks: Locks, name: Result<Name, Error>) -> Self {
        RwLock { name, attempt: Attempt::new(locks) }
    }

    /// The same lock, asked for with a free text that others in line can see, such as why.
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.attempt.set_note(note.into());
        self
    }

    /// The same lock, telling `progress` how waiting goes; see
    /// [`Mutex::on_progress`](crate::Mutex::on_progress).
    #[must_use]
    pub fn on_progress(mut self, progress: impl Fn(Progress<'_>) + Send + Sync + 'static) -> Self {
        self.attempt.set_progress(progress);
        self
    }

    /// Waits until no writer holds the lock or waits ahead, for ever if need be.
    ///
    /// # Errors
    /// As for [`Mutex::lock`](crate::Mutex::lock). [`ErrorKind::Refused`] also when the name is in use
    /// as a mutex.
    ///
    /// # Cancel safety
    /// When the future is dropped, the place in line is given up in the background.
    pub async fn read(&self) -> Result<ReadGuard, Error> {
        self.attempt.wait(&self.name, Mode::Shared).await.map(ReadGuard)
    }

    /// Reads if that needs no waiting: `Ok(None)` otherwise.
    ///
    /// # Errors
    /// As for [`read`](RwLock::read), and [`ErrorKind::Unavailable`] when the store cannot be reached.
    ///
    /// # Cancel safety
    /// When the future is dropped, what it may have taken is given up in the background.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// let catalogue = locks.rw_lock("catalogue");
    /// let _writer = catalogue.write().await?;
    /// assert!(catalogue.try_read().await?.is_none());
    /// # Ok(()) }
    /// ```
    pub async fn try_read(&self) -> Result<Option<ReadGuard>, Error> {
        Ok(self.attempt.once(&self.name, Mode::Shared).await?.map(ReadGuard))
    }

    /// Waits as [`read`](RwLock::read) does, for at most `timeout`.
    ///
    /// # Errors
    /// As for `read`, and [`ErrorKind::Timeout`], whose [`holder`](Error::holder) says who is in the
    /// way if it could be learnt.
    ///
    /// # Cancel safety
    /// When the future is dropped, the place in line is given up in the background.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// use std::time::Duration;
    ///
    /// let catalogue = locks.rw_lock("catalogue");
    /// let _writer = catalogue.write().await?;
    /// let error = catalogue.read_timeout(Duration::from_millis(5)).await.unwrap_err();
    /// assert_eq!(error.kind(), sneck::ErrorKind::Timeout);
    /// # Ok(()) }
    /// ```
    pub async fn read_timeout(&self, timeout: Duration) -> Result<ReadGuard, Error> {
        self.attempt.within(&self.name, Mode::Shared, timeout).await.map(ReadGuard)
    }

    /// Waits as [`read`](RwLock::read) does, and tells the place in line and who is in the way meanwhile.
    /// What it fails with is told by [`Queued::guard`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// let reader = locks.rw_lock("catalogue").read_queued().guard().await?;
    /// # reader.into_guard().unlock().await?;
    /// # Ok(()) }
    /// ```
    pub fn read_queued(&self) -> Queued<ReadGuard> {
        self.queued(Mode::Shared).map(ReadGuard)
    }

    /// Waits until nobody else holds the lock, for ever if need be.
    ///
    /// A task that holds a [`ReadGuard`] of this lock waits for itself here.
    ///
    /// # Errors
    /// As for [`read`](RwLock::read).
    ///
    /// # Cancel safety
    /// When the future is dropped, the place in line is given up in the background.
    pub async fn write(&self) -> Result<WriteGuard, Error> {
        self.attempt.wait(&self.name, Mode::Write).await.map(WriteGuard)
    }

    /// Writes if that needs no waiting: `Ok(None)` otherwise.
    ///
    /// # Errors
    /// As for [`try_read`](RwLock::try_read).
    ///
    /// # Cancel safety
    /// When the future is dropped, what it may have taken is given up in the background.
    pub async fn try_write(&self) -> Result<Option<WriteGuard>, Error> {
        Ok(self.attempt.once(&self.name, Mode::Write).await?.map(WriteGuard))
    }

    /// Waits as [`write`](RwLock::write) does, for at most `timeout`.
    ///
    /// # Errors
    /// As for [`read_timeout`](RwLock::read_timeout).
    ///
    /// # Cancel safety
    /// When the future is dropped, the place in line is given up in the background.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// use std::time::Duration;
    ///
    /// let catalogue = locks.rw_lock("catalogue");
    /// let _reader = catalogue.read().await?;
    /// let error = catalogue.write_timeout(Duration::from_millis(5)).await.unwrap_err();
    /// assert_eq!(error.kind(), sneck::ErrorKind::Timeout);
    /// # Ok(()) }
    /// ```
    pub async fn write_timeout(&self, timeout: Duration) -> Result<WriteGuard, Error> {
        self.attempt.within(&self.name, Mode::Write, timeout).await.map(WriteGuard)
    }

    /// Waits as [`write`](RwLock::write) does, and tells the place in line and who is in the way
    /// meanwhile. What it fails with is told by [`Queued::guard`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// let catalogue = locks.rw_lock("catalogue");
    /// let reader = catalogue.read().await?;
    /// let mut queued = catalogue.write_queued();
    /// let waiting = queued.next().await.expect("a reader is ahead");
    /// assert_eq!(waiting.ahead, Some(1));
    /// drop(reader);
    /// let writer = queued.guard().await?;
    /// # writer.into_guard().unlock().await?;
    /// # Ok(()) }
    /// ```
    pub fn write_queued(&self) -> Queued<WriteGuard> {
        self.queued(Mode::Write).map(WriteGuard)
    }

    fn queued(&self, mode: Mode) -> Queued<Guard> {
        self.attempt.queued(self.name.clone().map(|name| vec![(name, mode)]))
    }

    /// The line for this lock, its holders first; empty when nobody holds it.
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
    /// let catalogue = locks.rw_lock("catalogue");
    /// let _readers = (catalogue.read().await?, catalogue.read().await?);
    /// assert!(catalogue.line().await?.iter().all(|reader| reader.held));
    /// # Ok(()) }
    /// ```
    pub async fn line(&self) -> Result<Vec<Contender>, Error> {
        self.attempt.locks().line(self.name.clone()?.as_str()).await
    }
}

/// A lock held together with other readers. It is a [`Guard`] that cannot be alone.
#[must_use = "a guard that is dropped releases its lock at once"]
#[derive(Debug)]
pub struct ReadGuard(Guard);

impl ReadGuard {
    /// Always refused, never a wait: two readers who both wait to be alone wait for each other for ever.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`], with what to do instead.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// let reader = locks.rw_lock("catalogue").read().await?;
    /// let refused = reader.try_upgrade().unwrap_err();
    /// assert_eq!(refused.kind(), sneck::ErrorKind::Refused);
    /// assert!(reader.is_held());
    /// # Ok(()) }
    /// ```
    pub fn try_upgrade(&self) -> Result<WriteGuard, Error> {
        Err(no_upgrade(self.name()))
    }

    /// Gives the lock back; see [`Guard::unlock`].
    ///
    /// # Errors
    /// As for `Guard::unlock`.
    pub async fn unlock(self) -> Result<(), Error> {
        self.0.unlock().await
    }

    /// The guard, for code that does not care how the lock is held.
    pub fn into_guard(self) -> Guard {
        self.0
    }
}

impl Deref for ReadGuard {
    type Target = Guard;

    fn deref(&self) -> &Guard {
        &self.0
    }
}

/// Why a reader cannot become a writer.
pub(crate) fn no_upgrade(name: &Name) -> Error {
    let text = "a reader cannot become a writer: of two who try, each waits for the other";
    Error::new(ErrorKind::Refused, text).with_lock(name).with_hint(
        "unlock and ask to write, and then read again what was read; or begin as a writer and \
         downgrade",
    )
}

/// A lock held alone, which can be shared with readers without being released.
#[must_use = "a guard that is dropped releases its lock at once"]
#[derive(Debug)]
pub struct WriteGuard(Guard);

impl WriteGuard {
    /// Becomes a reader in the same place: waiting readers come in, and no writer gets between. The
    /// token stays.
    ///
    /// # Errors
    /// As for [`Guard::downgrade`]; the lock is released then.
    ///
    /// # Cancel safety
    /// When the future is dropped, the lock is released in the background.
    pub async fn downgrade(self) -> Result<ReadGuard, Error> {
        self.0.downgrade().await.map(ReadGuard)
    }

    /// Gives the lock back; see [`Guard::unlock`].
    ///
    /// # Errors
    /// As for `Guard::unlock`.
    pub async fn unlock(self) -> Result<(), Error> {
        self.0.unlock().await
    }

    /// The guard, for code that does not care how the lock is held.
    pub fn into_guard(self) -> Guard {
        self.0
    }
}

impl Deref for WriteGuard {
    type Target = Guard;

    fn deref(&self) -> &Guard {
        &self.0
    }
}
