//! Places that are shared inside a process, on real servers: what they cost on the wire, and who gets them.

use crate::stage::server::{Kind, on_each_kind};
use crate::stage::{Site, connect, soon, until};
use sneck::zookeeper::wire::OpCode;
use sneck::{Limits, Locks, Loss, Sharing};
use sneck_testkit::or_skip;
use sneck_testkit::proxy::{Counts, Proxy};
use std::time::Duration;

on_each_kind!(
    a_kept_lock_is_had_again_without_a_request,
    a_kept_lock_goes_to_whoever_waits_in_another_process,
    a_thousand_tasks_cost_one_node,
    a_place_that_an_operator_deletes_is_lost_for_all_who_share_it,
);

/// A client through a proxy, whose own looking again would blur the counts.
async fn counted(site: &Site, proxy: &Proxy) -> Locks {
    let mut limits = Limits::default();
    limits.recheck = Duration::from_secs(3_600);
    connect(&site.url_by(proxy, "30s")).await.with_limits(limits)
}

/// What is not the session's own: its heartbeat is a `multi`, whose number is a matter of time.
fn requests(counts: &Counts) -> u64 {
    counts.requests_but_pings() - counts.requests(OpCode::Multi)
}

async fn a_kept_lock_is_had_again_without_a_request(kind: Kind) {
    const TIMES: u32 = 10_000;
    let site = or_skip!(Site::on(kind).await);
    let proxy = site.proxy();
    let mutex = counted(&site, &proxy).await.sticky().mutex("l");
    let first = mutex.lock().await.expect("nobody else wants it");
    let token = first.token();
    first.unlock().await.expect("held");
    // Its place is looked after by one list with a watch and, after a while, one look at its own node.
    until("the place is watched", async || proxy.counts().requests(OpCode::GetData) == 1).await;
    let before = requests(&proxy.counts());
    for turn in 1..=TIMES {
        let guard = mutex.lock().await.expect("it is kept");
        assert_eq!((guard.token().get(), guard.token().turn()), (token.get(), turn));
        guard.unlock().await.expect("held");
    }
    let after = requests(&proxy.counts());
    println!("{TIMES} holds of a kept place: {} requests", after - before);
    assert_eq!(after, before, "none for {TIMES} holds");
    assert_eq!(site.places("l").await.len(), 1);
}

async fn a_kept_lock_goes_to_whoever_waits_in_another_process(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let [one, other] = [site.locks().await.sticky(), site.locks().await.sticky()];
    let mut last = None;
    // Given back while nobody holds it.
    for locks in [&one, &other, &one, &other] {
        let guard = soon("the lock", locks.mutex("l").lock()).await.expect("it is given back");
        assert!(Some(guard.token()) > last);
        last = Some(guard.token());
        guard.unlock().await.expect("held");
    }
    // Given back at the end of a hold.
    let guard = soon("the lock", one.mutex("l").lock()).await.expect("it is given back");
    let waiting = tokio::spawn({
        let mutex = other.mutex("l");
        async move { mutex.lock().await }
    });
    site.line_of("l", 2).await;
    let held = guard.token();
    guard.unlock().await.expect("held");
    let next = soon("the lock", waiting).await.expect("no panic").expect("it is given back");
    assert!(next.token() > held);
    // With its last clone, what it keeps is given back, too.
    next.unlock().await.expect("held");
    drop((one, other));
    site.line_of("l", 0).await;
}

async fn a_thousand_tasks_cost_one_node(kind: Kind) {
    const TASKS: u32 = 1_000;
    let site = or_skip!(Site::on(kind).await);
    let proxy = site.proxy();
    let locks = counted(&site, &proxy).await.coalescing();
    let theirs = site.locks().await.mutex("l").lock().await.expect("nobody else wants it");
    let before = proxy.counts();
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let mutex = locks.mutex("l");
            tokio::spawn(async move {
                let guard = mutex.lock().await.expect("its turn comes");
                let token = guard.token();
                guard.unlock().await.expect("held");
                token
            })
        })
        .collect();
    site.line_of("l", 2).await;
    theirs.unlock().await.expect("held");
    let mut turns = Vec::new();
    for task in tasks {
        turns.push(soon("its turn", task).await.expect("no panic"));
    }
    turns.sort_unstable();
    assert!(turns.iter().all(|token| token.get() == turns[0].get()), "one place for all");
    assert!(turns.iter().map(|token| token.turn()).eq(0..TASKS));
    let created = proxy.counts().requests(OpCode::Create2) - before.requests(OpCode::Create2);
    println!(
        "{TASKS} tasks: {created} nodes, {} requests",
        requests(&proxy.counts()) - requests(&before)
    );
    assert_eq!(created, 1);
    site.line_of("l", 0).await;
}

async fn a_place_that_an_operator_deletes_is_lost_for_all_who_share_it(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let locks = site.locks().await.with_sharing(Sharing::sticky());
    let guard = locks.mutex("l").lock().await.expect("nobody else wants it");
    let waiting = tokio::spawn({
        let mutex = locks.mutex("l");
        async move { mutex.lock().await }
    });
    let places = site.places("l").await;
    crate::stage::remove(&site.observer, &format!("{}/{}", site.dir("l"), places[0])).await;
    assert_eq!(soon("the loss", guard.lost()).await, Loss::Removed);
    // Whoever asked before the loss was seen is told of it; whoever asks later gets a new place.
    match soon("an answer", waiting).await.expect("no panic") {
        Err(error) => assert_eq!(error.kind(), sneck::ErrorKind::Lost, "{error:?}"),
        Ok(next) => assert!(next.token() > guard.token() && next.token().turn() == 0),
    }
    let next = soon("a new place", locks.mutex("l").lock()).await.expect("it is free");
    assert!(next.token().get() > guard.token().get());
}
