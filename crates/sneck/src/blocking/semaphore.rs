//! The lock that some may hold at the same time.

use super::ask::Ask;
use super::driver::Driver;
use super::guard::Guard;
use super::queued::Queued;
#[cfg(doc)]
use sneck_core::ErrorKind;
use sneck_core::{Contender, Error, Progress};
use std::time::Duration;

/// A number of permits across processes and machines, of which each holder takes some, without `async`;
/// as [`sneck::Semaphore`](crate::Semaphore).
///
/// ```
/// # fn main() -> Result<(), sneck::Error> {
/// # let locks = sneck::blocking::connect("memory:")?;
/// let importers = locks.semaphore("importers", 3);
/// let two = importers.acquire_many(2)?;
/// let one = importers.acquire()?;
/// assert!(importers.try_acquire()?.is_none());
/// importers.set_permits(4)?;
/// assert!(importers.try_acquire()?.is_some());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Semaphore(Ask<crate::Semaphore>);

impl Semaphore {
    pub(super) fn new(driver: &Driver, inner: crate::Semaphore) -> Self {
        Semaphore(Ask::new(driver, inner))
    }

    /// The same semaphore, asked for with a free text that others in line can see, such as why.
    #[must_use]
    pub fn with_note(self, note: impl Into<String>) -> Self {
        Semaphore(self.0.map(|semaphore| semaphore.with_note(note)))
    }

    /// The same semaphore, telling `progress` how waiting goes; see
    /// [`Mutex::on_progress`](super::Mutex::on_progress).
    #[must_use]
    pub fn on_progress(self, progress: impl Fn(Progress<'_>) + Send + Sync + 'static) -> Self {
        Semaphore(self.0.on_progress(progress))
    }

    /// Waits for one permit, for ever if need be.
    ///
    /// # Errors
    /// As for [`acquire_many`](Semaphore::acquire_many).
    pub fn acquire(&self) -> Result<Guard, Error> {
        self.acquire_many(1)
    }

    /// Waits for so many permits, all at once, for ever if need be. They are given back together.
    ///
    /// # Errors
    /// As for [`sneck::Semaphore::acquire_many`](crate::Semaphore::acquire_many).
    pub fn acquire_many(&self, permits: u32) -> Result<Guard, Error> {
        let guard = self.0.wait(move |these| async move { these.acquire_many(permits).await })?;
        Ok(self.guard(guard))
    }

    /// Takes one permit if one is free and nobody waits: `Ok(None)` otherwise.
    ///
    /// # Errors
    /// As for [`acquire_many`](Semaphore::acquire_many), and [`ErrorKind::Unavailable`] when the store
    /// cannot be reached.
    pub fn try_acquire(&self) -> Result<Option<Guard>, Error> {
        self.try_acquire_many(1)
    }

    /// Takes so many permits if they are free and nobody waits: `Ok(None)` otherwise.
    ///
    /// # Errors
    /// As for [`try_acquire`](Semaphore::try_acquire).
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// let importers = locks.semaphore("importers", 3);
    /// let two = importers.try_acquire_many(2)?;
    /// assert!(two.is_some() && importers.try_acquire_many(2)?.is_none());
    /// # Ok(()) }
    /// ```
    pub fn try_acquire_many(&self, permits: u32) -> Result<Option<Guard>, Error> {
        let ask =
            move |these: crate::Semaphore| async move { these.try_acquire_many(permits).await };
        Ok(self.0.wait(ask)?.map(|guard| self.guard(guard)))
    }

    /// Waits for one permit, for at most `timeout`.
    ///
    /// # Errors
    /// As for [`acquire_many`](Semaphore::acquire_many), and [`ErrorKind::Timeout`].
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// use std::time::Duration;
    ///
    /// let importers = locks.semaphore("importers", 1);
    /// let _one = importers.acquire()?;
    /// let error = importers.acquire_timeout(Duration::from_millis(5)).unwrap_err();
    /// assert_eq!(error.kind(), sneck::ErrorKind::Timeout);
    /// # Ok(()) }
    /// ```
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<Guard, Error> {
        self.acquire_many_timeout(1, timeout)
    }

    /// Waits for so many permits, all at once, for at most `timeout`.
    ///
    /// # Errors
    /// As for [`acquire_timeout`](Semaphore::acquire_timeout).
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// use std::time::Duration;
    ///
    /// let importers = locks.semaphore("importers", 3);
    /// let two = importers.acquire_many_timeout(2, Duration::from_secs(60))?;
    /// # two.unlock()?;
    /// # Ok(()) }
    /// ```
    pub fn acquire_many_timeout(&self, permits: u32, timeout: Duration) -> Result<Guard, Error> {
        let ask = move |these: crate::Semaphore| async move {
            these.acquire_many_timeout(permits, timeout).await
        };
        Ok(self.guard(self.0.wait(ask)?))
    }

    /// Waits for so many permits as [`acquire_many`](Semaphore::acquire_many) does, and tells the place in
    /// line and a holder meanwhile.
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// let two = locks.semaphore("importers", 3).acquire_many_queued(2).guard()?;
    /// # two.unlock()?;
    /// # Ok(()) }
    /// ```
    pub fn acquire_many_queued(&self, permits: u32) -> Queued<Guard> {
        let driver = self.0.driver().clone();
        let queued = self.0.kind().acquire_many_queued(permits);
        Queued::new(self.0.driver(), queued.map(move |inner| Guard::new(&driver, inner)))
    }

    /// How many permits there are in the store; `None` before the first use.
    ///
    /// # Errors
    /// As for [`sneck::Semaphore::permits`](crate::Semaphore::permits).
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// let importers = locks.semaphore("importers", 3);
    /// assert_eq!(importers.permits()?, None, "nobody has used it yet");
    /// let _one = importers.acquire()?;
    /// assert_eq!(importers.permits()?, Some(3));
    /// # Ok(()) }
    /// ```
    pub fn permits(&self) -> Result<Option<u32>, Error> {
        self.0.wait(|these| async move { these.permits().await })
    }

    /// Gives the semaphore another number of permits in the store, and this handle and its clones with
    /// it.
    ///
    /// # Errors
    /// As for [`sneck::Semaphore::set_permits`](crate::Semaphore::set_permits).
    pub fn set_permits(&self, permits: u32) -> Result<(), Error> {
        self.0.wait(move |these| async move { these.set_permits(permits).await })
    }

    /// The holders of permits, and after them those who wait, in order.
    ///
    /// # Errors
    /// As for [`sneck::Semaphore::line`](crate::Semaphore::line).
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// let importers = locks.semaphore("importers", 3);
    /// let _two = importers.acquire_many(2)?;
    /// println!("{:?}", importers.line()?[0].mode);
    /// # Ok(()) }
    /// ```
    pub fn line(&self) -> Result<Vec<Contender>, Error> {
        self.0.wait(|these| async move { these.line().await })
    }

    fn guard(&self, inner: crate::Guard) -> Guard {
        Guard::new(self.0.driver(), inner)
    }
}
