//! A claim on a majority.

use super::Servers;
use crate::place::{Hold, Place};
use crate::reply::{Renewed, Said};
use crate::store::Store;
use async_trait::async_trait;
use futures_util::future::join_all;
use sneck_core::{
    Backoff, Claim, Error, ErrorKind, Grant, Instant, Lease, Loss, Request, Standing, Term, Token,
    Waiting, sleep_until,
};
use std::sync::Arc;
use std::time::Duration;

/// A waiter asks again after half of this to all of it.
const POLL: Duration = Duration::from_millis(200);
/// How often one question is put anew because it came too late by what we knew of the server's clock.
const LATE_MAX: usize = 3;

pub(crate) struct QuorumClaim {
    servers: Arc<Servers>,
    /// One place for each server.
    places: Vec<Arc<Place>>,
    state: State,
    /// Whether a server may have a place.
    in_store: bool,
    /// For each server the time there until which a question that was not answered may still be on its
    /// way.
    doubts_ms: Vec<i64>,
    pauses: Backoff,
}

#[derive(Clone)]
enum State {
    Waiting,
    /// Until the lease ends; to be renewed at the instant.
    Held(Token, Lease, Instant),
    Over(Loss),
}

impl QuorumClaim {
    pub(crate) fn new(servers: Arc<Servers>, request: Request) -> Self {
        let prefix = &servers.options.prefix;
        let place = |_: &Store| Arc::new(Place::new(prefix, request.clone()));
        QuorumClaim {
            places: servers.stores.iter().map(place).collect(),
            doubts_ms: vec![0; servers.stores.len()],
            state: State::Waiting,
            in_store: false,
            pauses: Backoff::new(POLL, POLL, request.id.as_u128() as u64),
            servers,
        }
    }

    /// Tries to get a majority; gives back what it got when it did not.
    async fn try_all(&mut self) -> Result<Standing, Error> {
        self.in_store = true;
        let asked = self.servers.options.clock.now();
        for (doubt, (store, place)) in
            self.doubts_ms.iter_mut().zip(pairs(&self.servers, &self.places))
        {
            *doubt = store.server_now_ms(place.bucket) + store.answer_ms();
        }
        let answers =
            join_all(pairs(&self.servers, &self.places).map(|(store, place)| ask(store, place)));
        let answers = answers.await;
        for (doubt, answer) in self.doubts_ms.iter_mut().zip(&answers) {
            if answer.is_ok() {
                *doubt = 0;
            }
        }
        let mut holder = None;
        let mut tokens: Vec<Token> = Vec::new();
        for said in answers.iter().flatten() {
            match said {
                Said::Held { token, .. } => tokens.push(*token),
                Said::Waiting { holder: Some(known), .. } => holder = Some((**known).clone()),
                _ => {}
            }
        }
        let in_time = || {
            let passed = self.servers.options.clock.now().since(asked);
            passed < self.servers.options.validity()
        };
        if tokens.len() >= self.servers.quorum()
            && in_time()
            && let Some(token) = tokens.into_iter().max()
            && self.raise(token).await >= self.servers.quorum()
            && in_time()
        {
            let lease = Lease::new(asked + self.servers.options.validity());
            // Where closing the client finds it.
            *self.places[0].hold() = Hold::Held(token, lease.clone());
            return Ok(self.held(token, lease, asked));
        }
        self.give_back().await;
        let answered = self.servers.majority(answers);
        answered.map(|_| Standing::Waiting(Waiting { ahead: None, holder }))
    }

    /// The second round: how many servers have the token by now.
    async fn raise(&self, token: Token) -> usize {
        let all = pairs(&self.servers, &self.places);
        let raised = join_all(all.map(|(store, place)| store.raise(place, token))).await;
        raised.into_iter().filter(|raised| matches!(raised, Ok(true))).count()
    }

    /// Renews the places of a hold.
    async fn renew(&mut self, token: Token, lease: Lease) -> Result<Standing, Error> {
        let asked = self.servers.options.clock.now();
        let text = token.to_string();
        let renew = async |(store, place): (&Store, &Place)| {
            Ok(store.renew(place.bucket, &[(place, &text)]).await?.first().copied())
        };
        let renewed = join_all(pairs(&self.servers, &self.places).map(renew)).await;
        let count = |wanted: &dyn Fn(Renewed) -> bool| {
            renewed.iter().filter(|one| matches!(one, Ok(Some(one)) if wanted(*one))).count()
        };
        let held = count(&|one| matches!(one, Renewed::Held | Renewed::AskedBack));
        if held >= self.servers.quorum() {
            let until = asked + self.servers.options.validity();
            let now = self.servers.options.clock.now();
            if !lease.extend(now, until) {
                let loss = lease.loss(now).unwrap_or(Loss::DeadlinePassed);
                self.state = State::Over(loss);
                return Ok(Standing::Gone(loss));
            }
            return Ok(self.held(token, lease, asked));
        }
        let gone = count(&|one| !matches!(one, Renewed::Held | Renewed::AskedBack));
        if self.servers.stores.len() - gone < self.servers.quorum() {
            self.state = State::Over(Loss::Removed);
            return Ok(Standing::Gone(Loss::Removed));
        }
        self.servers.majority(renewed).and_then(|_| {
            let text = format!("{held} of {} servers renewed the lock", self.servers.stores.len());
            Err(Error::new(ErrorKind::Unavailable, text))
        })
    }

    fn held(&mut self, token: Token, lease: Lease, asked: Instant) -> Standing {
        let renewal = asked + self.servers.options.term / 3;
        self.state = State::Held(token, lease.clone(), renewal);
        // The lease and not a fixed term: closing the client has to end it before the places are given up.
        Standing::Held(Grant::new(token, Term::Session(lease)))
    }

    /// Gives up what was got, where that can be reached; the rest ends with its term.
    async fn give_back(&mut self) -> usize {
        let all = pairs(&self.servers, &self.places).zip(&self.doubts_ms);
        let left = join_all(all.map(|((store, place), doubt)| store.leave(place, *doubt))).await;
        for (doubt, left) in self.doubts_ms.iter_mut().zip(&left) {
            if left.is_ok() {
                *doubt = 0;
            }
        }
        left.iter().filter(|left| left.is_ok()).count()
    }

    fn locate(&self, error: Error) -> Error {
        self.servers.locate(error.with_lock(&self.places[0].request.name))
    }
}

fn pairs<'a>(
    servers: &'a Servers,
    places: &'a [Arc<Place>],
) -> impl Iterator<Item = (&'a Store, &'a Place)> {
    servers.stores.iter().zip(places.iter().map(|place| &**place))
}

/// Asks one server.
async fn ask(store: &Store, place: &Place) -> Result<Said, Error> {
    for _ in 0..LATE_MAX {
        let not_after_ms = store.server_now_ms(place.bucket) + store.answer_ms();
        let answer = store.ask(place, false, not_after_ms).await?;
        if !matches!(answer.said, Said::Late) {
            return Ok(answer.said);
        }
    }
    Err(Error::new(
        ErrorKind::Unavailable,
        "the server's clock leaps, or its answers take too long",
    ))
}

#[async_trait]
impl Claim for QuorumClaim {
    async fn ask(&mut self) -> Result<Standing, Error> {
        let all = self.servers.stores.iter().zip(&self.places);
        if !all.fold(true, |open, (store, place)| store.places.add(place) && open) {
            self.state = State::Over(Loss::SessionEnded);
        }
        let asked = match self.state.clone() {
            State::Over(loss) => Ok(Standing::Gone(loss)),
            State::Held(token, lease, _) => self.renew(token, lease).await,
            State::Waiting => self.try_all().await,
        };
        asked.map_err(|error| self.locate(error))
    }

    /// Resolves after a random while for a waiter, as nobody tells, and for a holder when asking renews.
    async fn changed(&mut self) {
        match &self.state {
            State::Waiting => tokio::time::sleep(self.pauses.pause()).await,
            State::Held(_, _, renewal) => sleep_until(&*self.servers.options.clock, *renewal).await,
            State::Over(_) => std::future::pending().await,
        }
    }

    async fn leave(&mut self) -> Result<(), Error> {
        self.state = match self.state {
            State::Over(loss) => State::Over(loss),
            State::Waiting | State::Held(..) => State::Over(Loss::Removed),
        };
        let is_closed = self.servers.stores[0].places.is_closed();
        for (store, place) in pairs(&self.servers, &self.places) {
            store.places.remove(place);
        }
        if self.in_store && !is_closed && self.give_back().await < self.servers.quorum() {
            let text = "a majority of the servers did not confirm the release";
            let error = Error::new(ErrorKind::Unavailable, text).with_unknown_outcome();
            return Err(self.locate(error));
        }
        self.in_store = false;
        Ok(())
    }
}

impl Drop for QuorumClaim {
    fn drop(&mut self) {
        for (store, place) in pairs(&self.servers, &self.places) {
            store.places.remove(place);
        }
    }
}
