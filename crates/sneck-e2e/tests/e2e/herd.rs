//! A thousand waiters in one line.

use crate::server::{Kind, on_each_kind};
use crate::support::{line_of, observer_of, url};
use sneck::zookeeper::wire::OpCode;
use sneck::{Limits, Progress};
use sneck_testkit::or_skip;
use sneck_testkit::proxy::Proxy;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;

on_each_kind!(a_release_wakes_one_of_a_thousand_waiters_in_order);

const WAITERS: usize = 1_000;
const SESSIONS: usize = 4;

async fn a_release_wakes_one_of_a_thousand_waiters_in_order(kind: Kind) {
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
