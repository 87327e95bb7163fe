//! Stores that do what a test tells them, and a way to drop a future at each of its await points.

use async_trait::async_trait;
use sneck_core::{
    Backend, Caller, Claim, ClaimId, Clock, Contender, Crash, Error, ErrorKind, Grant, Instant,
    Limits, Locker, Loss, Mode, Name, Order, Promises, Request, Standing, Survey, Term, Token,
    TokenScope, TokioClock, Waiting, Wake,
};
use std::collections::VecDeque;
use std::future::{Future, pending, poll_fn};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;
use std::time::Duration;
use tokio::time::sleep;

pub(crate) fn name() -> Name {
    Name::new("invoice/42").unwrap()
}

pub(crate) fn request() -> Request {
    Request::new(name(), Mode::Exclusive, Caller { note: "test".into(), ..Caller::anonymous() })
}

pub(crate) fn token(value: u64) -> Token {
    Token::new(value).unwrap()
}

pub(crate) fn secs(length: u64) -> Duration {
    Duration::from_secs(length)
}

pub(crate) fn ms(length: u64) -> Duration {
    Duration::from_millis(length)
}

/// Limits under which a lost wake-up is not healed within any test.
pub(crate) fn patient() -> Limits {
    let mut limits = Limits::default();
    limits.recheck = secs(24 * 3600);
    limits
}

/// Drops `future` after it was polled `polls` times without being done.
pub(crate) async fn dropped_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let (mut future, mut left) = (Box::pin(future), polls);
    let outcome = poll_fn(move |context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    });
    outcome.await
}

/// Lets every other task do what it can without time passing.
pub(crate) async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

fn failure(kind: ErrorKind) -> Error {
    Error::new(kind, "as the script says")
}

// ----- a store that follows a script -----

/// One answer to `ask`.
#[derive(Clone)]
pub(crate) enum Ask {
    Held(u64, Term),
    Waiting(Waiting),
    Gone(Loss),
    Fail(ErrorKind),
    Hang,
    /// The same, this much later.
    After(Duration, Box<Ask>),
}

/// One answer to `leave`.
#[derive(Clone, Copy)]
pub(crate) enum Leave {
    Done,
    Fail(ErrorKind),
    Hang,
}

pub(crate) fn held(value: u64, term: Duration) -> Ask {
    Ask::Held(value, Term::Fixed(term))
}

pub(crate) fn waiting() -> Ask {
    Ask::Waiting(Waiting { ahead: Some(1), holder: None })
}

pub(crate) fn after(delay: Duration, ask: Ask) -> Ask {
    Ask::After(delay, Box::new(ask))
}

/// A store that answers by rote. The last answer of each kind is repeated for ever.
#[derive(Clone)]
pub(crate) struct Script(Arc<Mutex<State>>);

struct State {
    clock: TokioClock,
    asks: VecDeque<Ask>,
    /// How long each wait for a change takes; after the last it takes for ever.
    changes: VecDeque<Duration>,
    leaves: VecDeque<Leave>,
    line: Option<Vec<Contender>>,
    log: Vec<(Duration, &'static str)>,
}

impl Script {
    pub(crate) fn new(asks: impl IntoIterator<Item = Ask>) -> Self {
        Script(Arc::new(Mutex::new(State {
            clock: TokioClock::new(),
            asks: asks.into_iter().collect(),
            changes: VecDeque::new(),
            leaves: VecDeque::from([Leave::Done]),
            line: None,
            log: Vec::new(),
        })))
    }

    pub(crate) fn changes(self, changes: impl IntoIterator<Item = Duration>) -> Self {
        self.state().changes = changes.into_iter().collect();
        self
    }

    pub(crate) fn leaves(self, leaves: impl IntoIterator<Item = Leave>) -> Self {
        self.state().leaves = leaves.into_iter().collect();
        self
    }

    /// Makes the store show this line to whoever looks.
    pub(crate) fn line(self, line: Vec<Contender>) -> Self {
        self.state().line = Some(line);
        self
    }

    pub(crate) fn clock(&self) -> TokioClock {
        self.state().clock
    }

    pub(crate) fn locker(&self) -> Locker {
        Locker::new(Arc::new(self.clone()), Arc::new(self.clock()))
    }

    /// When each call of this kind came, since the script was made.
    pub(crate) fn times(&self, what: &str) -> Vec<Duration> {
        let state = self.state();
        state.log.iter().filter(|(_, call)| *call == what).map(|(at, _)| *at).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn note(&self, what: &'static str) {
        let mut state = self.state();
        let at = state.clock.now().since(Instant::from_nanos(0));
        state.log.push((at, what));
    }
}

fn next<T: Clone>(queue: &mut VecDeque<T>) -> Option<T> {
    if queue.len() > 1 { queue.pop_front() } else { queue.front().cloned() }
}

#[async_trait]
impl Backend for Script {
    fn claim(&self, _: Request) -> Box<dyn Claim> {
        Box::new(self.clone())
    }

    fn promises(&self) -> Promises {
        Promises {
            order: Order::None,
            wake: Wake::Polled,
            crash: Crash::Term,
            token: TokenScope::SingleCopy,
        }
    }

    fn label(&self) -> Arc<str> {
        Arc::from("script:")
    }

    fn survey(&self) -> Option<&dyn Survey> {
        self.state().line.is_some().then_some(self as &dyn Survey)
    }

    async fn close(&self) {}
}

#[async_trait]
impl Survey for Script {
    async fn line(&self, _: &Name) -> Result<Vec<Contender>, Error> {
        Ok(self.state().line.clone().unwrap_or_default())
    }

    async fn names(&self) -> Result<Vec<Name>, Error> {
        Ok(vec![name()])
    }
}

#[async_trait]
impl Claim for Script {
    async fn ask(&mut self) -> Result<Standing, Error> {
        self.note("ask");
        let mut answer = next(&mut self.state().asks).unwrap();
        loop {
            return match answer {
                Ask::Held(value, term) => Ok(Standing::Held(Grant::new(token(value), term))),
                Ask::Waiting(waiting) => Ok(Standing::Waiting(waiting)),
                Ask::Gone(loss) => Ok(Standing::Gone(loss)),
                Ask::Fail(kind) => Err(failure(kind)),
                Ask::Hang => pending().await,
                Ask::After(delay, then) => {
                    sleep(delay).await;
                    answer = *then;
                    continue;
                }
            };
        }
    }

    async fn changed(&mut self) {
        let change = self.state().changes.front().copied();
        match change {
            Some(delay) => {
                sleep(delay).await;
                self.state().changes.pop_front();
            }
            None => pending().await,
        }
    }

    async fn leave(&mut self) -> Result<(), Error> {
        self.note("leave");
        let answer = next(&mut self.state().leaves).unwrap();
        match answer {
            Leave::Done => Ok(()),
            Leave::Fail(kind) => Err(failure(kind)),
            Leave::Hang => pending().await,
        }
    }
}

// ----- an honest store with terms -----

/// A store where every lock has a term of its own, an answer takes a while, and nothing is pushed.
#[derive(Clone)]
pub(crate) struct Terms(Arc<Mutex<Lock>>);

struct Lock {
    clock: TokioClock,
    term: Duration,
    /// Each way.
    delay: Duration,
    silent: bool,
    last_token: u64,
    holder: Option<(ClaimId, u64, Instant)>,
}

impl Terms {
    pub(crate) fn new(term: Duration, delay: Duration) -> Self {
        let clock = TokioClock::new();
        let lock = Lock { clock, term, delay, silent: false, last_token: 0, holder: None };
        Terms(Arc::new(Mutex::new(lock)))
    }

    pub(crate) fn locker(&self) -> Locker {
        Locker::new(Arc::new(self.clone()), Arc::new(self.lock().clock))
    }

    pub(crate) fn clock(&self) -> TokioClock {
        self.lock().clock
    }

    /// From now on no question arrives.
    pub(crate) fn fall_silent(&self) {
        self.lock().silent = true;
    }

    /// Until when the store keeps the lock for its holder.
    pub(crate) fn held_until(&self) -> Option<Instant> {
        let lock = self.lock();
        lock.holder.map(|(_, _, until)| until).filter(|until| *until > lock.clock.now())
    }

    fn lock(&self) -> MutexGuard<'_, Lock> {
        self.0.lock().unwrap()
    }

    async fn travel(&self) {
        if self.lock().silent {
            pending::<()>().await;
        }
        let delay = self.lock().delay;
        sleep(delay).await;
    }
}

#[async_trait]
impl Backend for Terms {
    fn claim(&self, request: Request) -> Box<dyn Claim> {
        Box::new(TermsClaim { store: self.clone(), id: request.id })
    }

    fn promises(&self) -> Promises {
        Promises {
            order: Order::None,
            wake: Wake::Polled,
            crash: Crash::Term,
            token: TokenScope::SingleCopy,
        }
    }

    fn label(&self) -> Arc<str> {
        Arc::from("terms:")
    }

    async fn close(&self) {}
}

struct TermsClaim {
    store: Terms,
    id: ClaimId,
}

#[async_trait]
impl Claim for TermsClaim {
    async fn ask(&mut self) -> Result<Standing, Error> {
        self.store.travel().await;
        let standing = {
            let mut lock = self.store.lock();
            let now = lock.clock.now();
            let until = now + lock.term;
            match lock.holder {
                Some((id, _, end)) if id != self.id && end > now => {
                    Standing::Waiting(Waiting { ahead: Some(1), holder: None })
                }
                holder => {
                    let mine = holder.filter(|(id, _, end)| *id == self.id && *end > now);
                    let value = mine.map_or(lock.last_token + 1, |(_, value, _)| value);
                    lock.last_token = value;
                    lock.holder = Some((self.id, value, until));
                    Standing::Held(Grant::new(token(value), Term::Fixed(lock.term)))
                }
            }
        };
        self.store.travel().await;
        Ok(standing)
    }

    async fn changed(&mut self) {
        pending().await
    }

    async fn leave(&mut self) -> Result<(), Error> {
        self.store.travel().await;
        self.store.lock().holder.take_if(|(id, _, _)| *id == self.id);
        self.store.travel().await;
        Ok(())
    }
}
