//! A lock that is held.

use super::alarm::Alarm;
use super::driver::Driver;
#[cfg(doc)]
use sneck_core::ErrorKind;
use sneck_core::{ClaimId, Error, Instant, Loss, Name, Token};
use std::fmt;
use std::time::Duration;

/// A lock that is held, until [`unlock`](Guard::unlock), drop, or loss; as [`sneck::Guard`](crate::Guard).
///
/// Dropping it releases the lock in the background and does not wait.
///
/// ```
/// # fn main() -> Result<(), sneck::Error> {
/// # let locks = sneck::blocking::connect("memory:")?;
/// let guard = locks.mutex("ledger").lock()?;
/// for page in 1..=3 {
///     guard.check()?; // not another step without the lock
///     println!("page {page} with token {}", guard.token());
/// }
/// guard.unlock()?;
/// # Ok(()) }
/// ```
#[must_use = "a guard that is dropped releases its lock at once"]
pub struct Guard {
    inner: crate::Guard,
    alarm: Alarm,
}

impl Guard {
    pub(super) fn new(driver: &Driver, inner: crate::Guard) -> Self {
        Guard { inner, alarm: Alarm::new(driver) }
    }

    /// The fencing token: larger than that of every earlier grant of this lock.
    pub fn token(&self) -> Token {
        self.inner.token()
    }

    /// The lock's name; where several are held, the name of the first.
    pub fn name(&self) -> &Name {
        self.inner.name()
    }

    /// Every lock that is held, with its fencing token: more than one for [`All`](super::All) only.
    pub fn tokens(&self) -> impl Iterator<Item = (&Name, Token)> {
        self.inner.tokens()
    }

    /// The identity of the claim that is held; see [`Locks::holding`](super::Locks::holding).
    pub fn claim_id(&self) -> ClaimId {
        self.inner.claim_id()
    }

    /// Whether the lock is certainly still held; nothing is sent. Once it has said `false` it never says
    /// `true` again.
    pub fn is_held(&self) -> bool {
        self.inner.is_held()
    }

    /// [`is_held`](Guard::is_held) as an error, for work that goes on step by step.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] when the lock is not certainly held any more, with the reason.
    pub fn check(&self) -> Result<(), Error> {
        self.inner.check()
    }

    /// Until when the hold may be believed in as things stand.
    pub fn deadline(&self) -> Instant {
        self.inner.deadline()
    }

    /// How long the hold may still be believed in if the store never answers again; zero when lost.
    pub fn remaining(&self) -> Duration {
        self.inner.remaining()
    }

    /// Waits until the lock is lost, for ever if need be, and says why.
    pub fn wait_lost(&self) -> Loss {
        self.alarm.wait(self.inner.lost())
    }

    /// Waits until the lock is lost, for at most `timeout`; `None` when it was not by then.
    pub fn wait_lost_timeout(&self, timeout: Duration) -> Option<Loss> {
        self.alarm.wait_timeout(self.inner.lost(), timeout)
    }

    /// Calls back once when the lock is lost, on a thread of its own. There is one callback: another one
    /// takes the place of the first. It is not called for a lock that was given back before.
    ///
    /// A panic in it ends its thread only.
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// use std::sync::mpsc::channel;
    /// let guard = locks.mutex("cache").lock()?;
    /// let (tell, told) = channel();
    /// guard.on_lost(move |loss| tell.send(loss).unwrap());
    /// locks.close(); // ends the session, and with it every lock
    /// assert_eq!(told.recv().unwrap(), sneck::Loss::SessionEnded);
    /// assert!(guard.check().is_err());
    /// # Ok(()) }
    /// ```
    pub fn on_lost(&self, callback: impl FnOnce(Loss) + Send + 'static) {
        self.alarm.set(self.inner.lost(), callback);
    }

    /// Whether somebody has asked the holder to let go; see
    /// [`Locks::request_revocation`](super::Locks::request_revocation).
    pub fn is_revocation_requested(&self) -> bool {
        self.inner.is_revocation_requested()
    }

    /// Waits until somebody asks the holder to let go, for at most `timeout`; `false` when nobody had by
    /// then.
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// use std::time::Duration;
    ///
    /// let guard = locks.mutex("cache").lock()?;
    /// assert!(!guard.wait_revocation_requested(Duration::from_millis(5)));
    /// locks.request_revocation("cache")?;
    /// assert!(guard.wait_revocation_requested(Duration::from_secs(60)));
    /// # Ok(()) }
    /// ```
    pub fn wait_revocation_requested(&self, timeout: Duration) -> bool {
        let requested = self.inner.revocation_requested();
        let driver = self.alarm.driver();
        driver.drive(async move { tokio::time::timeout(timeout, requested).await.is_ok() })
    }

    /// Does some work, and says afterwards whether the lock was held all the time. The work is *not*
    /// stopped when the lock is lost: it is to [`check`](Guard::check) before each step that matters.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] when the lock was lost before the work began, which is not begun then, or by
    /// the time it was done.
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// let guard = locks.mutex("cache").lock()?;
    /// assert_eq!(guard.protect(|guard| guard.check().map(|()| 6 * 7))??, 42);
    /// # Ok(()) }
    /// ```
    pub fn protect<T>(&self, work: impl FnOnce(&Self) -> T) -> Result<T, Error> {
        self.check()?;
        let done = work(self);
        self.check().map(|()| done)
    }

    /// Makes a reader's hold of a writer's; see [`WriteGuard`](super::WriteGuard::downgrade).
    ///
    /// # Errors
    /// As for [`sneck::Guard::downgrade`](crate::Guard::downgrade); the lock is released then.
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// let writer = locks.rw_lock("catalogue").write()?.into_guard();
    /// let reader = writer.downgrade()?;
    /// assert!(locks.rw_lock("catalogue").try_read()?.is_some());
    /// # reader.unlock()?;
    /// # Ok(()) }
    /// ```
    pub fn downgrade(self) -> Result<Self, Error> {
        let Guard { inner, alarm } = self;
        let inner = alarm.driver().drive(inner.downgrade())?;
        Ok(Guard { inner, alarm })
    }

    /// Gives the lock back and waits until the store has confirmed it.
    ///
    /// # Errors
    /// As for [`sneck::Guard::unlock`](crate::Guard::unlock).
    pub fn unlock(self) -> Result<(), Error> {
        let Guard { inner, alarm } = self;
        alarm.driver().drive(inner.unlock())
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
