//! Answers that never come.

use crate::server::{Kind, on_each_kind};
use crate::support::{line_of, observer_of, places, url};
use sneck::zookeeper::Session;
use sneck::zookeeper::wire::OpCode;
use sneck::{ErrorKind, Locks};
use sneck_testkit::or_skip;
use sneck_testkit::proxy::{Proxy, Then};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

on_each_kind!(
    a_thousand_swallowed_creates_leave_no_ghost_and_grant_nothing_twice,
    a_session_that_expires_after_a_swallowed_create_takes_its_node_along,
    a_swallowed_release_is_settled_too,
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

async fn a_thousand_swallowed_creates_leave_no_ghost_and_grant_nothing_twice(kind: Kind) {
    const ROUNDS: usize = 250;
    let server = or_skip!(kind.server().start().await);
    let holders = Arc::new(AtomicU32::new(0));
    let mut lanes = Vec::new();
    for _ in 0..LANES {
        let (addr, holders) = (server.addr(0), holders.clone());
        let observer = observer_of(&server).await;
        lanes.push(tokio::spawn(async move {
            let proxy = Proxy::start(addr).expect("a port");
            let url = url(&proxy.addr().to_string(), "swallow", "10s");
            let locks = sneck::connect(&url).await.expect("the server serves");
            let mut last_token = 0;
            for _ in 0..ROUNDS {
                let rule = proxy.swallow_reply(OpCode::Create2, 1, Then::Reset);
                let guard = locks.mutex("l").lock().await.expect("the session lives on");
                assert!(rule.has_fired(), "the first create was not answered");
                assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0, "a double hold");
                no_claim_has_two_nodes(&observer, "/swallow/l").await;
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
    line_of(&observer_of(&server).await, "/swallow/l", 0).await;
}

async fn a_session_that_expires_after_a_swallowed_create_takes_its_node_along(kind: Kind) {
    const ROUNDS: usize = 5;
    let server = or_skip!(kind.server().start().await);
    let mut lanes = Vec::new();
    for lane in 0..LANES {
        let observer = observer_of(&server).await;
        let addr = server.addr(0);
        lanes.push(tokio::spawn(async move {
            let dir: String = format!("/expire/l{lane}");
            for _ in 0..ROUNDS {
                expire_after_create(addr, &observer, &dir).await;
            }
        }));
    }
    for lane in lanes {
        lane.await.expect("a lane holds its promises");
    }
}

async fn expire_after_create(addr: SocketAddr, observer: &Session, dir: &str) {
    let proxy = Proxy::start(addr).expect("a port");
    let url = url(&proxy.addr().to_string(), "expire", "1s");
    let locks = sneck::connect(&url).await.expect("the server serves");
    let name = dir.rsplit('/').next().expect("a path").to_owned();
    let mut rule = proxy.swallow_reply(OpCode::Create2, 1, Then::Reset);
    let asking = tokio::spawn({
        let (locks, name) = (locks.clone(), name.clone());
        async move { locks.mutex(name).lock().await }
    });
    rule.fired().await;
    proxy.refuse();
    line_of(observer, dir, 0).await;
    proxy.heal();
    // The claim may find that its session is gone, or may have been quick enough to come back.
    match asking.await.expect("no panic") {
        Ok(guard) => assert!(guard.is_held() && places(observer, dir).await.len() == 1),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Lost, "{error}"),
    }
    line_of(observer, dir, 0).await;
    takes_the_lock(&locks, &name).await;
    line_of(observer, dir, 0).await;
    locks.close().await;
}

/// The same handle goes on with a new session.
async fn takes_the_lock(locks: &Locks, name: &str) {
    let guard = locks.mutex(name).lock().await.expect("a new session");
    guard.unlock().await.expect("a new session");
}

async fn a_swallowed_release_is_settled_too(kind: Kind) {
    let server = or_skip!(kind.server().start().await);
    let observer = observer_of(&server).await;
    let proxy = Proxy::start(server.addr(0)).expect("a port");
    let url = url(&proxy.addr().to_string(), "release", "10s");
    let locks = sneck::connect(&url).await.expect("the server serves");
    for round in 0..20 {
        let guard = locks.mutex("l").lock().await.expect("nobody else wants it");
        // Once carried out and not answered, once never seen by the server.
        let rule = match round % 2 {
            0 => proxy.swallow_reply(OpCode::Delete, 1, Then::Reset),
            _ => proxy.drop_request(OpCode::Delete, 1, Then::Reset),
        };
        guard.unlock().await.expect("the release is repeated until it is certain");
        assert!(rule.has_fired());
        assert!(places(&observer, "/release/l").await.is_empty());
    }
}
