//! The lock that outlives its owner.

use super::alarm::Alarm;
use super::driver::Driver;
#[cfg(doc)]
use sneck_core::ErrorKind;
use sneck_core::{ClaimId, DurableHolder, Error, ForcedRelease, Loss, Token};
use std::time::Duration;

/// A lock that outlives its owner, without `async`; as [`sneck::Durable`](crate::Durable).
///
/// ```
/// # fn main() -> Result<(), sneck::Error> {
/// # let locks = sneck::blocking::connect("memory:")?;
/// let migration = locks.durable("db/migration", "deployer-7").with_reason("schema 12");
/// drop(migration.take()?); // or the process dies: the lock stays
/// assert_eq!(migration.holder()?.expect("taken").owner, "deployer-7");
/// assert!(locks.durable("db/migration", "deployer-8").try_take()?.is_none());
/// assert!(migration.free()?);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Durable {
    inner: crate::Durable,
    driver: Driver,
}

impl Durable {
    pub(super) fn new(driver: &Driver, inner: crate::Durable) -> Self {
        Durable { inner, driver: driver.clone() }
    }

    /// The same lock, taken for a reason that others can see.
    #[must_use]
    pub fn with_reason(self, reason: impl Into<String>) -> Self {
        Durable { inner: self.inner.with_reason(reason), ..self }
    }

    /// Waits for the lock, for ever if need be, also while the store cannot be reached.
    ///
    /// # Errors
    /// As for [`sneck::Durable::take`](crate::Durable::take).
    pub fn take(&self) -> Result<DurableHold, Error> {
        let hold = self.ask(|durable| async move { durable.take().await })?;
        Ok(DurableHold::new(&self.driver, hold))
    }

    /// Takes the lock if nobody else has it: `Ok(None)` when somebody does.
    ///
    /// # Errors
    /// As for [`take`](Durable::take), and [`ErrorKind::Unavailable`] when the store cannot be reached.
    pub fn try_take(&self) -> Result<Option<DurableHold>, Error> {
        let hold = self.ask(|durable| async move { durable.try_take().await })?;
        Ok(hold.map(|hold| DurableHold::new(&self.driver, hold)))
    }

    /// Waits for the lock for at most `timeout`.
    ///
    /// # Errors
    /// As for [`take`](Durable::take), and [`ErrorKind::Timeout`], whose [`holder`](Error::holder) says
    /// who has the lock, since when and why.
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// use std::time::Duration;
    ///
    /// let _hold = locks.durable("db/migration", "deployer-7").with_reason("schema 12").take()?;
    /// let stranger = locks.durable("db/migration", "deployer-8");
    /// let error = stranger.take_timeout(Duration::from_millis(5)).unwrap_err();
    /// println!("{error}"); // taken by deployer-7, since when, and for schema 12
    /// # Ok(()) }
    /// ```
    pub fn take_timeout(&self, timeout: Duration) -> Result<DurableHold, Error> {
        let hold = self.ask(move |durable| async move { durable.take_timeout(timeout).await })?;
        Ok(DurableHold::new(&self.driver, hold))
    }

    /// Frees the lock if it is this owner's, whichever of its processes took it. `Ok(false)` when nobody
    /// had it.
    ///
    /// # Errors
    /// As for [`sneck::Durable::free`](crate::Durable::free).
    pub fn free(&self) -> Result<bool, Error> {
        self.ask(|durable| async move { durable.free().await })
    }

    /// Frees the lock whoever has it, as a last resort: the holder may still be at work.
    ///
    /// # Errors
    /// As for [`sneck::Durable::force`](crate::Durable::force).
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// let _hold = locks.durable("db/migration", "deployer-7").take()?;
    /// let admin = locks.durable("db/migration", "admin");
    /// let holder = admin.holder()?.expect("taken");
    /// assert!(admin.force(holder.id, "deployer-7 burnt down")?);
    /// # Ok(()) }
    /// ```
    pub fn force(&self, hold: ClaimId, reason: &str) -> Result<bool, Error> {
        let reason = reason.to_owned();
        self.ask(move |durable| async move { durable.force(hold, &reason).await })
    }

    /// Who has the lock; `None` when nobody does.
    ///
    /// # Errors
    /// As for [`sneck::Durable::holder`](crate::Durable::holder).
    pub fn holder(&self) -> Result<Option<DurableHolder>, Error> {
        self.ask(|durable| async move { durable.holder().await })
    }

    /// The last releases by force, the latest last.
    ///
    /// # Errors
    /// As for [`sneck::Durable::history`](crate::Durable::history).
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// let _hold = locks.durable("db/migration", "deployer-7").take()?;
    /// let admin = locks.durable("db/migration", "admin");
    /// admin.force(admin.holder()?.expect("taken").id, "deployer-7 burnt down")?;
    /// assert_eq!(admin.history()?[0].reason, "deployer-7 burnt down");
    /// # Ok(()) }
    /// ```
    pub fn history(&self) -> Result<Vec<ForcedRelease>, Error> {
        self.ask(|durable| async move { durable.history().await })
    }

    fn ask<F>(&self, question: impl FnOnce(crate::Durable) -> F) -> F::Output
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.driver.drive(question(self.inner.clone()))
    }
}

/// A durable lock that is had; as [`sneck::DurableHold`](crate::DurableHold). Dropping it leaves the lock
/// taken.
#[derive(Debug)]
#[must_use = "the lock stays taken when this is dropped; free it, or take it up again later"]
pub struct DurableHold {
    inner: crate::DurableHold,
    alarm: Alarm,
}

impl DurableHold {
    fn new(driver: &Driver, inner: crate::DurableHold) -> Self {
        DurableHold { inner, alarm: Alarm::new(driver) }
    }

    /// The fencing token: larger than that of every earlier hold of this lock.
    pub fn token(&self) -> Token {
        self.inner.token()
    }

    /// Whether the lock is ours, as far as the store has told.
    pub fn is_held(&self) -> bool {
        self.inner.is_held()
    }

    /// [`is_held`](DurableHold::is_held) as an error.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] when the store has told that it is not, with the reason.
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// let hold = locks.durable("db/migration", "deployer-7").take()?;
    /// hold.check()?;
    /// # Ok(()) }
    /// ```
    pub fn check(&self) -> Result<(), Error> {
        self.inner.check()
    }

    /// Waits until the store tells that the lock is ours no more, for ever if need be, and says why.
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
    /// let hold = locks.durable("db/migration", "deployer-7").take()?;
    /// let moved = hold.protect(|_| 12)?;
    /// assert_eq!(moved, 12);
    /// # Ok(()) }
    /// ```
    pub fn protect<T>(&self, work: impl FnOnce(&Self) -> T) -> Result<T, Error> {
        self.check()?;
        let done = work(self);
        self.check().map(|()| done)
    }

    /// Frees the lock, and waits until the store has confirmed it, for as long as that takes.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] when the lock had been lost before.
    pub fn free(self) -> Result<(), Error> {
        let DurableHold { inner, alarm } = self;
        alarm.driver().drive(inner.free())
    }
}
