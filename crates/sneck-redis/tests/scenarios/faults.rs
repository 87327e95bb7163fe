//! Processes that stop or die, networks that lose, servers that forget.

use crate::stage::{Client, Register, name, options, prefix, request};
use sneck_core::{
    Backend, Caller, Clock, ErrorKind, Instant, Loss, Mode, Name, Request, Standing, SystemClock,
};
use sneck_testkit::redis::{Builder, Relay, shared};
use sneck_testkit::{or_skip, until_renewed, within};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// For those whose term is meant to end.
const TERM: Duration = Duration::from_secs(2);
/// For those that are renewed, and missed when they are not.
const TERM_SLOW: Duration = Duration::from_secs(12);
/// So long that nothing ends with it while a test runs.
const TERM_LONG: Duration = Duration::from_secs(600);

/// A1: a process that stands still past its term, as for a collection of garbage, and then writes.
#[tokio::test]
async fn a1_the_late_write_of_a_stopped_holder_is_refused() {
    let servers = or_skip!(shared().await);
    let (url, prefix, register) = (servers.url(), prefix(), Arc::new(Register::default()));
    let (resume, stopped) = mpsc::channel::<()>();
    let (told, holding) = tokio::sync::oneshot::channel();
    let doomed = std::thread::spawn({
        let (url, prefix, register) = (url.clone(), prefix.clone(), register.clone());
        move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let guard = Client::new(&url, &prefix, TERM).await.hold().await;
                assert!(register.write(guard.token()));
                told.send(guard.token()).unwrap();
                // Nothing of this client runs from here on, its renewal neither.
                stopped.recv().unwrap();
                assert!(!guard.is_held(), "it knows at its first look");
                let late = register.write(guard.token());
                let released = within("unlock", guard.unlock()).await;
                (late, released.map_err(|error| error.kind()))
            })
        }
    });
    let first = within("the first holder", holding).await.unwrap();
    let guard = Client::new(&url, &prefix, TERM_LONG).await.hold().await;
    assert!(guard.token() > first && register.write(guard.token()));
    resume.send(()).unwrap();
    let (late, released) = tokio::task::spawn_blocking(|| doomed.join().unwrap()).await.unwrap();
    assert!(!late, "the resource refuses the smaller token");
    assert_eq!(released, Err(ErrorKind::Lost));
    assert!(guard.is_held(), "the release of the first did not touch the second");
}

/// A4: a network that drops packets and ends no connection.
#[tokio::test]
async fn a4_a_holder_behind_a_silent_network_is_told_before_somebody_else_holds() {
    let servers = or_skip!(shared().await);
    let relay = Relay::start(servers.addr(0)).unwrap();
    let prefix = prefix();
    let guard = Client::new(&format!("redis://{}", relay.addr()), &prefix, TERM).await.hold().await;
    let other = Client::new(&servers.url(), &prefix, TERM_LONG).await;
    relay.freeze();
    let next = other.hold().await;
    assert!(!guard.is_held(), "it was told first");
    assert_eq!(within("the news", guard.lost()).await, Loss::DeadlinePassed);
    assert!(next.token() > guard.token());
}

/// A5: the question arrives, and the answer does not.
#[tokio::test]
async fn a5_an_answer_that_got_lost_is_settled_by_asking_again() {
    let servers = or_skip!(shared().await);
    let relay = Relay::start(servers.addr(0)).unwrap();
    let prefix = prefix();
    let other = Client::new(&servers.url(), &prefix, TERM_LONG).await;
    let client = Client::new(&format!("redis://{}", relay.addr()), &prefix, TERM_LONG).await;
    // Whether or not another test has: teaches the server the script, so that one command is the question.
    other.hold().await.unlock().await.unwrap();
    let mut claim = client.redis.claim(request(Mode::Exclusive));
    relay.hold_answers();
    let lost = within("an error", claim.ask()).await.unwrap_err();
    assert!(lost.is_transient() && lost.outcome() == sneck_core::Outcome::Unknown, "{lost:?}");
    assert_eq!(other.in_line().await, 1, "the question had arrived");
    relay.cut();
    relay.thaw();
    let standing = within("an answer", async {
        loop {
            match claim.ask().await {
                Err(error) if error.is_transient() => {}
                done => return done.unwrap(),
            }
        }
    });
    assert!(matches!(standing.await, Standing::Held(_)));
    assert_eq!(other.in_line().await, 1, "it is the same place");
    within("leaving", claim.leave()).await.unwrap();
    assert_eq!(other.in_line().await, 0);
}

/// A5: a server that stands still while its client gives up and dies, and then finds the question.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a5_a_paused_server_and_a_client_that_gave_up_leave_no_ghost() {
    let servers = or_skip!(Builder::new().start().await);
    let (url, prefix) = (servers.url(), prefix());
    let other = Client::new(&url, &prefix, TERM_LONG).await;
    // Its first lock teaches the server the script, so that one command is the whole question.
    drop(other.hold().await);
    other.until_in_line(0).await;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.unwrap();
    let doomed = runtime.spawn(async move { Client::new(&url, &prefix, TERM_LONG).await });
    let doomed = within("a client", doomed).await.unwrap();
    let asked = async || servers.info(0, "cmdstat_evalsha").await;
    let before = asked().await;
    servers.pause(0);
    // Not through the locker, which would leave the line when it gives up: a release that follows its
    // question would hide that the question took a place.
    let attempt = runtime.spawn(async move {
        let mut claim = doomed.redis.claim(request(Mode::Exclusive));
        claim.ask().await.map(drop).map_err(|error| error.kind())
    });
    assert_eq!(within("giving up", attempt).await.unwrap(), Err(ErrorKind::Unavailable));
    // Dead, so that nobody asks again or cleans up behind the question.
    runtime.shutdown_background();
    // It gave up when its question's time was over, which the server has to see by a whole millisecond.
    tokio::time::sleep(Duration::from_millis(100)).await;
    servers.resume(0);
    servers.until("the question to be read", async || asked().await != before).await;
    assert_eq!(other.in_line().await, 0, "it came too late, and was refused");
    assert!(other.try_hold().await.unwrap().is_some());
}

/// A6: a waiter at the head of the line dies, and the holder leaves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a6_a_dead_waiter_at_the_head_keeps_nobody_out() {
    let servers = or_skip!(shared().await);
    let (url, prefix) = (servers.url(), prefix());
    let holder = Client::new(&url, &prefix, TERM_LONG).await;
    let guard = holder.hold().await;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.unwrap();
    runtime.spawn({
        let (url, prefix) = (url.clone(), prefix.clone());
        async move { Client::new(&url, &prefix, TERM).await.hold().await }
    });
    holder.until_in_line(2).await;
    let second = Client::new(&url, &prefix, TERM_LONG).await;
    let waiting = tokio::spawn(async move { second.hold().await });
    holder.until_in_line(3).await;
    runtime.shutdown_background();
    let token = guard.token();
    guard.unlock().await.unwrap();
    let next = within("the one behind the dead", waiting).await.unwrap();
    assert!(next.token() > token);
}

/// A6, and one key of the lock is deleted, as an eviction does it: that says when the place of the dead ends.
#[tokio::test]
async fn a6_a_dead_holder_whose_term_was_evicted_keeps_nobody_out() {
    let servers = or_skip!(shared().await);
    let relay = Relay::start(servers.addr(0)).unwrap();
    let prefix = prefix();
    let dead = Client::new(&format!("redis://{}", relay.addr()), &prefix, TERM).await.hold().await;
    let other = Client::new(&servers.url(), &prefix, TERM).await;
    relay.freeze();
    for key in servers.ask(0, &["KEYS", &format!("{prefix}:*:term:*")]).await.list() {
        servers.ask(0, &["DEL", key.text()]).await;
    }
    assert!(other.hold().await.token() > dead.token());
}

/// The other key that a place needs: nobody can say any more whether it was held, so that it is none.
#[tokio::test]
async fn a_place_of_which_nothing_is_known_any_more_is_gone() {
    let servers = or_skip!(shared().await);
    let prefix = prefix();
    let holder = Client::new(&servers.url(), &prefix, TERM_LONG).await.hold().await;
    let client = Client::new(&servers.url(), &prefix, TERM_LONG).await;
    let mut claim = client.redis.claim(request(Mode::Exclusive));
    assert!(matches!(within("its place", claim.ask()).await, Ok(Standing::Waiting(_))));
    for key in servers.ask(0, &["KEYS", &format!("{prefix}:*:place:*")]).await.list() {
        servers.ask(0, &["DEL", key.text()]).await;
    }
    let told = within("what became of it", claim.ask()).await;
    assert!(matches!(told, Ok(Standing::Gone(Loss::Removed))), "{told:?}");
    let token = holder.token();
    // The place of the holder goes with this, whatever is known of it.
    drop(within("giving up", holder.unlock()).await);
    assert!(client.hold().await.token() > token);
}

/// A8: work that takes longer than a term, and then a network that lets no renewal through.
#[tokio::test]
async fn a8_a_lock_outlives_its_term_and_is_lost_in_time() {
    let servers = or_skip!(shared().await);
    let relay = Relay::start(servers.addr(0)).unwrap();
    let url = format!("redis://{}", relay.addr());
    let client = Client::new(&url, &prefix(), TERM_SLOW).await;
    let guard = client.hold().await;
    // Every renewal moves the deadline; these are two terms.
    for _ in 0..6 {
        until_renewed(&guard).await;
    }
    relay.freeze();
    let deadline = guard.deadline();
    within("the news", guard.lost()).await;
    assert!(SystemClock.now() >= deadline || !guard.is_held());
    let error = guard.protect(std::future::ready(())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Lost);
}

/// A10: a waiter whose place ended while it could not be renewed is not granted the lock.
#[tokio::test]
async fn a10_a_place_that_ended_while_waiting_becomes_no_lock() {
    let servers = or_skip!(shared().await);
    let relay = Relay::start(servers.addr(0)).unwrap();
    let prefix = prefix();
    let holder = Client::new(&servers.url(), &prefix, TERM_LONG).await;
    let guard = holder.hold().await;
    let waiter = Client::new(&format!("redis://{}", relay.addr()), &prefix, TERM).await;
    let mut claim = waiter.redis.claim(request(Mode::Exclusive));
    assert!(matches!(within("a place", claim.ask()).await.unwrap(), Standing::Waiting(_)));
    relay.freeze();
    holder.until_in_line(1).await;
    guard.unlock().await.unwrap();
    relay.cut();
    relay.thaw();
    let standing = within("an answer", async {
        loop {
            match claim.ask().await {
                Err(error) if error.is_transient() => {}
                done => return done.unwrap(),
            }
        }
    });
    assert!(matches!(standing.await, Standing::Gone(_)), "although nobody holds the lock");
}

/// A13: somebody empties the database under the holder.
#[tokio::test]
async fn a13_a_holder_is_told_of_flushall_and_the_token_still_rises() {
    let servers = or_skip!(Builder::new().start().await);
    // It renews long before its term is over, also where that takes seconds.
    let client = Client::new(&servers.url(), &prefix(), TERM_SLOW).await;
    let guard = client.hold().await;
    servers.ask(0, &["FLUSHALL"]).await;
    assert_eq!(within("the news", guard.lost()).await, Loss::Removed);
    let next = client.hold().await;
    assert!(next.token() > guard.token());
}

/// The scripts are forgotten with a restart, and by an operator.
#[tokio::test]
async fn a_server_that_forgot_the_scripts_is_told_them_again() {
    let servers = or_skip!(Builder::new().start().await);
    let client = Client::new(&servers.url(), &prefix(), TERM_LONG).await;
    drop(client.hold().await);
    servers.ask(0, &["SCRIPT", "FLUSH"]).await;
    client.hold().await.unlock().await.unwrap();
}

/// The clock of a client, an hour ahead of every other or behind.
#[derive(Debug)]
struct Skewed {
    ahead: Duration,
    behind: Duration,
}

impl Clock for Skewed {
    fn now(&self) -> Instant {
        let nanos = |length: Duration| u64::try_from(length.as_nanos()).unwrap();
        // Far from zero also where the machine was started just now.
        let now = SystemClock.now().as_nanos() + nanos(2 * Duration::from_secs(3600));
        Instant::from_nanos(now + nanos(self.ahead) - nanos(self.behind))
    }
}

#[tokio::test]
async fn a3_the_clocks_of_clients_decide_nothing() {
    let servers = or_skip!(shared().await);
    let (prefix, hour) = (prefix(), Duration::from_secs(3600));
    let mut clients = Vec::new();
    for (ahead, behind) in [(hour, Duration::ZERO), (Duration::ZERO, hour), Default::default()] {
        let mut options = options(&servers.url(), &prefix, TERM_LONG);
        options.clock = Arc::new(Skewed { ahead, behind });
        clients.push(Client::with(options).await);
    }
    let mut last = None;
    for round in 0..9 {
        let guard = clients[round % 3].hold().await;
        assert!(Some(guard.token()) > last);
        last = Some(guard.token());
        for other in &clients {
            assert!(other.try_hold().await.unwrap().is_none(), "{} is held", name());
        }
        assert!(guard.is_held() && guard.remaining() <= TERM_LONG);
        guard.unlock().await.unwrap();
    }
}

/// A16: two who want two locks, each named first by one of them. Both make progress, and who has to wait is
/// told for whom.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a16_opposite_orders_make_progress() {
    const ROUNDS: usize = 20;
    let servers = or_skip!(shared().await);
    let (url, prefix) = (servers.url(), prefix());
    let wanted = |names: [&str; 2]| {
        let request =
            |name| Request::new(Name::new(name).unwrap(), Mode::Exclusive, Caller::anonymous());
        names.map(request).to_vec()
    };
    let mut tasks = Vec::new();
    for names in [["x", "y"], ["y", "x"]] {
        let client = Client::new(&url, &prefix, TERM_LONG).await;
        tasks.push(tokio::spawn(async move {
            for _ in 0..ROUNDS {
                let mut claim = client.redis.claim_all(wanted(names));
                while !matches!(within("an answer", claim.ask()).await.unwrap(), Standing::Held(_))
                {
                    within("a change", claim.changed()).await;
                }
                within("leaving", claim.leave()).await.unwrap();
            }
        }));
    }
    for task in tasks {
        within("both", task).await.unwrap();
    }
    let client = Client::new(&url, &prefix, TERM_LONG).await;
    let survey = client.redis.survey().unwrap();
    assert_eq!(within("the names", survey.names()).await.unwrap(), []);
}
