//! An attempt that tells its place in line while it waits.

use super::driver::Driver;
use sneck_core::{Error, ErrorKind, Waiting};
use std::fmt;
use std::iter::FusedIterator;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// An attempt to get a lock that tells its place in line, and who holds the lock, while it waits; as
/// [`sneck::Queued`](crate::Queued).
///
/// As an iterator it waits for a [`Waiting`] that is another than the last, and ends when the lock was had
/// or the attempt has failed. `on_progress` of the lock is not called besides. The attempt goes on
/// only while a call waits, so do not tarry between two of them.
///
/// ```
/// # fn main() -> Result<(), sneck::Error> {
/// # let locks = sneck::blocking::connect("memory:")?;
/// let mut first = Some(locks.mutex("build").lock()?);
/// let mut queued = locks.mutex("build").lock_queued();
/// for waiting in &mut queued {
///     assert_eq!(waiting.ahead, Some(1));
///     first.take(); // the holder is done
/// }
/// queued.guard()?.unlock()?;
/// # Ok(()) }
/// ```
#[must_use = "nothing is sent before it is asked"]
pub struct Queued<G> {
    inner: Arc<Mutex<Option<crate::Queued<G>>>>,
    driver: Driver,
}

impl<G: Send + 'static> Queued<G> {
    pub(super) fn new(driver: &Driver, inner: crate::Queued<G>) -> Self {
        Queued { inner: Arc::new(Mutex::new(Some(inner))), driver: driver.clone() }
    }

    /// The next place in line, waited for for at most `timeout`. What was not told is told by the next
    /// call; the place in line is kept.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] when the place did not change.
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// use std::time::Duration;
    /// let first = locks.mutex("build").lock()?;
    /// let mut queued = locks.mutex("build").lock_queued();
    /// assert!(queued.next_timeout(Duration::from_secs(60))?.is_some(), "somebody is ahead");
    /// let error = queued.next_timeout(Duration::from_millis(5)).unwrap_err();
    /// assert_eq!(error.kind(), sneck::ErrorKind::Timeout);
    /// # Ok(()) }
    /// ```
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Waiting>, Error> {
        let inner = self.inner.clone();
        self.driver.drive(async move {
            let mut queued = inner.lock().await;
            let Some(queued) = queued.as_mut() else { return Ok(None) };
            tokio::time::timeout(timeout, queued.next()).await.map_err(|_| {
                let text = "the place in line did not change in the time allowed";
                Error::new(ErrorKind::Timeout, text)
            })
        })
    }

    /// The lock, when it is had.
    ///
    /// # Errors
    /// As for the method that waits without telling, such as [`Mutex::lock`](super::Mutex::lock).
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// let guard = locks.mutex("build").lock_queued().guard()?;
    /// assert!(guard.is_held());
    /// # Ok(()) }
    /// ```
    pub fn guard(self) -> Result<G, Error> {
        let inner = self.inner;
        self.driver.drive(async move {
            match inner.lock().await.take() {
                Some(queued) => queued.guard().await,
                None => Err(Error::new(ErrorKind::Internal, "the attempt was taken before")),
            }
        })
    }
}

impl<G: Send + 'static> Iterator for Queued<G> {
    type Item = Waiting;

    fn next(&mut self) -> Option<Waiting> {
        let inner = self.inner.clone();
        self.driver.drive(async move { inner.lock().await.as_mut()?.next().await })
    }
}

impl<G: Send + 'static> FusedIterator for Queued<G> {}

impl<G> fmt::Debug for Queued<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queued").field("inner", &self.inner).finish_non_exhaustive()
    }
}
