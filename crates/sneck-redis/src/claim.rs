//! A claim on one primary, found by itself, by sentinels, or in a cluster.

use crate::place::{Hold, Place};
use crate::reply::{Answer, Said};
use crate::store::Store;
use async_trait::async_trait;
use sneck_core::{
    Claim, Error, ErrorKind, Grant, Instant, Lease, Loss, Mode, Request, Standing, Term, Token,
    Waiting,
};
use std::sync::Arc;
use std::time::Duration;

/// How often one question is put anew because it came too late by what we knew of the server's clock.
const LATE_MAX: usize = 3;
/// Added to the end of the place ahead, so that asking then finds it ended.
const AFTER_END: Duration = Duration::from_millis(10);

pub(crate) struct RedisClaim {
    store: Arc<Store>,
    place: Arc<Place>,
    /// Whether the server may have the place.
    in_store: bool,
    /// Whether giving it up was tried, so that it need not be there.
    leaving: bool,
    /// The server's time until which a question that was not answered may still take the place.
    doubt_ms: i64,
}

impl RedisClaim {
    pub(crate) fn new(store: Arc<Store>, request: Request) -> Self {
        let place = Arc::new(Place::new(&store.options.prefix, request));
        RedisClaim { store, place, in_store: false, leaving: false, doubt_ms: 0 }
    }

    /// Puts the question until it is answered in time.
    async fn answer(&mut self) -> Result<(Instant, Answer), Error> {
        for _ in 0..LATE_MAX {
            let was_in_line = !matches!(*self.place.hold(), Hold::Outside);
            let asked = self.store.options.clock.now();
            let not_after_ms = self.store.server_now_ms(self.place.bucket) + self.store.answer_ms();
            // Noted before it is sent: this future may be dropped at any moment from now on.
            let doubt_before = self.doubt_ms;
            self.doubt_ms = self.doubt_ms.max(not_after_ms);
            self.in_store = true;
            let answer = self.store.ask(&self.place, was_in_line, not_after_ms).await?;
            self.doubt_ms = doubt_before;
            if !matches!(answer.said, Said::Late) {
                return Ok((asked, answer));
            }
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            "the server's clock leaps, or its answers take too long",
        ))
    }

    fn stand(&mut self, asked: Instant, said: Said) -> Result<Standing, Error> {
        let name = &self.place.request.name;
        match said {
            Said::Held { token, asked_back } => Ok(self.held(asked, token, asked_back)),
            Said::Waiting { ahead, wait, holder } => {
                let mut hold = self.place.hold();
                match *hold {
                    Hold::Over(loss) => return Ok(Standing::Gone(loss)),
                    Hold::Held(..) => {}
                    _ => {
                        *hold = Hold::Waiting;
                        let at = self.store.options.clock.now() + wait + AFTER_END;
                        self.place.set_look_again(at);
                        return Ok(Standing::Waiting(Waiting {
                            ahead: Some(ahead),
                            holder: holder.map(|holder| *holder),
                        }));
                    }
                }
                drop(hold);
                Ok(self.gone(Loss::Usurped))
            }
            Said::Gone => Ok(self.gone(Loss::Removed)),
            Said::Late => {
                Err(Error::new(ErrorKind::Internal, "a late question counts as answered"))
            }
            Said::OtherSize(stored) | Said::TooSmall(stored) => {
                self.in_store = false;
                let error = match (self.place.request.mode, said) {
                    (Mode::Permits(permits), Said::TooSmall(_)) => permits.too_many(stored),
                    (Mode::Permits(permits), _) => permits.disagree(stored),
                    _ => Error::new(ErrorKind::Internal, "permits that nobody asked for"),
                };
                Err(error.with_lock(name))
            }
            Said::Full => {
                self.in_store = false;
                let text = "5000 are in line, and no more are let in";
                Err(Error::new(ErrorKind::Refused, text).with_lock(name))
            }
        }
    }

    fn held(&self, asked: Instant, token: Token, asked_back: bool) -> Standing {
        let (now, until) = (self.store.options.clock.now(), asked + self.store.options.validity());
        let mut hold = self.place.hold();
        let lease = match &*hold {
            Hold::Over(loss) => return Standing::Gone(*loss),
            Hold::Held(known, lease) if *known == token && lease.extend(now, until) => {
                lease.clone()
            }
            // Under another token it was lost and granted anew; a life goes one way.
            Hold::Held(known, lease) => {
                let other = if *known == token { Loss::DeadlinePassed } else { Loss::Usurped };
                let loss = lease.loss(now).unwrap_or(other);
                drop(hold);
                self.place.end(loss);
                return Standing::Gone(loss);
            }
            Hold::Outside | Hold::Waiting => Lease::new(until),
        };
        *hold = Hold::Held(token, lease.clone());
        self.place.set_look_again(Instant::FAR);
        let mut grant = Grant::new(token, Term::Session(lease));
        grant.revoked = asked_back;
        Standing::Held(grant)
    }

    fn gone(&mut self, loss: Loss) -> Standing {
        self.in_store = self.doubt_ms > 0;
        self.place.end(loss);
        self.store.places.remove(&self.place);
        match *self.place.hold() {
            Hold::Over(loss) => Standing::Gone(loss),
            _ => Standing::Gone(loss),
        }
    }

    /// The loss that is known of without asking.
    fn known_loss(&self) -> Option<Loss> {
        let loss = match &*self.place.hold() {
            Hold::Over(loss) => return Some(*loss),
            Hold::Held(_, lease) => lease.loss(self.store.options.clock.now()),
            Hold::Outside | Hold::Waiting => None,
        };
        if let Some(loss) = loss {
            self.place.end(loss);
        }
        loss
    }

    fn locate(&self, error: Error) -> Error {
        error.with_lock(&self.place.request.name).with_backend(&self.store.label)
    }
}

#[async_trait]
impl Claim for RedisClaim {
    async fn ask(&mut self) -> Result<Standing, Error> {
        if let Some(loss) = self.known_loss() {
            return Ok(Standing::Gone(loss));
        }
        if self.leaving || !self.store.places.add(&self.place) {
            let loss = if self.leaving { Loss::Removed } else { Loss::SessionEnded };
            return Ok(self.gone(loss));
        }
        let asked = async {
            loop {
                let (asked, answer) = self.answer().await?;
                let standing = self.stand(asked, answer.said)?;
                if !matches!(standing, Standing::Waiting(_)) {
                    return Ok(standing);
                }
                let live = self.store.link.live().await?;
                // What happened before we could be told of it is learnt by asking once more.
                if self.store.link.subscribe(&live, self.place.bucket).await? {
                    return Ok(standing);
                }
            }
        };
        asked.await.map_err(|error| self.locate(error))
    }

    async fn changed(&mut self) {
        self.place.changed(&*self.store.options.clock).await;
    }

    async fn leave(&mut self) -> Result<(), Error> {
        self.store.places.remove(&self.place);
        let was_leaving = std::mem::replace(&mut self.leaving, true);
        if !self.in_store || self.store.places.is_closed() {
            self.place.end(Loss::Removed);
            return Ok(());
        }
        // From here on no renewal counts. The lease is not ended: that would look like a loss to whoever
        // waits for the release to be confirmed.
        let hold = std::mem::replace(&mut *self.place.hold(), Hold::Over(Loss::Removed));
        let held = matches!(hold, Hold::Held(_, lease)
            if lease.loss(self.store.options.clock.now()).is_none());
        let removed = self.store.leave(&self.place, self.doubt_ms).await;
        let removed = removed.map_err(|error| self.locate(error))?;
        self.in_store = false;
        if held && !removed && !was_leaving {
            // To be reported, and not to be repeated: somebody else may have held the lock meanwhile.
            let text = "the lock was not there any more when it was given back";
            return Err(self.locate(Error::new(ErrorKind::Lost, text)));
        }
        Ok(())
    }

    async fn downgrade(&mut self) -> Result<(), Error> {
        let holds = matches!(*self.place.hold(), Hold::Held(..)) && self.known_loss().is_none();
        if self.place.request.mode == Mode::Write && holds {
            let done = self.store.downgrade(&self.place).await;
            if done.map_err(|error| self.locate(error))? {
                return Ok(());
            }
        }
        let text = "only a writer that holds its lock can be downgraded";
        Err(self.locate(Error::new(ErrorKind::Refused, text)))
    }
}

impl Drop for RedisClaim {
    fn drop(&mut self) {
        // What nobody asks about is renewed no longer.
        self.store.places.remove(&self.place);
    }
}
