//! The contract suite on the store in memory, and on stores that are broken on purpose: it must pass on
//! the one and see what is wrong with each of the others.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use async_trait::async_trait;
use sneck_core::{
    Backend, Claim, Clock, Contender, Crash, Error, Grant, Instant, Lease, Loss, Memory, Mode,
    Name, Order, Promises, Records, Request, Standing, Survey, Term, Token, TokenScope, TokioClock,
    Waiting, Wake,
};
use sneck_testkit::contract::{self, Subject};
use std::collections::HashMap;
use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::sleep;

/// One store for each case, seen through a defect.
struct Stores {
    defect: Defect,
    clock: TokioClock,
    memories: Mutex<HashMap<&'static str, Memory>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    None,
    /// The first of the waiters holds the lock, too.
    GrantsTwice,
    /// The token is always the same.
    RepeatsTokens,
    /// Each `ask` has a larger token.
    ReissuesTokens,
    /// Tokens begin again when nobody is in line.
    RestartsTokens,
    /// `leave` does nothing.
    ForgetsToLeave,
    /// `leave` does nothing for a claim whose `ask` was not heard out.
    ForgetsTheUnheard,
    /// Nobody is woken.
    WakesNobody,
    /// Only who waits at that moment is woken.
    WakesTheWatchfulOnly,
    /// The second `ask` takes another place.
    TakesTwoPlaces,
    /// A place that was taken away is taken anew.
    ComesBack,
    /// Last come, first served.
    ServesTheLast,
    /// Names are told apart by their letters only.
    FoldsNames,
    /// Only the holder is shown.
    HidesTheWaiters,
    /// `close` does nothing.
    ForgetsToClose,
    /// Places that are gone are believed in.
    NoticesNothing,
}

#[async_trait]
impl Subject for Stores {
    async fn client(&self, case: &'static str) -> Arc<dyn Backend> {
        let memory = self.memory(case);
        Arc::new(Broken { memory, defect: self.defect, alone: Arc::new(Notify::new()) })
    }

    async fn clear(&self, case: &'static str, name: &Name) {
        self.memory(case).clear(name);
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(self.clock)
    }
}

impl Stores {
    fn new(defect: Defect) -> Arc<Self> {
        Arc::new(Stores { defect, clock: TokioClock::new(), memories: Mutex::default() })
    }

    fn memory(&self, case: &'static str) -> Memory {
        self.memories.lock().unwrap().entry(case).or_default().clone()
    }
}

#[tokio::test(start_paused = true)]
async fn memory_keeps_the_contract() {
    contract::run_all(Stores::new(Defect::None)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_keeps_the_contract_on_many_threads() {
    contract::run_all(Stores::new(Defect::None)).await;
}

// On the real clock, because a holder dies in a runtime of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_with_terms_keeps_the_contract() {
    contract::run_all(Arc::new(Leases::default())).await;
}

/// Runs the suite on a store with this defect; these cases, and maybe others, must see it.
macro_rules! defects {
    ($($test:ident: $defect:ident => [$($case:literal),*],)*) => {$(
        #[tokio::test(start_paused = true)]
        async fn $test() {
            contract::run_broken(Stores::new(Defect::$defect), &[$($case),*]).await;
        }
    )*};
}

defects! {
    a_double_grant_is_seen: GrantsTwice => [
        "an_unprotected_counter_survives",
        "two_claims_of_one_client_exclude_each_other",
        "first_come_first_served"
    ],
    repeated_tokens_are_seen: RepeatsTokens => ["tokens_rise_from_grant_to_grant"],
    reissued_tokens_are_seen: ReissuesTokens => ["a_token_is_for_life", "asking_is_idempotent"],
    restarted_tokens_are_seen: RestartsTokens => ["tokens_rise_from_grant_to_grant"],
    a_forgotten_release_is_seen: ForgetsToLeave => ["leaving_frees_the_place_and_may_be_repeated"],
    a_forgotten_cancellation_is_seen: ForgetsTheUnheard => ["a_dropped_attempt_leaves_nothing"],
    a_missing_wake_up_is_seen: WakesNobody => ["a_wake_up_is_pushed_and_none_gets_lost"],
    a_lost_wake_up_is_seen: WakesTheWatchfulOnly => ["a_wake_up_is_pushed_and_none_gets_lost"],
    a_second_place_is_seen: TakesTwoPlaces => ["asking_is_idempotent"],
    a_second_life_is_seen: ComesBack => ["a_place_that_was_taken_away_is_gone_for_good"],
    an_unfair_order_is_seen: ServesTheLast => ["first_come_first_served"],
    folded_names_are_seen: FoldsNames => ["names_are_told_apart"],
    hidden_waiters_are_seen: HidesTheWaiters => ["the_line_shows_who_is_in_it"],
    a_forgotten_farewell_is_seen: ForgetsToClose => ["closing_gives_everything_back"],
    an_unnoticed_loss_is_seen: NoticesNothing => ["a_place_that_was_taken_away_is_gone_for_good"],
}

// ----- stores that are broken on purpose -----

struct Broken {
    memory: Memory,
    defect: Defect,
    /// For those who wake everybody who listens, and nobody else.
    alone: Arc<Notify>,
}

impl Broken {
    fn renamed(&self, mut request: Request) -> Request {
        if self.defect == Defect::FoldsNames {
            let letters = request.name.as_str().chars().filter(|c| c.is_alphabetic());
            request.name = Name::new(&letters.collect::<String>()).unwrap();
        }
        request
    }
}

#[async_trait]
impl Backend for Broken {
    fn claim(&self, request: Request) -> Box<dyn Claim> {
        let request = self.renamed(request);
        Box::new(BrokenClaim {
            inner: self.memory.claim(request.clone()),
            memory: self.memory.clone(),
            request,
            defect: self.defect,
            alone: self.alone.clone(),
            asked: 0,
            heard: false,
            gave_way: false,
            others: Vec::new(),
        })
    }

    fn promises(&self) -> Promises {
        self.memory.promises()
    }

    fn label(&self) -> Arc<str> {
        Arc::from(format!("{:?}", self.defect))
    }

    fn survey(&self) -> Option<&dyn Survey> {
        Some(self)
    }

    fn records(&self) -> Option<&dyn Records> {
        self.memory.records()
    }

    async fn close(&self) {
        if self.defect != Defect::ForgetsToClose {
            self.memory.close().await;
        }
    }
}

#[async_trait]
impl Survey for Broken {
    async fn line(&self, name: &Name) -> Result<Vec<Contender>, Error> {
        let request = self.renamed(Request::new(
            name.clone(),
            Mode::Exclusive,
            sneck_core::Caller::anonymous(),
        ));
        let mut line = self.memory.line(&request.name).await?;
        if self.defect == Defect::HidesTheWaiters {
            line.truncate(1);
        }
        Ok(line)
    }

    async fn names(&self) -> Result<Vec<Name>, Error> {
        self.memory.names().await
    }
}

struct BrokenClaim {
    inner: Box<dyn Claim>,
    memory: Memory,
    request: Request,
    defect: Defect,
    alone: Arc<Notify>,
    asked: u64,
    heard: bool,
    gave_way: bool,
    others: Vec<Box<dyn Claim>>,
}

impl BrokenClaim {
    fn distort(&mut self, standing: Standing) -> Standing {
        let lasting = || Term::Session(Lease::new(Instant::FAR));
        let grant = |token: u64, term| Standing::Held(Grant::new(Token::new(token).unwrap(), term));
        match (self.defect, standing) {
            (Defect::GrantsTwice, Standing::Waiting(Waiting { ahead: Some(1), .. })) => {
                grant(1_000_000 + self.asked, lasting())
            }
            (Defect::RepeatsTokens, Standing::Held(Grant { term, .. })) => grant(7, term),
            (Defect::ReissuesTokens, Standing::Held(Grant { token, term, .. })) => {
                grant(token.get() * 1_000 + self.asked, term)
            }
            (Defect::RestartsTokens, Standing::Held(Grant { token, term, .. })) => {
                grant(1 + (token.get() - 1) % 4, term)
            }
            (Defect::NoticesNothing, Standing::Held(Grant { token, .. })) => {
                grant(token.get(), lasting())
            }
            (Defect::NoticesNothing, Standing::Gone(_)) => {
                Standing::Waiting(Waiting { ahead: Some(1), holder: None })
            }
            (_, standing) => standing,
        }
    }
}

#[async_trait]
impl Claim for BrokenClaim {
    async fn ask(&mut self) -> Result<Standing, Error> {
        self.asked += 1;
        if self.defect == Defect::TakesTwoPlaces && self.asked == 2 {
            let id = sneck_core::ClaimId::random();
            let mut other = self.memory.claim(Request { id, ..self.request.clone() });
            other.ask().await?;
            self.others.push(other);
        }
        let mut standing = self.inner.ask().await?;
        if self.defect == Defect::ComesBack && matches!(standing, Standing::Gone(Loss::Removed)) {
            self.inner = self.memory.claim(self.request.clone());
            standing = self.inner.ask().await?;
        }
        if self.defect == Defect::ServesTheLast && !self.gave_way {
            let line = self.memory.line(&self.request.name).await?;
            if line.len() > 1 && matches!(standing, Standing::Held(_)) {
                // Those behind go first.
                self.inner.leave().await?;
                self.request.id = sneck_core::ClaimId::random();
                self.inner = self.memory.claim(self.request.clone());
                standing = self.inner.ask().await?;
                // Each does so once, lest nobody is ever served.
                self.gave_way = true;
            }
        }
        // Every real store has an await point between the doing and the hearing of it.
        tokio::task::yield_now().await;
        self.heard = true;
        Ok(self.distort(standing))
    }

    async fn changed(&mut self) {
        match self.defect {
            Defect::WakesNobody => pending().await,
            Defect::WakesTheWatchfulOnly => {
                let line = self.memory.line(&self.request.name).await.unwrap();
                let first =
                    line.first().is_some_and(|place| place.place == self.request.id.to_string());
                if first {
                    // Its turn came before it began to listen.
                    return pending().await;
                }
                self.inner.changed().await;
            }
            Defect::NoticesNothing => self.alone.notified().await,
            _ => self.inner.changed().await,
        }
    }

    async fn leave(&mut self) -> Result<(), Error> {
        match self.defect {
            Defect::ForgetsToLeave => return Ok(()),
            Defect::ForgetsTheUnheard if !self.heard => return Ok(()),
            _ => {}
        }
        for other in &mut self.others {
            other.leave().await?;
        }
        self.inner.leave().await
    }
}

// ----- an honest store of another nature -----

/// Locks with a term of their own, in no order, and nothing is pushed: the suite must not ask of it what
/// it does not promise.
#[derive(Default)]
struct Leases {
    clock: TokioClock,
    stores: Mutex<HashMap<&'static str, Store>>,
}

/// One client of a store.
#[derive(Clone, Default)]
struct Store {
    cells: Arc<Mutex<Cells>>,
    closed: Arc<AtomicBool>,
}

#[derive(Default)]
struct Cells {
    last_token: u64,
    clock: TokioClock,
    cells: HashMap<Name, (Request, u64, Instant)>,
}

const TERM: Duration = Duration::from_secs(2);

impl Store {
    fn lock(&self) -> MutexGuard<'_, Cells> {
        self.cells.lock().unwrap()
    }
}

#[async_trait]
impl Subject for Leases {
    async fn client(&self, case: &'static str) -> Arc<dyn Backend> {
        let mut store = self.stores.lock().unwrap().entry(case).or_default().clone();
        store.lock().clock = self.clock;
        store.closed = Arc::default();
        Arc::new(store)
    }

    async fn clear(&self, case: &'static str, name: &Name) {
        let store = self.stores.lock().unwrap()[case].clone();
        store.lock().cells.remove(name);
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(self.clock)
    }
}

#[async_trait]
impl Backend for Store {
    fn claim(&self, request: Request) -> Box<dyn Claim> {
        Box::new(StoreClaim { store: self.clone(), request, token: None, over: false })
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
        Arc::from("leases:")
    }

    async fn close(&self) {
        // What is held ends by itself, at the end of its term: its holder could not be told before.
        self.closed.store(true, Ordering::SeqCst);
    }
}

struct StoreClaim {
    store: Store,
    request: Request,
    token: Option<u64>,
    over: bool,
}

#[async_trait]
impl Claim for StoreClaim {
    async fn ask(&mut self) -> Result<Standing, Error> {
        sleep(Duration::from_millis(1)).await;
        let standing = self.enter();
        sleep(Duration::from_millis(1)).await;
        if let Standing::Held(grant) = &standing {
            self.token = Some(grant.token.get());
        }
        Ok(standing)
    }

    async fn changed(&mut self) {
        pending().await
    }

    async fn leave(&mut self) -> Result<(), Error> {
        self.over = true;
        sleep(Duration::from_millis(1)).await;
        let mut cells = self.store.lock();
        if cells.cells.get(&self.request.name).is_some_and(|(held, ..)| held.id == self.request.id)
        {
            cells.cells.remove(&self.request.name);
        }
        Ok(())
    }
}

impl StoreClaim {
    fn enter(&mut self) -> Standing {
        let mut cells = self.store.lock();
        let now = cells.clock.now();
        let cell = cells.cells.get(&self.request.name).filter(|(_, _, until)| *until > now);
        let mine = cell.map(|(held, token, _)| (held.id == self.request.id, *token));
        let token = match mine {
            _ if self.over => return Standing::Gone(Loss::Removed),
            _ if self.store.closed.load(Ordering::SeqCst) => {
                return Standing::Gone(Loss::SessionEnded);
            }
            Some((true, token)) => token,
            // A claim that was granted once and is there no more does not come back.
            _ if self.token.is_some() => return Standing::Gone(Loss::DeadlinePassed),
            Some((false, _)) => return Standing::Waiting(Waiting::default()),
            None => cells.last_token + 1,
        };
        cells.last_token = cells.last_token.max(token);
        cells.cells.insert(self.request.name.clone(), (self.request.clone(), token, now + TERM));
        Standing::Held(Grant::new(Token::new(token).unwrap(), Term::Fixed(TERM)))
    }
}
