//! A lock that is held.

use crate::backoff::Backoff;
use crate::claim::{Claim, ClaimId, Grant, Standing, Term};
use crate::clock::{Clock, Instant, sleep_until};
use crate::error::{Error, ErrorKind};
use crate::instrument::Watched;
use crate::lease::{Lease, Loss};
use crate::local::Turn;
use crate::mutant;
use crate::name::Name;
use crate::token::Token;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// A guard gives one order at a time, and after a release none.
const ORDERS_MAX: usize = 2;

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
    /// The keeper of a place in the store's line.
    Place(mpsc::Sender<Order>),
    /// The line inside the process that the place is shared in.
    Turn(Turn),
}

/// What a guard wants of its keeper. A guard that is dropped wants its lock released, too.
enum Order {
    Release(oneshot::Sender<Result<(), Error>>),
    Downgrade(oneshot::Sender<Result<(), Error>>),
}

/// What a guard, its loss signals and its keeper share.
pub(crate) struct Hold {
    name: Name,
    /// Of the claim; of the first, where there are several.
    id: ClaimId,
    label: Arc<str>,
    token: Token,
    /// Of each lock, where there are several.
    tokens: Vec<(Name, Token)>,
    clock: Arc<dyn Clock>,
    /// Whether somebody has asked for the lock back.
    revoked: watch::Sender<bool>,
    /// The deadline, shared with every other place of the session.
    lease: Lease,
    /// Ends when this place alone is lost.
    own: Lease,
}

impl Guard {
    /// The fencing token: larger than that of every earlier grant of this lock.
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
        let (reply, done) = oneshot::channel();
        match &mut self.holding {
            Holding::Place(keeper) => {
                let _ = keeper.send(Order::Downgrade(reply)).await;
            }
            Holding::Turn(turn) => {
                turn.downgrade().await?;
                return Ok(self);
            }
        }
        let done = tokio::select! {
            biased;
            done = done => done,
            loss = self.hold.lost() => return Err(self.hold.error(loss)),
        };
        match done {
            Ok(Ok(())) => Ok(self),
            Ok(Err(error)) => Err(self.hold.locate(error)),
            // The keeper is gone.
            Err(_) => Err(self
                .hold
                .loss()
                .map_or_else(|| self.hold.abandoned(), |loss| self.hold.error(loss))),
        }
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
            Holding::Place(keeper) => release(&hold, &keeper).await,
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

    /// What is known of the hold.
    pub(crate) fn hold(&self) -> &Arc<Hold> {
        &self.hold
    }
}

/// Has the keeper give a place back, and waits until that is confirmed.
async fn release(hold: &Hold, keeper: &mpsc::Sender<Order>) -> Result<(), Error> {
    let lost_before = hold.loss().is_some();
    let (reply, released) = oneshot::channel();
    // A keeper that is gone has lost the lock and left already.
    let _ = keeper.try_send(Order::Release(reply));
    if lost_before {
        return Ok(());
    }
    tokio::select! {
        biased;
        released = released => match released {
            Ok(result) => result.map_err(|error| hold.locate(error)),
            Err(_) => Err(hold.loss().map_or_else(|| hold.abandoned(), |loss| hold.error(loss))),
        },
        loss = hold.lost() => Err(hold.unconfirmed(loss)),
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

    pub(crate) fn locate(&self, error: Error) -> Error {
        error.with_lock(&self.name).with_backend(&self.label)
    }

    pub(crate) fn error(&self, loss: Loss) -> Error {
        self.locate(Error::new(ErrorKind::Lost, format!("the lock was lost: {loss}"))).with_hint(
            "somebody else may hold the lock by now; only a resource that checks the token is safe",
        )
    }

    fn unconfirmed(&self, loss: Loss) -> Error {
        let text = format!("the release was not confirmed in time: {loss}");
        self.locate(Error::new(ErrorKind::Unavailable, text)).with_unknown_outcome()
    }

    /// The keeper ends by itself only after a loss.
    fn abandoned(&self) -> Error {
        let text = "the runtime that the lock was taken on has been shut down";
        self.locate(Error::new(ErrorKind::Unavailable, text)).with_unknown_outcome()
    }
}

/// Looks after one held lock: notices that it is gone, renews it, and gives it back.
pub(crate) struct Keeper {
    claim: Box<dyn Claim>,
    watched: Watched,
    hold: Arc<Hold>,
    /// How long each answer extends the lease, for stores where every lock has a term of its own.
    term: Option<Duration>,
    /// The instant before the last question was sent.
    asked: Instant,
    backoff: Backoff,
}

/// Who asked and what was granted: everything a guard is made of.
pub(crate) struct Granted {
    pub(crate) claim: Box<dyn Claim>,
    pub(crate) watched: Watched,
    pub(crate) name: Name,
    pub(crate) id: ClaimId,
    pub(crate) label: Arc<str>,
    pub(crate) grant: Grant,
    /// The instant before the question was sent whose answer was the grant.
    pub(crate) asked: Instant,
}

impl Granted {
    /// Makes the guard, whose keeper runs in the background of the current runtime.
    pub(crate) fn guard(self, clock: Arc<dyn Clock>, backoff: Backoff) -> Guard {
        let Grant { token, term, revoked, tokens } = self.grant;
        let (lease, term) = match term {
            Term::Fixed(term) => (Lease::new(self.asked + term), Some(term)),
            Term::Session(lease) => (lease, None),
        };
        let own = Lease::new(Instant::FAR);
        let revoked = watch::Sender::new(revoked);
        let (name, id, label) = (self.name, self.id, self.label);
        let hold = Arc::new(Hold { name, id, label, token, tokens, clock, revoked, lease, own });
        let (keeper_orders, orders) = mpsc::channel(ORDERS_MAX);
        let (claim, watched, asked) = (self.claim, self.watched, self.asked);
        let keeper = Keeper { claim, watched, hold: hold.clone(), term, asked, backoff };
        tokio::spawn(keeper.run(orders));
        Guard { token: hold.token, hold, holding: Holding::Place(keeper_orders) }
    }
}

impl Keeper {
    async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let hold = self.hold.clone();
        let reply = loop {
            tokio::select! {
                biased;
                order = orders.recv() => match order {
                    None => break None,
                    Some(Order::Release(reply)) if mutant!("a-release-is-confirmed-at-once") => {
                        let _ = reply.send(Ok(()));
                        break None;
                    }
                    Some(Order::Release(reply)) => break Some(reply),
                    Some(Order::Downgrade(reply)) => {
                        let downgraded = self.downgrade().await;
                        let _ = reply.send(downgraded);
                    }
                },
                _ = hold.lost() => break None,
                loss = self.tend() => {
                    hold.own.end(loss);
                    break None;
                }
            }
        };
        // No order is waited for any more; whoever sends one learns that from the closed channel.
        drop(orders);
        self.watched.ended(hold.loss());
        // Also after a loss: the place may still be there, and nobody would ever hold it.
        let left = leave(&mut *self.claim, &mut self.backoff).await;
        if let Some(reply) = reply {
            let _ = reply.send(left);
        }
    }

    /// Retried until the store has confirmed it or refused for good, for as long as the lock is held.
    async fn downgrade(&mut self) -> Result<(), Error> {
        let hold = self.hold.clone();
        self.backoff.reset();
        loop {
            let done = tokio::select! {
                biased;
                done = self.claim.downgrade() => done,
                loss = hold.lost() => return Err(hold.error(loss)),
            };
            match done {
                Err(error) if error.is_transient() => {
                    tokio::time::sleep(self.backoff.pause()).await;
                }
                done => return done,
            }
        }
    }

    /// Asks again whenever that is worthwhile, until the answer is that the lock is gone.
    async fn tend(&mut self) -> Loss {
        let clock = self.hold.clock.clone();
        loop {
            let due = self.term.map(|term| self.asked + term / 3);
            tokio::select! {
                biased;
                () = self.claim.changed() => {}
                () = renewal(&*clock, due) => {}
            }
            // A question that failed is asked again: what made it worthwhile is not told twice, and
            // another third of the term may be more than is left.
            loop {
                self.asked = clock.now();
                match self.claim.ask().await {
                    Ok(Standing::Held(grant)) if grant.token == self.hold.token => {
                        self.prolong(&grant.term);
                        if grant.revoked {
                            self.hold.revoked.send_replace(true);
                        }
                        break;
                    }
                    // A life goes one way: a second grant to the same claim is a defect of the store.
                    Ok(Standing::Held(_) | Standing::Waiting(_)) => return Loss::Usurped,
                    Ok(Standing::Gone(loss)) => return loss,
                    // An error proves nothing either way; the deadline decides.
                    Err(_) => tokio::time::sleep(self.backoff.pause()).await,
                }
            }
        }
    }

    fn prolong(&mut self, term: &Term) {
        self.backoff.reset();
        if let Term::Fixed(term) = *term {
            self.hold.lease.extend(self.hold.clock.now(), self.asked + term);
        }
    }
}

/// Two thirds of the term are left for attempts that fail. Counted from when the last question was
/// sent, as the term is: its answer may have come late.
async fn renewal(clock: &dyn Clock, due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(clock, due).await,
        None => std::future::pending().await,
    }
}

/// Leaves, retried until the store has confirmed it or refused for good. A claim whose session is over
/// has left.
pub(crate) async fn leave(claim: &mut dyn Claim, backoff: &mut Backoff) -> Result<(), Error> {
    backoff.reset();
    loop {
        match claim.leave().await {
            Err(error) if error.is_transient() && !mutant!("a-release-is-tried-once") => {
                tokio::time::sleep(backoff.pause()).await;
            }
            done => return done,
        }
    }
}
