//! Several locks at once.

use crate::attempt::{Attempt, had};
use crate::locks::Locks;
use crate::queued::Queued;
use sneck_core::{Error, Guard, Mode, Name, Patience, Progress};
use std::time::Duration;

/// Several locks that are taken together: all or none.
///
/// Made by [`Locks::all`]. Waiting for all of them is one wait with one deadline, and one [`Guard`] holds
/// them: the loss of one is the loss of all, and [`Guard::tokens`] has the token of each.
///
/// Attempts that overlap cannot wait for each other in a circle, in whatever order they name their locks.
/// On ZooKeeper all places in line are taken in one transaction; elsewhere in the order of the names. Taking
/// a lock while a guard is already held is another matter: take all at once instead.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
/// # let locks = sneck::connect("memory:").await?;
/// let guard = locks.all(["account/7", "account/3"]).read("rates").lock().await?;
/// for (name, token) in guard.tokens() {
///     println!("{name} with token {token}");
/// }
/// guard.unlock().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct All {
    names: Vec<(Result<Name, Error>, Mode)>,
    attempt: Attempt,
}

impl All {
    pub(crate) fn new<N: AsRef<str>>(locks: Locks, names: impl IntoIterator<Item = N>) -> Self {
        let all = All { names: Vec::new(), attempt: Attempt::new(locks) };
        names.into_iter().fold(all, |all, name| all.and(name, Mode::Exclusive))
    }

    /// And this [`RwLock`](crate::RwLock), to read.
    #[must_use]
    pub fn read(self, name: impl AsRef<str>) -> Self {
        self.and(name, Mode::Shared)
    }

    /// And this [`RwLock`](crate::RwLock), to write.
    #[must_use]
    pub fn write(self, name: impl AsRef<str>) -> Self {
        self.and(name, Mode::Write)
    }

    fn and(mut self, name: impl AsRef<str>, mode: Mode) -> Self {
        self.names.push((Name::new(name.as_ref()), mode));
        self
    }

    /// The same locks, asked for with a free text that others in line can see, such as why.
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.attempt.set_note(note.into());
        self
    }

    /// The same locks, telling `progress` how waiting goes; see
    /// [`Mutex::on_progress`](crate::Mutex::on_progress).
    #[must_use]
    pub fn on_progress(mut self, progress: impl Fn(Progress<'_>) + Send + Sync + 'static) -> Self {
        self.attempt.set_progress(progress);
        self
    }

    /// Waits for all of them, for ever if need be.
    ///
    /// # Errors
    /// As for [`Mutex::lock`](crate::Mutex::lock). [`ErrorKind::Invalid`](crate::ErrorKind::Invalid)
    /// for no lock, for one that is named twice, and for a bad name, before anything is sent.
    ///
    /// # Cancel safety
    /// When the future is dropped, all places in line are given up in the background.
    pub async fn lock(&self) -> Result<Guard, Error> {
        had(self.acquire(Patience::Forever).await)
    }

    /// Takes all of them if none is taken: `Ok(None)` otherwise, and then none of them is had.
    ///
    /// # Errors
    /// As for [`lock`](All::lock), and [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when
    /// the store cannot be reached.
    ///
    /// # Cancel safety
    /// When the future is dropped, what it may have taken is given up in the background.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// let _stock = locks.mutex("stock").lock().await?;
    /// assert!(locks.all(["order", "stock"]).try_lock().await?.is_none());
    /// assert!(locks.mutex("order").try_lock().await?.is_some(), "none of them is had");
    /// # Ok(()) }
    /// ```
    pub async fn try_lock(&self) -> Result<Option<Guard>, Error> {
        self.acquire(Patience::Once).await
    }

    /// Waits for all of them, for at most `timeout` in all.
    ///
    /// # Errors
    /// As for [`lock`](All::lock), and [`ErrorKind::Timeout`](crate::ErrorKind::Timeout).
    ///
    /// # Cancel safety
    /// When the future is dropped, all places in line are given up in the background.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// use std::time::Duration;
    ///
    /// let _stock = locks.mutex("stock").lock().await?;
    /// let both = locks.all(["order", "stock"]);
    /// let error = both.lock_timeout(Duration::from_millis(5)).await.unwrap_err();
    /// assert_eq!(error.kind(), sneck::ErrorKind::Timeout);
    /// # Ok(()) }
    /// ```
    pub async fn lock_timeout(&self, timeout: Duration) -> Result<Guard, Error> {
        had(self.acquire(self.attempt.until(timeout)).await)
    }

    /// Waits as [`lock`](All::lock) does, and tells meanwhile the place in the line of the first of the
    /// locks that has to be waited for, and who holds it. What it fails with is told by
    /// [`Queued::guard`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// let stock = locks.mutex("stock").with_note("inventory").lock().await?;
    /// let mut queued = locks.all(["order", "stock"]).lock_queued();
    /// let holder = queued.next().await.and_then(|waiting| waiting.holder).expect("it is known");
    /// assert!(holder.text.contains("inventory"));
    /// drop(stock);
    /// let both = queued.guard().await?;
    /// # both.unlock().await?;
    /// # Ok(()) }
    /// ```
    pub fn lock_queued(&self) -> Queued<Guard> {
        self.attempt.queued(self.locks())
    }

    async fn acquire(&self, patience: Patience) -> Result<Option<Guard>, Error> {
        self.attempt.acquire_all(&self.locks()?, patience).await
    }

    fn locks(&self) -> Result<Vec<(Name, Mode)>, Error> {
        self.names.iter().map(|(name, mode)| Ok((name.clone()?, *mode))).collect()
    }
}
