//! Lines 5, 6 and 9: answers that never come, and requests that never arrive.

use crate::stage::server::{Kind, on_each_kind};
use crate::stage::{Site, connect, places, soon};
use sneck::zookeeper::Session;
use sneck::zookeeper::wire::OpCode;
use sneck::{ErrorKind, Locks};
use sneck_testkit::or_skip;
use sneck_testkit::proxy::Then;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

on_each_kind!(
    l05_a_thousand_swallowed_creates_leave_no_ghost_and_grant_nothing_twice,
    l06_a_session_that_expires_after_a_swallowed_create_takes_its_node_along,
    l09_a_swallowed_release_is_settled_too,
    l09_a_release_during_an_outage_is_made_up_for_and_the_lock_can_be_had_again,
);

const LANES: usize = 4;

/// The claim a node belongs to.
fn claim(place: &str) -> &str {
    &place[..place.len() - 10]
}

async fn no_claim_has_two_nodes(observer: &Session, dir: &str) {
    let places = places(observer, dir).await;
    let claims: HashSet<&str> = places.iter().map(|place| claim(place)).collect();
    assert_eq!(claims.len(), places.len(), "{places:?}");
}

async fn l05_a_thousand_swallowed_creates_leave_no_ghost_and_grant_nothing_twice(kind: Kind) {
    const ROUNDS: usize = 250;
    let site = or_skip!(Site::on(kind).await);
    let holders = Arc::new(AtomicU32::new(0));
    let mut lanes = Vec::new();
    for _ in 0..LANES {
        let (proxy, holders) = (site.proxy(), holders.clone());
        let (url, dir) = (site.url_by(&proxy, "10s"), site.dir("l"));
        let observer = site.observer.clone();
        lanes.push(tokio::spawn(async move {
            let locks = connect(&url).await;
            let mut last_token = 0;
            for _ in 0..ROUNDS {
                let rule = proxy.swallow_reply(OpCode::Create2, 1, Then::Reset);
                let guard = locks.mutex("l").lock().await.expect("the session lives on");
                assert!(rule.has_fired(), "the first create was not answered");
                assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0, "a double hold");
                no_claim_has_two_nodes(&observer, &dir).await;
                assert!(guard.token().get() > last_token);
                last_token = guard.token().get();
                holders.fetch_sub(1, Ordering::SeqCst);
                guard.unlock().await.expect("the session lives on");
            }
            locks.close().await;
        }));
    }
    for lane in lanes {
        lane.await.expect("a lane holds its promises");
    }
    site.line_of("l", 0).await;
}

/// Also while the node of the session that ends is still listed, nobody holds the lock by it, and nobody
/// is let in beside it.
async fn l06_a_session_that_expires_after_a_swallowed_create_takes_its_node_along(kind: Kind) {
    const ROUNDS: usize = 5;
    let site = Arc::new(or_skip!(Site::on(kind).await));
    let lanes: Vec<_> = (0..LANES)
        .map(|lane| {
            let site = site.clone();
            tokio::spawn(async move {
                for _ in 0..ROUNDS {
                    expire_after_create(&site, &format!("l{lane}")).await;
                }
            })
        })
        .collect();
    for lane in lanes {
        lane.await.expect("a lane holds its promises");
    }
}

async fn expire_after_create(site: &Site, name: &str) {
    let proxy = site.proxy();
    let locks = connect(&site.url_by(&proxy, "1s")).await;
    let mut rule = proxy.swallow_reply(OpCode::Create2, 1, Then::Reset);
    // What is connected stays so, until the rule breaks it.
    proxy.refuse();
    let asking = tokio::spawn({
        let mutex = locks.mutex(name);
        async move { mutex.lock().await }
    });
    rule.fired().await;
    let next = site.locks().await.mutex(name).lock().await.expect("its turn comes");
    assert_eq!(site.places(name).await.len(), 1, "the node of the dying session went before");
    let token = next.token();
    proxy.heal();
    next.unlock().await.expect("held");
    // The claim may say that its session is gone, or stand in line anew on another.
    match asking.await.expect("no panic") {
        Ok(guard) => assert!(guard.is_held() && guard.token() > token),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Lost, "{error}"),
    }
    site.line_of(name, 0).await;
    takes_the_lock(&locks, name).await;
    site.line_of(name, 0).await;
    locks.close().await;
}

/// The same handle goes on with a new session.
async fn takes_the_lock(locks: &Locks, name: &str) {
    let guard = locks.mutex(name).lock().await.expect("a new session");
    guard.unlock().await.expect("a new session");
}

async fn l09_a_swallowed_release_is_settled_too(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let proxy = site.proxy();
    let locks = connect(&site.url_by(&proxy, "10s")).await;
    for round in 0..20 {
        let guard = locks.mutex("l").lock().await.expect("nobody else wants it");
        // Once carried out and not answered, once never seen by the server.
        let rule = match round % 2 {
            0 => proxy.swallow_reply(OpCode::Delete, 1, Then::Reset),
            _ => proxy.drop_request(OpCode::Delete, 1, Then::Reset),
        };
        guard.unlock().await.expect("the release is repeated until it is certain");
        assert!(rule.has_fired());
        assert!(site.places("l").await.is_empty());
    }
}

async fn l09_a_release_during_an_outage_is_made_up_for_and_the_lock_can_be_had_again(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let proxy = site.proxy();
    let mutex = connect(&site.url_by(&proxy, "20s")).await.mutex("l");
    for round in 0..4 {
        let guard = mutex.lock().await.expect("nobody else wants it");
        proxy.blackhole();
        proxy.reset_all();
        let release = tokio::spawn(async move {
            if round % 2 == 0 {
                return guard.unlock().await;
            }
            drop(guard);
            Ok(())
        });
        assert_eq!(site.places("l").await.len(), 1, "the server has not heard of it");
        proxy.heal();
        soon("the release", release).await.expect("no panic").expect("it is repeated");
        site.line_of("l", 0).await;
    }
}
