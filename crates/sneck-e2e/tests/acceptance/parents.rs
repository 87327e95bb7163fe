//! Line 24: the nodes above a lock's line, missing, reaped or deleted at any step.

use crate::stage::server::{Kind, Servers, on_each_kind};
use crate::stage::{Site, connect, observer_of, places, soon, until, url};
use sneck::zookeeper::Session;
use sneck::zookeeper::wire::ErrorCode;
use sneck::{ErrorKind, Locks, Progress};
use sneck_testkit::or_skip;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

on_each_kind!(
    l24_tokens_rise_when_the_parent_is_gone_between_two_grants,
    l24_parents_that_vanish_before_they_are_used_only_delay_a_lock,
    l24_a_lock_is_had_once_its_parents_stay,
    l24_an_election_goes_on_after_its_whole_tree_has_vanished,
);

async fn locks_on(server: &Servers, root: &str) -> Locks {
    connect(&url(&server.connect_string(), root, "10s")).await
}

async fn l24_tokens_rise_when_the_parent_is_gone_between_two_grants(kind: Kind) {
    let interval = Duration::from_millis(200);
    let builder = kind.server().container_check_interval(interval);
    let server = or_skip!(builder.start().await);
    let observer = observer_of(&server).await;
    let locks = locks_on(&server, "reaped").await;
    let mut last = None;
    for round in 0..4 {
        let guard = locks.mutex("deep/l").lock().await.expect("nobody else has it");
        let first = places(&observer, "/reaped/deep/l").await;
        assert!(first[0].ends_with("lock-0000000000"), "the counter is new: {first:?}");
        assert!(last < Some(guard.token()));
        last = Some(guard.token());
        guard.unlock().await.expect("held");
        match round {
            // By hand; the servers may be quicker.
            0 | 1 => {
                let _ = observer.delete("/reaped/deep/l", None).await;
            }
            // By the servers, which take the parents too, one level in each round of theirs.
            _ => {
                until("the lock's node is reaped", async || {
                    observer.exists("/reaped/deep/l").await.expect("an answer").is_none()
                })
                .await;
            }
        }
    }
    until("all of its parents are reaped", async || {
        observer.exists("/reaped").await.expect("an answer").is_none()
    })
    .await;
    let guard = locks.mutex("deep/l").lock().await.expect("nobody else has it");
    assert!(last < Some(guard.token()));
}

/// How often a deletion falls between two steps of a lock is the scheduler's choice: locks are taken
/// until it happened often enough, rather than a number of times in which it may not.
async fn l24_parents_that_vanish_before_they_are_used_only_delay_a_lock(kind: Kind) {
    const TIMES: usize = 50;
    /// For each lock; a claim that makes its parents more often than this takes it for a fault.
    const DELETIONS: usize = 10;
    let server = or_skip!(kind.server().start().await);
    let locks = locks_on(&server, "gone").await;
    let allowed = Arc::new(Semaphore::new(0));
    let deleted = Arc::new(AtomicUsize::new(0));
    let deleting = tokio::spawn({
        let (observer, allowed) = (observer_of(&server).await, allowed.clone());
        let deleted = deleted.clone();
        async move {
            while let Ok(permit) = allowed.acquire().await {
                for path in ["/gone/deep/l", "/gone/deep", "/gone"] {
                    if observer.delete(path, None).await.is_ok() {
                        permit.forget();
                        deleted.fetch_add(1, Ordering::SeqCst);
                        break;
                    }
                }
            }
        }
    });
    let mut last = None;
    while deleted.load(Ordering::SeqCst) < TIMES {
        allowed.add_permits(DELETIONS - allowed.available_permits());
        let guard = locks.mutex("deep/l").lock().await.expect("nobody else has it");
        assert!(guard.is_held() && last < Some(guard.token()));
        last = Some(guard.token());
        guard.unlock().await.expect("held");
    }
    allowed.close();
    deleting.await.expect("no panic");
}

/// The parents vanish without fail, until the lock says that something is wrong.
async fn l24_a_lock_is_had_once_its_parents_stay(kind: Kind) {
    let server = or_skip!(kind.server().start().await);
    let locks = locks_on(&server, "flood").await;
    let troubled = Arc::new(AtomicBool::new(false));
    let mutex = locks.mutex("l").on_progress({
        let troubled = troubled.clone();
        move |progress| {
            if let Progress::Trouble(error) = progress {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
                troubled.store(true, Ordering::SeqCst);
            }
        }
    });
    let locking = tokio::spawn(async move { mutex.lock().await });
    let observer = observer_of(&server).await;
    let mut on_the_way = VecDeque::new();
    while !troubled.load(Ordering::SeqCst) && !locking.is_finished() {
        on_the_way.push_back(observer.delete("/flood/l", None));
        if on_the_way.len() > 64
            && let Some(oldest) = on_the_way.pop_front()
        {
            let _ = oldest.await;
        }
    }
    // Seldom it got through nevertheless, which is no less welcome.
    let guard = locking.await.expect("no panic").expect("the parents stay now");
    assert!(guard.is_held());
}

/// Leader and candidate are both told; whoever stands again is elected, with a larger token although
/// the numbers begin anew.
async fn l24_an_election_goes_on_after_its_whole_tree_has_vanished(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let (one, other) = (site.locks().await, site.locks().await);
    let leadership = one.election("deep/e").campaign("one").await.expect("nobody else leads");
    let candidate = tokio::spawn(async move {
        let election = other.election("deep/e");
        // It learns that its place is gone while it waits, or soon after it was let in.
        match election.campaign("two").await {
            Ok(leadership) => drop(leadership.lost().await),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Lost, "{error}"),
        }
        election.campaign("again").await
    });
    site.line_of("deep/e", 2).await;
    clear(&site.observer, &site.dir("deep/e")).await;
    soon("the loss", leadership.lost()).await;
    assert!(!leadership.is_held());
    let next =
        soon("the next leader", candidate).await.expect("no panic").expect("it stands again");
    assert!(next.token() > leadership.token() && next.is_held());
    let leader = one.election("deep/e").leader().await.expect("reads").expect("somebody leads");
    assert_eq!((leader.data.as_str(), leader.token), ("again", Some(next.token())));
}

/// Deletes a line and the nodes above it, however often somebody comes back meanwhile.
async fn clear(observer: &Session, dir: &str) {
    let above = dir.rsplit_once('/').expect("a path").0;
    let first = places(observer, dir).await;
    for place in &first {
        observer.delete(&format!("{dir}/{place}"), None).await.expect("it is in line");
    }
    for path in [dir, above] {
        match observer.delete(path, None).await.map_err(|error| error.code()) {
            // Who was quick is in line again.
            Ok(()) | Err(Some(ErrorCode::NOT_EMPTY | ErrorCode::NO_NODE)) => {}
            Err(code) => panic!("{path}: {code:?}"),
        }
    }
}
