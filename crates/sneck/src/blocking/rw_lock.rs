//! The lock of readers and writers.

use super::ask::Ask;
use super::driver::Driver;
use super::guard::Guard;
use super::queued::Queued;
use crate::rw_lock::no_upgrade;
#[cfg(doc)]
use sneck_core::ErrorKind;
use sneck_core::{Contender, Error, Progress};
use std::ops::Deref;
use std::time::Duration;

/// A lock across processes and machines that many readers share, or one writer has alone, without
/// `async`; as [`sneck::RwLock`](crate::RwLock).
///
/// ```
/// # fn main() -> Result<(), sneck::Error> {
/// # let locks = sneck::blocking::connect("memory:")?;
/// let catalogue = locks.rw_lock("catalogue");
/// let (one, another) = (catalogue.read()?, catalogue.read()?);
/// assert!(catalogue.try_write()?.is_none());
/// drop((one, another));
///
/// let reader = catalogue.write()?.downgrade()?;
/// assert!(reader.try_upgrade().is_err());
/// reader.unlock()?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct RwLock(Ask<crate::RwLock>);

impl RwLock {
    pub(super) fn new(driver: &Driver, inner: crate::RwLock) -> Self {
        RwLock(Ask::new(driver, inner))
    }

    /// The same lock, asked for with a free text that others in line can see, such as why.
    #[must_use]
    pub fn with_note(self, note: impl Into<String>) -> Self {
        RwLock(self.0.map(|lock| lock.with_note(note)))
    }

    /// The same lock, telling `progress` how waiting goes; see
    /// [`Mutex::on_progress`](super::Mutex::on_progress).
    #[must_use]
    pub fn on_progress(self, progress: impl Fn(Progress<'_>) + Send + Sync + 'static) -> Self {
        RwLock(self.0.on_progress(progress))
    }

    /// Waits until no writer holds the lock or waits ahead, for ever if need be.
    ///
    /// # Errors
    /// As for [`sneck::RwLock::read`](crate::RwLock::read).
    pub fn read(&self) -> Result<ReadGuard, Error> {
        let guard = self.0.wait(|lock| async move { lock.read().await })?;
        Ok(ReadGuard(self.guard(guard.into_guard())))
    }

    /// Reads if that needs no waiting: `Ok(None)` otherwise.
    ///
    /// # Errors
    /// As for [`read`](RwLock::read), and [`ErrorKind::Unavailable`] when the store cannot be reached.
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// let catalogue = locks.rw_lock("catalogue");
    /// let _writer = catalogue.write()?;
    /// assert!(catalogue.try_read()?.is_none());
    /// # Ok(()) }
    /// ```
    pub fn try_read(&self) -> Result<Option<ReadGuard>, Error> {
        let guard = self.0.wait(|lock| async move { lock.try_read().await })?;
        Ok(guard.map(|guard| ReadGuard(self.guard(guard.into_guard()))))
    }

    /// Waits as [`read`](RwLock::read) does, for at most `timeout`.
    ///
    /// # Errors
    /// As for `read`, and [`ErrorKind::Timeout`].
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// use std::time::Duration;
    ///
    /// let catalogue = locks.rw_lock("catalogue");
    /// let _writer = catalogue.write()?;
    /// let error = catalogue.read_timeout(Duration::from_millis(5)).unwrap_err();
    /// assert_eq!(error.kind(), sneck::ErrorKind::Timeout);
    /// # Ok(()) }
    /// ```
    pub fn read_timeout(&self, timeout: Duration) -> Result<ReadGuard, Error> {
        let guard = self.0.wait(move |lock| async move { lock.read_timeout(timeout).await })?;
        Ok(ReadGuard(self.guard(guard.into_guard())))
    }

    /// Waits as [`read`](RwLock::read) does, and tells the place in line and who is in the way meanwhile.
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// locks.rw_lock("catalogue").read_queued().guard()?.unlock()?;
    /// # Ok(()) }
    /// ```
    pub fn read_queued(&self) -> Queued<ReadGuard> {
        let driver = self.0.driver().clone();
        let queued = self.0.kind().read_queued();
        let make =
            move |inner: crate::ReadGuard| ReadGuard(Guard::new(&driver, inner.into_guard()));
        Queued::new(self.0.driver(), queued.map(make))
    }

    /// Waits until nobody else holds the lock, for ever if need be. A thread that holds a [`ReadGuard`]
    /// of this lock waits for itself here.
    ///
    /// # Errors
    /// As for [`read`](RwLock::read).
    pub fn write(&self) -> Result<WriteGuard, Error> {
        let guard = self.0.wait(|lock| async move { lock.write().await })?;
        Ok(WriteGuard(self.guard(guard.into_guard())))
    }

    /// Writes if that needs no waiting: `Ok(None)` otherwise.
    ///
    /// # Errors
    /// As for [`try_read`](RwLock::try_read).
    pub fn try_write(&self) -> Result<Option<WriteGuard>, Error> {
        let guard = self.0.wait(|lock| async move { lock.try_write().await })?;
        Ok(guard.map(|guard| WriteGuard(self.guard(guard.into_guard()))))
    }

    /// Waits as [`write`](RwLock::write) does, for at most `timeout`.
    ///
    /// # Errors
    /// As for [`read_timeout`](RwLock::read_timeout).
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// use std::time::Duration;
    ///
    /// let catalogue = locks.rw_lock("catalogue");
    /// let _reader = catalogue.read()?;
    /// let error = catalogue.write_timeout(Duration::from_millis(5)).unwrap_err();
    /// assert_eq!(error.kind(), sneck::ErrorKind::Timeout);
    /// # Ok(()) }
    /// ```
    pub fn write_timeout(&self, timeout: Duration) -> Result<WriteGuard, Error> {
        let guard = self.0.wait(move |lock| async move { lock.write_timeout(timeout).await })?;
        Ok(WriteGuard(self.guard(guard.into_guard())))
    }

    /// Waits as [`write`](RwLock::write) does, and tells the place in line and who is in the way meanwhile.
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// locks.rw_lock("catalogue").write_queued().guard()?.unlock()?;
    /// # Ok(()) }
    /// ```
    pub fn write_queued(&self) -> Queued<WriteGuard> {
        let driver = self.0.driver().clone();
        let queued = self.0.kind().write_queued();
        let make =
            move |inner: crate::WriteGuard| WriteGuard(Guard::new(&driver, inner.into_guard()));
        Queued::new(self.0.driver(), queued.map(make))
    }

    /// The line for this lock, its holders first; empty when nobody holds it.
    ///
    /// # Errors
    /// As for [`sneck::RwLock::line`](crate::RwLock::line).
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// let catalogue = locks.rw_lock("catalogue");
    /// let _readers = (catalogue.read()?, catalogue.read()?);
    /// assert!(catalogue.line()?.iter().all(|reader| reader.held));
    /// # Ok(()) }
    /// ```
    pub fn line(&self) -> Result<Vec<Contender>, Error> {
        self.0.wait(|lock| async move { lock.line().await })
    }

    fn guard(&self, inner: crate::Guard) -> Guard {
        Guard::new(self.0.driver(), inner)
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
    pub fn try_upgrade(&self) -> Result<WriteGuard, Error> {
        Err(no_upgrade(self.name()))
    }

    /// Gives the lock back; see [`Guard::unlock`].
    ///
    /// # Errors
    /// As for `Guard::unlock`.
    pub fn unlock(self) -> Result<(), Error> {
        self.0.unlock()
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

/// A lock held alone, which can be shared with readers without being released.
#[must_use = "a guard that is dropped releases its lock at once"]
#[derive(Debug)]
pub struct WriteGuard(Guard);

impl WriteGuard {
    /// Becomes a reader in the same place: waiting readers come in, and no writer gets between. The
    /// token stays.
    ///
    /// # Errors
    /// As for [`sneck::Guard::downgrade`](crate::Guard::downgrade); the lock is released then.
    pub fn downgrade(self) -> Result<ReadGuard, Error> {
        self.0.downgrade().map(ReadGuard)
    }

    /// Gives the lock back; see [`Guard::unlock`].
    ///
    /// # Errors
    /// As for `Guard::unlock`.
    pub fn unlock(self) -> Result<(), Error> {
        self.0.unlock()
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
