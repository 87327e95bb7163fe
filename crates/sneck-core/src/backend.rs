//! A store of locks, and what it promises.

use crate::all::in_order;
use crate::backoff::Backoff;
use crate::claim::{Claim, Mode, Request};
use crate::contender::Contender;
use crate::error::{Error, ErrorKind};
use crate::name::Name;
use crate::record::Records;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// A store of locks.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// A claim on a place in line. Does no I/O and cannot fail; the first
    /// [`ask`](Claim::ask) takes the place.
    fn claim(&self, request: Request) -> Box<dyn Claim>;

    /// One claim on several locks, all or none. The requests name different locks, and none is for
    /// permits. Like [`claim`](Backend::claim) it does no I/O.
    ///
    /// A store that can take all places in one transaction should: the lines of all locks then have
    /// all such claims in one order, so that none can wait in a circle. Here they are taken one after
    /// the other, [in the order of their names](in_order).
    fn claim_all(&self, requests: Vec<Request>) -> Box<dyn Claim> {
        let claim = |request: Request| (request.name.clone(), self.claim(request));
        in_order(requests.into_iter().map(claim).collect())
    }

    /// Asks whoever holds a lock to let go, and tells whom. It is a request and takes nothing away:
    /// the holder's guard says that it was [asked](crate::Guard::revocation_requested).
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] where the store cannot tell its holders anything.
    async fn revoke(&self, name: &Name) -> Result<Vec<Contender>, Error> {
        let text = "this store cannot ask a holder to let go";
        Err(Error::new(ErrorKind::Refused, text).with_lock(name).with_backend(&self.label()))
    }

    /// What the store promises. Checked by the contract suite, never advisory.
    fn promises(&self) -> Promises;

    /// The store's name in messages, without secrets.
    fn label(&self) -> Arc<str>;

    /// Whether the store has locks of this mode. A request of another is refused before it becomes a
    /// claim. A mutex is the least that a store has.
    fn supports(&self, mode: Mode) -> bool {
        mode == Mode::Exclusive
    }

    /// The sizes of semaphores, where the store has them.
    fn capacity(&self) -> Option<&dyn Capacity> {
        None
    }

    /// Looking at lines from the outside, where the store can.
    fn survey(&self) -> Option<&dyn Survey> {
        None
    }

    /// Records that outlive the process that wrote them, where the store has them.
    fn records(&self) -> Option<&dyn Records> {
        None
    }

    /// The same store with the lines of elections, where those are kept apart from the lines of locks
    /// for the sake of other clients; `None` where an election is a lock like any other.
    fn elections(&self) -> Option<Arc<dyn Backend>> {
        None
    }

    /// Ends everything this process has in the store, and waits until that is confirmed or will happen
    /// by itself. Locks that are still held are lost.
    async fn close(&self);
}

/// Looking at lines from the outside.
#[async_trait]
pub trait Survey: Send + Sync {
    /// The line of one lock, its holder first. Empty when nobody holds the lock.
    ///
    /// # Errors
    /// When the store cannot be asked, or refuses.
    async fn line(&self, name: &Name) -> Result<Vec<Contender>, Error>;

    /// The names of all locks with somebody in line, in order.
    ///
    /// # Errors
    /// When the store cannot be asked, or refuses.
    async fn names(&self) -> Result<Vec<Name>, Error>;

    /// The lines of all locks. They are read while others come and go, so each is of a moment of its own.
    ///
    /// # Errors
    /// When the store cannot be asked, or refuses.
    async fn lines(&self) -> Result<BTreeMap<Name, Vec<Contender>>, Error> {
        let mut lines = BTreeMap::new();
        for name in self.names().await? {
            let line = self.line(&name).await?;
            // Whoever was there has left since.
            if !line.is_empty() {
                lines.insert(name, line);
            }
        }
        Ok(lines)
    }

    /// Resolves when the lock has another holder than the one `seen`, or has one where it had `None`.
    /// It may resolve early. A store that cannot tell never resolves; the caller looks again in any case.
    ///
    /// # Errors
    /// When the store cannot be asked, or refuses.
    async fn holder_changed(&self, name: &Name, seen: Option<&Contender>) -> Result<(), Error> {
        let (_, _) = (name, seen);
        std::future::pending().await
    }

    /// Resolves when somebody stands in the lock's line who does not hold the lock. For whoever keeps a
    /// place that others may want.
    ///
    /// Here the line is read again and again, at most every second. A store that can tell by itself should.
    ///
    /// # Errors
    /// When the store cannot be asked, or refuses.
    async fn contended(&self, name: &Name) -> Result<(), Error> {
        let mut pauses = Backoff::new(Duration::from_millis(100), Duration::from_secs(1), 0);
        while self.line(name).await?.iter().all(|contender| contender.held) {
            tokio::time::sleep(pauses.pause()).await;
        }
        Ok(())
    }
}

/// The sizes of semaphores.
#[async_trait]
pub trait Capacity: Send + Sync {
    /// How many permits a semaphore has; `None` before its first use.
    ///
    /// # Errors
    /// When the store cannot be asked, or refuses.
    async fn permits(&self, name: &Name) -> Result<Option<NonZeroU32>, Error>;

    /// Gives a semaphore another number of permits, whatever it had before. Waiters for whom that is
    /// enough are woken. Permits that are held stay held: where there are fewer than that, nobody new
    /// comes in until enough have been given back.
    ///
    /// # Errors
    /// When the store cannot be asked, or refuses.
    async fn set_permits(&self, name: &Name, permits: NonZeroU32) -> Result<(), Error>;
}

/// What a store promises, in four words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promises {
    /// Who is next.
    pub order: Order,
    /// How a waiter learns that it is its turn.
    pub wake: Wake,
    /// What frees the lock of a holder that died.
    pub crash: Crash,
    /// How far fencing tokens keep their order.
    pub token: TokenScope,
}

/// Who is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// First come, first served.
    Fifo,
    /// Nobody knows.
    None,
}

/// How a waiter learns that it is its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// The store tells it.
    Pushed,
    /// It asks now and then.
    Polled,
}

/// What frees the lock of a holder that died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The end of its session.
    Session,
    /// The end of the lock's own term.
    Term,
    /// Nothing: the store dies with the holder.
    Together,
    /// Nothing: the lock outlives its holder.
    Never,
}

/// How far fencing tokens keep their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenScope {
    /// As long as a majority of the store's servers keeps its data.
    Replicated,
    /// As long as one server keeps its data.
    SingleCopy,
}
