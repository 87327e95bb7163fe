//! A store of one process, in which everything is noted that a claim does and leaves undone.

use async_trait::async_trait;
use shuttle::sync::Mutex;
use sneck_races::{
    Backend, Claim, Clock, Crash, Error, ErrorKind, Grant, Instant, Lease, Loss, Mode, Order,
    Promises, Request, Standing, Term, Token, TokenScope, Wake,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::sleep;

/// The time of the run, as a clock that has been going for long.
#[derive(Debug)]
pub(crate) struct RunClock;

impl Clock for RunClock {
    fn now(&self) -> Instant {
        Instant::from_nanos(1_000_000) + tokio::time::elapsed()
    }
}

/// How the store answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// Whether a release can be sent without waiting.
    pub(crate) lets_go: bool,
    /// How often a release is not answered before it is.
    pub(crate) unanswered: u32,
}

/// A store, and a session with it. Each claim has its place at once.
#[derive(Clone)]
pub(crate) struct Store(Arc<State>);

struct State {
    manner: Manner,
    places: Mutex<BTreeMap<u64, Place>>,
    session: Mutex<Lease>,
}

struct Place {
    end: Option<End>,
    session: Lease,
    /// Told of an end that its claim did not ask for.
    changed: Arc<Notify>,
    /// How often a release was asked for.
    releases: u32,
    /// Whether the claim was dropped before it knew that it had left.
    is_abandoned: bool,
}

/// What became of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Left,
    Lost(Loss),
}

impl Store {
    pub(crate) fn new(manner: Manner, session: Lease) -> Self {
        let (places, session) = (Mutex::default(), Mutex::new(session));
        Store(Arc::new(State { manner, places, session }))
    }

    /// Takes somebody's place away, as an operator does.
    pub(crate) fn remove(&self, token: Token) {
        self.end(token.get(), Loss::Removed);
    }

    /// Ends the session with all its places, and begins another.
    pub(crate) fn end_session(&self) {
        let mut session = self.0.session.lock().unwrap();
        // The client's side knows first, and nobody has a place by the next before.
        session.end(Loss::SessionEnded);
        *session = Lease::new(Instant::FAR);
        drop(session);
        let of_old = |place: &Place| place.session.loss(RunClock.now()).is_some();
        let places: Vec<u64> = {
            let places = self.0.places.lock().unwrap();
            places.iter().filter(|(_, place)| of_old(place)).map(|(number, _)| *number).collect()
        };
        places.into_iter().for_each(|place| self.end(place, Loss::SessionEnded));
    }

    /// What became of a place; `None` while it is there.
    pub(crate) fn end_of(&self, token: Token) -> Option<End> {
        self.0.places.lock().unwrap()[&token.get()].end
    }

    /// Sees that every place is given up, and was asked to be no more often than needed.
    pub(crate) fn has_no_place_left(&self) {
        for (token, place) in &*self.0.places.lock().unwrap() {
            assert!(place.end.is_some(), "place {token} was never given back");
            let lost = matches!(place.end, Some(End::Lost(_)));
            assert!(!place.is_abandoned || lost, "nobody heard that place {token} was given back");
            let most = 1 + self.0.manner.unanswered;
            assert!(
                place.releases <= most,
                "place {token} was given back {} times",
                place.releases
            );
            assert!(place.releases > 0 || lost, "nobody gave place {token} back");
        }
    }

    fn end(&self, place: u64, loss: Loss) {
        let mut places = self.0.places.lock().unwrap();
        let place = places.get_mut(&place).unwrap();
        place.end = place.end.or(Some(End::Lost(loss)));
        let changed = place.changed.clone();
        drop(places);
        changed.notify_one();
    }
}

#[async_trait]
impl Backend for Store {
    fn claim(&self, _request: Request) -> Box<dyn Claim> {
        let (store, unanswered) = (self.clone(), self.0.manner.unanswered);
        Box::new(StoreClaim { store, place: None, is_sent: false, has_left: false, unanswered })
    }

    fn promises(&self) -> Promises {
        Promises {
            order: Order::Fifo,
            wake: Wake::Pushed,
            crash: Crash::Session,
            token: TokenScope::SingleCopy,
        }
    }

    fn label(&self) -> Arc<str> {
        Arc::from("a store that takes notes")
    }

    fn supports(&self, _mode: Mode) -> bool {
        true
    }

    async fn close(&self) {}
}

struct StoreClaim {
    store: Store,
    /// Its number, once it is asked for, and what tells of its end.
    place: Option<(u64, Arc<Notify>)>,
    /// Whether a release was sent that may still be answered.
    is_sent: bool,
    has_left: bool,
    unanswered: u32,
}

impl StoreClaim {
    fn take_place(&mut self) -> u64 {
        if let Some((number, _)) = &self.place {
            return *number;
        }
        let session = self.store.0.session.lock().unwrap().clone();
        let changed = Arc::new(Notify::new());
        let mut places = self.store.0.places.lock().unwrap();
        let number = places.len() as u64 + 1;
        let place = Place {
            end: None,
            session,
            changed: changed.clone(),
            releases: 0,
            is_abandoned: false,
        };
        places.insert(number, place);
        self.place = Some((number, changed));
        number
    }

    fn send(&mut self) {
        let Some((number, _)) = &self.place else { return };
        if let Some(place) = self.store.0.places.lock().unwrap().get_mut(number) {
            place.releases += 1;
            place.end = place.end.or(Some(End::Left));
        }
        self.is_sent = true;
    }
}

#[async_trait]
impl Claim for StoreClaim {
    async fn ask(&mut self) -> Result<Standing, Error> {
        assert!(!self.is_sent, "a claim that leaves has nothing to ask");
        let number = self.take_place();
        let places = self.store.0.places.lock().unwrap();
        let place = &places[&number];
        Ok(match place.end {
            None => {
                let term = Term::Session(place.session.clone());
                Standing::Held(Grant::new(Token::new(number).unwrap(), term))
            }
            Some(End::Lost(loss)) => Standing::Gone(loss),
            Some(End::Left) => Standing::Gone(Loss::Usurped),
        })
    }

    async fn changed(&mut self) {
        match &self.place {
            Some((_, changed)) => changed.notified().await,
            None => std::future::pending().await,
        }
    }

    async fn leave(&mut self) -> Result<(), Error> {
        assert!(!self.has_left, "a claim that has left leaves again");
        if !self.is_sent {
            self.send();
        }
        sleep(Duration::from_millis(1)).await;
        if let Some(left) = self.unanswered.checked_sub(1) {
            (self.unanswered, self.is_sent) = (left, false);
            return Err(Error::new(ErrorKind::Unavailable, "no answer").with_unknown_outcome());
        }
        self.has_left = true;
        Ok(())
    }

    fn let_go(&mut self) -> bool {
        if self.store.0.manner.lets_go {
            self.send();
        }
        self.is_sent
    }

    async fn downgrade(&mut self) -> Result<(), Error> {
        sleep(Duration::from_millis(1)).await;
        Ok(())
    }
}

impl Drop for StoreClaim {
    fn drop(&mut self) {
        if self.has_left || std::thread::panicking() {
            return;
        }
        if let Some((number, _)) = &self.place
            && let Some(place) = self.store.0.places.lock().unwrap().get_mut(number)
        {
            place.is_abandoned = true;
        }
    }
}
