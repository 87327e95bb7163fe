//! The locks of one store.

use super::driver::Driver;
use super::{All, Durable, Election, Guard, Mutex, Once, RwLock, Semaphore};
use crate::telemetry::Instrument;
#[cfg(doc)]
use sneck_core::ErrorKind;
use sneck_core::{
    Backend, Caller, ClaimId, Contender, Deadlocks, Error, Limits, Name, Promises, Sharing,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Connects to a store of locks; the table of URLs is in the [crate's documentation](crate).
///
/// # Errors
/// As for [`sneck::connect`](crate::connect()), and [`ErrorKind::Unavailable`] when the background thread
/// cannot be started.
///
/// ```
/// let error = sneck::blocking::connect("zk://").unwrap_err();
/// assert_eq!(error.kind(), sneck::ErrorKind::Invalid);
/// ```
pub fn connect(url: &str) -> Result<Locks, Error> {
    let (driver, url) = (Driver::shared()?, url.to_owned());
    let inner = driver.drive(async move { crate::connect(&url).await })?;
    Ok(Locks { inner, driver })
}

/// The locks of one store, without `async`; as [`sneck::Locks`](crate::Locks). Cheap to clone, and may
/// be used by any number of threads at once.
#[derive(Clone, Debug)]
pub struct Locks {
    inner: crate::Locks,
    driver: Driver,
}

impl Locks {
    /// Locks on a backend that was set up by hand. It must not rely on the runtime that this thread is
    /// about to block.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the background thread cannot be started.
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// let locks = sneck::blocking::Locks::on(std::sync::Arc::new(sneck::Memory::new()))?;
    /// assert!(locks.mutex("cache").try_lock()?.is_some());
    /// # Ok(()) }
    /// ```
    pub fn on(backend: Arc<dyn Backend>) -> Result<Self, Error> {
        Ok(Locks { inner: crate::Locks::on(backend), driver: Driver::shared()? })
    }

    /// The same with other bounds of waiting.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Locks { inner: self.inner.with_limits(limits), ..self }
    }

    /// The same under another description of who asks.
    #[must_use]
    pub fn with_caller(self, caller: Caller) -> Self {
        Locks { inner: self.inner.with_caller(caller), ..self }
    }

    /// The same, telling this instrument what becomes of every attempt and hold, and no other.
    #[must_use]
    pub fn with_instrument(self, instrument: Arc<dyn Instrument>) -> Self {
        Locks { inner: self.inner.with_instrument(instrument), ..self }
    }

    /// The same for a part of the program that holds this lock while it waits for others; as
    /// [`sneck::Locks::holding`](crate::Locks::holding).
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// let order = locks.mutex("order/7").lock()?;
    /// let stock = locks.holding(&order).mutex("stock/3").lock()?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn holding(self, guard: &Guard) -> Self {
        self.holding_claims([guard.claim_id()])
    }

    /// [`holding`](Locks::holding), for locks that somebody else holds for us.
    #[must_use]
    pub fn holding_claims(self, claims: impl IntoIterator<Item = ClaimId>) -> Self {
        Locks { inner: self.inner.holding_claims(claims), ..self }
    }

    /// The same, where a wait that is one of a circle ends with an error; as
    /// [`sneck::Locks::refusing_deadlock`](crate::Locks::refusing_deadlock).
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// let guard = locks.mutex("order/7").lock()?;
    /// let locks = locks.holding(&guard).refusing_deadlock();
    /// let error = locks.mutex("order/7").lock().unwrap_err();
    /// assert_eq!(error.kind(), sneck::ErrorKind::Deadlock);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn refusing_deadlock(self) -> Self {
        Locks { inner: self.inner.refusing_deadlock(), ..self }
    }

    /// The same, where those of this process who ask for one lock share one place in its line; as
    /// [`sneck::Locks::coalescing`](crate::Locks::coalescing).
    #[must_use]
    pub fn coalescing(self) -> Self {
        self.with_sharing(Sharing::coalescing())
    }

    /// The same, where a place is also kept while nobody else wants it; as
    /// [`sneck::Locks::sticky`](crate::Locks::sticky).
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// let cache = locks.sticky().mutex("cache");
    /// let before = cache.lock()?.token();
    /// assert_eq!(cache.lock()?.token().get(), before.get(), "the same place, without a request");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn sticky(self) -> Self {
        self.with_sharing(Sharing::sticky())
    }

    /// The same, where places are shared like this; as
    /// [`sneck::Locks::with_sharing`](crate::Locks::with_sharing).
    #[must_use]
    pub fn with_sharing(self, sharing: Sharing) -> Self {
        Locks { inner: self.inner.with_sharing(sharing), ..self }
    }

    /// Who is said to ask.
    pub fn caller(&self) -> &Caller {
        self.inner.caller()
    }

    /// The exclusive lock of this name. Sends nothing.
    pub fn mutex(&self, name: impl AsRef<str>) -> Mutex {
        Mutex::new(&self.driver, self.inner.mutex(name))
    }

    /// The lock of readers and writers of this name. Sends nothing.
    pub fn rw_lock(&self, name: impl AsRef<str>) -> RwLock {
        RwLock::new(&self.driver, self.inner.rw_lock(name))
    }

    /// The semaphore of this name, which has so many permits. Sends nothing.
    pub fn semaphore(&self, name: impl AsRef<str>, permits: u32) -> Semaphore {
        Semaphore::new(&self.driver, self.inner.semaphore(name, permits))
    }

    /// Several exclusive locks that are taken together, all or none. Sends nothing.
    pub fn all<N: AsRef<str>>(&self, names: impl IntoIterator<Item = N>) -> All {
        All::new(&self.driver, self.inner.all(names))
    }

    /// The election of this name. Sends nothing.
    pub fn election(&self, name: impl AsRef<str>) -> Election {
        Election::new(&self.driver, self.inner.election(name))
    }

    /// The durable lock of this name, for this owner. Sends nothing.
    pub fn durable(&self, name: impl AsRef<str>, owner: impl AsRef<str>) -> Durable {
        Durable::new(&self.driver, self.inner.durable(name, owner))
    }

    /// The job of this name, which is to run at most once in each interval. Sends nothing.
    pub fn once(&self, name: impl AsRef<str>, every: Duration) -> Once {
        Once::new(&self.driver, self.inner.once(name, every))
    }

    /// Asks whoever holds this lock to let go, and tells whom it asked.
    ///
    /// # Errors
    /// As for [`sneck::Locks::request_revocation`](crate::Locks::request_revocation).
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// use std::time::Duration;
    /// let guard = locks.mutex("cache").lock()?;
    /// assert_eq!(locks.request_revocation("cache")?.len(), 1);
    /// assert!(guard.wait_revocation_requested(Duration::from_secs(30)));
    /// # Ok(()) }
    /// ```
    pub fn request_revocation(&self, name: impl AsRef<str>) -> Result<Vec<Contender>, Error> {
        let name = name.as_ref().to_owned();
        self.ask(|locks| async move { locks.request_revocation(name).await })
    }

    /// The names of all durable locks that are taken, or were freed by force not long ago, in order.
    ///
    /// # Errors
    /// As for [`sneck::Locks::durable_names`](crate::Locks::durable_names).
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// let _hold = locks.durable("db/migration", "deployer-7").take()?;
    /// assert_eq!(locks.durable_names()?[0].as_str(), "db/migration");
    /// # Ok(()) }
    /// ```
    pub fn durable_names(&self) -> Result<Vec<Name>, Error> {
        self.ask(|locks| async move { locks.durable_names().await })
    }

    /// The line for a lock, its holder first; empty when nobody holds it.
    ///
    /// # Errors
    /// As for [`sneck::Locks::line`](crate::Locks::line).
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// let _guard = locks.mutex("cache").with_note("nightly").lock()?;
    /// let line = locks.line("cache")?;
    /// assert_eq!(line[0].caller.as_ref().expect("one of us").note, "nightly");
    /// # Ok(()) }
    /// ```
    pub fn line(&self, name: impl AsRef<str>) -> Result<Vec<Contender>, Error> {
        let name = name.as_ref().to_owned();
        self.ask(|locks| async move { locks.line(name).await })
    }

    /// The names of all locks that somebody holds, in order.
    ///
    /// # Errors
    /// As for [`sneck::Locks::names`](crate::Locks::names).
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// let _guard = locks.mutex("cache").lock()?;
    /// assert_eq!(locks.names()?[0].as_str(), "cache");
    /// # Ok(()) }
    /// ```
    pub fn names(&self) -> Result<Vec<Name>, Error> {
        self.ask(|locks| async move { locks.names().await })
    }

    /// The lines of all locks that somebody holds or waits for, each with its holders first.
    ///
    /// # Errors
    /// As for [`sneck::Locks::lines`](crate::Locks::lines).
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// let _guard = locks.mutex("cache").lock()?;
    /// assert!(locks.lines()?.values().all(|line| line[0].held));
    /// # Ok(()) }
    /// ```
    pub fn lines(&self) -> Result<BTreeMap<Name, Vec<Contender>>, Error> {
        self.ask(|locks| async move { locks.lines().await })
    }

    /// Looks for claims that wait for each other in a circle; as
    /// [`sneck::Locks::deadlocks`](crate::Locks::deadlocks).
    ///
    /// # Errors
    /// As there.
    ///
    /// ```
    /// # fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::blocking::connect("memory:")?;
    /// assert!(locks.deadlocks()?.found.is_empty());
    /// # Ok(()) }
    /// ```
    pub fn deadlocks(&self) -> Result<Deadlocks, Error> {
        self.ask(|locks| async move { locks.deadlocks().await })
    }

    /// What the store promises.
    pub fn promises(&self) -> Promises {
        self.inner.promises()
    }

    /// The store's name in messages, without secrets.
    pub fn label(&self) -> Arc<str> {
        self.inner.label()
    }

    /// Ends the connection, and with it every lock that is still held through it, and waits until the
    /// store has confirmed that. For use before a process exits.
    pub fn close(self) {
        self.driver.drive(self.inner.close());
    }

    pub(super) fn inner(&self) -> &crate::Locks {
        &self.inner
    }

    pub(super) fn driver(&self) -> &Driver {
        &self.driver
    }

    fn ask<F>(&self, question: impl FnOnce(crate::Locks) -> F) -> F::Output
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.driver.drive(question(self.inner.clone()))
    }
}
