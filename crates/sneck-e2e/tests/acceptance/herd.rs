//! Line 20: who is woken when somebody leaves.

use crate::stage::server::{Kind, on_each_kind};
use crate::stage::{Site, connect, line_of, observer_of, soon, until, url};
use sneck::zookeeper::wire::OpCode;
use sneck::{Limits, Progress};
use sneck_testkit::or_skip;
use sneck_testkit::proxy::Proxy;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;

on_each_kind!(
    l20_a_release_wakes_one_of_a_thousand_waiters_in_order,
    l20_who_leaves_the_middle_of_a_line_wakes_the_one_behind_only,
);

const WAITERS: usize = 1_000;
const SESSIONS: usize = 4;

async fn l20_a_release_wakes_one_of_a_thousand_waiters_in_order(kind: Kind) {
    let server = or_skip!(kind.server().start().await);
    let proxy = Proxy::start(server.addr(0)).expect("a port");
    let url = url(&proxy.addr().to_string(), "herd", "30s");
    let mut sessions = Vec::new();
    // Looking again without being woken is another matter, and would only blur the counts.
    let mut limits = Limits::default();
    limits.recheck = Duration::from_secs(3_600);
    for _ in 0..SESSIONS {
        let locks = sneck::connect(&url).await.expect("the server serves");
        sessions.push(locks.with_limits(limits));
    }
    let holder = sessions[0].mutex("l").lock().await.expect("nobody else has it");
    let order = Arc::new(Mutex::new(Vec::new()));
    let (in_line, mut entered) = mpsc::unbounded_channel();
    let mut waiting = Vec::new();
    for number in 0..WAITERS {
        let in_line = Mutex::new(Some(in_line.clone()));
        let mutex = sessions[number % SESSIONS].mutex("l").on_progress(move |progress| {
            if let (Progress::Waiting(waiting), Some(in_line)) =
                (progress, in_line.lock().expect("no panic").take())
            {
                let _ = in_line.send(waiting.ahead);
            }
        });
        let order = order.clone();
        waiting.push(tokio::spawn(async move {
            let guard = mutex.lock().await.expect("its turn comes");
            order.lock().expect("no panic").push((number, guard.token()));
            guard.unlock().await.expect("held");
        }));
        // One after the other, so that the order of arrival is known.
        let ahead = entered.recv().await.flatten();
        assert_eq!(ahead, u32::try_from(number + 1).ok());
    }
    let observer = observer_of(&server).await;
    line_of(&observer, "/herd/l", WAITERS + 1).await;

    let sent_before = server.metric(0, "zk_packets_sent").await;
    proxy.forget_traffic();
    holder.unlock().await.expect("held");
    for waiter in waiting {
        waiter.await.expect("no panic");
    }
    let counts = proxy.counts();
    let sent = server.metric(0, "zk_packets_sent").await - sent_before;

    let order = order.lock().expect("no panic");
    let numbers: Vec<usize> = order.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (0..WAITERS).collect::<Vec<_>>(), "first come, first served");
    assert!(order.windows(2).all(|pair| pair[0].1 < pair[1].1), "tokens rise");

    let (releases, per) =
        (WAITERS as f64 + 1.0, |count: u64| count as f64 / (WAITERS as f64 + 1.0));
    let requests = counts.requests_but_pings() - counts.requests(OpCode::Multi);
    println!(
        "per release: {:.3} events, {:.3} requests; the server sent {:.3} packets",
        per(counts.events),
        per(requests),
        sent / releases,
    );
    assert!(per(counts.events) <= 1.01, "one event for each release: {counts:?}");
    // List and delete.
    assert!(per(requests) <= 2.01, "{counts:?}");
    // The server's own count: two replies and one event, and what keeps the sessions alive.
    assert!(sent / releases <= 4.0, "{sent}");
}

async fn l20_who_leaves_the_middle_of_a_line_wakes_the_one_behind_only(kind: Kind) {
    const WAITERS: usize = 5;
    const LEAVES: usize = 2;
    let site = or_skip!(Site::on(kind).await);
    let mut limits = Limits::default();
    limits.recheck = Duration::from_secs(3_600);
    let holder = site.locks().await.mutex("l").lock().await.expect("nobody else has it");
    let mut proxies = Vec::new();
    let mut waiting = Vec::new();
    for length in 0..WAITERS {
        let proxy = site.proxy();
        let locks = connect(&site.url_by(&proxy, "20s")).await.with_limits(limits);
        waiting.push(tokio::spawn(async move { locks.mutex("l").lock().await.map(drop) }));
        site.line_of("l", length + 2).await;
        // It has its watch on the place ahead.
        until("it is in line", async || proxy.counts().requests(OpCode::GetData) > 0).await;
        proxies.push(proxy);
    }
    waiting[LEAVES].abort();
    site.line_of("l", WAITERS).await;
    until("who is behind is woken", async || proxies[LEAVES + 1].counts().events == 1).await;
    // It looks for another place to watch, which is the last thing that happens.
    until("it watches again", async || proxies[LEAVES + 1].counts().requests(OpCode::GetData) == 2)
        .await;
    let events: Vec<u64> = proxies.iter().map(|proxy| proxy.counts().events).collect();
    assert_eq!(events, [0, 0, 0, 1, 0]);
    assert!(waiting.iter().enumerate().all(|(at, waiter)| at == LEAVES || !waiter.is_finished()));
    holder.unlock().await.expect("held");
    for (at, waiter) in waiting.into_iter().enumerate() {
        let done = soon("its turn", waiter).await;
        assert!(done.is_ok() != (at == LEAVES), "{at}: {done:?}");
    }
}
