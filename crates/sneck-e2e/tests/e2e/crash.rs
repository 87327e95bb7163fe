//! Holders and leaders that die.

use crate::stage::server::{Kind, on_each_kind, on_kind};
use crate::stage::{Site, line_of, observer_of, spread, until, url, worker};
use sneck::Clock;
use sneck_testkit::or_skip;
use sneck_testkit::zookeeper::{Builder, Version};
use std::time::Duration;

/// A killed holder's session ends at a tick, at most one after its timeout. What a loaded machine adds
/// to that is not the lock's.
const LOAD: Duration = Duration::from_millis(500);

on_each_kind!(a_killed_holder_is_followed_within_the_timeout_and_a_tick);

async fn a_killed_holder_is_followed_within_the_timeout_and_a_tick(kind: Kind) {
    const HOLDERS: usize = 8;
    let (tick, timeout) = (Duration::from_millis(500), Duration::from_secs(2));
    let server = or_skip!(kind.server().tick_ms(500).start().await);
    let url = url(&server.connect_string(), "crash", "2s");
    let mut waiter = worker(&url).await;
    let observer = observer_of(&server).await;
    let mut holders = Vec::new();
    for at in 0..HOLDERS {
        let mut holder = worker(&url).await;
        holder.ask(&format!("lock l{at}"), &["held"]).await;
        waiter.send(&format!("lock l{at}")).await;
        line_of(&observer, &format!("/crash/l{at}"), 2).await;
        holders.push(holder);
    }
    let mut killed = Vec::new();
    for holder in &mut holders {
        killed.push(sneck::SystemClock.now());
        holder.kill().await;
    }
    let mut waits = Vec::new();
    for (at, killed) in killed.into_iter().enumerate() {
        let held = waiter.wait_for(&["held", &format!("l{at}")]).await;
        waits.push(held.at.since(killed));
    }
    println!("from kill -9 to the next hold, timeout 2 s, tick 500 ms: {}", spread(waits.clone()));
    let max = waits.into_iter().max().expect("there were holders");
    assert!(max <= timeout + tick + LOAD, "{max:?}");
}

on_kind!(zookeeper_guarded, Kind::ZooKeeper(Version::V3_9), a_guarded_holder_is_followed_at_once);

async fn a_guarded_holder_is_followed_at_once(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    // Longer than anybody here waits for anything.
    let url = site.url("60s");
    let mut waiter = worker(&url).await;
    let mut holder = worker(&format!("guarded+{url}")).await;
    holder.ask("lock l", &["held"]).await;
    waiter.send("lock l").await;
    site.line_of("l", 2).await;
    let killed = sneck::SystemClock.now();
    holder.kill().await;
    let held = waiter.wait_for(&["held", "l"]).await;
    let took = held.at.since(killed);
    println!("from kill -9 of a guarded holder to the next hold, timeout 60 s: {took:?}");
    assert!(took < Duration::from_secs(30), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn waiters_go_on_in_order_when_the_leader_is_killed() {
    let ensemble = or_skip!(Builder::new(Version::V3_9).nodes(3).start().await);
    let url = url(&ensemble.connect_string(), "leader", "10s");
    let follower = ensemble.followers().await[0];
    let observer = crate::stage::observer(ensemble.addr(follower)).await;
    let mut line = Vec::new();
    for length in 1..=4 {
        let mut worker = worker(&url).await;
        worker.send("lock l").await;
        line_of(&observer, "/leader/l", length).await;
        line.push(worker);
    }
    line[0].wait_for(&["held"]).await;
    let leader = ensemble.leader().await;
    ensemble.kill(leader).await;
    until("another leader", async || ensemble.leader().await != leader).await;
    let mut tokens = Vec::new();
    for at in 0..line.len() {
        if at > 0 {
            tokens.push(line[at].wait_for(&["held"]).await.number(2));
        }
        for waiter in &mut line[at + 1..] {
            assert!(waiter.unread().iter().all(|said| said.words[0] != "held"), "in order");
        }
        line[at].ask("unlock l", &["free"]).await;
    }
    assert!(tokens.windows(2).all(|pair| pair[0] < pair[1]), "{tokens:?}");
}

#[test]
fn a_guard_whose_runtime_is_gone_is_lost() {
    let runtime = || tokio::runtime::Runtime::new().expect("threads");
    let (servers, client) = (runtime(), runtime());
    let Some(server) = servers.block_on(async {
        match Builder::new(Version::V3_9).start().await {
            Ok(server) => Some(server),
            Err(sneck_testkit::StartError::Unavailable(unavailable)) => {
                sneck_testkit::skip::report(&unavailable, module_path!());
                None
            }
            Err(error) => panic!("{error}"),
        }
    }) else {
        return;
    };
    let url = url(&server.connect_string(), "runtime", "20s");
    let guard = client.block_on(async {
        let locks = sneck::connect(&url).await.expect("the server serves");
        locks.mutex("l").lock().await.expect("nobody else has it")
    });
    assert!(guard.is_held());
    // Nobody keeps the session alive any more, although its lease would run for many seconds.
    client.shutdown_timeout(Duration::from_secs(10));
    assert!(!guard.is_held());
}
