//! The lock that outlives its owner.

use crate::locks::Locks;
use sneck_core::{
    Caller, Change, ClaimId, DurableHolder, DurableLine, Error, ErrorKind, Fate, Flag,
    ForcedRelease, Guard, Loss, Mode, Name, Owner, Patience, Record, RecordKey, RecordKind,
    Records, Request, Token,
};
use std::future::Future;
use std::time::Duration;

/// A lock that outlives its owner: it stays taken when the process that took it ends, crashes, or
/// loses its connection, until its owner frees it or somebody does by force.
///
/// For what must not begin again by itself after a crash: a half-done migration, a broken machine that
/// somebody has to look at, a deployment that goes on for days. Most work wants a
/// [`Mutex`](crate::Mutex), which a crash frees.
///
/// It belongs to an *owner*, a name that is known again after a restart. The same owner may take it
/// again at any time and gets a larger token; an earlier process of that owner is told that it has lost
/// the lock, and a resource that checks tokens refuses it. It is not fair: whoever is quickest has it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
/// let locks = sneck::connect("memory:").await?;
/// let migration = locks.durable("db/migration", "deployer-7").with_reason("schema 12");
/// let hold = migration.take().await?;
/// let token = hold.token();
/// drop(hold); // or the process dies: the lock stays
///
/// let stranger = locks.durable("db/migration", "deployer-8");
/// assert!(stranger.try_take().await?.is_none());
/// assert_eq!(stranger.holder().await?.expect("taken").owner, "deployer-7");
///
/// let hold = migration.take().await?; // after a restart
/// assert!(hold.token() > token);
/// hold.free().await?;
/// assert!(stranger.holder().await?.is_none());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Durable {
    locks: Locks,
    name: Result<Name, Error>,
    owner: Result<Owner, Error>,
    reason: String,
}

impl Durable {
    pub(crate) fn new(locks: Locks, name: Result<Name, Error>, owner: &str) -> Self {
        Durable { locks, name, owner: Owner::new(owner), reason: String::new() }
    }

    /// The same lock, taken for a reason that others can see.
    #[must_use]
    pub fn with_reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }

    /// Waits for the lock, for ever if need be, also while the store cannot be reached.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a bad name or owner, or a reason of more than 256 bytes, before
    /// anything is sent; [`ErrorKind::Refused`] when the store keeps nothing that outlives a process;
    /// [`ErrorKind::Denied`] when it refuses us.
    ///
    /// # Cancel safety
    /// When the future is dropped, what it may have taken is given back in the background. What its owner
    /// had before, it keeps.
    pub async fn take(&self) -> Result<DurableHold, Error> {
        let hold = self.acquire(Patience::Forever).await?;
        hold.ok_or_else(|| Error::new(ErrorKind::Internal, "waiting for ever came to an end"))
    }

    /// Takes the lock if nobody else has it: `Ok(None)` when somebody does.
    ///
    /// # Errors
    /// As for [`take`](Durable::take), and [`ErrorKind::Unavailable`] when the store cannot be reached.
    ///
    /// # Cancel safety
    /// As for [`take`](Durable::take).
    pub async fn try_take(&self) -> Result<Option<DurableHold>, Error> {
        self.acquire(Patience::Once).await
    }

    /// Waits for the lock for at most `timeout`.
    ///
    /// # Errors
    /// As for [`take`](Durable::take), and [`ErrorKind::Timeout`], whose [`holder`](Error::holder) says
    /// who has the lock, since when and why.
    ///
    /// # Cancel safety
    /// As for [`take`](Durable::take).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// use std::time::Duration;
    ///
    /// let _hold = locks.durable("db/migration", "deployer-7").with_reason("schema 12").take().await?;
    /// let stranger = locks.durable("db/migration", "deployer-8");
    /// let error = stranger.take_timeout(Duration::from_millis(5)).await.unwrap_err();
    /// println!("{error}"); // taken by deployer-7, since when, and for schema 12
    /// # Ok(()) }
    /// ```
    pub async fn take_timeout(&self, timeout: Duration) -> Result<DurableHold, Error> {
        let deadline = self.locks.locker().clock().now() + timeout;
        let hold = self.acquire(Patience::Until(deadline)).await?;
        hold.ok_or_else(|| Error::new(ErrorKind::Internal, "waiting ended without an answer"))
    }

    /// Frees the lock if it is this owner's, whichever of its processes took it. `Ok(false)` when nobody
    /// had it.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] when it is somebody else's, who is named; nothing is written then. And what
    /// the store reports.
    ///
    /// # Cancel safety
    /// When the future is dropped, the lock may be freed or not.
    pub async fn free(&self) -> Result<bool, Error> {
        let owner = self.owner.clone()?;
        self.end(
            |holder| match holder.owner == owner.as_str() {
                true => Ok(()),
                false => Err("the lock is somebody else's"),
            },
            |flag, _| flag.freed(),
        )
        .await
    }

    /// Frees the lock whoever has it, as a last resort: the holder may still be at work, and learns of
    /// it only when the store tells. `hold` is the [id](DurableHolder::id) of the hold that is to be
    /// ended, so that nobody ends another than the one he looked at. Who did it, when and why is
    /// remembered: see [`history`](Durable::history). `Ok(false)` when nobody had the lock.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a reason of more than 256 bytes; [`ErrorKind::Refused`] when the hold is
    /// another one, which is named. Nothing is written then. And what the store reports.
    ///
    /// # Cancel safety
    /// When the future is dropped, the lock may be freed or not.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// let hold = locks.durable("db/migration", "deployer-7").take().await?;
    /// let admin = locks.durable("db/migration", "admin");
    /// let holder = admin.holder().await?.expect("taken");
    /// admin.force(holder.id, "deployer-7 burnt down").await?;
    /// hold.lost().await;
    /// assert_eq!(admin.history().await?[0].reason, "deployer-7 burnt down");
    /// # Ok(()) }
    /// ```
    pub async fn force(&self, hold: ClaimId, reason: &str) -> Result<bool, Error> {
        let name = self.name.clone()?;
        Flag::check_reason(reason).map_err(|error| error.with_lock(&name))?;
        let by = self.caller();
        self.end(
            |holder| match holder.id == hold {
                true => Ok(()),
                false => Err("the lock is held under another id"),
            },
            |flag, holder| Some(flag.forced(holder, &by, reason)),
        )
        .await
    }

    /// Who has the lock; `None` when nobody does.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a bad name, and what the store reports.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn holder(&self) -> Result<Option<DurableHolder>, Error> {
        let record = self.read().await?;
        Ok(record.and_then(|record| Flag::of(&record).holder))
    }

    /// The last releases by force, the latest last. At most [`HISTORY_MAX`](sneck_core::HISTORY_MAX)
    /// are remembered.
    ///
    /// # Errors
    /// As for [`holder`](Durable::holder).
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn history(&self) -> Result<Vec<ForcedRelease>, Error> {
        let record = self.read().await?;
        Ok(record.map(|record| Flag::of(&record).history).unwrap_or_default())
    }

    async fn acquire(&self, patience: Patience) -> Result<Option<DurableHold>, Error> {
        let (name, owner) = (self.name.clone()?, self.owner.clone()?);
        let locker = self.locks.locker();
        let line = DurableLine::new(locker.backend().clone(), owner, &self.reason);
        let line = line.map_err(|error| error.with_lock(&name))?;
        let fate = line.fate();
        let request = Request::new(name, Mode::Exclusive, self.caller());
        let guard = locker.on(std::sync::Arc::new(line)).acquire(request, patience).await?;
        Ok(guard.map(|guard| {
            fate.keep();
            DurableHold { guard, fate }
        }))
    }

    /// Ends the hold that `may` allows to end, by what `text` says afterwards.
    async fn end(
        &self,
        may: impl Fn(&DurableHolder) -> Result<(), &'static str>,
        text: impl Fn(&Flag, &DurableHolder) -> Option<String>,
    ) -> Result<bool, Error> {
        let key = self.key()?;
        // Whether there was such a hold. It may have been ended by an attempt whose answer was lost.
        let mut was_held = false;
        loop {
            let Some(record) = self.read().await? else { return Ok(was_held) };
            let flag = Flag::of(&record);
            let Some(holder) = &flag.holder else { return Ok(was_held) };
            if let Err(why) = may(holder) {
                if was_held {
                    return Ok(true);
                }
                let error = Error::new(ErrorKind::Refused, why).with_lock(&key.name);
                let error = error.with_holder(Some(holder.contender()));
                return Err(error.with_backend(&self.locks.label()));
            }
            was_held = true;
            let (records, id) = (self.records()?, ClaimId::random());
            let change = self.locks.locker().settle(|| {
                let after = text(&flag, holder);
                let (key, expected) = (&key, record.id);
                async move {
                    Ok(match after {
                        None => matches!(records.delete(key, expected).await?, Change::Done(())),
                        Some(text) => {
                            let written =
                                records.write(key, Some(expected), id, text.as_bytes()).await?;
                            matches!(written, Change::Done(_))
                        }
                    })
                }
            });
            if change.await? {
                return Ok(true);
            }
        }
    }

    async fn read(&self) -> Result<Option<Record>, Error> {
        let (key, records) = (self.key()?, self.records()?);
        self.locks.locker().settle(|| records.read(&key)).await
    }

    fn key(&self) -> Result<RecordKey, Error> {
        Ok(RecordKey { kind: RecordKind::Durable, name: self.name.clone()? })
    }

    fn records(&self) -> Result<&dyn Records, Error> {
        self.locks.records()
    }

    fn caller(&self) -> Caller {
        self.locks.caller_now()
    }
}

/// A durable lock that is had. Dropping it leaves the lock taken; [`free`](DurableHold::free) frees it.
#[derive(Debug)]
#[must_use = "the lock stays taken when this is dropped; free it, or take it up again later"]
pub struct DurableHold {
    guard: Guard,
    fate: Fate,
}

impl DurableHold {
    /// The fencing token: larger than that of every earlier hold of this lock.
    pub fn token(&self) -> Token {
        self.guard.token()
    }

    /// Whether the lock is ours, as far as the store has told. Nothing ends a durable lock but its
    /// owner and force, so there is no deadline; but nor is anybody told in time before somebody else
    /// has it. Only a resource that checks the token is safe from a hold that was ended by force.
    pub fn is_held(&self) -> bool {
        self.guard.is_held()
    }

    /// [`is_held`](DurableHold::is_held) as an error, for work that goes on step by step.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] when the store has told that it is not, with the reason.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// let hold = locks.durable("db/migration", "deployer-7").take().await?;
    /// for table in ["orders", "stock"] {
    ///     hold.check()?;
    ///     println!("moving {table}");
    /// }
    /// # Ok(()) }
    /// ```
    pub fn check(&self) -> Result<(), Error> {
        self.guard.check()
    }

    /// Resolves when the store tells that the lock was freed by force, or was taken up by another
    /// process of the same owner.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub fn lost(&self) -> impl Future<Output = Loss> + Send + use<> {
        self.guard.lost()
    }

    /// Runs `work` while the lock is held. When it is lost, `work` is dropped where it stands.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] when the lock was lost before `work` was done, or by the time it was.
    ///
    /// # Cancel safety
    /// As cancel safe as `work`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// # let locks = sneck::connect("memory:").await?;
    /// let hold = locks.durable("db/migration", "deployer-7").take().await?;
    /// let moved = hold.protect(async { 12 }).await?;
    /// assert_eq!(moved, 12);
    /// hold.free().await?;
    /// # Ok(()) }
    /// ```
    pub async fn protect<F: Future>(&self, work: F) -> Result<F::Output, Error> {
        self.guard.protect(work).await
    }

    /// Frees the lock, and waits until the store has confirmed it, for as long as that takes.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] when the lock had been lost before.
    ///
    /// # Cancel safety
    /// When the future is dropped, the release goes on in the background.
    pub async fn free(self) -> Result<(), Error> {
        self.fate.free();
        self.guard.unlock().await
    }
}
