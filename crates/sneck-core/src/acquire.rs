//! The one wait loop.

use crate::backend::Backend;
use crate::backoff::Backoff;
use crate::claim::{Claim, ClaimId, Grant, Mode, Request, Standing, Term, Waiting};
use crate::clock::{Clock, Instant, sleep_until};
use crate::contender::Contender;
use crate::deadlock::{Deadlock, Wait, deadlocks};
use crate::error::{Error, ErrorKind, Outcome};
use crate::guard::Guard;
use crate::instrument::{Instrument, Subject, Watched};
use crate::keeper::{Granted, leave};
use crate::lease::Loss;
use crate::local::{LocalLines, Sharing};
use crate::mutant;
use crate::name::Name;
use crate::nursery::Nursery;
use crate::seeds::Seeds;
use crate::settle::settle;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// How long to wait for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Not at all: if somebody else holds the lock, that is the answer.
    Once,
    /// Until this instant of the locker's clock.
    Until(Instant),
    /// Until the lock is had.
    Forever,
}

/// The bounds of waiting. Each has a default that suits a data centre.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// The longest time a waiter relies on being woken before it asks again by itself: 10 s. So long
    /// at most does a wake-up that got lost delay the grant of whoever was next in line when it asked last.
    pub recheck: Duration,
    /// The same for those far back in a line, if that is longer: 5 min. Where the store tells
    /// [how many are ahead](Waiting::ahead), a waiter asks again after `recheck` times the square root of that, up
    /// to this. Otherwise a long line would keep the store busy by itself: 100,000 who ask every ten seconds
    /// are 10,000 requests each second, about a lock that most of them will not have for a long time.
    pub recheck_far: Duration,
    /// The longest time `try_lock` waits for an answer of the store: 10 s.
    pub answer: Duration,
    /// How long a claim that [yields](crate::Ties::yields) waits before it looks for a circle: 1 s. It looks
    /// again after twice as long each time, up to `recheck`.
    pub deadlock: Duration,
    /// How much longer than its time-out a failed attempt may take, so as to have left the line and
    /// learnt who holds the lock by the time it returns: 250 ms. What is not done by then goes on in
    /// the background.
    pub leave: Duration,
}

impl Limits {
    /// How long a waiter with so many ahead relies on being woken. It grows more slowly than the line: whoever
    /// stood far back may have become the next without having had to ask, and a wake-up that gets lost then
    /// delays all behind, too.
    fn recheck_after(&self, ahead: Option<u32>) -> Duration {
        let times = f64::from(ahead.unwrap_or(1).max(1)).sqrt();
        // Compared before it is multiplied: a long limit times a long line is more than a duration holds.
        let most = self.recheck_far.as_secs_f64() / self.recheck.as_secs_f64();
        if times < most { self.recheck.mul_f64(times) } else { self.recheck_far.max(self.recheck) }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            recheck: Duration::from_secs(10),
            recheck_far: Duration::from_secs(300),
            answer: Duration::from_secs(10),
            deadlock: Duration::from_secs(1),
            leave: Duration::from_millis(250),
        }
    }
}

/// What is told while waiting.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// The place in line.
    Waiting(&'a Waiting),
    /// The store cannot be asked just now; the attempt goes on.
    Trouble(&'a Error),
}

/// Acquires locks on one backend.
#[derive(Clone)]
pub struct Locker {
    backend: Arc<dyn Backend>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    instrument: Option<Arc<dyn Instrument>>,
    seeds: Seeds,
    ids: Option<Arc<dyn Fn() -> ClaimId + Send + Sync>>,
    /// Of those who share places, and how they do.
    lines: Arc<LocalLines>,
    sharing: Option<Sharing>,
    nursery: Arc<Nursery>,
}

impl Locker {
    /// The most locks that can be acquired at once. Their places fit in one request of every store.
    pub const ALL_MAX: usize = 256;

    /// A locker with the default [`Limits`].
    pub fn new(backend: Arc<dyn Backend>, clock: Arc<dyn Clock>) -> Self {
        Locker {
            backend,
            clock,
            limits: Limits::default(),
            instrument: None,
            seeds: Seeds::default(),
            ids: None,
            lines: Arc::default(),
            sharing: None,
            nursery: Arc::default(),
        }
    }

    /// The same with other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The same by another clock. The store has to go by it, too, where its leases are made by one: on
    /// ZooKeeper that of the session's options.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        // The leases of places that are shared go by the clock they were taken by.
        (self.clock, self.lines) = (clock, Arc::default());
        self
    }

    /// The same, telling `instrument` of every attempt.
    #[must_use]
    pub fn with_instrument(mut self, instrument: Arc<dyn Instrument>) -> Self {
        self.instrument = Some(instrument);
        self
    }

    /// The same, with pauses whose jitter follows from `seed` alone, so that a run on a simulated store
    /// and a simulated clock can be repeated. Two clients that are to be told apart need two seeds.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seeds = Seeds::from(seed);
        self
    }

    /// The same, where [`claim_id`](Locker::claim_id) comes from `ids` instead of from the operating
    /// system, for simulators. An identity that comes twice, from whichever client, breaks the lock.
    #[must_use]
    pub fn with_claim_ids(mut self, ids: impl Fn() -> ClaimId + Send + Sync + 'static) -> Self {
        self.ids = Some(Arc::new(ids));
        self
    }

    /// A fresh identity for a claim.
    pub fn claim_id(&self) -> ClaimId {
        self.ids.as_ref().map_or_else(ClaimId::random, |ids| ids())
    }

    /// A seed for the jitter of what is asked for next.
    pub fn seed(&self) -> u64 {
        self.seeds.next()
    }

    /// Calls `attempt` until it is answered, for as long as
    /// [`Limits::answer`] allows.
    ///
    /// # Errors
    /// What the last attempt said. If one of them may have been applied and that is not known in the end,
    /// the outcome is unknown.
    ///
    /// # Cancel safety
    /// What was asked for may then happen or not.
    pub async fn settle<T, A: Future<Output = Result<T, Error>>>(
        &self,
        attempt: impl FnMut() -> A,
    ) -> Result<T, Error> {
        settle(self.limits.answer, self.seed(), attempt).await
    }

    /// The backend.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// The bounds of waiting.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The same clock and the same bounds of waiting, on another backend, whose places are not shared.
    #[must_use]
    pub fn on(&self, backend: Arc<dyn Backend>) -> Self {
        Locker { backend, lines: Arc::default(), sharing: None, ..self.clone() }
    }

    pub(crate) fn sharing_by(self, sharing: Option<Sharing>) -> Self {
        Locker { sharing, ..self }
    }

    pub(crate) fn sharing(&self) -> Option<&Sharing> {
        self.sharing.as_ref()
    }

    /// The same for one who tells nobody and shares nothing.
    pub(crate) fn alone(&self) -> Self {
        Locker { instrument: None, lines: Arc::default(), sharing: None, ..self.clone() }
    }

    pub(crate) fn lines(&self) -> &Arc<LocalLines> {
        &self.lines
    }

    /// The clock that [`Patience::Until`] and the guards go by.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Acquires a lock. `Ok(None)` only for [`Patience::Once`], when somebody else holds it.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] when the time is up, naming the holder if it can be learnt;
    /// [`ErrorKind::Lost`] when the place in line was lost while waiting, for instance because the
    /// session ended; and what the backend reports. Except for `Once`, an unavailable store is waited
    /// for.
    ///
    /// # Cancel safety
    /// When the future is dropped, the place in line is given up in the background.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn acquire(
        &self,
        request: Request,
        patience: Patience,
    ) -> Result<Option<Guard>, Error> {
        self.acquire_with(request, patience, &|_| {}).await
    }

    /// [`acquire`](Locker::acquire), telling `progress` after each answer that is not the lock.
    ///
    /// # Errors
    /// As `acquire`.
    pub async fn acquire_with(
        &self,
        request: Request,
        patience: Patience,
        progress: &(dyn Fn(Progress<'_>) + Send + Sync),
    ) -> Result<Option<Guard>, Error> {
        if let Some(sharing) = self.sharing.filter(|_| Sharing::suits(&request)) {
            return self.acquire_sharing(request, sharing, patience, progress).await;
        }
        self.acquire_unless(request, patience, self.run_out(patience), progress).await
    }

    /// The same, until something else says to give up, and why.
    pub(crate) async fn acquire_unless(
        &self,
        request: Request,
        patience: Patience,
        give_up: impl Future<Output = Error> + Send,
        progress: &(dyn Fn(Progress<'_>) + Send + Sync),
    ) -> Result<Option<Guard>, Error> {
        let name = request.name.clone();
        let watched = self.begin(&request)?;
        let seed = self.seeds.next_of(|| request.id);
        let asker = Asker { name, id: request.id, seed, yields: request.ties.yields };
        let place = Place::new(self.backend.claim(request), self.pauses(asker.seed));
        self.acquire_place(place, watched, asker, patience, give_up, progress).await
    }

    /// Acquires several locks at once: all or none. Waiting for all of them counts as one wait, and the
    /// [guard](Guard::tokens) holds them together: the loss of one is the loss of all.
    ///
    /// Attempts that overlap cannot wait for each other in a circle, in whatever order they name their
    /// locks; a guard that is already held while another is waited for can.
    ///
    /// # Errors
    /// As [`acquire`](Locker::acquire), and [`ErrorKind::Invalid`] for no lock, for more than
    /// [`ALL_MAX`](Locker::ALL_MAX), for one that is named twice, and for permits.
    ///
    /// # Cancel safety
    /// When the future is dropped, all places in line are given up in the background.
    pub async fn acquire_all(
        &self,
        mut requests: Vec<Request>,
        patience: Patience,
        progress: &(dyn Fn(Progress<'_>) + Send + Sync),
    ) -> Result<Option<Guard>, Error> {
        for request in &requests {
            self.check_mode(request)?;
        }
        check_all(&requests).map_err(|error| error.with_backend(&self.backend.label()))?;
        let first = &requests[0];
        let yields = first.ties.yields;
        let seed = self.seeds.next_of(|| first.id);
        let asker = Asker { name: first.name.clone(), id: first.id, seed, yields };
        let watched = self.watch(&asker.name, first.mode);
        if requests.len() > 1 {
            requests.iter_mut().for_each(|request| request.ties.group = Some(asker.id));
        }
        let place = Place::new(self.backend.claim_all(requests), self.pauses(asker.seed));
        let give_up = self.run_out(patience);
        self.acquire_place(place, watched, asker, patience, give_up, progress).await
    }

    pub(crate) fn watch(&self, name: &Name, mode: Mode) -> Watched {
        let Some(instrument) = &self.instrument else { return Watched::by_nobody() };
        let store = self.backend.label();
        let probe = instrument.attempt(&Subject { store: &store, name, mode });
        Watched::new(probe, self.clock.clone())
    }

    /// Who is told of an attempt, if the store has such locks.
    pub(crate) fn begin(&self, request: &Request) -> Result<Watched, Error> {
        let watched = self.watch(&request.name, request.mode);
        if let Err(error) = self.check_mode(request) {
            watched.failed(&error);
            return Err(error);
        }
        Ok(watched)
    }

    fn check_mode(&self, request: &Request) -> Result<(), Error> {
        if self.backend.supports(request.mode) {
            return Ok(());
        }
        let text = format!("this store has no locks for {}", request.mode);
        Err(self.locate(Error::new(ErrorKind::Refused, text), &request.name))
    }

    async fn acquire_place(
        &self,
        mut place: Place,
        mut watched: Watched,
        asker: Asker,
        patience: Patience,
        give_up: impl Future<Output = Error> + Send,
        progress: &(dyn Fn(Progress<'_>) + Send + Sync),
    ) -> Result<Option<Guard>, Error> {
        let mut seen = Seen::default();
        let progress = |told: Progress<'_>| {
            watched.progress(&told);
            progress(told);
        };
        let result = tokio::select! {
            biased;
            result = self.wait(&mut place, patience, &mut seen, &progress) => result,
            error = give_up => Err(error),
            error = self.stand_in_circle(&asker) => Err(error),
        };
        let error = match result {
            Ok(Some((asked, grant))) => match self.lapsed(asked, &grant) {
                None => {
                    watched.acquired(grant.token);
                    return Ok(Some(self.guard(place, watched, asker, asked, grant)));
                }
                Some(loss) => place_lost(loss),
            },
            Ok(None) => {
                watched.refused();
                place.leave_within(self.limits.leave).await;
                return Ok(None);
            }
            Err(error) => error,
        };
        let error = self.locate(seen.explain(error), &asker.name);
        watched.failed(&error);
        let holder = self.holder(&asker.name, &error, seen);
        let (left, holder) = tokio::join!(place.leave_within(self.limits.leave), holder);
        Err(error.with_holder(holder).with_outcome(left))
    }

    /// Asks until the answer is final.
    async fn wait(
        &self,
        place: &mut Place,
        patience: Patience,
        seen: &mut Seen,
        progress: &(dyn Fn(Progress<'_>) + Send + Sync),
    ) -> Result<Option<(Instant, Grant)>, Error> {
        loop {
            let asked = self.clock.now();
            place.asked = true;
            match place.claim().ask().await {
                Ok(Standing::Held(grant)) => return Ok(Some((asked, grant))),
                Ok(Standing::Gone(loss)) => return Err(place_lost(loss)),
                Ok(Standing::Waiting(_)) if patience == Patience::Once => return Ok(None),
                Ok(Standing::Waiting(waiting)) => {
                    place.backoff.reset();
                    progress(Progress::Waiting(&waiting));
                    // A wake-up may get lost on the way; the cap turns that into a delay. Jitter keeps
                    // the waiters of one line from asking together.
                    let recheck = self.limits.recheck_after(waiting.ahead);
                    let recheck = place.backoff.jitter(recheck);
                    *seen = Seen::Waiting(waiting);
                    let _ = tokio::time::timeout(recheck, place.claim().changed()).await;
                }
                Err(error) if error.is_transient() && patience != Patience::Once => {
                    progress(Progress::Trouble(&error));
                    *seen = Seen::Trouble(error);
                    tokio::time::sleep(place.backoff.pause()).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Resolves when patience has run out.
    pub(crate) async fn run_out(&self, patience: Patience) -> Error {
        match patience {
            Patience::Forever => std::future::pending().await,
            Patience::Until(deadline) => {
                sleep_until(&*self.clock, deadline).await;
                Error::new(ErrorKind::Timeout, "the lock was not had in the time allowed")
            }
            Patience::Once => {
                tokio::time::sleep(self.limits.answer).await;
                let text = format!("no answer within {:?}", self.limits.answer);
                Error::new(ErrorKind::Unavailable, text)
            }
        }
    }

    /// Resolves when the claim waits in a circle, and is the one of it to give up.
    async fn stand_in_circle(&self, asker: &Asker) -> Error {
        let (Some(survey), true) = (self.backend.survey(), asker.yields) else {
            return std::future::pending().await;
        };
        let mut pauses = Backoff::new(self.limits.deadlock, self.limits.recheck, asker.seed);
        loop {
            // Most waits are short, and a look reads all lines.
            tokio::time::sleep(pauses.pause()).await;
            // What cannot be seen now is looked for again.
            let Ok(seen) = deadlocks(survey).await else { continue };
            let ours = |deadlock: &Deadlock| deadlock.victim().is_some_and(|wait| asker.is(wait));
            if let Some(deadlock) = seen.found.into_iter().find(ours) {
                let text = format!("this wait is one of a circle: {deadlock}");
                return Error::new(ErrorKind::Deadlock, text)
                    .with_hint("give back what is held, and ask again; or take all at once")
                    .with_deadlock(deadlock);
            }
        }
    }

    /// Why a lease that ended while its grant was on the way must not become a lock.
    fn lapsed(&self, asked: Instant, grant: &Grant) -> Option<Loss> {
        let now = self.clock.now();
        match &grant.term {
            Term::Session(lease) => lease.loss(now),
            Term::Fixed(term) => (now >= asked + *term).then_some(Loss::DeadlinePassed),
        }
    }

    fn guard(
        &self,
        mut place: Place,
        watched: Watched,
        asker: Asker,
        asked: Instant,
        grant: Grant,
    ) -> Guard {
        let Some(claim) = place.claim.take() else { unreachable!("a place keeps its claim") };
        let (label, backoff) = (self.backend.label(), self.pauses(asker.seed));
        let Asker { name, id, .. } = asker;
        let granted = Granted { claim, watched, name, id, label, grant, asked };
        granted.guard(self.clock.clone(), backoff, place.runtime.clone(), &self.nursery)
    }

    /// Who holds the lock that was not had in time.
    pub(crate) async fn holder(&self, name: &Name, error: &Error, seen: Seen) -> Option<Contender> {
        let Seen::Waiting(waiting) = seen else { return None };
        if error.kind() != ErrorKind::Timeout {
            return None;
        }
        if waiting.holder.is_some() {
            return waiting.holder;
        }
        let line = tokio::time::timeout(self.limits.leave, self.backend.survey()?.line(name));
        line.await.ok()?.ok()?.into_iter().next()
    }

    pub(crate) fn locate(&self, error: Error, name: &Name) -> Error {
        error.with_lock(name).with_backend(&self.backend.label())
    }

    fn pauses(&self, seed: u64) -> Backoff {
        Backoff::new(Duration::from_millis(50), Duration::from_secs(2), seed)
    }
}

impl fmt::Debug for Locker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Locker")
            .field("backend", &self.backend.label())
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// What can be said against taking these locks at once.
fn check_all(requests: &[Request]) -> Result<(), Error> {
    let invalid = |text: String| Err(Error::new(ErrorKind::Invalid, text));
    if requests.is_empty() {
        return invalid("no lock is named".to_owned());
    }
    if requests.len() > Locker::ALL_MAX {
        let text = format!("{} locks are asked for at once", requests.len());
        return invalid(format!("{text}, and {} is the most", Locker::ALL_MAX));
    }
    let mut names = BTreeSet::new();
    for request in requests {
        if let Mode::Permits(_) = request.mode {
            // The places in several waiting lines could be taken at once, but not the permits.
            let text = "permits of a semaphore cannot be taken together with other locks";
            return Err(Error::new(ErrorKind::Invalid, text).with_lock(&request.name));
        }
        if !names.insert(&request.name) {
            let text = "the lock is named twice, and would wait for itself";
            return Err(Error::new(ErrorKind::Invalid, text).with_lock(&request.name));
        }
    }
    Ok(())
}

pub(crate) fn place_lost(loss: Loss) -> Error {
    Error::new(ErrorKind::Lost, format!("the place in line was lost: {loss}"))
        .with_hint("ask for the lock again; the new place is at the end of the line")
}

/// Who asks, and for which lock; of several, for the first.
struct Asker {
    name: Name,
    id: ClaimId,
    /// Sets the jitter of its pauses apart from that of others.
    seed: u64,
    /// Whether it gives up rather than to wait in a circle.
    yields: bool,
}

impl Asker {
    fn is(&self, wait: &Wait) -> bool {
        [wait.waiter.claim, wait.waiter.ties.group].contains(&Some(self.id))
    }
}

/// What the wait loop saw last.
#[derive(Default)]
pub(crate) enum Seen {
    /// No answer yet.
    #[default]
    Nothing,
    Waiting(Waiting),
    Trouble(Error),
}

impl Seen {
    pub(crate) fn of(progress: &Progress<'_>) -> Self {
        match progress {
            Progress::Waiting(waiting) => Seen::Waiting((*waiting).clone()),
            Progress::Trouble(error) => Seen::Trouble((*error).clone()),
        }
    }

    /// Adds why the time ran out, when it was not because somebody else had the lock.
    pub(crate) fn explain(&self, error: Error) -> Error {
        match self {
            Seen::Trouble(trouble) if error.kind() == ErrorKind::Timeout => {
                error.with_source(trouble.clone())
            }
            _ => error,
        }
    }
}

/// A claim that is left when it goes out of scope, wherever that happens.
struct Place {
    claim: Option<Box<dyn Claim>>,
    /// Whether anything may have been sent.
    asked: bool,
    backoff: Backoff,
    runtime: Handle,
}

impl Place {
    fn new(claim: Box<dyn Claim>, backoff: Backoff) -> Self {
        Place { claim: Some(claim), asked: false, backoff, runtime: Handle::current() }
    }

    fn claim(&mut self) -> &mut dyn Claim {
        match &mut self.claim {
            Some(claim) => &mut **claim,
            None => unreachable!("a place keeps its claim until it is granted or left"),
        }
    }

    /// Leaves, and waits for that no longer than `limit`. Known is only what the store has confirmed.
    async fn leave_within(mut self, limit: Duration) -> Outcome {
        let Some(leaving) = self.leave() else { return Outcome::Known };
        match tokio::time::timeout(limit, leaving).await {
            Ok(Ok(Ok(()))) => Outcome::Known,
            _ => Outcome::Unknown,
        }
    }

    fn leave(&mut self) -> Option<JoinHandle<Result<(), Error>>> {
        let mut claim = self.claim.take()?;
        if !self.asked || mutant!("a-dropped-wait-stays-in-line") {
            return None;
        }
        let mut backoff = self.backoff.clone();
        Some(self.runtime.spawn(async move { leave(&mut *claim, &mut backoff).await }))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // There is nobody left to tell; the session's end does the rest.
        let _ = self.leave();
    }
}
