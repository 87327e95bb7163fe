//! Lines 11 to 13: the loss of a lock, who is told of it when, and what is left to do then.

use crate::stage::server::{Kind, on_each_kind};
use crate::stage::{Site, connect, line_of, observer, observer_of, soon, url, worker};
use rustix::process::Signal;
use sneck::zookeeper::{SessionState, ZooKeeper, ZooKeeperUrl};
use sneck::{Clock, ErrorKind, Locks, SystemClock};
use sneck_e2e::worker_process::Worker;
use sneck_testkit::or_skip;
use sneck_testkit::proxy::Proxy;
use sneck_testkit::zookeeper::{Builder, Version};
use std::sync::Arc;
use std::time::Duration;

on_each_kind!(
    l11_a_session_that_ends_takes_its_locks_along_and_says_so,
    l12_a_broken_connection_is_told_at_once_and_is_no_loss,
    l12_a_black_hole_is_noticed_before_the_lock_is_given_away,
    l12_replies_that_are_dropped_are_a_partition_too,
    l12_a_stopped_holder_knows_at_once_and_its_late_write_is_refused,
    l13_releasing_what_was_lost_is_harmless_and_the_lock_can_be_had_again,
);

const TIMEOUT: &str = "4s";

async fn l11_a_session_that_ends_takes_its_locks_along_and_says_so(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let proxy = site.proxy();
    let locks = connect(&site.url_by(&proxy, "1s")).await;
    let [first, second] = [locks.mutex("a").lock().await, locks.mutex("b").lock().await]
        .map(|held| held.expect("free"));
    let work = first.protect(std::future::pending::<()>());
    proxy.refuse();
    proxy.reset_all();
    let (work, _) = soon("the loss", async { tokio::join!(work, second.lost()) }).await;
    assert_eq!(work.expect_err("it was not done under the lock").kind(), ErrorKind::Lost);
    for guard in [first, second] {
        assert!(!guard.is_held() && guard.remaining().is_zero());
        assert_eq!(guard.check().expect_err("lost").kind(), ErrorKind::Lost);
        assert_eq!(guard.unlock().await.expect_err("lost").kind(), ErrorKind::Lost);
    }
    for name in ["a", "b"] {
        site.line_of(name, 0).await;
    }
}

/// Without a server the session is suspended, and what is held stays held for as long as that is certain.
async fn l12_a_broken_connection_is_told_at_once_and_is_no_loss(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let proxy = site.proxy();
    let url = ZooKeeperUrl::parse(&site.url_by(&proxy, "20s")).expect("a URL");
    let store = ZooKeeper::connect(url.session, url.lock).await.expect("the server serves");
    let mut state = store.session().await.expect("it is open").state();
    let guard = Locks::on(Arc::new(store)).mutex("l").lock().await.expect("nobody else has it");
    proxy.refuse();
    proxy.reset_all();
    let told = soon("the news", state.wait_for(|state| *state != SessionState::Connected)).await;
    assert_eq!(*told.expect("the session lives"), SessionState::Suspended);
    assert!(guard.is_held(), "it is not lost yet");
    proxy.heal();
    let told = soon("the news", state.wait_for(|state| *state != SessionState::Suspended)).await;
    assert_eq!(*told.expect("the session lives"), SessionState::Connected);
    guard.unlock().await.expect("it was held all the time");
}

/// The holder said `lost` before the waiter could say `held`; prints by how much.
pub(crate) async fn lost_before_given_away(what: &str, holder: &mut Worker, waiter: &mut Worker) {
    let held = waiter.wait_for(&["held", "l"]).await;
    let lost = holder.wait_for(&["lost", "l"]).await;
    assert!(lost.at < held.at, "two holders: lost at {:?}, held at {:?}", lost.at, held.at);
    println!("{what}: lost {:?} before the next hold", held.at.since(lost.at));
}

async fn l12_a_black_hole_is_noticed_before_the_lock_is_given_away(kind: Kind) {
    let server = or_skip!(kind.server().tick_ms(2_000).start().await);
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

async fn l12_replies_that_are_dropped_are_a_partition_too(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let proxy = site.proxy();
    let mut holder = worker(&site.url_by(&proxy, "1s")).await;
    holder.ask("lock l", &["held"]).await;
    proxy.blackhole_replies();
    // The servers still hear pings until the client gives the connection up; it is told all the same.
    holder.wait_for(&["lost", "l"]).await;
    site.line_of("l", 0).await;
}

/// The session is shorter than it was asked for, and so is everything that is derived from it.
#[tokio::test(flavor = "multi_thread")]
async fn l12_a_timeout_that_the_server_caps_is_what_everything_follows() {
    let cap = Duration::from_secs(4);
    let server = or_skip!(Builder::new(Version::V3_9).session_timeout_max(cap).start().await);
    let proxy = Proxy::start(server.addr(0)).expect("a port");
    let addr = proxy.addr().to_string();
    let locks = connect(&url(&addr, "cap", "40s")).await;
    let guard = locks.mutex("l").lock().await.expect("nobody else wants it");
    assert!(guard.remaining() <= cap * 5 / 8, "{:?}", guard.remaining());

    let mut waiter = worker(&url(&server.connect_string(), "cap", "40s")).await;
    waiter.send("lock l").await;
    line_of(&observer(server.addr(0)).await, "/cap/l", 2).await;
    proxy.blackhole();
    guard.lost().await;
    let lost = SystemClock.now();
    let held = waiter.wait_for(&["held", "l"]).await;
    assert!(lost < held.at);
    println!("capped timeout: lost {:?} before the next hold", held.at.since(lost));
}

async fn l12_a_stopped_holder_knows_at_once_and_its_late_write_is_refused(kind: Kind) {
    let server = or_skip!(kind.server().start().await);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = format!("write l {}", folder.path().join("register").display());
    let url = url(&server.connect_string(), "pause", "2s");
    let (mut first, mut second) = (worker(&url).await, worker(&url).await);
    let observer = observer_of(&server).await;

    let first_token = first.ask("lock l", &["held"]).await.number(2);
    first.ask(&write, &["written"]).await;
    second.send("lock l").await;
    line_of(&observer, "/pause/l", 2).await;
    first.signal(Signal::STOP);
    let second_token = second.wait_for(&["held"]).await.number(2);
    assert!(second_token > first_token);
    second.ask(&write, &["written"]).await;

    // Both commands are read as soon as it runs again. The first call on the guard says lost; a write
    // that does not ask the guard is refused by the register.
    first.send("is-held l").await;
    first.send(&write).await;
    first.signal(Signal::CONT);
    first.wait_for(&["no", "l"]).await;
    first.wait_for(&["refused", "l"]).await;
    first.wait_for(&["lost", "l"]).await;
    first.ask("unlock l", &["gone"]).await;

    second.ask("is-held l", &["yes"]).await;
    second.ask("unlock l", &["free"]).await;
    line_of(&observer, "/pause/l", 0).await;
}

/// The release of a lost lock does nothing to whoever has it now.
async fn l13_releasing_what_was_lost_is_harmless_and_the_lock_can_be_had_again(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let proxy = site.proxy();
    let mutex = connect(&site.url_by(&proxy, "1s")).await.mutex("l");
    let mut last = None;
    for round in 0..3 {
        let lost = mutex.lock().await.expect("on a new session");
        assert!(Some(lost.token()) > last);
        proxy.refuse();
        proxy.reset_all();
        let next = site.locks().await.mutex("l").lock().await.expect("its turn comes");
        let place = site.places("l").await;
        proxy.heal();
        match round % 2 {
            0 => assert_eq!(lost.unlock().await.expect_err("lost").kind(), ErrorKind::Lost),
            _ => drop(lost),
        }
        // Whoever comes from there now waits, as everybody does.
        let again = tokio::spawn({
            let mutex = mutex.clone();
            async move { mutex.lock().await }
        });
        site.line_of("l", 2).await;
        assert_eq!(site.places("l").await[0], place[0], "the holder's node is untouched");
        assert!(next.is_held() && !again.is_finished());
        last = Some(next.token());
        next.unlock().await.expect("held");
        let again = soon("its turn", again).await.expect("no panic").expect("its turn comes");
        assert!(Some(again.token()) > last);
        last = Some(again.token());
        again.unlock().await.expect("held");
        site.line_of("l", 0).await;
    }
}
