//! The lock that some may hold at the same time.

use crate::attempt::Attempt;
use crate::locks::Locks;
use crate::queued::Queued;
use sneck_core::{Capacity, Contender, Error, ErrorKind, Guard, Mode, Name, Permits, Progress};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A number of permits across processes and machines, of which each holder takes some.
///
/// It is fair: first come, first served, also for those who want many, who are not starved by those who
/// want few. All permits that are asked for are granted at once, or none: nobody holds some while waiting
/// for more, so two who each want two of two both get their turn. When a process dies, exactly its permits
/// come back.
///
/// The number is kept in the store from the first use on, and everybody who names another is told, with
/// both numbers. On ZooKeeper it is compatible with Apache Curator's `InterProcessSemaphoreV2`, except that
/// Curator does not look at the number in the store.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
/// # let locks = sneck::connect("memory:").await?;
/// let importers = locks.semaphore("importers", 3);
/// let two = importers.acquire_many(2).await?;
/// let one = importers.acquire().await?;
/// assert!(importers.try_acquire().await?.is_none());
/// drop(one);
/// two.unlock().await?;
///
/// let error = locks.semaphore("importers", 5).acquire().await.unwrap_err();
/// assert_eq!(error.kind(), sneck::ErrorKind::Disagreement);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Semaphore {
    name: Result<Name, Error>,
    /// Shared by clones, so that all of them go on after one of them has changed the number.
    permits: Arc<AtomicU32>,
    attempt: Attempt,
}

impl Semaphore {
    pub(crate) fn new(locks: Locks, name: Result<Name, Error>, permits: u32) -> Self {
        Semaphore { name, permits: Arc::new(AtomicU32::new(permits)), attempt: Attempt::new(locks) }
    }

    /// The same semaphore, asked for with a free text that others in line can see, such as why.
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.attempt.set_note(note.into());
        self
    }

    /// The same semaphore, telling `progress` how waiting goes; see
    /// [`Mutex::on_progress`](crate::Mutex::on_progress).
    #[must_use]
    pub fn on_progress(mut self, progress: impl Fn(Progress<'_>) + Send + Sync + 'static) -> Self {
        self.attempt.set_progress(progress);
        self
    }

    /// Waits for one permit, for ever if need be.
    ///
    /// # Errors
    /// As for [`acquire_many`](Semaphore::acquire_many).
    ///
    /// # Cancel safety
    /// When the future is dropped, the place in line is given up in the background.
    pub async fn acquire(&self) -> Result<Guard, Error> {
        self.acquire_many(1).await
    }

    /// Waits for so many permits, all at once, for ever if need be. They are given back together.
    ///
    /// # Errors
    /// As for [`Mutex::lock`](crate::Mutex::lock). [`ErrorKind::Invalid`] for no permit and for more
    /// than there are, before anything is sent; [`ErrorKind::Disagreement`] when the store has another
    /// number of permits, or fewer than asked for by now.
    ///
    /// # Cancel safety
    /// When the future is dropped, the place in line is given up in the background.
    pub async fn acquire_many(&self, permits: u32) -> Result<Guard, Error> {
        self.attempt.wait(&self.name, self.mode(permits)?).await
    }

    /// Takes one permit if one is free and nobody waits: `Ok(None)` otherwise.
    ///
    /// # Errors
    /// As for [`acquire_many`](Semaphore::acquire_many), and [`ErrorKind::Unavailable`] when the store
    /// cannot be reached.
    ///
    /// # Cancel safety
    /// When the future is dropped, what it may have taken is given up in the background.
    pub async fn try_acquire(&self) -> Result<Option<Guard>, Error> {
        self.try_acquire_many(1).await
    }

    /// Takes so many permits if they are free and nobody waits: `Ok(None)` otherwise.
    ///
    /// # Errors
    /// As for [`try_acquire`](Semaphore::try_acquire).
    ///
    /// # Cancel safety
    /// When the future is dropped, what it may have taken is given up in the background.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// let importers = locks.semaphore("importers", 3);
    /// let two = importers.try_acquire_many(2).await?;
    /// assert!(two.is_some() && importers.try_acquire_many(2).await?.is_none());
    /// # Ok(()) }
    /// ```
    pub async fn try_acquire_many(&self, permits: u32) -> Result<Option<Guard>, Error> {
        self.attempt.once(&self.name, self.mode(permits)?).await
    }

    /// Waits for one permit, for at most `timeout`.
    ///
    /// # Errors
    /// As for [`acquire_many`](Semaphore::acquire_many), and [`ErrorKind::Timeout`].
    ///
    /// # Cancel safety
    /// When the future is dropped, the place in line is given up in the background.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// use std::time::Duration;
    ///
    /// let importers = locks.semaphore("importers", 1);
    /// let _one = importers.acquire().await?;
    /// let error = importers.acquire_timeout(Duration::from_millis(5)).await.unwrap_err();
    /// assert_eq!(error.kind(), sneck::ErrorKind::Timeout);
    /// # Ok(()) }
    /// ```
    pub async fn acquire_timeout(&self, timeout: Duration) -> Result<Guard, Error> {
        self.acquire_many_timeout(1, timeout).await
    }

    /// Waits for so many permits, all at once, for at most `timeout`.
    ///
    /// # Errors
    /// As for [`acquire_timeout`](Semaphore::acquire_timeout).
    ///
    /// # Cancel safety
    /// When the future is dropped, the place in line is given up in the background.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// use std::time::Duration;
    ///
    /// let importers = locks.semaphore("importers", 3);
    /// let two = importers.acquire_many_timeout(2, Duration::from_secs(60)).await?;
    /// # two.unlock().await?;
    /// # Ok(()) }
    /// ```
    pub async fn acquire_many_timeout(
        &self,
        permits: u32,
        timeout: Duration,
    ) -> Result<Guard, Error> {
        self.attempt.within(&self.name, self.mode(permits)?, timeout).await
    }

    /// Waits for so many permits as [`acquire_many`](Semaphore::acquire_many) does, and tells the place in
    /// line and a holder meanwhile. What it fails with is told by [`Queued::guard`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// let importers = locks.semaphore("importers", 3);
    /// let two = importers.acquire_many(2).await?;
    /// let mut queued = importers.acquire_many_queued(2);
    /// assert_eq!(queued.next().await.and_then(|waiting| waiting.ahead), Some(1));
    /// drop(two);
    /// let two = queued.guard().await?;
    /// # two.unlock().await?;
    /// # Ok(()) }
    /// ```
    pub fn acquire_many_queued(&self, permits: u32) -> Queued<Guard> {
        let lock = self.mode(permits).and_then(|mode| Ok(vec![(self.name.clone()?, mode)]));
        self.attempt.queued(lock)
    }

    /// How many permits there are in the store; `None` before the first use.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a bad name, [`ErrorKind::Refused`] where the store has no semaphores,
    /// and what the store reports.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn permits(&self) -> Result<Option<u32>, Error> {
        let name = self.name.clone()?;
        Ok(self.capacity(&name)?.permits(&name).await?.map(NonZeroU32::get))
    }

    /// Gives the semaphore another number of permits in the store, whatever it had before, and this
    /// handle and its clones with it. Waiters for whom that is enough come in at once, also those who
    /// asked under the old number. Permits that are held stay held: where there are fewer than that,
    /// nobody new comes in until enough have been given back.
    ///
    /// # Errors
    /// As for [`permits`](Semaphore::permits), and [`ErrorKind::Invalid`] for zero.
    ///
    /// # Cancel safety
    /// When the future is dropped, the number may have been changed or not.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// let importers = locks.semaphore("importers", 1);
    /// let one = importers.acquire().await?;
    /// importers.set_permits(2).await?;
    /// let another = importers.acquire().await?;
    /// assert_eq!(importers.permits().await?, Some(2));
    /// # Ok(()) }
    /// ```
    pub async fn set_permits(&self, permits: u32) -> Result<(), Error> {
        let name = self.name.clone()?;
        let number = Permits::new(1, permits).map_err(|error| error.with_lock(&name))?.of();
        self.capacity(&name)?.set_permits(&name, number).await?;
        self.permits.store(permits, Ordering::Relaxed);
        Ok(())
    }

    /// The holders of permits, and after them those who wait, in order.
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
    /// let importers = locks.semaphore("importers", 3);
    /// let _two = importers.acquire_many(2).await?;
    /// println!("{:?}", importers.line().await?[0].mode);
    /// # Ok(()) }
    /// ```
    pub async fn line(&self) -> Result<Vec<Contender>, Error> {
        self.attempt.locks().line(self.name.clone()?.as_str()).await
    }

    fn mode(&self, take: u32) -> Result<Mode, Error> {
        let permits = Permits::new(take, self.permits.load(Ordering::Relaxed));
        permits.map(Mode::Permits).map_err(|error| match &self.name {
            Ok(name) => error.with_lock(name),
            Err(_) => error,
        })
    }

    fn capacity(&self, name: &Name) -> Result<&dyn Capacity, Error> {
        let backend = self.attempt.locks().locker().backend();
        backend.capacity().ok_or_else(|| {
            Error::new(ErrorKind::Refused, "this store has no semaphores")
                .with_lock(name)
                .with_backend(&backend.label())
        })
    }
}
