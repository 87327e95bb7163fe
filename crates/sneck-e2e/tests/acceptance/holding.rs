//! Lines 16 to 18, 27 and 29: holding a lock, and what may happen to it that is no fault of the network.

use crate::stage::server::{Kind, on_each_kind};
use crate::stage::{Site, connect, remove, soon, until, worker};
use sneck::{ErrorKind, Limits, Loss, Reentrant, blocking};
use sneck_testkit::or_skip;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

on_each_kind!(
    l16_a_node_that_an_operator_deletes_is_missed_by_its_owner,
    l17_a_clone_that_is_dropped_releases_nothing,
    l18_a_lock_belongs_to_its_guard_and_to_no_thread_or_task,
    l27_a_callback_that_blocks_keeps_no_other_lock_from_living,
    l27_a_callback_that_panics_takes_its_own_attempt_along_only,
    l29_a_durable_lock_outlives_a_killed_owner_and_is_taken_up_by_the_next_process,
);

async fn l16_a_node_that_an_operator_deletes_is_missed_by_its_owner(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let mut limits = Limits::default();
    // Whoever waits misses its own place when it looks again by itself.
    limits.recheck = Duration::from_millis(50);
    let (one, other) = (site.locks().await, site.locks().await.with_limits(limits));

    let guard = one.mutex("l").lock().await.expect("nobody else has it");
    let waiter = tokio::spawn({
        let mutex = other.mutex("l");
        async move { mutex.lock().await }
    });
    site.line_of("l", 2).await;
    let places = site.places("l").await;
    remove(&site.observer, &format!("{}/{}", site.dir("l"), places[1])).await;
    let error = soon("the news", waiter).await.expect("no panic").expect_err("it lost its place");
    assert_eq!(error.kind(), ErrorKind::Lost, "{error}");
    assert!(guard.is_held(), "its node is there");

    remove(&site.observer, &format!("{}/{}", site.dir("l"), places[0])).await;
    assert_eq!(soon("the loss", guard.lost()).await, Loss::Removed);
    assert_eq!(guard.unlock().await.expect_err("lost").kind(), ErrorKind::Lost);
    let next = other.mutex("l").lock().await.expect("it is free");
    next.unlock().await.expect("held");
}

async fn l17_a_clone_that_is_dropped_releases_nothing(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let (locks, other) = (site.locks().await, site.locks().await.mutex("l"));
    let is_free = async || match other.try_lock().await.expect("an answer") {
        Some(guard) => guard.unlock().await.is_ok(),
        None => false,
    };
    let mutex = locks.mutex("l");
    let guard = mutex.clone().lock().await.expect("nobody else has it");
    drop((locks.clone(), mutex.clone()));
    assert!(!is_free().await, "clones are gone");
    drop((locks, mutex));
    assert!(!is_free().await, "the guard keeps alone what it needs");

    let outer = Reentrant::new(guard);
    let inner = outer.enter();
    drop(outer.enter());
    assert!(!is_free().await && outer.is_held());
    assert!(!outer.unlock().await.expect("held"), "it is not the last");
    assert!(!is_free().await && inner.is_held());
    assert!(inner.unlock().await.expect("held"), "it is the last");
    assert!(is_free().await);
}

/// Who asks again while holding waits like everybody else, and is told for whom.
async fn l18_a_lock_belongs_to_its_guard_and_to_no_thread_or_task(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let locks = site.locks().await;
    let taking = tokio::spawn({
        let mutex = locks.mutex("l");
        async move { mutex.lock().await }
    });
    let guard = taking.await.expect("no panic").expect("nobody else has it");
    assert!(locks.mutex("l").try_lock().await.expect("an answer").is_none());
    // Long enough for an answer, and so for the holder's name, on any machine.
    let again = locks.mutex("l").lock_timeout(Duration::from_secs(3)).await;
    let error = again.expect_err("it is held");
    let holder = error.holder().and_then(|holder| holder.caller.as_ref()).expect("it is known");
    assert_eq!((error.kind(), holder.pid), (ErrorKind::Timeout, std::process::id()));
    let twice = locks.all(["l", "m", "l"]).lock().await.expect_err("it could never be had");
    assert_eq!(twice.kind(), ErrorKind::Invalid);

    let runtime = tokio::runtime::Handle::current();
    let released = thread::spawn(move || runtime.block_on(guard.unlock()));
    until("the other thread is done", async || released.is_finished()).await;
    released.join().expect("no panic").expect("it was held");
    site.line_of("l", 0).await;
}

/// Of threads, as tasks are not called back: they await what they want to know.
async fn l27_a_callback_that_blocks_keeps_no_other_lock_from_living(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let proxy = site.proxy();
    let (by_proxy, direct) = (site.url_by(&proxy, "1s"), site.url("1s"));
    let threads = tokio::task::spawn_blocking(move || {
        let broken = blocking::connect(&by_proxy).expect("the server serves");
        let sound = blocking::connect(&direct).expect("the server serves");
        let lost = broken.mutex("a").lock().expect("free");
        let alive = sound.mutex("b").lock().expect("free");
        let (begin, begun) = mpsc::channel();
        let (end, ended) = mpsc::channel::<()>();
        lost.on_lost(move |loss| {
            begin.send(loss).expect("the test listens");
            // Until the test is done with it.
            let _ = ended.recv();
        });
        proxy.refuse();
        proxy.reset_all();
        begun.recv_timeout(Duration::from_secs(60)).expect("the loss is told");
        // Only a session that goes on being proven has deadlines that move on.
        let mut deadline = alive.deadline();
        for _ in 0..5 {
            while alive.deadline() <= deadline {
                assert!(alive.is_held(), "a callback of another lock kept it from being proven");
                thread::sleep(Duration::from_millis(5));
            }
            deadline = alive.deadline();
        }
        sound.mutex("c").lock().expect("free").unlock().expect("held");
        alive.unlock().expect("held");
        drop(end);
    });
    soon("the threads", threads).await.expect("no panic");
}

async fn l27_a_callback_that_panics_takes_its_own_attempt_along_only(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let locks = site.locks().await;
    let holder = locks.mutex("l").lock().await.expect("nobody else has it");
    for _ in 0..3 {
        let mutex = locks.mutex("l").on_progress(|_| panic!("on purpose"));
        let attempt = tokio::spawn(async move { mutex.lock().await.map(drop) });
        assert!(soon("the panic", attempt).await.expect_err("it panicked").is_panic());
        site.line_of("l", 1).await;
        assert!(holder.is_held());
    }
    let next = tokio::spawn({
        let mutex = locks.mutex("l");
        async move { mutex.lock().await }
    });
    site.line_of("l", 2).await;
    holder.unlock().await.expect("held");
    let next = soon("its turn", next).await.expect("no panic").expect("its turn comes");
    next.unlock().await.expect("held");
}

async fn l29_a_durable_lock_outlives_a_killed_owner_and_is_taken_up_by_the_next_process(
    kind: Kind,
) {
    let site = or_skip!(Site::on(kind).await);
    let url = site.url("2s");
    let onlooker = connect(&url).await;
    let mut owner = worker(&url).await;
    let token = owner.ask("take l deployer-7", &["taken", "l"]).await.number(2);
    let session = onlooker.mutex("alive");
    let mut canary = worker(&url).await;
    canary.ask("lock alive", &["held"]).await;
    owner.kill().await;
    canary.kill().await;
    // Once this is had, the sessions of those who died with it are over.
    let _alive = session.lock().await.expect("the server serves");
    let holder = onlooker.durable("l", "somebody").holder().await.expect("reads").expect("taken");
    assert_eq!((holder.owner.as_str(), holder.token.get()), ("deployer-7", token));
    let mut other = worker(&url).await;
    other.ask("take l deployer-8", &["refused", "l"]).await;
    let mut restarted = worker(&url).await;
    let again = restarted.ask("take l deployer-7", &["taken", "l"]).await.number(2);
    assert!(again > token, "{again} after {token}");
    restarted.ask("free l deployer-7", &["free", "l"]).await;
    let next = other.ask("take l deployer-8", &["taken", "l"]).await.number(2);
    assert!(next > again, "{next} after {again}");
}
