//! The exclusive lock.

use super::ask::Ask;
use super::driver::Driver;
use super::guard::Guard;
use super::queued::Queued;
#[cfg(doc)]
use sneck_core::ErrorKind;
use sneck_core::{Contender, Error, Progress};
use std::time::Duration;

/// An exclusive lock across processes and machines, without `async`; as [`sneck::Mutex`](crate::Mutex).
#[derive(Clone, Debug)]
pub struct Mutex(Ask<crate::Mutex>);

impl Mutex {
    pub(super) fn new(driver: &Driver, inner: crate::Mutex) -> Self {
        Mutex(Ask::new(driver, inner))
    }

    /// The same lock, asked for with a free text that others in line can see, such as why.
    #[must_use]
    pub fn with_note(self, note: impl Into<String>) -> Self {
        Mutex(self.0.map(|mutex| mutex.with_note(note)))
    }

    /// The same lock, telling `progress` how waiting goes. It is called on the thread that waits, and may
    /// take its time: of what happens meanwhile, only the last is told. Nor is it told what happened just
    /// before the lock was had.
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// use sneck::Progress;
    /// use std::sync::Mutex;
    /// let held = Mutex::new(Some(locks.mutex("cache").lock()?));
    /// let mutex = locks.mutex("cache").on_progress(move |progress| {
    ///     if let Progress::Waiting(waiting) = progress {
    ///         println!("{:?} ahead", waiting.ahead);
    ///     }
    ///     held.lock().unwrap().take(); // the holder is done
    /// });
    /// mutex.lock()?.unlock()?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn on_progress(self, progress: impl Fn(Progress<'_>) + Send + Sync + 'static) -> Self {
        Mutex(self.0.on_progress(progress))
    }

    /// Waits for the lock, for ever if need be, also while the store cannot be reached. Nothing can end
    /// the wait; see [`lock_timeout`](Mutex::lock_timeout).
    ///
    /// # Errors
    /// As for [`sneck::Mutex::lock`](crate::Mutex::lock).
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// let guard = locks.mutex("cache").lock()?;
    /// assert!(guard.is_held());
    /// # Ok(()) }
    /// ```
    pub fn lock(&self) -> Result<Guard, Error> {
        self.guard(self.0.wait(|mutex| async move { mutex.lock().await }))
    }

    /// Takes the lock if nobody holds it: `Ok(None)` when somebody does.
    ///
    /// # Errors
    /// As for [`lock`](Mutex::lock), and [`ErrorKind::Unavailable`] when the store cannot be reached.
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// let guard = locks.mutex("cache").try_lock()?;
    /// assert!(guard.is_some());
    /// assert!(locks.mutex("cache").try_lock()?.is_none());
    /// # Ok(()) }
    /// ```
    pub fn try_lock(&self) -> Result<Option<Guard>, Error> {
        let guard = self.0.wait(|mutex| async move { mutex.try_lock().await })?;
        guard.map(|guard| self.guard(Ok(guard))).transpose()
    }

    /// Waits for the lock for at most `timeout`.
    ///
    /// # Errors
    /// As for [`lock`](Mutex::lock), and [`ErrorKind::Timeout`], whose [`holder`](Error::holder) says who
    /// has the lock if it could be learnt.
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// use std::time::Duration;
    /// let _guard = locks.mutex("cache").lock()?;
    /// let error = locks.mutex("cache").lock_timeout(Duration::from_millis(5)).unwrap_err();
    /// assert_eq!(error.kind(), sneck::ErrorKind::Timeout);
    /// println!("{error}"); // and who holds it, since when
    /// # Ok(()) }
    /// ```
    pub fn lock_timeout(&self, timeout: Duration) -> Result<Guard, Error> {
        self.guard(self.0.wait(move |mutex| async move { mutex.lock_timeout(timeout).await }))
    }

    /// Waits as [`lock`](Mutex::lock) does, and tells the place in line and who holds the lock meanwhile.
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// let mut queued = locks.mutex("cache").lock_queued();
    /// for waiting in &mut queued {
    ///     println!("{:?} ahead", waiting.ahead);
    /// }
    /// queued.guard()?.unlock()?;
    /// # Ok(()) }
    /// ```
    pub fn lock_queued(&self) -> Queued<Guard> {
        let driver = self.0.driver().clone();
        let queued = self.0.kind().lock_queued();
        Queued::new(self.0.driver(), queued.map(move |inner| Guard::new(&driver, inner)))
    }

    /// The line for this lock, its holder first; empty when nobody holds it.
    ///
    /// # Errors
    /// As for [`sneck::Mutex::line`](crate::Mutex::line).
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// let mutex = locks.mutex("cache");
    /// let guard = mutex.lock()?;
    /// let line = mutex.line()?;
    /// assert!(line[0].held && line[0].token == Some(guard.token()));
    /// # Ok(()) }
    /// ```
    pub fn line(&self) -> Result<Vec<Contender>, Error> {
        self.0.wait(|mutex| async move { mutex.line().await })
    }

    fn guard(&self, inner: Result<crate::Guard, Error>) -> Result<Guard, Error> {
        inner.map(|inner| Guard::new(self.0.driver(), inner))
    }
}
