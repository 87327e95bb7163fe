//! Three nodes, some of them stopped, killed or silent.

use crate::register::Register;
use crate::support::{Client, NOBODY, Store, cql, leave, operator, waits};
use scylla::statement::Consistency;
use sneck_core::{
    Backend, Backoff, Clock, ErrorKind, Guard, Loss, Mode, Outcome, Patience, SystemClock,
};
use sneck_testkit::cassandra::Cluster;
use sneck_testkit::{cassandra, or_skip, within};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Three nodes on one machine have one clock.
const OPTIONS: &str = "ttl=4s&skew=0s&poll=200ms&connect-timeout=90s";
const TTL: Duration = Duration::from_secs(4);

/// How long nodes are stopped at random, in seconds; for long runs by hand.
const CHAOS: &str = "SNECK_CASSANDRA_CHAOS_SECONDS";
const CHAOS_DEFAULT: u64 = 15;
const SEED: u64 = 20_261_123;

/// Nodes are stopped and continued at random while clients with short time-outs take a lock, give up
/// on it, and take it again. No two grants have one token, no two hold it at once, and when all have
/// left nothing of them comes to life.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_nodes_make_no_duplicate_fence_and_no_late_grant() {
    const WORKERS: u64 = 4;
    let cluster = or_skip!(cassandra::shared_cluster().await);
    let store = Store::on_cluster(&cluster).await;
    let chaos = std::env::var(CHAOS).ok().and_then(|seconds| seconds.parse().ok());
    let until = Instant::now() + Duration::from_secs(chaos.unwrap_or(CHAOS_DEFAULT));
    let judge = Arc::new(Judge::default());
    let mut workers = Vec::new();
    for worker in 0..WORKERS {
        let client = store.client(OPTIONS).await;
        workers.push(tokio::spawn(work(worker, client, judge.clone(), until)));
    }
    let observer = store.client(OPTIONS).await;
    harass(&cluster, until).await;
    for worker in workers {
        worker.await.unwrap();
    }
    cluster.heal().await;
    println!("{judge:?}");
    assert!(judge.register.writes() > 10, "a run without grants shows nothing");
    // All have left. What they sent and heard nothing of must not be applied now.
    let quiet = Instant::now() + TTL * 2;
    let fence = observer.lock("chaos").await;
    let token = fence.token().get();
    while Instant::now() < quiet {
        assert_eq!(observer.holders("chaos").await, [token], "somebody was granted late");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(fence.is_held());
    fence.unlock().await.unwrap();
}

/// What the workers have seen.
#[derive(Debug, Default)]
struct Judge {
    register: Register,
    inside: AtomicBool,
    given_up: AtomicUsize,
    unknown: AtomicUsize,
    lost: AtomicUsize,
}

/// Takes the lock again and again, with little patience.
async fn work(worker: u64, client: Client, judge: Arc<Judge>, until: Instant) {
    let mut random = Backoff::new(Duration::ZERO, Duration::ZERO, SEED + worker);
    let mut grant = 0;
    while Instant::now() < until {
        let patience = Duration::from_millis(200) * (1 + random.pick(15) as u32);
        let guard = match client.lock_for("chaos", patience).await {
            Ok(guard) => guard,
            Err(error) => {
                let kinds = [ErrorKind::Timeout, ErrorKind::Unavailable, ErrorKind::Lost];
                assert!(kinds.contains(&error.kind()), "{error:?}");
                judge.given_up.fetch_add(1, Ordering::Relaxed);
                if error.outcome() == Outcome::Unknown {
                    judge.unknown.fetch_add(1, Ordering::Relaxed);
                }
                continue;
            }
        };
        grant += 1;
        let among = judge.inside.swap(true, Ordering::SeqCst);
        assert!(!among, "two hold the lock: {guard:?}");
        let written = judge.register.write(guard.token().get(), worker << 32 | grant);
        tokio::time::sleep(random.jitter(Duration::from_millis(60))).await;
        let lost = !guard.is_held();
        judge.inside.store(false, Ordering::SeqCst);
        written.unwrap_or_else(|refused| panic!("a holder was refused: {refused}"));
        if lost {
            judge.lost.fetch_add(1, Ordering::Relaxed);
        }
        // Whether the release is confirmed in time is not what this is about.
        let _ = guard.unlock().await;
    }
    // Until everything this client has sent is settled.
    within("closing", client.backend.close()).await;
}

/// Stops one node, now and then two, for a moment or for longer than any time-out.
async fn harass(cluster: &Cluster, until: Instant) {
    let mut random = Backoff::new(Duration::ZERO, Duration::ZERO, SEED);
    let mut stops = 0;
    while Instant::now() < until {
        let first = random.pick(3);
        cluster.pause(first).await;
        let second = (random.pick(5) == 0).then(|| (first + 1) % 3);
        if let Some(second) = second {
            cluster.pause(second).await;
        }
        stops += 1;
        tokio::time::sleep(Duration::from_millis(200 + 100 * random.pick(25) as u64)).await;
        cluster.resume(first).await;
        if let Some(second) = second {
            cluster.resume(second).await;
        }
        tokio::time::sleep(Duration::from_millis(100 + 100 * random.pick(8) as u64)).await;
    }
    println!("nodes were stopped {stops} times");
}

/// One node is killed: locks that are held stay held, and others are taken, whoever coordinated them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_one_node_down_locks_go_on() {
    let cluster = or_skip!(cassandra::shared_cluster().await);
    let store = Store::on_cluster(&cluster).await;
    // Two nodes do the work of three and are busy with the loss of one: this is about which of them
    // answer, not how soon.
    let client = store.client("ttl=20s&skew=0s&poll=200ms&connect-timeout=90s").await;
    let names: Vec<String> = (0..6).map(|at| format!("one-down/{at}")).collect();
    let mut guards = Vec::new();
    for name in &names {
        guards.push(client.lock(name).await);
    }
    cluster.kill(0).await;
    let terms: Vec<_> = guards.iter().map(Guard::deadline).collect();
    let other = store.client(OPTIONS).await;
    for name in &names {
        let guard = other.lock(&format!("{name}/later")).await;
        within("unlock", guard.unlock()).await.unwrap();
    }
    for (guard, term) in guards.into_iter().zip(terms) {
        let renewed = async {
            while guard.is_held() && guard.deadline() <= term {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        within("a renewal without the node", renewed).await;
        if !guard.is_held() {
            panic!("{guard:?}: {:?}", guard.lost().await);
        }
        within("unlock", guard.unlock()).await.unwrap();
    }
    cluster.heal().await;
}

/// A2: whichever node fails right after a grant, the grant is not forgotten: nobody else is let in while it
/// lasts, and the next token is larger.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a2_a_grant_outlives_the_node_that_made_it() {
    let cluster = or_skip!(cassandra::shared_cluster().await);
    let store = Store::on_cluster(&cluster).await;
    let options = "ttl=40s&skew=0s&poll=200ms&connect-timeout=90s";
    let (client, other) = (store.client(options).await, store.client(options).await);
    let register = Register::default();
    // One of the three has run the round: stopping each of them in turn stops that one, too.
    for stopped in 0..cluster.nodes() {
        let guard = client.lock("a2").await;
        let token = guard.token().get();
        register.write(token, 1).unwrap();
        cluster.pause(stopped).await;
        assert_eq!(other.holders("a2").await, [token], "without node {stopped}");
        let mut claim = other.claim("a2", Mode::Exclusive);
        waits(&mut claim).await;
        leave(&mut claim).await;
        assert!(guard.is_held(), "{guard:?}");
        within("unlock", guard.unlock()).await.unwrap();
        let next = other.lock("a2").await;
        register.write(next.token().get(), 2).unwrap();
        within("unlock", next.unlock()).await.unwrap();
        cluster.heal().await;
    }
}

/// Two nodes are stopped: whoever asks is told within its time, and the holder before its row ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_two_nodes_down_the_error_is_clear_and_the_holder_is_told_first() {
    let cluster = or_skip!(cassandra::shared_cluster().await);
    let store = Store::on_cluster(&cluster).await;
    let (client, other) = (store.client(OPTIONS).await, store.client(OPTIONS).await);
    let operator = operator(cluster.addr(0)).await;
    let guard = client.lock("two-down").await;
    cluster.pause(1).await;
    cluster.pause(2).await;
    let lost = tokio::spawn({
        let lost = guard.lost();
        async move {
            let loss = lost.await;
            // The node that is left still has the row: nobody else could have been let in.
            let row = format!(
                "SELECT ttl(fencing_token) FROM {}.sneck_locks WHERE ns = '' AND name = 'two-down'",
                store.keyspace
            );
            let rows = cql(&operator, Consistency::One, &row).await;
            (loss, rows[0][0].as_ref().and_then(|left| left.as_int()))
        }
    });
    let asked = SystemClock.now();
    let patience = Duration::from_secs(2);
    let error = other.lock_for("two-down", patience).await.unwrap_err();
    let took = SystemClock.now().since(asked);
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(cause.contains("two-down") && cause.contains("cassandra://"), "why: {cause:?}");
    assert!(took >= patience, "{took:?}");
    let once = other.locker.acquire(other.request("two-down", Mode::Exclusive), Patience::Once);
    let error = within("an answer", once).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    let (loss, left) = within("the news", lost).await.unwrap();
    assert_eq!(loss, Loss::DeadlinePassed);
    assert!(left.is_some(), "the row had ended when the holder was told");
    cluster.heal().await;
    let next = other.lock("two-down").await;
    assert!(next.token() > guard.token());
}

/// A5 on several nodes: a coordinator is stopped while claims are on their way to it, their callers give
/// up, and it goes on. What each of them had come to, none is there in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a5_a_stopped_coordinator_leaves_no_ghost_lock() {
    let cluster = or_skip!(cassandra::shared_cluster().await);
    let store = Store::on_cluster(&cluster).await;
    let client = store.client("ttl=40s&skew=0s&poll=200ms&connect-timeout=90s").await;
    let names: Vec<String> = (0..12).map(|at| format!("ghost/{at}")).collect();
    // So that each has a partition, and its attempt is what comes next.
    for name in &names {
        client.lock(name).await.unlock().await.unwrap();
    }
    cluster.pause(0).await;
    let mut claims: Vec<_> = names.iter().map(|name| client.claim(name, Mode::Exclusive)).collect();
    let patience = Duration::from_secs(1);
    let attempts = claims.iter_mut().map(|claim| tokio::time::timeout(patience, claim.ask()));
    let mut silent = 0;
    for attempt in futures(attempts.collect()).await {
        silent += usize::from(attempt.is_err());
    }
    println!("{silent} of {} were asked of the stopped node", names.len());
    let leaving: Vec<_> = claims
        .iter_mut()
        .map(|claim| async move { while claim.leave().await.is_err() {} })
        .collect();
    within("leaving", futures(leaving)).await;
    cluster.resume(0).await;
    cluster.wait_until_serving().await;
    let quiet = Instant::now() + TTL;
    while Instant::now() < quiet {
        for name in &names {
            assert_eq!(client.holders(name).await, NOBODY, "a ghost holds {name}");
        }
    }
}

/// Runs all at the same time.
async fn futures<F: Future>(all: Vec<F>) -> Vec<F::Output> {
    futures_util::future::join_all(all).await
}

/// A node that takes connections and says nothing: whoever connects now is not held up by it, however
/// long the TTL, and is not told that the store is down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connecting_goes_on_without_a_node_that_says_nothing() {
    let cluster = or_skip!(cassandra::shared_cluster().await);
    let store = Store::on_cluster(&cluster).await;
    for silent in 0..cluster.nodes() {
        cluster.pause(silent).await;
        let ttl = [4, 10, 60][silent];
        let options = format!("ttl={ttl}s&skew=0s&connect-timeout=20s");
        let client = store.client(&options).await;
        client.lock("connecting").await.unlock().await.unwrap();
        cluster.resume(silent).await;
    }
    cluster.heal().await;
}
