//! A lock that is lost: the command is dead before somebody else could hold it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod stage;

use std::time::Instant;

use rustix::process::Signal;
use sneck::zookeeper::{Session, ZooKeeperUrl};
use sneck_testkit::or_skip;
use sneck_testkit::proxy::Proxy;
use sneck_testkit::zookeeper::{self, Builder, Version};
use stage::{Running, done, line, runs, sneck, until, until_in_line, url, url_at};

const V: Version = Version::V3_9;

/// A child that does not listen to TERM, and a grandchild that does not either.
const STUBBORN: &str = "trap '' TERM
    sh -c 'echo grandchild $$; while :; do sleep 0.01; done' & echo child $$
    while :; do sleep 0.01; done";

/// Waits for both to be dead, and says when that was seen.
async fn both_dead(running: &mut Running) -> tokio::task::JoinHandle<Instant> {
    let pids = [running.line("child "), running.line("grandchild ")];
    tokio::task::spawn_blocking(move || {
        until("child and grandchild are dead", || !pids.iter().any(|pid| runs(pid)));
        Instant::now()
    })
}

/// Says when the node of the holder was gone from the server.
async fn node_gone(direct: &str, name: &str) -> tokio::task::JoinHandle<Instant> {
    let node = line(direct, name)[0]["node"].as_str().unwrap().to_owned();
    let options = ZooKeeperUrl::parse(direct).unwrap().session;
    let session = Session::connect(options).await.unwrap();
    let (_, watch) = session.get_data_watch(&format!("/{name}/{node}")).await.unwrap();
    tokio::spawn(async move {
        let _session = session;
        watch.await.unwrap();
        Instant::now()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_black_hole_ends_the_command_before_the_server_frees_the_lock() {
    let server = or_skip!(zookeeper::shared(V).await);
    let proxy = Proxy::start(server.addr(0)).unwrap();
    let direct = url(server);
    let through = direct.replace(&server.connect_string(), &proxy.addr().to_string());
    let mut running = Running::start(sneck(&through, ["run", "a", "--", "sh", "-c", STUBBORN]));
    let dead = both_dead(&mut running).await;
    let gone = node_gone(&direct, "a").await;
    proxy.blackhole();
    let cut = Instant::now();
    let ended = tokio::task::spawn_blocking(move || (running.wait(), Instant::now()));
    let (dead, gone, (done, ended)) =
        (dead.await.unwrap(), gone.await.unwrap(), ended.await.unwrap());
    eprintln!(
        "black hole: all dead {:?} after the cut, sneck ended after {:?}, node gone after {:?}: \
         margin {:?}",
        dead - cut,
        ended - cut,
        gone - cut,
        gone.saturating_duration_since(dead),
    );
    assert_eq!(done.code, Some(76), "{done:?}");
    assert!(dead < gone && ended < gone);
    for says in ["\"a\" was lost", "no sign of life", "hint: ", "SNECK_TOKEN"] {
        assert!(done.stderr.contains(says), "{says}: {done:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_without_its_leader_ends_the_command_in_time() {
    let ensemble = or_skip!(Builder::new(V).nodes(3).tick_ms(1_000).links(true).start().await);
    let follower = ensemble.followers().await[0];
    let leader = ensemble.leader().await;
    let direct = url_at(&ensemble.addr(leader).to_string());
    // It knows this one server only, so that it cannot go to another.
    let through =
        direct.replace(&ensemble.addr(leader).to_string(), &ensemble.addr(follower).to_string());
    let mut running = Running::start(sneck(&through, ["run", "a", "--", "sh", "-c", STUBBORN]));
    let dead = both_dead(&mut running).await;
    let gone = node_gone(&direct, "a").await;
    ensemble.isolate(follower).await;
    let (dead, gone) = (dead.await.unwrap(), gone.await.unwrap());
    eprintln!("cut off follower: margin {:?}", gone.saturating_duration_since(dead));
    assert!(dead < gone);
    assert_eq!(running.wait().code, Some(76));
}

#[tokio::test]
async fn a_stopped_sneck_that_goes_on_kills_its_command() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    let mut running = Running::start(sneck(&url, ["run", "a", "--", "sh", "-c", STUBBORN]));
    let pids = [running.line("child "), running.line("grandchild ")];
    running.signal(Signal::STOP);
    until_in_line(&url, "a", 0);
    assert!(runs(&pids[0]), "nobody is there to end it: only its token can stop it");
    running.signal(Signal::CONT);
    let done = running.wait();
    assert_eq!(done.code, Some(76), "{done:?}");
    assert!(!pids.iter().any(|pid| runs(pid)));
}

#[tokio::test]
async fn a_command_that_ends_well_when_told_to_is_still_a_loss() {
    let server = or_skip!(zookeeper::shared(V).await);
    let proxy = Proxy::start(server.addr(0)).unwrap();
    let url = url_at(&proxy.addr().to_string());
    let script = "trap 'echo tidied up; exit 0' TERM; echo up; while :; do sleep 0.01; done";
    let mut running = Running::start(sneck(&url, ["run", "a", "--", "sh", "-c", script]));
    running.line("up");
    proxy.blackhole();
    let done = running.wait();
    assert_eq!(done.code, Some(76), "{done:?}");
    assert!(done.stdout.contains("tidied up"), "{done:?}");
}

#[tokio::test]
async fn a_place_that_is_removed_ends_the_command() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    let script = "trap 'exit 0' TERM; echo up; while :; do sleep 0.01; done";
    let mut command = Running::start(sneck(&url, ["run", "a", "--", "sh", "-c", script]));
    command.line("up");
    let mut hold = Running::start(sneck(&url, ["hold", "b"]));
    hold.line("");
    let session = Session::connect(ZooKeeperUrl::parse(&url).unwrap().session).await.unwrap();
    for name in ["a", "b"] {
        let node = line(&url, name)[0]["node"].as_str().unwrap().to_owned();
        session.delete(&format!("/{name}/{node}"), None).await.unwrap();
    }
    for running in [command, hold] {
        let done = running.wait();
        assert_eq!(done.code, Some(76), "{done:?}");
        assert!(done.stderr.contains("removed its place"), "{done:?}");
    }
}

#[tokio::test]
async fn a_short_outage_ends_nothing() {
    let server = or_skip!(zookeeper::shared(V).await);
    let proxy = Proxy::start(server.addr(0)).unwrap();
    let url = url_at(&proxy.addr().to_string());
    let mut command =
        sneck(&url, ["run", "--grace", "1s", "a", "--", "sh", "-c", "echo up; read l"]);
    command.stdin(std::process::Stdio::piped());
    let mut running = Running::start(command);
    running.line("up");
    for round in 1..=3 {
        let before = proxy.counts().connections;
        proxy.reset_all();
        until(&format!("connection {round} is made"), || proxy.counts().connections > before);
    }
    running.write("\n");
    let done = running.wait();
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn a_waiter_that_loses_its_place_asks_again() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    let mut command = sneck(&url, ["run", "a", "--", "sh", "-c", "echo up; read l"]);
    command.stdin(std::process::Stdio::piped());
    let mut holder = Running::start(command);
    holder.line("up");
    let waiter = Running::start(sneck(&url, ["run", "a", "--", "echo", "ran"]));
    until_in_line(&url, "a", 2);
    waiter.signal(Signal::STOP);
    until_in_line(&url, "a", 1);
    waiter.signal(Signal::CONT);
    until("the waiter asks again", || waiter.stderr().contains("asking again"));
    until_in_line(&url, "a", 2);
    holder.write("\n");
    assert_eq!(holder.wait().code, Some(0));
    let done = waiter.wait();
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), "ran\n"), "{done:?}");
}

#[tokio::test]
async fn waiting_has_a_bound_also_when_the_store_goes_away() {
    let server = or_skip!(zookeeper::shared(V).await);
    let proxy = Proxy::start(server.addr(0)).unwrap();
    let direct = url(server);
    let through = direct.replace(&server.connect_string(), &proxy.addr().to_string());
    let mut holder = Running::start(sneck(&direct, ["hold", "a"]));
    holder.line("");
    let waiter = Running::start(sneck(&through, ["run", "-w", "3s", "a", "--", "echo", "never"]));
    until_in_line(&direct, "a", 2);
    proxy.refuse();
    proxy.reset_all();
    let waited = waiter.wait();
    // Whether the lock was taken at the end cannot be known, and is not claimed.
    assert!(matches!(waited.code, Some(69 | 75)), "{waited:?}");
    assert_eq!(waited.stdout, "");
    holder.signal(Signal::TERM);
    assert_eq!(holder.wait().code, Some(0));
    assert_eq!(done(sneck(&direct, ["run", "a", "--", "true"])).code, Some(0));
}
