//! Lines 7, 8 and 10: attempts that are dropped, that fail during an outage, or that time out.

use crate::stage::server::{Kind, on_each_kind};
use crate::stage::{Site, connect, line_of, observer_of, soon, until, url};
use sneck::zookeeper::wire::OpCode;
use sneck::{ErrorKind, Limits};
use sneck_testkit::proxy::Then;
use sneck_testkit::{dropped_after, or_skip};
use std::time::Duration;

on_each_kind!(
    l07_a_lock_dropped_at_any_await_point_leaves_no_node_and_wakes_the_next,
    l07_a_lock_dropped_at_any_moment_leaves_no_node,
    l08_a_try_during_an_outage_leaves_no_node,
    l10_a_timed_out_lock_has_left_the_line,
    l10_a_time_out_is_kept_although_no_server_can_be_reached,
);

async fn l07_a_lock_dropped_at_any_await_point_leaves_no_node_and_wakes_the_next(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let (ours, others) = (site.locks().await, site.locks().await);
    let mut dropped = 0;
    // The first uses of a name also make its parents, which are await points of their own.
    for times in 1..=12 {
        let name = format!("fresh{times}/deep/l");
        if dropped_after(times, ours.mutex(&name).lock()).await.is_none() {
            dropped += 1;
        }
        site.line_of(&name, 0).await;
    }
    // A waiter is polled again only when something wakes it; here that is its looking again.
    let mut limits = Limits::default();
    limits.recheck = Duration::from_millis(50);
    let ours = ours.with_limits(limits);
    for times in 1..=12 {
        let held = others.mutex("l").lock().await.expect("nobody else has it");
        assert!(dropped_after(times, ours.mutex("l").lock()).await.is_none(), "it is held");
        dropped += 1;
        // Whoever comes after the one that was dropped must not wait for it.
        let next = tokio::spawn({
            let others = others.clone();
            async move { others.mutex("l").lock().await }
        });
        held.unlock().await.expect("held");
        let next = next.await.expect("no panic").expect("the next in line holds it");
        next.unlock().await.expect("held");
        site.line_of("l", 0).await;
    }
    assert!(dropped >= 14, "{dropped} futures were dropped before they were done");
}

async fn l07_a_lock_dropped_at_any_moment_leaves_no_node(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let locks = site.locks().await;
    let (mut had, mut dropped) = (0, 0);
    for moment in 0..300_u64 {
        let after = Duration::from_micros(moment * 37 % 6_000);
        match tokio::time::timeout(after, locks.mutex("m").lock()).await {
            Ok(guard) => {
                drop(guard.expect("nobody else wants it for long"));
                had += 1;
            }
            Err(_) => dropped += 1,
        }
    }
    site.line_of("m", 0).await;
    println!("{had} locks were had, {dropped} futures were dropped on the way");
    assert!(dropped > 0);
}

/// The request is lost, its answer is lost, or it is never sent.
async fn l08_a_try_during_an_outage_leaves_no_node(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let proxy = site.proxy();
    let mut limits = Limits::default();
    limits.answer = Duration::from_millis(100);
    let locks = connect(&site.url_by(&proxy, "20s")).await.with_limits(limits);
    let holder = site.locks().await.mutex("l").lock().await.expect("nobody else has it");
    for round in 0..6 {
        let rule = match round % 3 {
            0 => Some(proxy.drop_request(OpCode::Create2, 1, Then::Reset)),
            1 => Some(proxy.swallow_reply(OpCode::Create2, 1, Then::Reset)),
            _ => None,
        };
        // What is connected stays so, until the rule breaks it.
        proxy.refuse();
        if rule.is_none() {
            proxy.reset_all();
        }
        let tried = soon("an end of the attempt", locks.mutex("l").try_lock()).await;
        assert!(!matches!(tried, Ok(Some(_))), "it is held");
        assert!(rule.is_none_or(|rule| rule.has_fired()), "there was an outage");
        proxy.heal();
        site.line_of("l", 1).await;
        let back = async || matches!(locks.mutex("l").try_lock().await, Ok(None));
        until("the servers are reached again", back).await;
        site.line_of("l", 1).await;
    }
    assert!(holder.is_held());
}

async fn l10_a_timed_out_lock_has_left_the_line(kind: Kind) {
    let server = or_skip!(kind.server().start().await);
    let observer = observer_of(&server).await;
    let locks = connect(&url(&server.connect_string(), "cancel", "10s")).await;
    let held = locks.mutex("t").lock().await.expect("nobody else has it");
    let watches_before = server.metric(0, "zk_watch_count").await;
    // Long enough for an answer, and so for the holder's name, on any machine.
    let error =
        locks.mutex("t").lock_timeout(Duration::from_secs(3)).await.expect_err("it is held");
    let holder = error.holder().and_then(|holder| holder.caller.clone()).expect("it is known");
    assert_eq!(holder.pid, std::process::id());
    for _ in 0..20 {
        let timeout = Duration::from_millis(30);
        let error = locks.mutex("t").lock_timeout(timeout).await.expect_err("it is held");
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(locks.mutex("t").try_lock().await.expect("an answer").is_none());
    }
    line_of(&observer, "/cancel/t", 1).await;
    until("no watch is left behind", async || {
        // The holder watches its own node by now.
        server.metric(0, "zk_watch_count").await <= watches_before + 1.0
    })
    .await;
    held.unlock().await.expect("held");
}

/// That it was kept shows on a lock of the same session, which is lost when that cannot be proven any
/// more: later than any time-out that is shorter.
async fn l10_a_time_out_is_kept_although_no_server_can_be_reached(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let proxy = site.proxy();
    let locks = connect(&site.url_by(&proxy, "20s")).await;
    let holder = site.locks().await.mutex("l").lock().await.expect("nobody else has it");
    let canary = locks.mutex("canary").lock().await.expect("nobody else has it");
    let waiter = tokio::spawn({
        let mutex = locks.mutex("l");
        async move { mutex.lock_timeout(Duration::from_secs(1)).await }
    });
    site.line_of("l", 2).await;
    proxy.blackhole();
    let late = locks.mutex("l").lock_timeout(Duration::from_millis(200)).await;
    let early = waiter.await.expect("no panic");
    for failed in [late, early] {
        assert_eq!(failed.expect_err("it is held").kind(), ErrorKind::Timeout);
    }
    assert!(canary.is_held(), "neither waited for the session to end");
    proxy.heal();
    site.line_of("l", 1).await;
    assert!(holder.is_held() && canary.is_held());
}
