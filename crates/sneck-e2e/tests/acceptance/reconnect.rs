//! Lines 26 and 30: a session that comes back, on another server, or as another one.

use crate::loss::lost_before_given_away;
use crate::stage::server::{Kind, on_each_kind};
use crate::stage::{Site, connect, line_of, observer, soon, url, worker};
use sneck::{ErrorKind, Limits};
use sneck_testkit::or_skip;
use sneck_testkit::proxy::Proxy;
use sneck_testkit::zookeeper::{Builder, Ensemble, Version};
use std::time::Duration;

on_each_kind!(
    l26_what_a_waiter_was_not_told_during_an_outage_it_learns_after_it,
    l26_a_watch_outlives_the_connection_on_which_it_was_asked_for,
    l30_a_server_that_silently_gives_a_new_session_is_seen_through,
);

const TIMEOUT: &str = "4s";

/// Clients that rely on being woken.
fn patient() -> Limits {
    let mut limits = Limits::default();
    limits.recheck = Duration::from_secs(3_600);
    limits
}

async fn l26_what_a_waiter_was_not_told_during_an_outage_it_learns_after_it(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let proxy = site.proxy();
    let mutex = connect(&site.url_by(&proxy, "20s")).await.with_limits(patient()).mutex("l");
    let holder = site.locks().await.mutex("l").lock().await.expect("nobody else has it");
    let waiter = tokio::spawn(async move { mutex.lock().await });
    site.line_of("l", 2).await;
    proxy.refuse();
    proxy.reset_all();
    holder.unlock().await.expect("held");
    site.line_of("l", 1).await;
    proxy.heal();
    let guard = soon("its turn", waiter).await.expect("no panic").expect("it is its turn");
    guard.unlock().await.expect("held");
}

async fn l26_a_watch_outlives_the_connection_on_which_it_was_asked_for(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let proxy = site.proxy();
    let mutex = connect(&site.url_by(&proxy, "20s")).await.with_limits(patient()).mutex("l");
    let holder = site.locks().await.mutex("l").lock().await.expect("nobody else has it");
    let waiter = tokio::spawn(async move { mutex.lock().await });
    site.line_of("l", 2).await;
    for _ in 0..3 {
        let before = proxy.sessions().len();
        proxy.reset_all();
        let back = async || proxy.sessions().len() > before;
        crate::stage::until("the session is back", back).await;
    }
    assert!(!waiter.is_finished());
    holder.unlock().await.expect("held");
    let guard = soon("its turn", waiter).await.expect("no panic").expect("it is its turn");
    guard.unlock().await.expect("held");
}

/// As some servers do that speak the protocol: asked for a session that they do not know, they make one.
async fn l30_a_server_that_silently_gives_a_new_session_is_seen_through(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let proxy = site.proxy();
    let locks = connect(&site.url_by(&proxy, "20s")).await;
    let held = locks.mutex("a").lock().await.expect("nobody else has it");
    let mutex = locks.mutex("b");
    let holder = site.locks().await.mutex("b").lock().await.expect("nobody else has it");
    let waiter = tokio::spawn(async move { mutex.lock().await });
    site.line_of("b", 2).await;
    proxy.forget_sessions();
    proxy.reset_all();
    soon("the loss", held.lost()).await;
    assert_eq!(held.unlock().await.expect_err("lost").kind(), ErrorKind::Lost);
    let error = soon("the loss", waiter).await.expect("no panic").expect_err("its place is lost");
    assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
    proxy.heal();
    // The old session's node is there until that ends; whoever asks now stands behind it.
    holder.unlock().await.expect("held");
    let again = soon("a new session", locks.mutex("b").lock()).await.expect("its turn comes");
    again.unlock().await.expect("held");
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
async fn l26_a_follower_that_is_cut_off_but_answers_pings_deceives_nobody() {
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
async fn l26_a_session_moves_away_from_a_follower_that_is_cut_off_and_keeps_its_locks() {
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
