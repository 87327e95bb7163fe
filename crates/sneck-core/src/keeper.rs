//! Who looks after a lock that is held.

use crate::backoff::Backoff;
use crate::claim::{Claim, ClaimId, Grant, Standing, Term};
use crate::clock::{Clock, Instant, sleep_until};
use crate::error::Error;
use crate::guard::{Guard, Hold};
use crate::instrument::Watched;
use crate::lease::{Lease, Loss};
use crate::mutant;
use crate::name::Name;
use crate::nursery::Nursery;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

/// A guard gives one order at a time, and after a release none.
const ORDERS_MAX: usize = 2;

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
    /// Where it runs.
    runtime: Handle,
}

/// What a guard wants of its keeper. A guard that is dropped wants its lock released, too.
pub(crate) enum Order {
    Release(oneshot::Sender<Result<(), Error>>),
    Downgrade(oneshot::Sender<Result<(), Error>>),
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
    /// Makes the guard of what is held.
    pub(crate) fn guard(
        self,
        clock: Arc<dyn Clock>,
        backoff: Backoff,
        runtime: Handle,
        nursery: &Arc<Nursery>,
    ) -> Guard {
        let Grant { token, term, revoked, tokens } = self.grant;
        let (lease, term) = match term {
            Term::Fixed(term) => (Lease::new(self.asked + term), Some(term)),
            Term::Session(lease) => (lease, None),
        };
        let own = Lease::new(Instant::FAR);
        let revoked = watch::Sender::new(revoked);
        let (name, id, label) = (self.name, self.id, self.label);
        let hold = Arc::new(Hold { name, id, label, token, tokens, clock, revoked, lease, own });
        let (claim, watched, asked) = (self.claim, self.watched, self.asked);
        let keeper = Keeper { claim, watched, hold: hold.clone(), term, asked, backoff, runtime };
        Guard::of_place(hold, nursery.take_in(keeper))
    }
}

impl Keeper {
    /// Whether there is nothing to do for so long: what a grant says may be old by the time it is here.
    pub(crate) fn can_wait(&self, time: Duration) -> bool {
        self.renewal_due().is_none_or(|due| due > self.hold.clock.now() + time)
    }

    fn renewal_due(&self) -> Option<Instant> {
        self.term.map(|term| self.asked + term / 3)
    }

    /// Looks after the place in the background from now on.
    pub(crate) fn settle_in(self) -> mpsc::Sender<Order> {
        let (sender, orders) = mpsc::channel(ORDERS_MAX);
        let runtime = self.runtime.clone();
        runtime.spawn(self.run(orders));
        sender
    }

    async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let hold = self.hold.clone();
        let reply = loop {
            tokio::select! {
                biased;
                order = orders.recv() => match order {
                    None => break None,
                    Some(Order::Release(reply)) => break Some(reply),
                    Some(Order::Downgrade(reply)) => {
                        let downgraded = self.downgrade().await;
                        let _ = reply.send(downgraded);
                    }
                },
                _ = hold.lost_among_many() => break None,
                loss = self.tend() => {
                    hold.own.end(loss);
                    break None;
                }
            }
        };
        // No order is waited for any more; whoever sends one learns that from the closed channel.
        drop(orders);
        let left = self.release().await;
        if let Some(reply) = reply {
            let _ = reply.send(left);
        }
    }

    /// Gives the place back. Also after a loss: it may still be there, and nobody would ever hold it.
    ///
    /// When the future is dropped, it has to be called again.
    pub(crate) async fn release(&mut self) -> Result<(), Error> {
        self.watched.ended(self.hold.loss());
        leave(&mut *self.claim, &mut self.backoff).await
    }

    /// Begins to give the place back, without waiting for anything. Whether all there is to do now is to
    /// wait for an answer.
    pub(crate) fn let_go(&mut self) -> bool {
        self.watched.ended(self.hold.loss());
        self.claim.let_go()
    }

    /// Gives the place back in the background.
    pub(crate) fn release_in_background(mut self) {
        let runtime = self.runtime.clone();
        // There is nobody left to tell; the session's end does the rest.
        runtime.spawn(async move { drop(self.release().await) });
    }

    /// Reads the answer to what [`let_go`](Keeper::let_go) sent, and does in the background what is left
    /// if that was not all.
    pub(crate) fn finish(mut self) {
        let runtime = self.runtime.clone();
        let mut releasing = Box::pin(async move { drop(self.release().await) });
        let mut nobody = Context::from_waker(Waker::noop());
        if releasing.as_mut().poll(&mut nobody).is_pending() {
            runtime.spawn(releasing);
        }
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
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
            let due = self.renewal_due();
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
