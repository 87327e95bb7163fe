//! The contract of a backend, as tests: what every store of locks must do, and what each promises.
//!
//! A backend shows that it keeps the contract by running [`run_all`] on a [`Subject`]. That the suite
//! can see is shown by running it on stores that are broken on purpose.

mod cancel;
mod crash;
mod exclusion;
mod leaving;
mod line;
mod modes;
mod on_zookeeper;
mod permits;
mod records;
mod seen;
mod several;
mod shared_places;
mod tokens;

pub use on_zookeeper::{OnZooKeeper, Way};
pub use shared_places::SharedPlaces;

use async_trait::async_trait;
use sneck_core::{
    Backend, Caller, Claim, Clock, ErrorKind, Grant, Guard, Limits, Locker, Loss, Mode, Name,
    Patience, Promises, Request, Sharing, Standing, Waiting, Wake,
};
use std::any::Any;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A kind of store to hold to the contract.
#[async_trait]
pub trait Subject: Send + Sync + 'static {
    /// A new client of the store of this case, which shares nothing with the others but that store.
    async fn client(&self, case: &'static str) -> Arc<dyn Backend>;

    /// The same, where the store notices soon when the client dies.
    async fn mortal(&self, case: &'static str) -> Arc<dyn Backend> {
        self.client(case).await
    }

    /// Takes every place out of a line, and all that the store keeps for that line, behind the backs of
    /// the claims: what an operator does who deletes it by hand.
    async fn clear(&self, case: &'static str, name: &Name);

    /// The clock that the backend's leases go by.
    fn clock(&self) -> Arc<dyn Clock>;

    /// How the clients share places in the lines, each with itself. By default they do not.
    fn sharing(&self) -> Option<Sharing> {
        None
    }
}

/// A case that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Its name, one of [`CASES`].
    pub case: &'static str,
    /// What it said.
    pub why: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.case, self.why)
    }
}

/// Far more than anything takes, so that only a real failure reaches it.
const SOON: Duration = Duration::from_secs(30);
/// The same for a whole case.
const CASE_MAX: Duration = Duration::from_secs(180);

macro_rules! cases {
    ($($room:ident::$case:ident),* $(,)?) => {
        /// The names of all cases, in the order in which they are run.
        pub const CASES: &[&str] = &[$(stringify!($case)),*];

        async fn run(case: &Case) {
            match case.name {
                $(stringify!($case) => $room::$case(case).await,)*
                other => panic!("no case is called {other}"),
            }
        }
    };
}

cases! {
    line::asking_is_idempotent,
    line::first_come_first_served,
    line::a_wake_up_is_pushed_and_none_gets_lost,
    line::the_line_shows_who_is_in_it,
    line::a_time_out_leaves_the_line_and_names_the_holder,
    line::trying_leaves_no_trace,
    tokens::tokens_rise_from_grant_to_grant,
    tokens::a_token_is_for_life,
    exclusion::two_claims_of_one_client_exclude_each_other,
    exclusion::an_unprotected_counter_survives,
    exclusion::names_are_told_apart,
    leaving::leaving_frees_the_place_and_may_be_repeated,
    leaving::leaving_without_asking,
    leaving::a_guard_that_is_dropped_releases,
    leaving::closing_gives_everything_back,
    cancel::a_dropped_attempt_leaves_nothing,
    cancel::a_dropped_question_may_be_asked_again,
    cancel::a_dropped_release_goes_on,
    records::a_record_is_written_on_its_condition_only,
    records::a_record_made_anew_is_not_the_old_one,
    records::a_write_that_is_repeated_is_applied_once,
    records::stamps_rise_from_write_to_write,
    records::a_change_of_a_record_is_told,
    records::a_record_outlives_its_writer_and_is_no_lock,
    records::data_over_the_limit_is_refused_before_anything_is_written,
    records::the_store_tells_the_time,
    crash::a_place_that_was_taken_away_is_gone_for_good,
    crash::the_lock_of_a_dead_holder_is_freed_after_the_holder_must_know,
    crash::a_lock_is_held_for_as_long_as_its_holder_lives,
    modes::readers_share_and_a_writer_is_alone,
    modes::no_later_reader_passes_a_waiting_writer,
    modes::a_writer_that_gives_up_lets_the_readers_behind_in,
    modes::a_downgrade_keeps_later_writers_out,
    modes::only_a_holding_writer_can_be_downgraded,
    modes::a_guard_that_is_downgraded_goes_on,
    modes::no_reader_is_ever_beside_a_writer,
    modes::kinds_of_locks_under_one_name_exclude_each_other_or_refuse,
    permits::as_many_come_in_as_there_are_permits,
    permits::a_large_request_is_not_starved_by_small_ones,
    permits::two_and_two_of_two_from_two_clients_both_finish,
    permits::permits_are_never_more_than_there_are,
    permits::a_waiter_that_gives_up_keeps_no_permit,
    permits::who_believes_in_another_number_is_told_both,
    permits::a_changed_number_wakes_those_for_whom_it_is_enough,
    permits::a_waiter_for_more_than_are_left_is_told,
    permits::a_crash_returns_exactly_its_permits,
    several::all_locks_are_had_or_none,
    several::readers_and_writers_are_taken_together,
    several::opposite_orders_make_progress,
    several::the_loss_of_one_is_the_loss_of_all,
    several::what_cannot_be_taken_together_is_refused,
    several::a_holder_that_is_asked_to_let_go_is_told,
    several::asking_for_a_lock_that_nobody_holds_asks_nobody,
    seen::readers_who_hold_are_told_from_a_writer_who_waits,
    seen::permits_that_are_held_are_told_from_those_waited_for,
    seen::waiting_in_a_circle_is_seen_with_every_edge,
    seen::of_a_circle_exactly_one_gives_up,
}

/// Names the environment variable by which a developer runs only the cases whose name contains its value.
pub const ONLY: &str = "SNECK_CONTRACT_ONLY";

/// Runs every case, and says each by its name.
///
/// # Panics
/// When one fails, after all have run.
pub async fn run_all(subject: Arc<dyn Subject>) {
    let failures = failures(subject).await;
    let told: Vec<String> = failures.iter().map(ToString::to_string).collect();
    assert!(told.is_empty(), "{} cases failed:\n{}", told.len(), told.join("\n"));
}

/// Watches a lock for several terms of the store, which may be minutes: all others run meanwhile.
const PATIENT: &str = "a_lock_is_held_for_as_long_as_its_holder_lives";
/// The cases that say that a line is empty, where a place is [kept](Sharing::keep) in it.
pub const EMPTY_LINES: &[&str] = &[
    "a_guard_that_is_dropped_releases",
    "a_dropped_attempt_leaves_nothing",
    "a_dropped_release_goes_on",
];

/// Runs every case, and tells which failed.
pub async fn failures(subject: Arc<dyn Subject>) -> Vec<Failure> {
    let only = std::env::var(ONLY).unwrap_or_default();
    let keeps = keeps_places(&*subject);
    let is_meant = |name: &str| name.contains(&only) && !(keeps && EMPTY_LINES.contains(&name));
    let cases = CASES.iter().filter(|name| is_meant(name));
    let (patient, others) = cases.partition(|name| **name == PATIENT);
    let in_order = |names: Vec<&'static str>| async {
        let mut failures = Vec::new();
        for name in names {
            failures.extend(failure(name, subject.clone()).await);
        }
        failures
    };
    let (others, patient) = tokio::join!(in_order(others), in_order(patient));
    [others, patient].concat()
}

/// Runs every case on a store that is broken on purpose.
///
/// # Panics
/// Unless each of these cases fails.
pub async fn run_broken(subject: Arc<dyn Subject>, seen_by: &[&str]) {
    assert!(seen_by.iter().all(|case| CASES.contains(case)), "{seen_by:?}");
    let failures = failures(subject).await;
    for case in seen_by {
        assert!(failures.iter().any(|failure| failure.case == *case), "{case}: {failures:?}");
    }
}

/// Whether a place may stay in a line that nobody wants any more.
fn keeps_places(subject: &dyn Subject) -> bool {
    subject.sharing().is_some_and(|sharing| sharing.keep)
}

#[allow(clippy::print_stdout, reason = "shown by the test harness when a test fails")]
async fn failure(name: &'static str, subject: Arc<dyn Subject>) -> Option<Failure> {
    let began = Instant::now();
    // In a task, so that a panic is one case's.
    let task = tokio::spawn(async move {
        let case = Case { name, subject };
        tokio::time::timeout(CASE_MAX, run(&case)).await
    });
    let why = match task.await {
        Ok(Ok(())) => None,
        Ok(Err(_)) => Some("does not come to an end".to_owned()),
        Err(panic) => Some(text(&*panic.into_panic())),
    };
    let how = why.as_deref().map_or("ok".to_owned(), |why| format!("FAILED: {why}"));
    println!("contract: {name} ({} ms): {how}", began.elapsed().as_millis());
    why.map(|why| Failure { case: name, why })
}

fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned()
}

// ----- what cases are written with -----

/// One case, with a store of its own.
struct Case {
    name: &'static str,
    subject: Arc<dyn Subject>,
}

impl Case {
    fn keeps_places(&self) -> bool {
        keeps_places(&*self.subject)
    }

    async fn client(&self) -> Client {
        self.of(self.subject.client(self.name).await)
    }

    /// A client of this store.
    fn of(&self, backend: Arc<dyn Backend>) -> Client {
        let Client { backend, locker } = Client::new(backend, self.subject.clock());
        let locker = match self.subject.sharing() {
            Some(sharing) => locker.with_sharing(sharing),
            None => locker,
        };
        Client { backend, locker }
    }

    async fn clients<const N: usize>(&self) -> [Client; N] {
        let mut clients = Vec::with_capacity(N);
        for _ in 0..N {
            clients.push(self.client().await);
        }
        clients.try_into().unwrap_or_else(|_| unreachable!("as many as were made"))
    }

    async fn clear(&self) {
        self.subject.clear(self.name, &lock()).await;
    }
}

/// The lock that most cases are about.
fn lock() -> Name {
    named("jobs/nightly")
}

fn named(name: &str) -> Name {
    Name::new(name).unwrap_or_else(|error| panic!("{error}"))
}

/// One client of the store.
#[derive(Clone)]
struct Client {
    backend: Arc<dyn Backend>,
    locker: Locker,
}

impl Client {
    fn new(backend: Arc<dyn Backend>, clock: Arc<dyn Clock>) -> Self {
        let mut limits = Limits::default();
        limits.recheck = match backend.promises().wake {
            // A wake-up that gets lost is then not healed by asking again.
            Wake::Pushed => Duration::from_secs(3600),
            Wake::Polled => Duration::from_millis(50),
        };
        // A slow machine is no broken store.
        limits.leave = SOON;
        limits.deadlock = Duration::from_millis(50);
        let locker = Locker::new(backend.clone(), clock).with_limits(limits);
        Client { backend, locker }
    }

    fn promises(&self) -> Promises {
        self.backend.promises()
    }

    fn request(&self, name: &Name, note: &str) -> Request {
        let caller = Caller { note: note.to_owned(), pid: 7, ..Caller::anonymous() };
        Request::new(name.clone(), Mode::Exclusive, caller)
    }

    fn request_as(&self, mode: Mode) -> Request {
        Request { mode, ..self.request(&lock(), "") }
    }

    fn claim_as(&self, mode: Mode) -> Box<dyn Claim> {
        self.backend.claim(self.request_as(mode))
    }

    /// Waits for the case's lock in this mode.
    async fn hold_mode(&self, mode: Mode) -> Guard {
        let acquired = self.locker.acquire(self.request_as(mode), Patience::Forever);
        match within("the lock", acquired).await {
            Ok(Some(guard)) => guard,
            other => panic!("the lock: {other:?}"),
        }
    }

    /// Waits until somebody else could have this lock.
    async fn until_free(&self, name: &str) {
        let guard = self.hold_as(&named(name), "").await;
        within("unlock", guard.unlock()).await.unwrap_or_else(|error| panic!("{error:?}"));
    }

    /// A claim on the case's lock, by itself.
    fn claim(&self) -> Box<dyn Claim> {
        self.backend.claim(self.request(&lock(), ""))
    }

    /// Waits for the case's lock.
    async fn hold(&self) -> Guard {
        self.hold_as(&lock(), "").await
    }

    async fn hold_as(&self, name: &Name, note: &str) -> Guard {
        let acquired = self.locker.acquire(self.request(name, note), Patience::Forever);
        match within("the lock", acquired).await {
            Ok(guard) => guard.unwrap_or_else(|| panic!("waiting for ever ended with nothing")),
            Err(error) => panic!("the lock: {error:?}"),
        }
    }

    /// How many are in line, where the store can tell.
    async fn in_line(&self) -> Option<usize> {
        let line = within("the line", self.backend.survey()?.line(&lock())).await;
        Some(line.unwrap_or_else(|error| panic!("the line: {error:?}")).len())
    }

    async fn assert_in_line(&self, expected: usize, when: &str) {
        if let Some(length) = self.in_line().await {
            assert_eq!(length, expected, "places in line {when}");
        }
    }

    /// Waits until the line is this long, where the store can tell.
    async fn until_in_line(&self, expected: usize, when: &str) {
        let reached = async {
            let mut pause = Duration::from_millis(5);
            while self.in_line().await.is_some_and(|length| length != expected) {
                tokio::time::sleep(pause).await;
                pause = (2 * pause).min(Duration::from_millis(200));
            }
        };
        within(&format!("a line of {expected} {when}"), reached).await;
    }
}

/// Awaits what must not take long.
async fn within<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(SOON, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what}: not within {SOON:?}"),
    }
}

async fn ask(claim: &mut Box<dyn Claim>) -> Standing {
    loop {
        match within("an answer", claim.ask()).await {
            Ok(standing) => return standing,
            Err(error) if error.is_transient() => {}
            Err(error) => panic!("asking: {error:?}"),
        }
    }
}

async fn held(claim: &mut Box<dyn Claim>) -> Grant {
    match ask(claim).await {
        Standing::Held(grant) => grant,
        other => panic!("held was expected, not {other:?}"),
    }
}

async fn waiting(claim: &mut Box<dyn Claim>) -> Waiting {
    match ask(claim).await {
        Standing::Waiting(waiting) => waiting,
        other => panic!("waiting was expected, not {other:?}"),
    }
}

async fn gone(claim: &mut Box<dyn Claim>) -> Loss {
    match ask(claim).await {
        Standing::Gone(loss) => loss,
        other => panic!("gone was expected, not {other:?}"),
    }
}

async fn leave(claim: &mut Box<dyn Claim>) {
    let left = within("leaving", claim.leave()).await;
    left.unwrap_or_else(|error| panic!("leaving: {error:?}"));
}

/// Waits for a change as the core does: for ever where it is pushed, else for a while.
async fn changed(claim: &mut Box<dyn Claim>, promises: Promises) {
    match promises.wake {
        Wake::Pushed => within("a wake-up", claim.changed()).await,
        Wake::Polled => {
            let _ = tokio::time::timeout(Duration::from_millis(50), claim.changed()).await;
        }
    }
}

/// Asks, after each change again, until the lock is held.
async fn until_held(claim: &mut Box<dyn Claim>, promises: Promises) -> Grant {
    let reached = async {
        loop {
            match ask(claim).await {
                Standing::Held(grant) => return grant,
                Standing::Waiting(_) => changed(claim, promises).await,
                Standing::Gone(loss) => panic!("the place is gone: {loss}"),
            }
        }
    };
    within("the lock", reached).await
}

/// [`crate::dropped_after`], which has to come to an end.
async fn dropped_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    within("as many polls", crate::dropped_after(polls, future)).await
}

/// More than the await points of anything that is dropped here.
const POLLS_MAX: usize = 60;

/// Whether an error says that the store cannot keep this line by itself, which is no silence.
fn is_refused(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Refused | ErrorKind::Invalid)
}
