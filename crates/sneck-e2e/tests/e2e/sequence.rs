//! Counters that run out, parents that vanish, and children that are nobody's place.

use crate::server::{Kind, Servers, on_each_kind, on_kind};
use crate::support::{line_of, observer_of, places, until, url};
use sneck::zookeeper::wire::Acl;
use sneck::zookeeper::{CreateMode, Session};
use sneck::{ErrorKind, Locks, Progress};
use sneck_testkit::or_skip;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};

on_each_kind!(
    a_counter_that_runs_out_is_refused_and_the_remedy_works,
    whoever_comes_too_late_for_a_number_is_refused_and_leaves,
    a_place_with_a_negative_number_displaces_no_holder,
    nobody_is_granted_the_lock_beside_a_place_with_a_negative_number,
    tokens_rise_when_the_parent_is_gone_between_two_grants,
    parents_that_vanish_before_they_are_used_only_delay_a_lock,
    a_lock_is_had_once_its_parents_stay,
    a_child_that_is_nobodys_place_is_refused_ignored_or_waited_for,
);
// Servers of the two lines differ in what they do when a counter runs out.
on_kind!(
    zookeeper_3_8,
    Kind::ZooKeeper(Version::V3_8),
    a_counter_that_runs_out_is_refused_and_the_remedy_works,
    whoever_comes_too_late_for_a_number_is_refused_and_leaves,
);

async fn locks_on(server: &Servers, root: &str) -> Locks {
    let url = url(&server.connect_string(), root, "10s");
    sneck::connect(&url).await.expect("the server serves")
}

/// The number in the name of a place.
fn number(place: &str) -> i32 {
    let (_, number) = place.rsplit_once("lock-").expect("the name of a place");
    number.parse().expect("a number")
}

/// The numbers in a line, in order.
async fn numbers(observer: &Session, dir: &str) -> Vec<i32> {
    let mut numbers: Vec<i32> =
        places(observer, dir).await.iter().map(|place| number(place)).collect();
    numbers.sort_unstable();
    numbers
}

async fn make(observer: &Session, path: &str, mode: CreateMode) {
    observer.create(path, "", mode, Acl::open()).await.expect("it is new");
}

async fn remove(observer: &Session, path: &str) {
    observer.delete(path, None).await.expect("it is there, without children");
}

async fn a_counter_that_runs_out_is_refused_and_the_remedy_works(kind: Kind) {
    const CONTENDERS: usize = 10;
    const FIRST: i32 = i32::MAX - 7;
    let server = or_skip!(kind.server().counter("/last/l", FIRST).start().await);
    let observer = observer_of(&server).await;
    let sessions = [locks_on(&server, "last").await, locks_on(&server, "last").await];
    let (holders, grants) = (Arc::new(AtomicU32::new(0)), Arc::new(Mutex::new(Vec::new())));
    let mut contending = Vec::new();
    for contender in 0..CONTENDERS {
        let mutex = sessions[contender % sessions.len()].mutex("l");
        let (observer, holders, grants) = (observer.clone(), holders.clone(), grants.clone());
        contending.push(tokio::spawn(async move {
            loop {
                let guard = match mutex.lock().await {
                    Ok(guard) => guard,
                    Err(error) => return error,
                };
                assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0, "a double hold");
                let line = numbers(&observer, "/last/l").await;
                // Of those without a number, which are on their way out, no more is said here.
                let ours = line.into_iter().find(|number| *number >= 0);
                grants.lock().expect("no panic").push((ours, guard.token()));
                holders.fetch_sub(1, Ordering::SeqCst);
                guard.unlock().await.expect("held");
            }
        }));
    }
    for contender in contending {
        let error = contender.await.expect("no panic");
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        let hint = error.hint().expect("there is a remedy");
        assert!(hint.contains("delete the node /last/l"), "{hint}");
    }
    let mut grants = std::mem::take(&mut *grants.lock().expect("no panic"));
    let granted: Vec<Option<i32>> = grants.iter().map(|(number, _)| *number).collect();
    assert_eq!(granted, (FIRST..i32::MAX).map(Some).collect::<Vec<_>>(), "each number once");

    // The hint's condition comes true by itself: who was refused is not in line.
    line_of(&observer, "/last/l", 0).await;
    remove(&observer, "/last/l").await;
    let guard = sessions[0].mutex("l").lock().await.expect("the counter is new");
    assert_eq!(numbers(&observer, "/last/l").await, [0]);
    grants.push((Some(0), guard.token()));
    assert!(grants.windows(2).all(|pair| pair[0].1 < pair[1].1), "tokens rise: {grants:?}");
    guard.unlock().await.expect("held");
}

/// Creates that are on the way together get negative numbers once the counter is used up, also from
/// servers that count no further than 2147483647 for those that come one by one.
async fn whoever_comes_too_late_for_a_number_is_refused_and_leaves(kind: Kind) {
    const CONTENDERS: usize = 100;
    let server = or_skip!(kind.server().counter("/late/l", i32::MAX - 1).start().await);
    let observer = observer_of(&server).await;
    let locks = locks_on(&server, "late").await;
    let holder = locks.mutex("l").lock().await.expect("the last number");
    let contending: Vec<_> = (0..CONTENDERS)
        .map(|_| {
            let mutex = locks.mutex("l");
            tokio::spawn(async move { mutex.lock().await })
        })
        .collect();
    for contender in contending {
        let error = contender.await.expect("no panic").expect_err("there is no number left");
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    }
    line_of(&observer, "/late/l", 1).await;
    assert!(holder.is_held());
    holder.unlock().await.expect("held");
}

async fn a_place_with_a_negative_number_displaces_no_holder(kind: Kind) {
    for counter in [1, i32::MAX - 100] {
        let server = or_skip!(kind.server().counter("/neg/l", counter).start().await);
        let observer = observer_of(&server).await;
        let locks = locks_on(&server, "neg").await;
        let holder = locks.mutex("l").lock().await.expect("nobody else has it");
        let strange = format!("/neg/l/_c_x-lock-{}", i32::MIN);
        make(&observer, &strange, CreateMode::Ephemeral).await;
        for _ in 0..3 {
            assert!(locks.mutex("l").try_lock().await.expect("an answer").is_none());
        }
        assert!(holder.is_held());
        assert_eq!(numbers(&observer, "/neg/l").await, [i32::MIN, counter]);
        holder.unlock().await.expect("held");
    }
}

async fn nobody_is_granted_the_lock_beside_a_place_with_a_negative_number(kind: Kind) {
    for counter in [1, i32::MAX - 100] {
        let server = or_skip!(kind.server().counter("/neg/l", counter).start().await);
        let observer = observer_of(&server).await;
        let locks = locks_on(&server, "neg").await;
        let strange = format!("/neg/l/_c_x-lock-{}", i32::MIN);
        make(&observer, &strange, CreateMode::Ephemeral).await;
        let (told, mut standing) = mpsc::unbounded_channel();
        let mutex = locks.mutex("l").on_progress(move |progress| {
            if let Progress::Waiting(waiting) = progress {
                let _ = told.send(waiting.ahead);
            }
        });
        let waiting = tokio::spawn(async move { mutex.lock().await });
        assert_eq!(standing.recv().await, Some(Some(1)), "behind the negative number");
        assert!(locks.mutex("l").try_lock().await.expect("an answer").is_none());
        assert!(!waiting.is_finished());
        remove(&observer, &strange).await;
        let guard = waiting.await.expect("no panic").expect("its turn comes");
        guard.unlock().await.expect("held");
    }
}

async fn tokens_rise_when_the_parent_is_gone_between_two_grants(kind: Kind) {
    let interval = Duration::from_millis(200);
    let builder = kind.server().container_check_interval(interval);
    let server = or_skip!(builder.start().await);
    let observer = observer_of(&server).await;
    let locks = locks_on(&server, "reaped").await;
    let mut last = None;
    for round in 0..4 {
        let guard = locks.mutex("deep/l").lock().await.expect("nobody else has it");
        assert_eq!(numbers(&observer, "/reaped/deep/l").await, [0], "the counter is new");
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

async fn parents_that_vanish_before_they_are_used_only_delay_a_lock(kind: Kind) {
    const TIMES: usize = 50;
    /// For each lock; a claim that makes its parents more often than this takes it for a fault.
    const DELETIONS: usize = 10;
    let server = or_skip!(kind.server().start().await);
    let locks = locks_on(&server, "gone").await;
    let allowed = Arc::new(Semaphore::new(0));
    let deleting = tokio::spawn({
        let (observer, allowed) = (observer_of(&server).await, allowed.clone());
        async move {
            let mut deleted = 0;
            while let Ok(permit) = allowed.acquire().await {
                for path in ["/gone/deep/l", "/gone/deep", "/gone"] {
                    if observer.delete(path, None).await.is_ok() {
                        permit.forget();
                        deleted += 1;
                        break;
                    }
                }
            }
            deleted
        }
    });
    let mut last = None;
    for _ in 0..TIMES {
        allowed.add_permits(DELETIONS - allowed.available_permits());
        let guard = locks.mutex("deep/l").lock().await.expect("nobody else has it");
        assert!(guard.is_held() && last < Some(guard.token()));
        last = Some(guard.token());
        guard.unlock().await.expect("held");
    }
    allowed.close();
    let deleted = deleting.await.expect("no panic");
    println!("{deleted} nodes were deleted while {TIMES} locks were taken");
    assert!(deleted >= TIMES);
}

/// The parents vanish without fail, until the lock says that something is wrong.
async fn a_lock_is_had_once_its_parents_stay(kind: Kind) {
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

async fn a_child_that_is_nobodys_place_is_refused_ignored_or_waited_for(kind: Kind) {
    let server = or_skip!(kind.server().start().await);
    let observer = observer_of(&server).await;
    let url = url(&server.connect_string(), "foreign", "10s");
    make(&observer, "/foreign", CreateMode::Persistent).await;
    make(&observer, "/foreign/l", CreateMode::Persistent).await;
    make(&observer, "/foreign/l/who-is-this", CreateMode::Ephemeral).await;

    let refusing = sneck::connect(&url).await.expect("the server serves");
    for _ in 0..2 {
        let error = refusing.mutex("l").lock().await.expect_err("there is a stranger");
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        assert!(error.to_string().contains("\"who-is-this\""), "{error}");
        let hint = error.hint().expect("there is a remedy");
        assert!(hint.contains("foreign=ignore") && hint.contains("foreign=block"), "{hint}");
        line_of(&observer, "/foreign/l", 1).await;
    }

    let ignoring = sneck::connect(&format!("{url}&foreign=ignore")).await;
    let ignoring = ignoring.expect("the server serves");
    let guard = ignoring.mutex("l").lock().await.expect("the stranger does not count");
    guard.unlock().await.expect("held");

    let blocked = sneck::connect(&format!("{url}&foreign=block")).await;
    let blocked = blocked.expect("the server serves");
    let (told, mut standing) = mpsc::unbounded_channel();
    let mutex = blocked.mutex("l").on_progress(move |progress| {
        if let Progress::Waiting(waiting) = progress {
            let _ = told.send(waiting.ahead);
        }
    });
    let waiting = tokio::spawn(async move { mutex.lock().await });
    assert_eq!(standing.recv().await, Some(Some(1)), "behind the stranger");
    assert!(blocked.mutex("l").try_lock().await.expect("an answer").is_none());
    assert!(!waiting.is_finished());
    remove(&observer, "/foreign/l/who-is-this").await;
    let guard = waiting.await.expect("no panic").expect("the stranger is gone");
    guard.unlock().await.expect("held");
    // Nor is the lock refused from now on.
    let guard = refusing.mutex("l").lock().await.expect("there is nobody");
    guard.unlock().await.expect("held");
}
