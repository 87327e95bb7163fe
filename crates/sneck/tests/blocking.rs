//! The library without `async`: inside and outside a runtime, and what becomes of a loss.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use sneck::blocking::{Locks, Start};
use sneck::{End, ErrorKind, Loss, Memory, Progress, Ran, WorkError};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

/// Far more than anything takes that comes at all.
const SOON: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Two clients of one store.
fn two() -> (Locks, Locks) {
    let memory = Arc::new(Memory::new());
    (Locks::on(memory.clone()).unwrap(), Locks::on(memory).unwrap())
}

/// One holder at a time, and no update lost.
fn count_together() {
    const THREADS: u32 = 4;
    const ROUNDS: u32 = 25;
    let (locks, _) = two();
    let (count, last) = (AtomicU32::new(0), std::sync::Mutex::new(None));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    let guard = locks.mutex("count").lock().unwrap();
                    let seen = count.load(Ordering::Relaxed);
                    thread::yield_now();
                    count.store(seen + 1, Ordering::Relaxed);
                    let before = last.lock().unwrap().replace(guard.token());
                    assert!(before < Some(guard.token()), "tokens rise");
                    guard.unlock().unwrap();
                }
            });
        }
    });
    assert_eq!(count.into_inner(), THREADS * ROUNDS);
}

#[test]
fn without_a_runtime() {
    count_together();
}

#[tokio::test(flavor = "current_thread")]
async fn on_the_only_thread_of_a_runtime() {
    count_together();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn on_a_worker_of_a_runtime() {
    tokio::spawn(async { count_together() }).await.unwrap();
}

#[test]
fn in_a_task_that_has_used_up_its_share() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        // Everything of tokio that is polled here now says that it is not ready.
        while tokio::task::coop::has_budget_remaining() {
            tokio::task::coop::consume_budget().await;
        }
        count_together();
    });
}

#[cfg(feature = "embedded")]
#[test]
fn a_server_and_its_session_outlive_the_runtime_that_asked_for_them() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let locks = runtime.block_on(async { sneck::blocking::connect("memory:").unwrap() });
    let guard = runtime.block_on(async { locks.mutex("a").lock().unwrap() });
    drop(runtime);
    assert!(guard.is_held());
    assert_eq!(guard.wait_lost_timeout(Duration::from_millis(20)), None);
    guard.unlock().unwrap();
    assert!(locks.names().unwrap().is_empty());
    locks.close();
}

#[test]
fn a_time_out_names_the_holder_and_leaves_no_trace() {
    let (one, other) = two();
    let guard = one.mutex("a").with_note("first").lock().unwrap();
    let error = other.mutex("a").lock_timeout(Duration::from_millis(20)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(error.holder().unwrap().caller.as_ref().unwrap().note, "first");
    assert_eq!(one.line("a").unwrap().len(), 1);
    assert!(other.mutex("a").try_lock().unwrap().is_none());
    guard.unlock().unwrap();
    assert!(other.mutex("a").try_lock().unwrap().is_some());
}

#[test]
fn progress_is_told_on_the_thread_that_waits() {
    let (one, other) = two();
    let held = std::sync::Mutex::new(Some(one.mutex("a").lock().unwrap()));
    let (here, told) = (thread::current().id(), Arc::new(AtomicU32::new(0)));
    let count = told.clone();
    let mutex = other.mutex("a").on_progress(move |progress| {
        assert!(matches!(progress, Progress::Waiting(_)), "{progress:?}");
        assert_eq!(thread::current().id(), here);
        count.fetch_add(1, Ordering::Relaxed);
        // It may use locks itself: it does not run where they are kept alive.
        if let Some(guard) = held.lock().unwrap().take() {
            guard.unlock().unwrap();
        }
    });
    mutex.lock_timeout(SOON).unwrap().unlock().unwrap();
    assert!(told.load(Ordering::Relaxed) > 0);
}

#[test]
fn whoever_panics_while_it_waits_leaves_the_line() {
    let (one, other) = two();
    let guard = one.mutex("a").lock().unwrap();
    let waiting = other.mutex("a").on_progress(|_| panic!("on purpose"));
    assert!(thread::spawn(move || waiting.lock()).join().is_err());
    guard.unlock().unwrap();
    // The place behind us is given up in the background; until then it may be granted.
    one.mutex("a").lock_timeout(SOON).unwrap().unlock().unwrap();
}

#[cfg(feature = "embedded")]
#[test]
fn a_loss_is_told_to_all_who_want_to_know() {
    let locks = sneck::blocking::connect("memory:").unwrap();
    let guard = locks.mutex("a").lock().unwrap();
    let (tell, told) = channel();
    guard.on_lost(|loss| panic!("another callback took its place: {loss}"));
    guard.on_lost(move |loss| {
        // What is called may block, and may use locks.
        let elsewhere = sneck::blocking::connect("memory:").unwrap();
        elsewhere.mutex("a").lock().unwrap().unlock().unwrap();
        tell.send(loss).unwrap();
    });
    let during = guard.protect(|guard| {
        locks.close();
        assert_eq!(guard.wait_lost(), Loss::SessionEnded);
        guard.check().unwrap_err().kind()
    });
    assert_eq!(during.unwrap_err().kind(), ErrorKind::Lost, "what was done is not to be trusted");
    assert_eq!(told.recv_timeout(SOON).unwrap(), Loss::SessionEnded);
    guard.protect(|_| panic!("not begun")).unwrap_err();
    assert_eq!(guard.unlock().unwrap_err().kind(), ErrorKind::Lost);
}

#[cfg(feature = "embedded")]
#[test]
fn nobody_is_called_back_for_a_lock_that_was_given_back() {
    let locks = sneck::blocking::connect("memory:").unwrap();
    let (tell, told) = channel();
    let guard = locks.mutex("a").lock().unwrap();
    guard.on_lost(move |loss| tell.send(loss).unwrap());
    guard.unlock().unwrap();
    locks.close();
    // The sender is dropped with the callback, which was not called.
    assert!(
        told.recv_timeout(SOON)
            .is_err_and(|e| e == std::sync::mpsc::RecvTimeoutError::Disconnected)
    );
}

#[test]
fn readers_writers_and_permits() {
    let (one, other) = two();
    let reader = one.rw_lock("catalogue").read().unwrap();
    let also = other.rw_lock("catalogue").read_timeout(SOON).unwrap();
    assert!(other.rw_lock("catalogue").try_write().unwrap().is_none());
    assert_eq!(reader.try_upgrade().unwrap_err().kind(), ErrorKind::Refused);
    also.unlock().unwrap();
    reader.unlock().unwrap();
    let writer = one.rw_lock("catalogue").write_timeout(SOON).unwrap();
    let token = writer.token();
    let reader = writer.downgrade().unwrap();
    assert_eq!(reader.token(), token);
    assert!(other.rw_lock("catalogue").try_read().unwrap().is_some());

    let permits = one.semaphore("importers", 2);
    let both = permits.acquire_many(2).unwrap();
    let error = other.semaphore("importers", 2).acquire_timeout(Duration::from_millis(5));
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Timeout);
    both.unlock().unwrap();
    assert_eq!(permits.permits().unwrap(), Some(2));
    let error = other.semaphore("importers", 3).acquire().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disagreement);
}

#[test]
fn several_at_once_in_opposite_order() {
    let (one, other) = two();
    let start = Barrier::new(2);
    thread::scope(|scope| {
        for (locks, names) in [(&one, ["a", "b"]), (&other, ["b", "a"])] {
            let start = &start;
            scope.spawn(move || {
                start.wait();
                for _ in 0..20 {
                    let guard = locks.all(names).lock_timeout(SOON).unwrap();
                    assert_eq!(guard.tokens().count(), 2);
                    guard.unlock().unwrap();
                }
            });
        }
    });
    let error = one.all(["a", "a"]).lock().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[test]
fn an_election_is_observed_as_an_iterator() {
    let (one, other) = two();
    let mut leaders = other.election("scheduler").observe();
    assert!(leaders.next().unwrap().unwrap().is_none());
    let first = one.election("scheduler").campaign("first").unwrap();
    assert_eq!(leaders.next().unwrap().unwrap().unwrap().data, "first");
    assert!(other.election("scheduler").try_campaign("second").unwrap().is_none());
    assert_eq!(one.election("scheduler").candidates().unwrap().len(), 1);
    thread::scope(|scope| {
        let second = scope.spawn(|| other.election("scheduler").campaign_timeout("second", SOON));
        first.resign().unwrap();
        let mut seen = leaders.by_ref().filter_map(Result::unwrap);
        let leader = seen.find(|leader| leader.data == "second").unwrap();
        assert_eq!(leader.token, Some(second.join().unwrap().unwrap().token()));
    });
    let mut bad = one.election("").observe();
    assert_eq!(bad.next().unwrap().unwrap_err().kind(), ErrorKind::Invalid);
    assert!(bad.next().is_none(), "it ends after an error");
}

#[test]
fn what_outlives_a_process() {
    let (one, other) = two();
    let hold = one.durable("db", "deployer").take().unwrap();
    let holder = other.durable("db", "admin").holder().unwrap().unwrap();
    assert!(other.durable("db", "admin").force(holder.id, "burnt down").unwrap());
    assert!(hold.wait_lost_timeout(SOON).is_some());
    assert_eq!(hold.check().unwrap_err().kind(), ErrorKind::Lost);
    assert_eq!(other.durable_names().unwrap().len(), 1);
    assert_eq!(other.durable("db", "admin").history().unwrap()[0].reason, "burnt down");

    let Start::Run(run) = one.once("report", HOUR).start().unwrap() else { panic!("it is due") };
    assert!(matches!(other.once("report", HOUR).start().unwrap(), Start::Skip(_)));
    run.end(End::Done).unwrap();
    let ran = other.once("report", HOUR).run(|_| Ok::<_, String>(())).unwrap();
    assert!(matches!(ran, Ran::Skipped(skipped) if skipped.last.is_some()));
    other.once("report", HOUR).forget().unwrap();
    let failed = other.once("report", HOUR).run(|_| Err::<(), _>("no paper"));
    assert_eq!(failed.unwrap_err().into_work(), Some("no paper"));
}

#[test]
fn one_of_many_computes() {
    const THREADS: usize = 8;
    let (one, _) = two();
    let (cache, computed) = (std::sync::Mutex::new(None), AtomicU32::new(0));
    let start = Barrier::new(THREADS);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                start.wait();
                let read = || Ok::<_, String>(*cache.lock().unwrap());
                let value = one.refresh("answer", read, |_token| {
                    computed.fetch_add(1, Ordering::Relaxed);
                    *cache.lock().unwrap() = Some(42);
                    Ok(42)
                });
                assert_eq!(value.unwrap(), 42);
            });
        }
    });
    assert_eq!(computed.into_inner(), 1);
    let failed = one.refresh("other", || Ok(None::<u32>), |_| Err("no"));
    assert!(matches!(failed, Err(WorkError::Work("no"))));
    let error = one.refresh("", || Ok::<_, String>(Some(1)), |_| Ok(1)).unwrap_err();
    assert_eq!(error.lock().unwrap().kind(), ErrorKind::Invalid);
}
