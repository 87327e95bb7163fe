//! A lock that is held: renewal, loss, release.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod fakes;

use fakes::*;
use sneck_core::{
    Caller, Clock, ErrorKind, Guard, Instant, Lease, Locker, Loss, Memory, Mode, Name, Outcome,
    Patience, Request, Survey, Term, TokioClock,
};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

async fn hold(locker: &Locker) -> Guard {
    locker.acquire(request(), Patience::Forever).await.unwrap().unwrap()
}

fn at(length: Duration) -> Instant {
    Instant::from_nanos(0) + length
}

fn on_memory() -> (Memory, Locker) {
    let memory = Memory::new();
    let locker = Locker::new(Arc::new(memory.clone()), Arc::new(TokioClock::new()));
    (memory, locker.with_limits(patient()))
}

// ----- renewal -----

#[tokio::test(start_paused = true)]
async fn a_lock_with_a_term_is_renewed_at_each_third_of_it() {
    let script = Script::new([held(7, secs(9))]);
    let guard = hold(&script.locker()).await;
    tokio::time::sleep(ms(30_500)).await;
    assert!(guard.is_held());
    assert_eq!(guard.deadline(), at(secs(39)), "nine seconds from when the last question was sent");
    assert_eq!(guard.remaining(), ms(8_500));
    let asks: Vec<_> = (0..=10).map(|third| secs(3 * third)).collect();
    assert_eq!(script.times("ask"), asks);
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_came_late_is_renewed_in_time() {
    let script = Script::new([after(secs(8), held(7, secs(9))), held(7, secs(9))]);
    let guard = hold(&script.locker()).await;
    assert_eq!(guard.deadline(), at(secs(9)));
    tokio::time::sleep(secs(5)).await;
    assert!(guard.is_held());
    assert_eq!(script.times("ask")[..3], [secs(0), secs(8), secs(11)]);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_failed_is_tried_again_soon() {
    let down = || Ask::Fail(ErrorKind::Unavailable);
    let asks = [held(7, secs(9)), down(), down(), down(), down(), down(), held(7, secs(9))];
    let script = Script::new(asks);
    let guard = hold(&script.locker()).await;
    tokio::time::sleep(secs(60)).await;
    assert!(guard.is_held(), "{:?}", script.times("ask"));
    let asks = script.times("ask");
    assert!(asks[6] < secs(5), "five failures cost less than two seconds: {asks:?}");
}

#[tokio::test(start_paused = true)]
async fn a_shorter_term_takes_nothing_back_that_was_granted() {
    let script = Script::new([held(7, secs(9)), held(7, secs(1)), Ask::Hang]);
    let guard = hold(&script.locker()).await;
    tokio::time::sleep(ms(3_500)).await;
    assert_eq!(guard.deadline(), at(secs(9)));
}

#[tokio::test(start_paused = true)]
async fn the_loss_is_told_one_term_after_the_last_answered_question_was_sent() {
    // Each way takes 400 ms; the store counts the term from when the question arrives.
    let store = Terms::new(secs(9), ms(400));
    let clock = store.clock();
    let guard = hold(&store.locker()).await;
    let lost = tokio::spawn(guard.lost());
    tokio::time::sleep(ms(7_000)).await;
    // Asked at 0, 3 and 6 s, each time answered 800 ms later.
    assert_eq!(guard.deadline(), at(secs(15)));
    store.fall_silent();
    assert_eq!(lost.await.unwrap(), Loss::DeadlinePassed);
    assert_eq!(clock.now(), at(secs(15)));
    assert!(!guard.is_held());
    assert!(guard.remaining().is_zero() && guard.deadline() <= clock.now());
    assert!(store.held_until().unwrap() > clock.now(), "the holder knows before the store forgets");
}

#[tokio::test(start_paused = true)]
async fn a_lost_lock_stays_lost_although_the_store_answers_again() {
    let late = after(secs(20), held(7, secs(9)));
    let script = Script::new([held(7, secs(9)), late, held(7, secs(9))]);
    let guard = hold(&script.locker()).await;
    assert_eq!(guard.lost().await, Loss::DeadlinePassed);
    assert_eq!(script.clock().now(), at(secs(9)));
    for _ in 0..30 {
        tokio::time::sleep(secs(1)).await;
        assert!(!guard.is_held());
    }
    assert_eq!(script.times("leave"), [secs(9)], "the place is given up at the loss");
    assert_eq!(guard.lost().await, Loss::DeadlinePassed, "it may be asked for again");
}

// ----- loss -----

#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_ends_the_hold() {
    for (answer, loss) in [
        (waiting(), Loss::Usurped),
        (held(8, secs(9)), Loss::Usurped),
        (held(6, secs(9)), Loss::Usurped),
        (Ask::Gone(Loss::Removed), Loss::Removed),
        (Ask::Gone(Loss::SessionEnded), Loss::SessionEnded),
    ] {
        let script = Script::new([held(7, secs(9)), answer, held(7, secs(9))]);
        let guard = hold(&script.locker()).await;
        assert_eq!(guard.lost().await, loss);
        assert_eq!(script.clock().now(), at(secs(3)));
        assert!(!guard.is_held());
        let error = guard.unlock().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Lost);
        assert!(error.to_string().contains(&loss.to_string()), "{error}");
        assert_eq!(script.times("leave").len(), 1, "what may be left of the place is removed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hint_is_followed_up_although_the_first_question_fails() {
    let lease = Lease::new(Instant::FAR);
    let down = Ask::Fail(ErrorKind::Unavailable);
    let asks = [Ask::Held(7, Term::Session(lease)), down.clone(), down, Ask::Gone(Loss::Removed)];
    // The hint comes once.
    let script = Script::new(asks).changes([secs(5)]);
    let guard = hold(&script.locker()).await;
    assert_eq!(guard.lost().await, Loss::Removed);
    assert!(script.clock().now() < at(ms(5_200)));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_session_is_the_end_of_the_hold_at_once() {
    let lease = Lease::new(at(secs(100)));
    let script = Script::new([Ask::Held(7, Term::Session(lease.clone())), Ask::Hang]);
    let guard = hold(&script.locker()).await;
    assert_eq!(guard.deadline(), at(secs(100)));
    assert!(lease.extend(script.clock().now(), at(secs(200))));
    assert_eq!(guard.deadline(), at(secs(200)), "renewed without a question of its own");
    let lost = tokio::spawn(guard.lost());
    settle().await;
    lease.end(Loss::SessionEnded);
    assert!(!guard.is_held(), "before any task has run");
    assert_eq!(lost.await.unwrap(), Loss::SessionEnded);
    assert_eq!(script.clock().now(), at(secs(0)));
    assert_eq!(script.times("ask").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_loss_may_be_many_and_need_no_guard() {
    let script = Script::new([held(7, secs(9)), Ask::Hang]);
    let guard = hold(&script.locker()).await;
    let lost: Vec<_> = (0..3).map(|_| tokio::spawn(guard.lost())).collect();
    let cancelled = dropped_after(1, guard.lost()).await;
    assert_eq!(cancelled, None);
    for lost in lost {
        assert_eq!(lost.await.unwrap(), Loss::DeadlinePassed);
    }
}

// ----- protect -----

#[tokio::test(start_paused = true)]
async fn protected_work_runs_to_its_end_while_the_lock_is_held() {
    let script = Script::new([held(7, secs(9))]);
    let guard = hold(&script.locker()).await;
    let work = async {
        tokio::time::sleep(secs(100)).await;
        5
    };
    assert_eq!(guard.protect(work).await.unwrap(), 5);
}

#[tokio::test(start_paused = true)]
async fn protected_work_is_dropped_when_the_lock_is_lost() {
    struct Dropped(Arc<std::sync::atomic::AtomicBool>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.store(true, std::sync::atomic::Ordering::SeqCst);
        }
    }
    let script = Script::new([held(7, secs(9)), Ask::Hang]);
    let guard = hold(&script.locker()).await;
    let gone = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let witness = Dropped(gone.clone());
    let work = async move {
        let _witness = witness;
        std::future::pending::<()>().await
    };
    let error = guard.protect(work).await.unwrap_err();
    assert_eq!((error.kind(), script.clock().now()), (ErrorKind::Lost, at(secs(9))));
    assert!(gone.load(std::sync::atomic::Ordering::SeqCst));
    assert_eq!((error.lock(), error.backend()), (Some(&name()), Some("script:")));
}

#[tokio::test(start_paused = true)]
async fn work_that_ends_after_the_loss_is_no_success() {
    let script = Script::new([held(7, secs(9)), Ask::Hang]);
    let guard = hold(&script.locker()).await;
    let work = async { tokio::time::advance(secs(10)).await };
    assert_eq!(guard.protect(work).await.unwrap_err().kind(), ErrorKind::Lost);
    let never_polled = async { unreachable!("the lock is lost") };
    assert_eq!(guard.protect(never_polled).await.unwrap_err().kind(), ErrorKind::Lost);
}

/// A clock that is wound by hand, also while a task is being polled.
#[derive(Clone, Debug, Default)]
struct HandWound(Arc<std::sync::Mutex<Duration>>);

impl Clock for HandWound {
    fn now(&self) -> Instant {
        at(secs(1) + *self.0.lock().unwrap())
    }
}

#[tokio::test(start_paused = true)]
async fn work_that_blocks_past_the_deadline_is_no_success() {
    let (script, clock) = (Script::new([held(7, secs(9)), Ask::Hang]), HandWound::default());
    let locker = Locker::new(Arc::new(script), Arc::new(clock.clone()));
    let guard = hold(&locker).await;
    // The task did not yield, so nobody else can have noticed.
    let work = async { *clock.0.lock().unwrap() = secs(9) };
    assert_eq!(guard.protect(work).await.unwrap_err().kind(), ErrorKind::Lost);
}

// ----- giving back -----

#[tokio::test(start_paused = true)]
async fn unlock_waits_for_the_confirmation() {
    let store = Terms::new(secs(9), ms(300));
    let guard = hold(&store.locker()).await;
    guard.unlock().await.unwrap();
    assert_eq!(store.held_until(), None);
    assert_eq!(store.clock().now(), at(ms(1_200)));
}

#[tokio::test(start_paused = true)]
async fn unlock_is_tried_again_until_the_deadline_and_in_the_background_after_it() {
    let script = Script::new([held(7, secs(9))]);
    let unavailable = Leave::Fail(ErrorKind::Unavailable);
    let few = [unavailable, unavailable, Leave::Done];
    let guard = hold(&script.clone().leaves(few).locker()).await;
    guard.unlock().await.unwrap();
    assert_eq!(script.times("leave").len(), 3);

    let script = Script::new([held(7, secs(9))]).leaves([unavailable]);
    let guard = hold(&script.locker()).await;
    let error = guard.unlock().await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::Unknown));
    assert_eq!(script.clock().now(), at(secs(9)));
    let tried = script.times("leave").len();
    script.clone().leaves([Leave::Done]);
    tokio::time::sleep(secs(20)).await;
    assert_eq!(script.times("leave").len(), tried + 1);
}

#[tokio::test(start_paused = true)]
async fn unlock_without_an_answer_ends_at_the_deadline() {
    let script = Script::new([held(7, secs(9))]).leaves([Leave::Hang]);
    let guard = hold(&script.locker()).await;
    tokio::time::sleep(secs(4)).await;
    let error = guard.unlock().await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::Unknown));
    assert_eq!(script.clock().now(), at(secs(12)), "renewed at three");
}

#[tokio::test(start_paused = true)]
async fn a_release_that_is_refused_is_told() {
    let script = Script::new([held(7, secs(9))]).leaves([Leave::Fail(ErrorKind::Denied)]);
    let error = hold(&script.locker()).await.unlock().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert_eq!((error.lock(), error.backend()), (Some(&name()), Some("script:")));
    assert_eq!(script.times("leave").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn unlock_says_that_the_lock_had_been_lost() {
    let script = Script::new([held(7, secs(9)), Ask::Hang]);
    let guard = hold(&script.locker()).await;
    // Nobody has looked at the clock in between.
    tokio::time::advance(secs(9)).await;
    let error = guard.unlock().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Lost);
    settle().await;
    assert_eq!(script.times("leave").len(), 1, "the place is given up all the same");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_guard_releases_in_the_background() {
    let (memory, locker) = on_memory();
    let guard = hold(&locker).await;
    let lost = guard.lost();
    drop(guard);
    settle().await;
    assert!(memory.line(&name()).await.unwrap().is_empty());
    let mut lost = pin!(lost);
    let never = tokio::time::timeout(secs(1_000), &mut lost).await;
    assert!(never.is_err(), "a lock that was released was not lost");

    let unavailable = Leave::Fail(ErrorKind::Unavailable);
    let script = Script::new([held(7, secs(9))]).leaves([unavailable, unavailable, Leave::Done]);
    drop(hold(&script.locker()).await);
    tokio::time::sleep(secs(5)).await;
    assert_eq!(script.times("leave").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_release_goes_on_wherever_its_future_is_dropped() {
    for polls in 0..10 {
        let store = Terms::new(secs(3600), ms(100));
        let guard = hold(&store.locker()).await;
        let done = dropped_after(polls, guard.unlock()).await.is_some();
        tokio::time::sleep(secs(1)).await;
        assert_eq!(store.held_until(), None, "dropped after {polls} polls");
        if done {
            assert!(polls >= 2);
            return;
        }
    }
    panic!("unlocking has few await points");
}

#[tokio::test(start_paused = true)]
async fn a_guard_may_be_dropped_at_any_moment_of_a_renewal() {
    for moment in (0..=1_200).step_by(50) {
        let store = Terms::new(secs(3), ms(100));
        let guard = hold(&store.locker()).await;
        tokio::time::sleep(ms(moment)).await;
        drop(guard);
        // A late renewal that arrived after the release would keep the lock for another term.
        tokio::time::sleep(ms(400)).await;
        assert_eq!(store.held_until(), None, "dropped after {moment} ms");
    }
}

// ----- a place that is taken away -----

#[tokio::test(start_paused = true)]
async fn a_place_that_an_operator_removed_is_lost_before_the_next_is_granted() {
    let (memory, locker) = on_memory();
    let guard = hold(&locker).await;
    memory.clear(&name());
    assert!(!guard.is_held(), "before any task has run");
    let next = hold(&locker).await;
    assert!(next.token() > guard.token());
    assert_eq!(guard.lost().await, Loss::Removed);
    assert_eq!(guard.unlock().await.unwrap_err().kind(), ErrorKind::Lost);
    assert!(next.is_held(), "the release of the old did not touch the new");
}

#[test]
fn a_runtime_that_is_gone_makes_unlock_fail_and_not_hang() {
    let new = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (first, second) = (new(), new());
    let (_memory, locker) = on_memory();
    let guard = first.block_on(hold(&locker));
    drop(first);
    let error = second.block_on(guard.unlock()).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::Unknown));
    assert!(error.to_string().contains("runtime"), "{error}");
}

#[test]
fn a_lock_with_a_term_is_lost_at_its_deadline_although_its_runtime_is_gone() {
    let new = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (first, second) = (new(), new());
    let guard = first.block_on(async { hold(&Script::new([held(7, ms(30))]).locker()).await });
    drop(first);
    second.block_on(async {
        assert_eq!(guard.lost().await, Loss::DeadlinePassed);
        assert_eq!(guard.unlock().await.unwrap_err().kind(), ErrorKind::Lost);
    });
}

#[tokio::test(start_paused = true)]
async fn locks_that_are_held_for_a_moment_share_one_task() {
    let (memory, locker) = on_memory();
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let of = |at| Name::new(&format!("n{at}")).unwrap();
    let mut held = Vec::new();
    for at in 0..100 {
        let request = Request::new(of(at), Mode::Exclusive, Caller::anonymous());
        held.push(locker.acquire(request, Patience::Forever).await.unwrap().unwrap());
    }
    assert_eq!(tasks(), before + 1);
    tokio::time::sleep(secs(1)).await;
    assert_eq!(tasks(), before + 100, "who looks after the young has gone");
    drop(held);
    settle().await;
    assert_eq!(tasks(), before);
    for at in 0..100 {
        assert!(memory.line(&of(at)).await.unwrap().is_empty());
    }
}

#[test]
fn a_place_is_looked_after_although_the_runtime_of_another_is_gone() {
    let new = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (first, second) = (new(), new());
    let (_memory, locker) = on_memory();
    let request =
        |name| Request::new(Name::new(name).unwrap(), Mode::Exclusive, Caller::anonymous());
    let hold =
        async |name| locker.acquire(request(name), Patience::Forever).await.unwrap().unwrap();
    let other = first.block_on(hold("other"));
    let guard = second.block_on(hold("n"));
    drop(first);
    second.block_on(async {
        locker.backend().revoke(guard.name()).await.unwrap();
        guard.revocation_requested().await;
    });
    drop((guard, other));
}

#[cfg(feature = "mutants")]
#[test]
fn deliberate_bugs_are_noticed() {
    let tried_again = unlock_is_tried_again_until_the_deadline_and_in_the_background_after_it;
    sneck_core::mutants::assert_noticed("a-release-is-tried-once", tried_again);
}
