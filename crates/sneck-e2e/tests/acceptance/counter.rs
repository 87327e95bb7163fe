//! Lines 1 to 4: the numbers that servers give to places, when they run out, are negative, or have gaps.

use crate::stage::server::{Kind, Servers, on_each_kind, on_kind};
use crate::stage::{Site, connect, line_of, make, observer_of, places, remove, soon, url};
use sneck::zookeeper::{CreateMode, Session};
use sneck::{ErrorKind, Locks, Progress};
use sneck_testkit::or_skip;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;

on_each_kind!(
    l01_a_counter_that_runs_out_is_refused_and_the_remedy_works,
    l01_whoever_comes_too_late_for_a_number_is_refused_and_leaves,
    l02_a_place_with_a_negative_number_displaces_no_holder,
    l03_a_number_of_eleven_characters_is_somebody_to_wait_for,
    l04_gaps_between_the_numbers_change_nothing,
);
// Servers of the two lines differ in what they do when a counter runs out.
on_kind!(
    zookeeper_3_8,
    Kind::ZooKeeper(Version::V3_8),
    l01_a_counter_that_runs_out_is_refused_and_the_remedy_works,
    l01_whoever_comes_too_late_for_a_number_is_refused_and_leaves,
);

async fn locks_on(server: &Servers, root: &str) -> Locks {
    connect(&url(&server.connect_string(), root, "10s")).await
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

async fn l01_a_counter_that_runs_out_is_refused_and_the_remedy_works(kind: Kind) {
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
async fn l01_whoever_comes_too_late_for_a_number_is_refused_and_leaves(kind: Kind) {
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

async fn l02_a_place_with_a_negative_number_displaces_no_holder(kind: Kind) {
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

async fn l03_a_number_of_eleven_characters_is_somebody_to_wait_for(kind: Kind) {
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

/// Creates of all kinds count, also those of nodes that are nobody's place and gone again.
async fn l04_gaps_between_the_numbers_change_nothing(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let (locks, dir) = (site.locks().await, site.dir("l"));
    let holder = locks.mutex("l").lock().await.expect("nobody else has it");
    let mut line = Vec::new();
    for (length, mode) in [CreateMode::Ephemeral, CreateMode::Persistent, CreateMode::Container]
        .into_iter()
        .enumerate()
    {
        for _ in 0..=length {
            let passing = format!("{dir}/passing");
            make(&site.observer, &passing, mode).await;
            remove(&site.observer, &passing).await;
        }
        let mutex = locks.mutex("l");
        line.push(tokio::spawn(async move { mutex.lock().await }));
        site.line_of("l", length + 2).await;
    }
    assert_eq!(numbers(&site.observer, &dir).await, [0, 2, 5, 9]);
    let mut last = holder.token();
    holder.unlock().await.expect("held");
    for waiter in line {
        let guard = soon("its turn", waiter).await.expect("no panic").expect("its turn comes");
        assert!(guard.token() > last);
        last = guard.token();
        guard.unlock().await.expect("held");
    }
}
