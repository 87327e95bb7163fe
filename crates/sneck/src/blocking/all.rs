//! Several locks at once.

use super::ask::Ask;
use super::driver::Driver;
use super::guard::Guard;
use super::queued::Queued;
#[cfg(doc)]
use sneck_core::ErrorKind;
use sneck_core::{Error, Progress};
use std::time::Duration;

/// Several locks that are taken together, all or none, without `async`; as [`sneck::All`](crate::All).
///
/// ```
/// # fn main() -> Result<(), sneck::Error> {
/// # let locks = sneck::blocking::connect("memory:")?;
/// let guard = locks.all(["account/7", "account/3"]).read("rates").lock()?;
/// assert_eq!(guard.tokens().count(), 3);
/// guard.unlock()?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct All(Ask<crate::All>);

impl All {
    pub(super) fn new(driver: &Driver, inner: crate::All) -> Self {
        All(Ask::new(driver, inner))
    }

    /// And this [`RwLock`](super::RwLock), to read.
    #[must_use]
    pub fn read(self, name: impl AsRef<str>) -> Self {
        All(self.0.map(|all| all.read(name)))
    }

    /// And this [`RwLock`](super::RwLock), to write.
    #[must_use]
    pub fn write(self, name: impl AsRef<str>) -> Self {
        All(self.0.map(|all| all.write(name)))
    }

    /// The same locks, asked for with a free text that others in line can see, such as why.
    #[must_use]
    pub fn with_note(self, note: impl Into<String>) -> Self {
        All(self.0.map(|all| all.with_note(note)))
    }

    /// The same locks, telling `progress` how waiting goes; see
    /// [`Mutex::on_progress`](super::Mutex::on_progress).
    #[must_use]
    pub fn on_progress(self, progress: impl Fn(Progress<'_>) + Send + Sync + 'static) -> Self {
        All(self.0.on_progress(progress))
    }

    /// Waits for all of them, for ever if need be.
    ///
    /// # Errors
    /// As for [`sneck::All::lock`](crate::All::lock).
    pub fn lock(&self) -> Result<Guard, Error> {
        self.guard(self.0.wait(|all| async move { all.lock().await }))
    }

    /// Takes all of them if none is taken: `Ok(None)` otherwise, and then none of them is had.
    ///
    /// # Errors
    /// As for [`lock`](All::lock), and [`ErrorKind::Unavailable`] when the store cannot be reached.
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// let _stock = locks.mutex("stock").lock()?;
    /// assert!(locks.all(["order", "stock"]).try_lock()?.is_none());
    /// # Ok(()) }
    /// ```
    pub fn try_lock(&self) -> Result<Option<Guard>, Error> {
        let guard = self.0.wait(|all| async move { all.try_lock().await })?;
        guard.map(|guard| self.guard(Ok(guard))).transpose()
    }

    /// Waits for all of them, for at most `timeout` in all.
    ///
    /// # Errors
    /// As for [`lock`](All::lock), and [`ErrorKind::Timeout`].
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// use std::time::Duration;
    ///
    /// let _stock = locks.mutex("stock").lock()?;
    /// let error = locks.all(["order", "stock"]).lock_timeout(Duration::from_millis(5)).unwrap_err();
    /// assert_eq!(error.kind(), sneck::ErrorKind::Timeout);
    /// # Ok(()) }
    /// ```
    pub fn lock_timeout(&self, timeout: Duration) -> Result<Guard, Error> {
        self.guard(self.0.wait(move |all| async move { all.lock_timeout(timeout).await }))
    }

    /// Waits as [`lock`](All::lock) does, and tells meanwhile the place in the line of the first of the
    /// locks that has to be waited for, and who holds it.
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// let both = locks.all(["order", "stock"]).lock_queued().guard()?;
    /// # both.unlock()?;
    /// # Ok(()) }
    /// ```
    pub fn lock_queued(&self) -> Queued<Guard> {
        let driver = self.0.driver().clone();
        let queued = self.0.kind().lock_queued();
        Queued::new(self.0.driver(), queued.map(move |inner| Guard::new(&driver, inner)))
    }

    fn guard(&self, inner: Result<crate::Guard, Error>) -> Result<Guard, Error> {
        inner.map(|inner| Guard::new(self.0.driver(), inner))
    }
}
