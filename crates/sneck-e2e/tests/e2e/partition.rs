//! Partitions that drop packets without a reset.

use crate::support::{line_of, observer, url, worker};
use sneck_e2e::worker_process::Worker;
use sneck_testkit::or_skip;
use sneck_testkit::proxy::Proxy;
use sneck_testkit::zookeeper::{Builder, Ensemble, Version};
use std::time::Duration;

const TIMEOUT: &str = "4s";

/// The holder said `lost` before the waiter could say `held`; prints by how much.
async fn lost_before_given_away(what: &str, holder: &mut Worker, waiter: &mut Worker) {
    let held = waiter.wait_for(&["held", "l"]).await;
    let lost = holder.wait_for(&["lost", "l"]).await;
    assert!(lost.at < held.at, "two holders: lost at {:?}, held at {:?}", lost.at, held.at);
    println!("{what}: lost {:?} before the next hold", held.at.since(lost.at));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_black_hole_is_noticed_before_the_lock_is_given_away() {
    let server = or_skip!(Builder::new(Version::V3_9).tick_ms(2_000).start().await);
    let proxy = Proxy::start(server.addr(0)).expect("a port");
    let mut holder = worker(&url(&proxy.addr().to_string(), "hole", TIMEOUT)).await;
    let mut waiter = worker(&url(&server.connect_string(), "hole", TIMEOUT)).await;
    let observer = observer(server.addr(0)).await;
    holder.ask("lock l", &["held"]).await;
    waiter.send("lock l").await;
    line_of(&observer, "/hole/l", 2).await;
    proxy.blackhole();
    lost_before_given_away("black hole", &mut holder, &mut waiter).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_that_are_dropped_are_a_partition_too() {
    let server = or_skip!(Builder::new(Version::V3_9).tick_ms(2_000).start().await);
    let proxy = Proxy::start(server.addr(0)).expect("a port");
    let mut holder = worker(&url(&proxy.addr().to_string(), "deaf", TIMEOUT)).await;
    let observer = observer(server.addr(0)).await;
    holder.ask("lock l", &["held"]).await;
    proxy.blackhole_replies();
    // The servers still hear pings until the client gives the connection up; it is told all the same.
    holder.wait_for(&["lost", "l"]).await;
    line_of(&observer, "/deaf/l", 0).await;
}

/// Three servers with a tick of two seconds, and a follower among them.
async fn three_servers() -> Result<(Ensemble, usize), sneck_testkit::StartError> {
    let ensemble = Builder::new(Version::V3_9)
        .nodes(3)
        .tick_ms(2_000)
        .sync_limit(5)
        .links(true)
        .start()
        .await?;
    let follower = ensemble.followers().await[0];
    Ok((ensemble, follower))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_is_cut_off_but_answers_pings_deceives_nobody() {
    let (ensemble, follower) = or_skip!(three_servers().await);
    let others: Vec<usize> = (0..3).filter(|server| *server != follower).collect();
    let proxy = Proxy::start(ensemble.addr(follower)).expect("a port");
    let mut holder = worker(&url(&proxy.addr().to_string(), "cut", TIMEOUT)).await;
    let connect_string = format!("{},{}", ensemble.addr(others[0]), ensemble.addr(others[1]));
    let mut waiter = worker(&url(&connect_string, "cut", TIMEOUT)).await;
    let observer = observer(ensemble.addr(others[0])).await;
    holder.ask("lock l", &["held"]).await;
    waiter.send("lock l").await;
    line_of(&observer, "/cut/l", 2).await;
    ensemble.isolate(follower).await;
    lost_before_given_away("follower cut off", &mut holder, &mut waiter).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_moves_away_from_a_follower_that_is_cut_off_and_keeps_its_locks() {
    let (ensemble, follower) = or_skip!(three_servers().await);
    let proxies: Vec<Proxy> =
        (0..3).map(|server| Proxy::start(ensemble.addr(server)).expect("a port")).collect();
    let connect_string =
        proxies.iter().map(|proxy| proxy.addr().to_string()).collect::<Vec<_>>().join(",");
    let others = || (0..3).filter(|server| *server != follower).map(|server| &proxies[server]);
    others().for_each(Proxy::refuse);
    let mut holder = worker(&url(&connect_string, "move", TIMEOUT)).await;
    holder.ask("lock l", &["held"]).await;
    // Another session of the same length that knows only this follower, to tell when sessions end that
    // have not moved.
    let mut stuck = worker(&url(&ensemble.addr(follower).to_string(), "move", TIMEOUT)).await;
    stuck.ask("lock stuck", &["held"]).await;
    let elsewhere = (0..3).find(|server| *server != follower).expect("three servers");
    let elsewhere = ensemble.addr(elsewhere).to_string();
    let mut waiter = worker(&url(&elsewhere, "move", TIMEOUT)).await;
    waiter.send("lock stuck").await;
    line_of(&observer(ensemble.addr(follower)).await, "/move/stuck", 2).await;

    others().for_each(Proxy::heal);
    ensemble.isolate(follower).await;
    waiter.wait_for(&["held", "stuck"]).await;
    assert!(others().any(|proxy| !proxy.sessions().is_empty()), "the session has moved");
    holder.ask("is-held l", &["yes"]).await;
    holder.ask("unlock l", &["free"]).await;
    assert!(holder.unread().iter().all(|said| said.words[0] != "lost"), "{:?}", holder.unread());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_that_the_server_caps_is_what_everything_follows() {
    let cap = Duration::from_secs(4);
    let server = or_skip!(Builder::new(Version::V3_9).session_timeout_max(cap).start().await);
    let proxy = Proxy::start(server.addr(0)).expect("a port");
    let addr = proxy.addr().to_string();
    let locks = sneck::connect(&url(&addr, "cap", "40s")).await.expect("the server serves");
    let guard = locks.mutex("l").lock().await.expect("nobody else wants it");
    assert!(guard.remaining() <= cap * 5 / 8, "{:?}", guard.remaining());

    let mut waiter = worker(&url(&server.connect_string(), "cap", "40s")).await;
    waiter.send("lock l").await;
    line_of(&observer(server.addr(0)).await, "/cap/l", 2).await;
    proxy.blackhole();
    guard.lost().await;
    let lost = sneck::Clock::now(&sneck::SystemClock);
    let held = waiter.wait_for(&["held", "l"]).await;
    assert!(lost < held.at);
    println!("capped timeout: lost {:?} before the next hold", held.at.since(lost));
}
