//! The locks of one store.

use crate::all::All;
use crate::durable::Durable;
use crate::election::Election;
use crate::identity;
use crate::mutex::Mutex;
use crate::once::Once;
use crate::rw_lock::RwLock;
use crate::semaphore::Semaphore;
use crate::telemetry::{self, Instrument};
use sneck_core::{
    Backend, Caller, ClaimId, Clock, Contender, Deadlocks, Error, ErrorKind, Guard, Limits, Locker,
    Name, Order, Promises, RecordKind, Records, Sharing, SystemClock, Ties,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The locks of one store. Cheap to clone; clones share the connection, which is closed when the last
/// clone, and the last guard, is gone.
///
/// Made by [`connect`](crate::connect).
#[derive(Clone, Debug)]
pub struct Locks {
    locker: Locker,
    caller: Caller,
    /// What every claim says it holds while it waits.
    ties: Ties,
}

impl Locks {
    /// Locks on a backend that was set up by hand.
    pub fn on(backend: Arc<dyn Backend>) -> Self {
        let locker = Locker::new(backend, Arc::new(SystemClock));
        let locker = match telemetry::of_this_build() {
            Some(instrument) => locker.with_instrument(instrument),
            None => locker,
        };
        Locks { locker, caller: identity::of_this_process(), ties: Ties::default() }
    }

    /// The same with other bounds of waiting.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.locker = self.locker.with_limits(limits);
        self
    }

    /// The same under another description of who asks. By default it tells host, process id, user
    /// and program, all of which everybody who can read the store can see.
    #[must_use]
    pub fn with_caller(mut self, caller: Caller) -> Self {
        self.caller = caller;
        self
    }

    /// The same, telling this instrument what becomes of every attempt and hold, and no other: see
    /// [`telemetry`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// use sneck::telemetry::Several;
    /// use std::sync::Arc;
    /// let nobody = Several::new(Vec::new());
    /// let locks = sneck::connect("memory:").await?.with_instrument(Arc::new(nobody));
    /// locks.mutex("cache").lock().await?.unlock().await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn with_instrument(mut self, instrument: Arc<dyn Instrument>) -> Self {
        self.locker = self.locker.with_instrument(instrument);
        self
    }

    /// The same for a part of the program that holds this lock and does not give it back before it is
    /// done: whatever it waits for in the meantime is known to keep up those who wait for this one, so
    /// that [waiting in a circle](Locks::deadlocks) can be seen. It changes nothing else.
    ///
    /// What is held has to be said, as a guard may be used by another task than the one that waits, and two
    /// tasks of one process hold nothing in common. Of more than 16 locks only the last are told.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// let order = locks.mutex("order/7").lock().await?;
    /// let locks = locks.holding(&order);
    /// let stock = locks.mutex("stock/3").lock().await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn holding(self, guard: &Guard) -> Self {
        self.holding_claims([guard.claim_id()])
    }

    /// [`holding`](Locks::holding), for locks that somebody else holds for us, such as the process that has
    /// started this one: the [ids](Guard::claim_id) of their claims.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// # let guard = locks.mutex("order/7").lock().await?;
    /// let told = guard.claim_id().to_string(); // by way of an argument or the environment
    /// let locks = locks.holding_claims([told.parse()?]);
    /// let stock = locks.mutex("stock/3").lock().await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn holding_claims(mut self, claims: impl IntoIterator<Item = ClaimId>) -> Self {
        self.ties.holds.extend(claims);
        self
    }

    /// The same, where a wait that is one of a [circle](Locks::deadlocks) ends with
    /// [`ErrorKind::Deadlock`] instead of going on for ever. Of those in a circle who ask like this exactly
    /// one is ended: the one that came last.
    ///
    /// A wait looks for a circle when it has lasted a second, and then ever more seldom; see
    /// [`Limits`]. Each look reads the lines of all locks of the store. Without effect on stores that do
    /// not show who waits.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// use sneck::ErrorKind;
    /// let guard = locks.mutex("order/7").lock().await?;
    /// let locks = locks.holding(&guard).refusing_deadlock();
    /// let error = locks.mutex("order/7").lock().await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Deadlock, "it waits for itself");
    /// println!("{error}");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn refusing_deadlock(mut self) -> Self {
        self.ties.yields = true;
        self
    }

    /// The same, where those of this process who ask for one lock share one place in its line:
    /// [`with_sharing`](Locks::with_sharing) with [`Sharing::coalescing`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// let cache = locks.coalescing().mutex("cache");
    /// let first = cache.lock().await?;
    /// let place = first.token().get();
    /// let (second, ()) = tokio::join!(cache.lock(), async { first.unlock().await.expect("held") });
    /// let token = second?.token();
    /// assert_eq!((token.get(), token.turn()), (place, 1), "the same place, handed on");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn coalescing(self) -> Self {
        self.with_sharing(Sharing::coalescing())
    }

    /// The same, where a place is also kept while nobody else wants it, so that asking again sends nothing:
    /// [`with_sharing`](Locks::with_sharing) with [`Sharing::sticky`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// let cache = locks.sticky().mutex("cache");
    /// let before = cache.lock().await?.token();
    /// let again = cache.lock().await?;
    /// assert!(again.token() > before, "another hold");
    /// assert_eq!(again.token().get(), before.get(), "of the same place");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn sticky(self) -> Self {
        self.with_sharing(Sharing::sticky())
    }

    /// The same, where those of this process who ask for one mutex, or to read or to write one `RwLock`,
    /// share a place in its line, and hand it on among themselves. Through these `Locks` and all clones of
    /// them, that is; by default everybody has a place of its own.
    ///
    /// * **Fairness.** Inside it is first come, first served. Who waits outside waits for at most
    ///   [`Sharing::hand_ons`] more holds, and no new one after [`Sharing::span`], from when this process
    ///   learns of it; then its place is given back.
    /// * **Kept places** are given back as soon as somebody outside waits, or
    ///   [asks](Locks::request_revocation) for the lock, or the last clone of these `Locks` is gone. A store that
    ///   does not tell [who waits](Promises::order) keeps none.
    /// * **Tokens.** Holds of one place have one number and count their [turns](crate::Token::turn); what a
    ///   resource has to compare then, `Token` says. Those of readers need not rise from one process to another.
    /// * **Loss.** A place that is lost is lost for who holds it and for all who wait for it.
    /// * **What others see** ([`line`](Locks::line), `sneck who`) is one place, with the caller and note of
    ///   who asked for it first.
    /// * Permits, [several locks at once](Locks::all), elections, and whatever
    ///   [holds something else](Locks::holding) or [refuses deadlocks](Locks::refusing_deadlock) have places of
    ///   their own.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// use sneck::Sharing;
    /// let mut sharing = Sharing::sticky();
    /// sharing.hand_ons = 4; // rather than 16, while somebody waits outside
    /// let guard = locks.with_sharing(sharing).mutex("cache").lock().await?;
    /// assert_eq!(guard.token().turn(), 0);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn with_sharing(self, sharing: Sharing) -> Self {
        Locks { locker: self.locker.with_sharing(sharing), ..self }
    }

    /// The same, with pauses between attempts whose jitter follows from `seed` alone: for simulations,
    /// where a run on a store, a clock and a runtime that can be repeated is to be the same each time.
    /// Clients that are not to meet again and again need seeds of their own, so leave it to chance
    /// otherwise.
    ///
    /// ```
    /// use sneck::{Locks, Memory};
    /// use std::sync::Arc;
    /// let locks = Locks::on(Arc::new(Memory::new())).with_seed(7);
    /// # let _ = locks;
    /// ```
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Locks { locker: self.locker.with_seed(seed), ..self }
    }

    /// The same by another clock than that of the machine: for simulations, and to see what becomes of locks
    /// where a clock is wrong. A store whose leases follow a clock of this process has to be given the same
    /// one, such as in the session options of ZooKeeper.
    ///
    /// ```
    /// use sneck::{Locks, Memory, SystemClock};
    /// use std::sync::Arc;
    /// let locks = Locks::on(Arc::new(Memory::new())).with_clock(Arc::new(SystemClock));
    /// # let _ = locks;
    /// ```
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Locks { locker: self.locker.with_clock(clock), ..self }
    }

    /// The same, where claims get their identities from `ids` instead of from the operating system, for
    /// simulations. One that comes twice, from whichever client, breaks the lock: two claims would each
    /// take the place of the other for their own.
    ///
    /// ```
    /// use sneck::{ClaimId, Locks, Memory};
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// let next = AtomicU64::new(1);
    /// let ids = move || ClaimId::from_u128(next.fetch_add(1, Ordering::Relaxed).into());
    /// let locks = Locks::on(Arc::new(Memory::new())).with_claim_ids(ids);
    /// # let _ = locks;
    /// ```
    #[must_use]
    pub fn with_claim_ids(self, ids: impl Fn() -> ClaimId + Send + Sync + 'static) -> Self {
        Locks { locker: self.locker.with_claim_ids(ids), ..self }
    }

    /// Who is said to ask: what [`with_caller`](Locks::with_caller) says, at this moment.
    pub(crate) fn caller_now(&self) -> Caller {
        let since = identity::since(self.locker.clock().time_of_day());
        Caller { since, ..self.caller.clone() }
    }

    /// Who is said to ask.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The exclusive lock of this name. Sends nothing; a bad name is reported when the lock is asked
    /// for.
    pub fn mutex(&self, name: impl AsRef<str>) -> Mutex {
        Mutex::new(self.clone(), Name::new(name.as_ref()))
    }

    /// The lock of readers and writers of this name. Sends nothing.
    pub fn rw_lock(&self, name: impl AsRef<str>) -> RwLock {
        RwLock::new(self.clone(), Name::new(name.as_ref()))
    }

    /// The semaphore of this name, which has so many permits. Sends nothing; that somebody else says
    /// another number is reported when it is asked for.
    pub fn semaphore(&self, name: impl AsRef<str>, permits: u32) -> Semaphore {
        Semaphore::new(self.clone(), Name::new(name.as_ref()), permits)
    }

    /// Several exclusive locks that are taken together, all or none; readers and writers can be added.
    /// Sends nothing.
    pub fn all<N: AsRef<str>>(&self, names: impl IntoIterator<Item = N>) -> All {
        All::new(self.clone(), names)
    }

    /// Asks whoever holds this lock to let go, and tells whom it asked. It is a request: nothing is taken
    /// away. The holder's guard says that it was [asked](crate::Guard::revocation_requested). On ZooKeeper
    /// Apache Curator's holders understand it, and its `Revoker` is understood.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a bad name, [`ErrorKind::Refused`] where the store cannot tell its
    /// holders anything, and what the store reports.
    ///
    /// # Cancel safety
    /// When the future is dropped, the holder may have been asked or not.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// let guard = locks.mutex("cache").lock().await?;
    /// assert_eq!(locks.request_revocation("cache").await?.len(), 1);
    /// guard.revocation_requested().await;
    /// guard.unlock().await?;
    /// # Ok(()) }
    /// ```
    pub async fn request_revocation(&self, name: impl AsRef<str>) -> Result<Vec<Contender>, Error> {
        let name = Name::new(name.as_ref())?;
        self.locker.backend().revoke(&name).await
    }

    /// The election of this name. Sends nothing; a bad name is reported when it is used.
    pub fn election(&self, name: impl AsRef<str>) -> Election {
        Election::new(self, Name::new(name.as_ref()))
    }

    /// The durable lock of this name, for this owner. Sends nothing; a bad name or owner is reported
    /// when the lock is used.
    pub fn durable(&self, name: impl AsRef<str>, owner: impl AsRef<str>) -> Durable {
        Durable::new(self.clone(), Name::new(name.as_ref()), owner.as_ref())
    }

    /// The job of this name, which is to run at most once in each interval. Sends nothing; a bad name
    /// or interval is reported when the job is to run.
    pub fn once(&self, name: impl AsRef<str>, every: Duration) -> Once {
        Once::new(self.clone(), Name::new(name.as_ref()), every)
    }

    /// The names of all durable locks that are taken, or were freed by force not long ago, in order.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] when the store keeps nothing that outlives a process, and what it reports.
    ///
    /// # Cancel safety
    /// Cancel safe.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// let _hold = locks.durable("db/migration", "deployer-7").take().await?;
    /// assert_eq!(locks.durable_names().await?[0].as_str(), "db/migration");
    /// # Ok(()) }
    /// ```
    pub async fn durable_names(&self) -> Result<Vec<Name>, Error> {
        let records = self.records()?;
        self.locker.settle(|| records.names(RecordKind::Durable)).await
    }

    /// The line for a lock, its holder first; empty when nobody holds it.
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
    /// let _guard = locks.mutex("cache").with_note("nightly").lock().await?;
    /// let line = locks.line("cache").await?;
    /// assert_eq!(line[0].caller.as_ref().expect("one of us").note, "nightly");
    /// # Ok(()) }
    /// ```
    pub async fn line(&self, name: impl AsRef<str>) -> Result<Vec<Contender>, Error> {
        let name = Name::new(name.as_ref())?;
        match self.locker.backend().survey() {
            Some(survey) => survey.line(&name).await,
            None => Err(self.cannot_look()),
        }
    }

    /// The names of all locks that somebody holds, in order.
    ///
    /// # Errors
    /// What the store reports.
    ///
    /// # Cancel safety
    /// Cancel safe.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// let _guard = locks.mutex("cache").lock().await?;
    /// assert_eq!(locks.names().await?[0].as_str(), "cache");
    /// # Ok(()) }
    /// ```
    pub async fn names(&self) -> Result<Vec<Name>, Error> {
        match self.locker.backend().survey() {
            Some(survey) => survey.names().await,
            None => Err(self.cannot_look()),
        }
    }

    /// The lines of all locks that somebody holds or waits for, each with its holders first. They are read
    /// while others come and go, so each is of a moment of its own.
    ///
    /// # Errors
    /// What the store reports.
    ///
    /// # Cancel safety
    /// Cancel safe.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// let reader = locks.rw_lock("catalogue").read().await?;
    /// for (name, line) in locks.lines().await? {
    ///     let held = line.iter().filter(|contender| contender.held).count();
    ///     println!("{name}: {held} hold it, and {} wait", line.len() - held);
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn lines(&self) -> Result<BTreeMap<Name, Vec<Contender>>, Error> {
        match self.locker.backend().survey() {
            Some(survey) => survey.lines().await,
            None => Err(self.cannot_look()),
        }
    }

    /// Looks for claims that wait for each other in a circle, on whatever machines, and names every edge
    /// of each: who holds what, and waits for what. A circle is reported only if all of it was there at one
    /// moment.
    ///
    /// It goes by what claims say they [hold](Locks::holding); those of [`all`](Locks::all) say it by
    /// themselves, and so does a `sneck run` within another. What other clients of the store hold besides
    /// is [not known](Deadlocks::unknown). To end a circle, somebody in it has to give up: see
    /// [`refusing_deadlock`](Locks::refusing_deadlock).
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] where the store does not show who waits, and what it reports.
    ///
    /// # Cancel safety
    /// Cancel safe.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// for deadlock in locks.deadlocks().await?.found {
    ///     println!("{deadlock}");
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn deadlocks(&self) -> Result<Deadlocks, Error> {
        let backend = self.locker.backend();
        match (backend.survey(), backend.promises().order) {
            (Some(survey), Order::Fifo) => sneck_core::deadlocks(survey).await,
            _ => Err(Error::new(ErrorKind::Refused, "this store does not show who waits")
                .with_backend(&self.label())),
        }
    }

    /// What the store promises.
    pub fn promises(&self) -> Promises {
        self.locker.backend().promises()
    }

    /// The store's name in messages, without secrets.
    pub fn label(&self) -> Arc<str> {
        self.locker.backend().label()
    }

    /// Ends the connection, and with it every lock that is still held through it, and waits until
    /// the store has confirmed that. For use before a process exits: without it, what the process
    /// held or waited for is freed only when its session times out.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// let guard = locks.mutex("cache").lock().await?;
    /// drop(guard); // released in the background
    /// locks.close().await; // and certainly by now
    /// # Ok(()) }
    /// ```
    pub async fn close(self) {
        self.locker.backend().close().await;
    }

    /// The same on another backend of the same store.
    pub(crate) fn on_backend(&self, backend: Arc<dyn Backend>) -> Self {
        Locks { locker: self.locker.on(backend), ..self.clone() }
    }

    /// The same for those of whom each has something of its own to say.
    pub(crate) fn without_sharing(&self) -> Self {
        Locks { locker: self.locker.clone().without_sharing(), ..self.clone() }
    }

    pub(crate) fn records(&self) -> Result<&dyn Records, Error> {
        self.locker.backend().records().ok_or_else(|| {
            let text = "this store keeps nothing that outlives the process that wrote it";
            Error::new(ErrorKind::Refused, text).with_backend(&self.label())
        })
    }

    pub(crate) fn locker(&self) -> &Locker {
        &self.locker
    }

    pub(crate) fn ties(&self) -> &Ties {
        &self.ties
    }

    fn cannot_look(&self) -> Error {
        Error::new(ErrorKind::Refused, "this store cannot list its locks")
            .with_backend(&self.label())
    }
}
