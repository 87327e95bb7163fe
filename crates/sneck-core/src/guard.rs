//! A lock that is held.

use crate::claim::ClaimId;
use crate::clock::{Clock, Instant};
use crate::error::{Error, ErrorKind};
use crate::lease::{Lease, Loss};
use crate::local::Turn;
use crate::name::Name;
use crate::tenure::Tenure;
use crate::token::Token;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A lock that is held, until [`unlock`](Guard::unlock), drop, or loss.
///
/// Dropping a guard releases the lock in the background, retried until it is done or the session is
/// over; `unlock` does the same and reports. A guard knows *first* that its lock is lost: no later than
/// the moment the store could give the lock to somebody else, whatever the network does. That holds for
/// a process that runs. One that was stopped in between can only be caught by the resource, so send
/// [`token`](Guard::token) with every write.
#[must_use = "a guard that is dropped releases its lock at once"]
pub struct Guard {
    hold: Arc<Hold>,
    token: Token,
    holding: Holding,
}

/// Who gives the lock back.
enum Holding {
    /// Whoever looks after a place in the store's line.
    Place(Arc<Tenure>),
    /// The line inside the process that the place is shared in.
    Turn(Turn),
}

/// What a guard, its loss signals and its keeper share.
pub(crate) struct Hold {
    pub(crate) name: Name,
    /// Of the claim; of the first, where there are several.
    pub(crate) id: ClaimId,
    pub(crate) label: Arc<str>,
    pub(crate) token: Token,
    /// Of each lock, where there are several.
    pub(crate) tokens: Vec<(Name, Token)>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Whether somebody has asked for the lock back.
    pub(crate) revoked: watch::Sender<bool>,
    /// The deadline, shared with every other place of the session.
    pub(crate) lease: Lease,
    /// Ends when this place alone is lost.
    pub(crate) own: Lease,
}

impl Guard {
    /// The fencing token: larger than that of every earlier grant of this lock. A reader that joins a place
    /// which its process [shares](crate::Sharing) is an exception: its token is larger than those of all
    /// writers before it, but another process may have been granted a larger one to read.
    pub fn token(&self) -> Token {
        self.token
    }

    /// The lock's name; where several are held, the name of the first.
    pub fn name(&self) -> &Name {
        &self.hold.name
    }

    /// Every lock that is held, with its fencing token. More than one only where several were taken
    /// [at once](crate::Locker::acquire_all).
    pub fn tokens(&self) -> impl Iterator<Item = (&Name, Token)> {
        let hold = &*self.hold;
        let alone = hold.tokens.is_empty().then_some((&hold.name, self.token));
        alone.into_iter().chain(hold.tokens.iter().map(|(name, token)| (name, *token)))
    }

    /// The identity of the claim that is held; of several that were taken at once, of the first. By it
    /// another claim can say that it is [held meanwhile](crate::Ties::holds).
    pub fn claim_id(&self) -> ClaimId {
        self.hold.id
    }

    /// Whether the lock is certainly still held, judged by the clock and what is known here; nothing
    /// is sent. Once it has said `false` it never says `true` again.
    pub fn is_held(&self) -> bool {
        self.hold.loss().is_none()
    }

    /// [`is_held`](Guard::is_held) as an error, for work that goes on step by step.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] when the lock is not certainly held any more, with the reason.
    pub fn check(&self) -> Result<(), Error> {
        self.hold.loss().map_or(Ok(()), |loss| Err(self.hold.error(loss)))
    }

    /// Until when the hold may be believed in as things stand. It moves on while the store answers;
    /// for a lock that is lost it lies in the past.
    pub fn deadline(&self) -> Instant {
        if self.is_held() { self.hold.lease.until() } else { Instant::from_nanos(0) }
    }

    /// How long the hold may still be believed in if the store never answers again; zero when lost.
    pub fn remaining(&self) -> Duration {
        self.deadline().since(self.hold.clock.now())
    }

    /// Resolves when the lock is lost, and says why: at the deadline at the latest. The future is
    /// independent of the guard and may be moved to another task. A lock that is unlocked is not
    /// lost; drop the future together with the guard.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub fn lost(&self) -> impl Future<Output = Loss> + Send + use<> {
        let hold = self.hold.clone();
        async move { hold.lost().await }
    }

    /// Resolves when somebody has asked the holder to let go; see [`Backend::revoke`]. It is a request:
    /// the lock stays held until it is given back. The future is independent of the guard.
    ///
    /// # Cancel safety
    /// Cancel safe.
    ///
    /// [`Backend::revoke`]: crate::Backend::revoke
    pub fn revocation_requested(&self) -> impl Future<Output = ()> + Send + use<> {
        let hold = self.hold.clone();
        async move { hold.revoked().await }
    }

    /// Whether somebody has asked the holder to let go.
    pub fn is_revocation_requested(&self) -> bool {
        *self.hold.revoked.borrow()
    }

    /// Makes a reader's hold of a writer's, in the same place: waiting readers come in, and no writer
    /// gets between. The token stays the writer's: a token that grew here would outrank that of the
    /// writer who waits behind, whose place is older.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] when the lock is not held by a writer, [`ErrorKind::Lost`] when it was
    /// lost in the meantime, and what the store reports. The lock is released then.
    ///
    /// # Cancel safety
    /// When the future is dropped, the lock is released in the background.
    pub async fn downgrade(mut self) -> Result<Guard, Error> {
        let downgraded = match &mut self.holding {
            Holding::Place(tenure) => tenure.downgrade(&self.hold).await,
            Holding::Turn(turn) => turn.downgrade().await,
        };
        downgraded.map(|()| self)
    }

    /// Runs `work` while the lock is held. When the lock is lost, `work` is dropped where it stands.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] when the lock was lost before `work` was done, or by the time it was done.
    ///
    /// # Cancel safety
    /// As cancel safe as `work`.
    pub async fn protect<F: Future>(&self, work: F) -> Result<F::Output, Error> {
        let done = tokio::select! {
            biased;
            loss = self.hold.lost() => return Err(self.hold.error(loss)),
            done = work => done,
        };
        match self.hold.loss() {
            Some(loss) => Err(self.hold.error(loss)),
            None => Ok(done),
        }
    }

    /// Gives the lock back and waits until the store has confirmed it.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`] when the lock had been lost before: somebody else may have held it since.
    /// [`ErrorKind::Unavailable`] with an unknown outcome when no confirmation came before the
    /// deadline. Either way the place is given up in the background; there is nothing to call again.
    /// The same when the runtime the lock was taken on has been shut down, which leaves nobody to give
    /// the place up.
    ///
    /// # Cancel safety
    /// When the future is dropped the release goes on in the background.
    pub async fn unlock(self) -> Result<(), Error> {
        let Guard { hold, holding, .. } = self;
        let lost_before = hold.loss();
        let released = match holding {
            Holding::Place(tenure) => tenure.release(&hold).await,
            Holding::Turn(turn) => match turn.end() {
                // Handed on, or kept for whoever comes next.
                None => Ok(()),
                // Boxed, as the place may be a turn as far as the compiler knows.
                Some(place) => Box::pin(place.unlock()).await,
            },
        };
        lost_before.map_or(released, |loss| Err(hold.error(loss)))
    }

    /// A guard of a hold inside the process.
    pub(crate) fn of_turn(turn: Turn) -> Self {
        Guard { hold: turn.hold().clone(), token: turn.token(), holding: Holding::Turn(turn) }
    }

    /// A guard of a place in the store's line.
    pub(crate) fn of_place(hold: Arc<Hold>, tenure: Arc<Tenure>) -> Self {
        Guard { token: hold.token, hold, holding: Holding::Place(tenure) }
    }

    /// What is known of the hold.
    pub(crate) fn hold(&self) -> &Arc<Hold> {
        &self.hold
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("name", &self.hold.name)
            .field("token", &self.token)
            .field("held", &self.is_held())
            .finish_non_exhaustive()
    }
}

impl Hold {
    pub(crate) fn loss(&self) -> Option<Loss> {
        self.loss_at(self.clock.now())
    }

    /// Why it is lost, at an instant of its clock.
    pub(crate) fn loss_at(&self, now: Instant) -> Option<Loss> {
        self.own.loss(now).or_else(|| self.lease.loss(now))
    }

    /// The token of the place.
    pub(crate) fn token(&self) -> Token {
        self.token
    }

    /// Resolves when somebody has asked for the lock back.
    pub(crate) async fn revoked(&self) {
        // The sender lives as long as what is borrowed here.
        let _ = self.revoked.subscribe().wait_for(|revoked| *revoked).await;
    }

    pub(crate) async fn lost(&self) -> Loss {
        tokio::select! {
            biased;
            loss = self.own.ended(&*self.clock) => loss,
            loss = self.lease.ended(&*self.clock) => loss,
        }
    }

    /// The same for whoever is there once for each lock of a session; see [`Lease::ended_among_many`].
    pub(crate) async fn lost_among_many(&self) -> Loss {
        tokio::select! {
            biased;
            loss = self.own.ended(&*self.clock) => loss,
            loss = self.lease.ended_among_many(&*self.clock) => loss,
        }
    }

    pub(crate) fn locate(&self, error: Error) -> Error {
        error.with_lock(&self.name).with_backend(&self.label)
    }

    pub(crate) fn error(&self, loss: Loss) -> Error {
        self.locate(Error::new(ErrorKind::Lost, format!("the lock was lost: {loss}"))).with_hint(
            "somebody else may hold the lock by now; only a resource that checks the token is safe",
        )
    }

    pub(crate) fn unconfirmed(&self, loss: Loss) -> Error {
        let text = format!("the release was not confirmed in time: {loss}");
        self.locate(Error::new(ErrorKind::Unavailable, text)).with_unknown_outcome()
    }

    /// For when there is nobody left to look after the place.
    pub(crate) fn abandoned(&self) -> Error {
        let text = "the runtime that the lock was taken on has been shut down";
        self.locate(Error::new(ErrorKind::Unavailable, text)).with_unknown_outcome()
    }
}
