//! Failure stories, with the fenced register as judge. What happens to three nodes is in `faults`.

use crate::link::{Link, Traffic, Trick};
use crate::register::Register;
use crate::support::{Client, NOBODY, Store, cql, held, leave, operator, waits};
use scylla::statement::Consistency;
use sneck_core::{Backend, ErrorKind, Guard, Loss, Mode, Name, Outcome, Patience, Standing};
use sneck_testkit::{cassandra, dropped_after, or_skip, until_renewed, within};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;
use tokio::runtime;

/// Short terms, for those who wait for the end of one.
const SHORT: &str = "ttl=4s&skew=0s&poll=100ms&connect-timeout=60s";
/// Terms that no test waits for.
const LONG: &str = "ttl=40s&skew=0s&poll=100ms&connect-timeout=60s";
/// Terms of those that are renewed, and missed when they are not.
const SLOW: &str = "ttl=12s&skew=0s&poll=100ms&connect-timeout=60s";

/// A client whose runtime can be stopped dead, as a process is by SIGSTOP or by its garbage collector.
struct Stoppable {
    orders: mpsc::Sender<Box<dyn FnOnce(Guard) -> Guard + Send>>,
    token: u64,
    guard: Option<std::thread::JoinHandle<Guard>>,
}

impl Stoppable {
    /// Takes the lock in a thread of its own, which alone runs everything of this client.
    async fn lock(store: Arc<Store>, name: &'static str) -> Stoppable {
        let (orders, received) = mpsc::channel::<Box<dyn FnOnce(Guard) -> Guard + Send>>();
        let (tell, told) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let client = store.client(SHORT).await;
                let mut guard = client.lock(name).await;
                tell.send(guard.token().get()).unwrap();
                loop {
                    match received.try_recv() {
                        Ok(order) => guard = order(guard),
                        Err(mpsc::TryRecvError::Disconnected) => return guard,
                        Err(mpsc::TryRecvError::Empty) => {
                            tokio::time::sleep(Duration::from_millis(5)).await;
                        }
                    }
                }
            })
        });
        let token = within("the lock", told).await.unwrap();
        Stoppable { orders, token, guard: Some(thread) }
    }

    fn order(&self, order: impl FnOnce(Guard) -> Guard + Send + 'static) {
        self.orders.send(Box::new(order)).unwrap();
    }
}

/// A1: a holder that was stopped writes after its term; a holder that has lost knows at its first look.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a1_the_late_write_of_a_stopped_holder_is_refused() {
    let node = or_skip!(cassandra::shared().await);
    let store = Arc::new(Store::on_node(node).await);
    let register = Arc::new(Register::default());
    let mut stopped = Stoppable::lock(store.clone(), "a1").await;
    register.write(stopped.token, 1).unwrap();
    let (go_on, resumed) = mpsc::channel::<()>();
    let (tell, told) = tokio::sync::oneshot::channel();
    let late = register.clone();
    stopped.order(move |guard| {
        // Nothing of this client runs until it is let go.
        resumed.recv().unwrap();
        // Without looking at the guard first.
        let written = late.write(guard.token().get(), 1);
        tell.send((written, guard.is_held())).unwrap();
        guard
    });
    let other = store.client(LONG).await;
    let next = other.lock("a1").await;
    assert!(next.token().get() > stopped.token);
    register.write(next.token().get(), 2).unwrap();
    go_on.send(()).unwrap();
    let (written, held) = within("the late write", told).await.unwrap();
    assert!(written.is_err(), "the register took a late write");
    assert!(!held, "the lock was another's for a while");
    drop(stopped.orders);
    let guard = stopped.guard.take().unwrap().join().unwrap();
    assert_eq!(guard.lost().await, Loss::DeadlinePassed);
    assert!(next.is_held(), "nothing of the old holder touched it");
}

/// A1: who has lost a lock without knowing it gives it back, and touches nothing of the next holder's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a1_a_late_release_touches_nothing() {
    let node = or_skip!(cassandra::shared().await);
    let store = Store::on_node(node).await;
    let client = store.client(LONG).await;
    let mut late = client.claim("late", Mode::Exclusive);
    held(&mut late).await;
    // So that the next one has the same seat, and nobody need wait for the end of a TTL.
    let delete =
        format!("DELETE FROM {}.sneck_locks WHERE ns = '' AND name = 'late'", store.keyspace);
    cql(&operator(node.addr(0)).await, Consistency::Quorum, &delete).await;
    let mut next = client.claim("late", Mode::Exclusive);
    let token = held(&mut next).await.token;
    leave(&mut late).await;
    assert_eq!(client.holders("late").await, [token.get()]);
    assert_eq!(held(&mut next).await.token, token, "and it can be renewed");
}

/// A3: the node judges every TTL by its own clock, and claims carry no time of their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a3_what_a_client_takes_for_the_time_is_nowhere_in_the_table() {
    let node = or_skip!(cassandra::shared().await);
    let store = Store::on_node(node).await;
    let client = store.client(LONG).await;
    let mut request = client.request("a3", Mode::Exclusive);
    request.caller.since = "1970-01-01T00:00:00Z".to_owned();
    let guard = client.locker.acquire(request, Patience::Forever).await.unwrap().unwrap();
    let operator = operator(node.addr(0)).await;
    let statement = format!(
        "SELECT ttl(fencing_token), writetime(fencing_token), toUnixTimestamp(now()) FROM {}.sneck_locks \
         WHERE ns = '' AND name = 'a3'",
        store.keyspace
    );
    let row = cql(&operator, Consistency::Serial, &statement).await.remove(0);
    let number = |at: usize| row[at].as_ref().unwrap();
    let left = number(0).as_int().unwrap();
    assert!((1..=40).contains(&left), "{left} s are left of 40");
    let (written_us, now_ms) = (number(1).as_bigint().unwrap(), number(2).as_bigint().unwrap());
    assert!((0..60_000).contains(&(now_ms - written_us / 1_000)), "by the servers' clock");
    drop(guard);
}

/// A4 and A8: packets are dropped without a reset. The lock outlives its term before; then its holder
/// knows by the deadline, and nobody is let in before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a4_a8_a_holder_that_is_cut_off_knows_before_anybody_is_let_in() {
    let node = or_skip!(cassandra::shared().await);
    let store = Store::on_node(node).await;
    let link = Link::to(node.addr(0)).await;
    let cut_off = store.through(link.addr).client(SLOW).await;
    let other = store.client(LONG).await;
    let guard = cut_off.lock("a4").await;
    // A job that takes longer than a term, while renewals pass.
    for _ in 0..5 {
        until_renewed(&guard).await;
    }
    link.set(Traffic::Dead);
    let next = tokio::spawn(async move {
        let next = other.lock("a4").await;
        (next.token(), next)
    });
    let told = Arc::new(AtomicBool::new(false));
    let lost = guard.lost();
    let first = tokio::spawn({
        let told = told.clone();
        async move {
            let loss = lost.await;
            told.store(true, Ordering::SeqCst);
            loss
        }
    });
    let (token, next) = within("the next one", next).await.unwrap();
    assert!(told.load(Ordering::SeqCst) && !guard.is_held(), "the holder is told first");
    assert_eq!(first.await.unwrap(), Loss::DeadlinePassed);
    assert!(token > guard.token() && next.is_held());
}

/// A5: the answer to the grant is lost. The claim finds itself the holder, and no other grant is made;
/// or, if nobody wants it any more, gives it back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a5_a_grant_whose_answer_is_lost_is_found_again() {
    let node = or_skip!(cassandra::shared().await);
    let store = Store::on_node(node).await;
    let observer = store.client(LONG).await;
    for leaves in [false, true] {
        let before = observer.lock("a5").await;
        let token = before.token().get();
        before.unlock().await.unwrap();
        // Of all statements, only those that write a row say who asks.
        let link = Link::with(node.addr(0), Trick::LoseAnswersTo(b"host=test")).await;
        let client = store.through(link.addr).client("ttl=8s&skew=0s&connect-timeout=60s").await;
        let mut claim = client.claim("a5", Mode::Exclusive);
        let error = within("an answer", claim.ask()).await.unwrap_err();
        assert!(error.is_transient() && error.outcome() == Outcome::Unknown, "{error:?}");
        within("the acquisition", link.until(Traffic::LosesAnswers)).await;
        assert_eq!(observer.holders("a5").await, [token + 1], "it was granted");
        link.set(Traffic::Flows);
        if !leaves {
            assert_eq!(held(&mut claim).await.token.get(), token + 1);
            assert_eq!(observer.holders("a5").await, [token + 1]);
        }
        leave(&mut claim).await;
        assert_eq!(observer.holders("a5").await, NOBODY);
    }
}

/// A5, the ghost: an acquisition reaches the node long after its caller has given up, and after a
/// serial read has said that it was not applied.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a5_an_acquisition_that_arrives_late_is_never_applied() {
    let node = or_skip!(cassandra::shared().await);
    let store = Store::on_node(node).await;
    let observer = store.client(LONG).await;
    let before = observer.lock("a5").await;
    let token = before.token().get();
    before.unlock().await.unwrap();
    let link = Link::with(node.addr(0), Trick::HoldBack(b"host=test")).await;
    let client = store.through(link.addr).client("ttl=8s&skew=0s&connect-timeout=60s").await;
    let mut claim = client.claim("a5", Mode::Exclusive);
    let error = within("an answer", claim.ask()).await.unwrap_err();
    assert!(error.is_transient() && error.outcome() == Outcome::Unknown, "{error:?}");
    within("the acquisition", link.until(Traffic::HoldsOneBack)).await;
    // On another connection, as on another node.
    leave(&mut claim).await;
    assert_eq!(observer.holders("a5").await, NOBODY);
    link.let_go();
    let quiet = std::time::Instant::now() + Duration::from_secs(3);
    while std::time::Instant::now() < quiet {
        assert_eq!(observer.holders("a5").await, NOBODY, "a ghost holds the lock");
    }
    let next = observer.lock("a5").await;
    assert_eq!(next.token().get(), token + 2, "one number was burnt");
}

/// A5 again: nothing is heard of an acquisition, and the caller gives up. It is told that the outcome is
/// unknown, and once it is known nothing is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a5_who_gives_up_on_a_silent_node_is_told_and_leaves_nothing() {
    let node = or_skip!(cassandra::shared().await);
    let store = Store::on_node(node).await;
    let observer = store.client(LONG).await;
    let link = Link::to(node.addr(0)).await;
    let client = store.through(link.addr).client(SHORT).await;
    link.set(Traffic::Dead);
    let attempt = client.lock_for("a5", Duration::from_millis(1_500));
    let error = within("an error", attempt).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
    assert!(
        error.to_string().contains("a5") && error.to_string().contains("cassandra://"),
        "{error}"
    );
    assert!(std::error::Error::source(&error).is_some(), "why: {error:?}");
    let guard = observer.lock("a5").await;
    assert!(guard.is_held());
}

/// A6: a holder's process ends from one moment to the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a6_the_lock_of_a_dead_holder_is_had_after_its_ttl() {
    let node = or_skip!(cassandra::shared().await);
    let store = Arc::new(Store::on_node(node).await);
    let doomed =
        runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let its = store.clone();
    let taken = doomed.spawn(async move {
        let client = its.client(SHORT).await;
        let guard = client.lock("a6").await;
        (guard.token(), guard, client)
    });
    let (token, guard, _client) = within("the lock", taken).await.unwrap();
    doomed.shutdown_background();
    let next = store.client(LONG).await.lock("a6").await;
    assert!(next.token() > token && !guard.is_held());
}

/// A7: many wait, one after the other is let in, each once, and the lock is never had by two.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a7_many_who_wait_are_let_in_one_at_a_time() {
    const WAITERS: u64 = 24;
    let node = or_skip!(cassandra::shared().await);
    let store = Store::on_node(node).await;
    let client = store.client(LONG).await;
    let register = Arc::new(Register::default());
    let inside = Arc::new(AtomicBool::new(false));
    let first = client.lock("a7").await;
    let waiters: Vec<_> = (0..WAITERS)
        .map(|writer| {
            let (client, register, inside) = (client.clone(), register.clone(), inside.clone());
            tokio::spawn(async move {
                let guard = client.lock("a7").await;
                assert!(!inside.swap(true, Ordering::SeqCst), "two hold the lock");
                register.write(guard.token().get(), writer).unwrap();
                inside.store(false, Ordering::SeqCst);
                within("unlock", guard.unlock()).await.unwrap();
            })
        })
        .collect();
    first.unlock().await.unwrap();
    for waiter in waiters {
        within("a waiter", waiter).await.unwrap();
    }
    assert_eq!(register.writes() as u64, WAITERS);
}

/// A9: a renewal that is on its way when the lock is released never brings it back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a9_no_renewal_revives_a_released_lock() {
    const RACES: usize = 300;
    let node = or_skip!(cassandra::shared().await);
    let store = Store::on_node(node).await;
    let (client, observer) = (store.client(LONG).await, store.client(LONG).await);
    for race in 0..RACES {
        let mut claim = client.claim("a9", Mode::Exclusive);
        held(&mut claim).await;
        // The renewal is sent, and nobody waits for it.
        let _ = dropped_after(1 + race % 4, claim.ask()).await;
        leave(&mut claim).await;
        assert_eq!(observer.holders("a9").await, NOBODY, "in race {race}");
    }
    // Also not after all that were on their way have arrived.
    let mut last = observer.claim("a9", Mode::Exclusive);
    let token = held(&mut last).await.token.get();
    assert_eq!(observer.holders("a9").await, [token]);
    leave(&mut last).await;
}

/// A10: a waiter that cannot reach the store while its turn comes is not let in by what it knew before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a10_a_waiter_that_was_cut_off_asks_again_before_it_believes() {
    let node = or_skip!(cassandra::shared().await);
    let store = Store::on_node(node).await;
    let other = store.client(LONG).await;
    let guard = other.lock("a10").await;
    let link = Link::to(node.addr(0)).await;
    let client = store.through(link.addr).client(SHORT).await;
    let mut waiter = client.claim("a10", Mode::Exclusive);
    waits(&mut waiter).await;
    link.set(Traffic::Dead);
    guard.unlock().await.unwrap();
    let next = other.lock("a10").await;
    let error = within("an answer", waiter.ask()).await;
    assert!(error.is_err_and(|error| error.is_transient()), "it cannot know");
    link.set(Traffic::Flows);
    waits(&mut waiter).await;
    assert!(next.is_held());
    leave(&mut waiter).await;
}

/// A13: an operator deletes the lock under its holder.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a13_a_lock_deleted_by_hand_is_lost_at_the_next_renewal_and_tokens_go_on() {
    let node = or_skip!(cassandra::shared().await);
    let store = Store::on_node(node).await;
    let client = store.client(SLOW).await;
    let operator = operator(node.addr(0)).await;
    let guard = client.lock("a13").await;
    let statement =
        format!("DELETE FROM {}.sneck_locks WHERE ns = '' AND name = 'a13'", store.keyspace);
    cql(&operator, Consistency::Quorum, &statement).await;
    assert_eq!(within("the news", guard.lost()).await, Loss::Removed);
    let register = Register::default();
    register.write(guard.token().get(), 1).unwrap();
    let next = client.lock("a13").await;
    register.write(next.token().get(), 2).unwrap();
    assert!(register.write(guard.token().get(), 1).is_err());
    let error = guard.unlock().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Lost);
    assert!(next.is_held());
}

/// A16: two who take two locks in opposite orders, all or none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a16_opposite_orders_make_progress() {
    let node = or_skip!(cassandra::shared().await);
    let store = Store::on_node(node).await;
    let tasks = [["a16/x", "a16/y"], ["a16/y", "a16/x"]].map(|names| {
        let store = &store;
        async move {
            let client = store.client(LONG).await;
            for _ in 0..5 {
                let requests = names.map(|name| client.request(name, Mode::Exclusive)).to_vec();
                let mut claim = client.backend.claim_all(requests);
                let had = async {
                    while !matches!(claim.ask().await, Ok(Standing::Held(_))) {
                        let pause = Duration::from_millis(100);
                        let _ = tokio::time::timeout(pause, claim.changed()).await;
                    }
                };
                within("both", had).await;
                leave(&mut claim).await;
            }
        }
    });
    let [one, other] = tasks;
    tokio::join!(one, other);
    let client = store.client(LONG).await;
    assert_eq!(client.holders("a16/x").await, NOBODY);
    assert_eq!(client.holders("a16/y").await, NOBODY);
}

/// Closing gives back what is held, whatever waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_frees_at_once_what_a_ttl_would_free_late() {
    let node = or_skip!(cassandra::shared().await);
    let store = Store::on_node(node).await;
    let (closing, other) = (store.client(LONG).await, store.client(LONG).await);
    let guard: Guard = closing.lock("close").await;
    within("closing", closing.backend.close()).await;
    assert!(!guard.is_held());
    assert_eq!(other.holders("close").await, NOBODY);
    let name = Name::new("close").unwrap();
    let standing = within("an answer", closing.claim(name.as_str(), Mode::Exclusive).ask()).await;
    assert!(matches!(standing, Ok(Standing::Gone(Loss::SessionEnded))), "{standing:?}");
    let attempt = closing.lock_for("close", Duration::from_secs(5)).await;
    assert!(attempt.is_err_and(|error| error.outcome() == Outcome::Known));
    let _: &Client = &other;
}
