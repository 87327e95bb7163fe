//! A claim on a lock: performs what the place decides.

use crate::failure::{Failure, Fate};
use crate::holds::{Holds, Inside};
use crate::line::HolderMode;
use crate::place::{Answer, Place, Step, Told};
use crate::store::{Store, Writer};
use async_trait::async_trait;
use sneck_core::{Backoff, Claim, Error, ErrorKind, Grant, Loss, Request, Standing, Term, Token};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often somebody may be faster before that is an answer.
const TRIES_MAX: usize = 4;
/// The first pause of a waiter; they double up to the option `poll`.
const POLL_FIRST: Duration = Duration::from_millis(50);
/// How long after the holder's TTL the waiters look, spread over this time.
const AFTER_EXPIRY: Duration = Duration::from_millis(200);

pub(crate) struct CassandraClaim {
    store: Arc<Store>,
    holds: Arc<Holds>,
    inside: Option<Inside>,
    request: Request,
    place: Place,
    pauses: Backoff,
    /// When a waiter looks again; `None` for who does not wait.
    look_at: Option<Instant>,
}

impl CassandraClaim {
    pub(crate) fn new(
        store: Arc<Store>,
        holds: Arc<Holds>,
        request: Request,
        poll: Duration,
    ) -> CassandraClaim {
        let place = Place::new(request.id, request.mode);
        let pauses = Backoff::new(POLL_FIRST.min(poll), poll, request.id.as_u128() as u64);
        CassandraClaim { store, holds, inside: None, request, place, pauses, look_at: None }
    }

    /// Performs one step and takes in its answer.
    async fn perform(&mut self, step: &Step) -> Result<(), Failure> {
        self.count();
        let mode = HolderMode::of(self.request.mode);
        let writer = Writer { id: self.request.id, caller: &self.request.caller, mode };
        let answer = self.store.perform(&self.request.name, step, &writer).await?;
        self.take_in(step, answer)
    }

    fn take_in(&mut self, step: &Step, answer: Answer) -> Result<(), Failure> {
        let taken = self.place.on(step, answer);
        self.count();
        taken.map_err(|error| Failure { error, fate: Fate::NotDone })
    }

    /// Whoever may be in the store is waited for when the backend is closed.
    fn count(&mut self) {
        match (self.place.is_inside(), &self.inside) {
            (true, None) => self.inside = Some(self.holds.enter()),
            (false, Some(_)) => self.inside = None,
            _ => {}
        }
    }

    fn standing(&mut self, told: Told) -> Standing {
        self.look_at = None;
        match told {
            Told::Held(seat) => {
                self.pauses.reset();
                let token = u64::try_from(seat.token).ok().and_then(Token::new);
                match token {
                    Some(token) => {
                        Standing::Held(Grant::new(token, Term::Fixed(self.store.rule().term())))
                    }
                    // Somebody has written a fence by hand that no token can be made of.
                    None => Standing::Gone(Loss::Usurped),
                }
            }
            Told::Waiting(waiting, left) => {
                let pause = self.pause(left);
                self.look_at = Some(Instant::now() + pause);
                Standing::Waiting(waiting)
            }
            Told::Gone(loss) => Standing::Gone(loss),
            Told::Left => Standing::Gone(Loss::Removed),
        }
    }

    /// Until the next look: longer from look to look, but not past the end of the holder's row. Its
    /// `left` is in whole seconds, so that a row with none left may still be there for a second.
    fn pause(&mut self, left: Option<Duration>) -> Duration {
        let pause = self.pauses.pause();
        match left {
            Some(left) if left < pause => left + self.pauses.jitter(AFTER_EXPIRY),
            _ => pause,
        }
    }

    fn located(&self, failure: Failure) -> Error {
        failure.error.with_lock(&self.request.name).with_backend(self.store.label())
    }
}

#[async_trait]
impl Claim for CassandraClaim {
    async fn ask(&mut self) -> Result<Standing, Error> {
        if self.holds.is_closed() {
            return Ok(Standing::Gone(Loss::SessionEnded));
        }
        let mut tries = 0;
        loop {
            let step = self.place.ask();
            if let Step::Tell(told) = step {
                return Ok(self.standing(told));
            }
            if matches!(step, Step::Acquire(_)) {
                tries += 1;
            }
            match self.perform(&step).await {
                Ok(()) if tries == TRIES_MAX && !self.place.is_inside() => {
                    return Ok(self.standing(Told::Waiting(Default::default(), None)));
                }
                Ok(()) => {}
                // The coordinator itself says that it does not know, and can be asked at once.
                Err(Failure { fate: Fate::Undecided, .. }) if matches!(step, Step::Acquire(_)) => {}
                Err(failure) => return Err(self.located(failure)),
            }
        }
    }

    async fn changed(&mut self) {
        let look_again = async |at: Option<Instant>| match at {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        };
        tokio::select! {
            () = self.holds.closed() => {}
            () = look_again(self.look_at) => {}
        }
    }

    async fn leave(&mut self) -> Result<(), Error> {
        loop {
            let step = self.place.leave();
            if let Step::Tell(_) = step {
                self.count();
                return Ok(());
            }
            self.perform(&step).await.map_err(|failure| self.located(failure))?;
        }
    }

    async fn downgrade(&mut self) -> Result<(), Error> {
        let Some(step) = self.place.downgrade() else {
            let text = "only a writer who holds can let readers in";
            return Err(Error::new(ErrorKind::Refused, text)
                .with_lock(&self.request.name)
                .with_backend(self.store.label()));
        };
        self.perform(&step).await.map_err(|failure| self.located(failure))?;
        if !self.place.is_inside() {
            let text = "the lock was lost before readers were let in";
            return Err(self.located(Failure {
                error: Error::new(ErrorKind::Lost, text),
                fate: Fate::NotDone,
            }));
        }
        self.place.downgraded();
        Ok(())
    }
}
