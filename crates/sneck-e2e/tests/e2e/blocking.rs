//! The library without `async`, from plain threads, on servers: each kind of lock is handed over, and a
//! session that ends is told.

use crate::stage::Site;
use crate::stage::server::{Kind, on_each_kind};
use sneck::blocking::{Locks, Start, connect};
use sneck::{End, ErrorKind, Loss};
use sneck_testkit::or_skip;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

on_each_kind!(
    threads_of_two_sessions_count_under_each_kind_of_lock,
    leaders_durable_locks_and_intervals_are_handed_over_without_async,
    a_session_that_ends_is_told_to_a_thread,
);

const HOUR: Duration = Duration::from_secs(3600);

/// Two clients on threads of their own, where there is no runtime.
async fn two(site: &Site, work: impl FnOnce(Locks, Locks) + Send + 'static) {
    let url = site.url("20s");
    let thread = thread::spawn(move || {
        let client = || connect(&url).expect("the server serves");
        work(client(), client());
    });
    // A thread that hangs is ended with the test, by the bound on that.
    let joined = tokio::task::spawn_blocking(move || thread.join());
    let joined = crate::stage::soon("the threads", joined).await.expect("no panic");
    joined.expect("no panic");
}

/// What is read and written without the lock would lose updates.
#[derive(Default)]
struct Counter(AtomicU32);

impl Counter {
    fn add_one(&self) {
        let seen = self.0.load(Ordering::Relaxed);
        thread::yield_now();
        self.0.store(seen + 1, Ordering::Relaxed);
    }
}

async fn threads_of_two_sessions_count_under_each_kind_of_lock(kind: Kind) {
    const ROUNDS: u32 = 10;
    let site = or_skip!(Site::on(kind).await);
    two(&site, |one, other| {
        let counters: [Counter; 4] = Default::default();
        let [mutex, writer, permit, several] = &counters;
        thread::scope(|scope| {
            for (locks, names) in [(&one, ["a", "b"]), (&other, ["b", "a"])].repeat(2) {
                scope.spawn(move || {
                    for _ in 0..ROUNDS {
                        let guard = locks.mutex("mutex").lock().expect("served");
                        mutex.add_one();
                        guard.unlock().expect("held");
                        let guard = locks.rw_lock("rw").write().expect("served");
                        writer.add_one();
                        guard.downgrade().expect("held").unlock().expect("held");
                        let guard = locks.semaphore("permit", 2).acquire_many(2).expect("served");
                        permit.add_one();
                        guard.unlock().expect("held");
                        let guard = locks.all(names).lock().expect("served");
                        several.add_one();
                        guard.unlock().expect("held");
                    }
                });
            }
        });
        assert_eq!(counters.map(|counter| counter.0.into_inner()), [4 * ROUNDS; 4]);
    })
    .await;
}

async fn leaders_durable_locks_and_intervals_are_handed_over_without_async(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    two(&site, |one, other| {
        let leads = one.election("e").campaign("one").expect("nobody leads");
        let next = thread::spawn({
            let election = other.election("e");
            move || election.campaign("two")
        });
        while one.election("e").candidates().expect("served").len() < 2 {
            thread::yield_now();
        }
        let before = leads.token();
        leads.resign().expect("it led");
        let leads = next.join().expect("no panic").expect("served");
        assert!(leads.token() > before);
        assert_eq!(one.election("e").leader().expect("served").expect("two").data, "two");

        let hold = one.durable("d", "first").take().expect("nobody has it");
        assert!(other.durable("d", "second").try_take().expect("served").is_none());
        hold.free().expect("held");
        other.durable("d", "second").take().expect("freed").free().expect("held");

        match one.once("job", HOUR).start().expect("served") {
            Start::Run(run) => run.end(End::Done).expect("it ran"),
            Start::Skip(skipped) => panic!("it never ran: {skipped:?}"),
        }
        assert!(matches!(other.once("job", HOUR).start(), Ok(Start::Skip(_))));
    })
    .await;
}

async fn a_session_that_ends_is_told_to_a_thread(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    two(&site, |one, other| {
        let guard = one.mutex("l").lock().expect("it is free");
        let next = thread::spawn({
            let mutex = other.mutex("l");
            move || mutex.lock()
        });
        while other.line("l").expect("served").len() < 2 {
            thread::yield_now();
        }
        let closing = thread::spawn(move || one.close());
        assert_eq!(guard.wait_lost(), Loss::SessionEnded);
        assert_eq!(guard.check().expect_err("lost").kind(), ErrorKind::Lost);
        closing.join().expect("no panic");
        next.join().expect("no panic").expect("it is their turn").unlock().expect("held");
    })
    .await;
}
