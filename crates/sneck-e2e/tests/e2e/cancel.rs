//! Futures that are dropped wherever they stand.

use crate::server::{Kind, on_each_kind};
use crate::support::{line_of, observer_of, url};
use sneck::{Limits, Locks};
use sneck_testkit::{dropped_after, or_skip};
use std::time::Duration;

on_each_kind!(
    a_lock_dropped_at_any_await_point_leaves_no_node_and_wakes_the_next,
    a_lock_dropped_at_any_moment_leaves_no_node,
    a_timed_out_lock_has_left_the_line,
);

async fn locks_on(server: &str) -> Locks {
    sneck::connect(&url(server, "cancel", "10s")).await.expect("the server serves")
}

async fn a_lock_dropped_at_any_await_point_leaves_no_node_and_wakes_the_next(kind: Kind) {
    let server = or_skip!(kind.server().start().await);
    let observer = observer_of(&server).await;
    let (ours, others) =
        (locks_on(&server.connect_string()).await, locks_on(&server.connect_string()).await);
    let mut dropped = 0;
    // The first uses of a name also make its parents, which are await points of their own.
    for times in 1..=12 {
        let name = format!("fresh{times}/deep/l");
        if dropped_after(times, ours.mutex(&name).lock()).await.is_none() {
            dropped += 1;
        }
        line_of(&observer, &format!("/cancel/{name}"), 0).await;
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
        line_of(&observer, "/cancel/l", 0).await;
    }
    assert!(dropped >= 14, "{dropped} futures were dropped before they were done");
}

async fn a_lock_dropped_at_any_moment_leaves_no_node(kind: Kind) {
    let server = or_skip!(kind.server().start().await);
    let observer = observer_of(&server).await;
    let locks = locks_on(&server.connect_string()).await;
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
    line_of(&observer, "/cancel/m", 0).await;
    println!("{had} locks were had, {dropped} futures were dropped on the way");
    assert!(dropped > 0);
}

async fn a_timed_out_lock_has_left_the_line(kind: Kind) {
    let server = or_skip!(kind.server().start().await);
    let observer = observer_of(&server).await;
    let locks = locks_on(&server.connect_string()).await;
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
        assert_eq!(error.kind(), sneck::ErrorKind::Timeout);
        assert!(locks.mutex("t").try_lock().await.expect("an answer").is_none());
    }
    line_of(&observer, "/cancel/t", 1).await;
    crate::support::until("no watch is left behind", async || {
        // The holder watches its own node by now.
        server.metric(0, "zk_watch_count").await <= watches_before + 1.0
    })
    .await;
    held.unlock().await.expect("held");
}
