//! Wake-ups that are lost or late.

use crate::stage::server::{Kind, on_each_kind};
use crate::stage::{line_of, observer_of, url};
use sneck::{Limits, Locks};
use sneck_testkit::proxy::Proxy;
use std::time::{Duration, Instant};

on_each_kind!(
    a_swallowed_event_costs_time_but_no_lock,
    an_event_that_comes_ten_seconds_late_is_not_waited_for,
);

const RECHECK: Duration = Duration::from_secs(2);

async fn impatient(addr: &str, root: &str) -> Locks {
    let mut limits = Limits::default();
    limits.recheck = RECHECK;
    let locks = sneck::connect(&url(addr, root, "20s")).await.expect("the server serves");
    locks.with_limits(limits)
}

/// Breaks the waiter's events, releases the lock, and returns how long the waiter took.
async fn handed_on_with(kind: Kind, root: &str, harm: impl FnOnce(&Proxy)) -> Option<Duration> {
    let server = match kind.server().start().await {
        Ok(server) => server,
        Err(sneck_testkit::StartError::Unavailable(unavailable)) => {
            sneck_testkit::skip::report(&unavailable, root);
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    let proxy = Proxy::start(server.addr(0)).expect("a port");
    let holder = impatient(&server.connect_string(), root).await;
    let waiter = impatient(&proxy.addr().to_string(), root).await;
    let guard = holder.mutex("l").lock().await.expect("nobody else has it");
    let waiting = tokio::spawn(async move { waiter.mutex("l").lock().await });
    line_of(&observer_of(&server).await, &format!("/{root}/l"), 2).await;
    harm(&proxy);
    guard.unlock().await.expect("held");
    let begin = Instant::now();
    let held = waiting.await.expect("no panic").expect("the waiter has it");
    assert!(held.is_held());
    println!("{root}: handed on after {:?}, cap {RECHECK:?}", begin.elapsed());
    Some(begin.elapsed())
}

/// The cap, and a round trip or two on a loaded machine.
const CAP: Duration = Duration::from_secs(5);

async fn a_swallowed_event_costs_time_but_no_lock(kind: Kind) {
    if let Some(took) = handed_on_with(kind, "swallowed", |proxy| proxy.swallow_events(1)).await {
        assert!(took < CAP, "{took:?}");
    }
}

async fn an_event_that_comes_ten_seconds_late_is_not_waited_for(kind: Kind) {
    let late = |proxy: &Proxy| proxy.delay_events(Duration::from_secs(10));
    if let Some(took) = handed_on_with(kind, "late", late).await {
        assert!(took < CAP, "{took:?}");
    }
}
