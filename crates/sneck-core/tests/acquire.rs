//! The wait loop, on a clock that a test can wind.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod fakes;

use fakes::*;
use sneck_core::{
    Backend, Clock, Contender, Error, ErrorKind, Instant, Lease, Limits, Locker, Loss, Memory,
    Outcome, Patience, Progress, Survey, Term, TokioClock, Waiting,
};
use std::error::Error as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn limits(recheck: Duration, answer: Duration, leave: Duration) -> Limits {
    let mut limits = Limits::default();
    (limits.recheck, limits.answer, limits.leave) = (recheck, answer, leave);
    limits
}

/// Asks with a time-out and tells how long the failure took.
async fn times_out(script: &Script, timeout: Duration) -> (Error, Duration) {
    let began = script.clock().now();
    let patience = Patience::Until(began + timeout);
    let error = script.locker().acquire(request(), patience).await.unwrap_err();
    (error, script.clock().now().since(began))
}

// ----- time-outs -----

#[tokio::test(start_paused = true)]
async fn a_time_out_is_kept_and_the_place_is_left() {
    let script = Script::new([waiting()]);
    let (error, took) = times_out(&script, ms(3_500)).await;
    assert_eq!((error.kind(), took), (ErrorKind::Timeout, ms(3_500)));
    assert_eq!(error.outcome(), Outcome::Known, "the store has confirmed that the place is left");
    assert_eq!(script.times("leave"), [ms(3_500)]);
    assert_eq!((error.lock(), error.backend()), (Some(&name()), Some("script:")));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_delays_a_time_out_by_the_limit_at_most() {
    for asks in [waiting(), Ask::Hang, Ask::Fail(ErrorKind::Unavailable)] {
        let script = Script::new([asks]).leaves([Leave::Hang]);
        let (error, took) = times_out(&script, secs(2)).await;
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert_eq!(error.outcome(), Outcome::Unknown, "nobody has confirmed the leaving");
        assert_eq!(took, secs(2) + Limits::default().leave);
    }
}

#[tokio::test(start_paused = true)]
async fn leaving_goes_on_in_the_background() {
    let script = Script::new([waiting()]);
    let unavailable = Leave::Fail(ErrorKind::Unavailable);
    let script = script.leaves([unavailable, unavailable, unavailable, unavailable, Leave::Done]);
    let (error, took) = times_out(&script, secs(1)).await;
    assert_eq!((error.outcome(), took), (Outcome::Unknown, ms(1_250)));
    tokio::time::sleep(secs(10)).await;
    assert_eq!(script.times("leave").len(), 5, "until the store has confirmed it, and no more");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_in_the_past_still_asks_once() {
    let script = Script::new([held(1, secs(10))]);
    let past = Patience::Until(Instant::from_nanos(0));
    tokio::time::advance(secs(1)).await;
    assert!(script.locker().acquire(request(), past).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_time_out_says_who_holds_the_lock() {
    let told = Contender::new("place-7", b"host=h user=u by=sneck");
    let looked_up = Contender::new("place-8", b"");
    let with_holder = Ask::Waiting(Waiting { ahead: Some(1), holder: Some(told.clone()) });
    let line = vec![looked_up.clone(), told.clone()];
    for (ask, holder) in [(with_holder, &told), (waiting(), &looked_up)] {
        let script = Script::new([ask]).line(line.clone());
        let (error, _) = times_out(&script, secs(1)).await;
        assert_eq!(error.holder(), Some(holder));
    }
    let (error, _) = times_out(&Script::new([waiting()]), secs(1)).await;
    assert_eq!(error.holder(), None, "a store that shows no lines");
}

#[tokio::test(start_paused = true)]
async fn a_time_out_for_want_of_a_store_says_so() {
    let holder = Some(Contender::new("place-7", b""));
    let stale = Ask::Waiting(Waiting { ahead: Some(1), holder });
    for before in [vec![], vec![stale]] {
        let asks = before.into_iter().chain([Ask::Fail(ErrorKind::Unavailable)]);
        let script = Script::new(asks).line(vec![Contender::new("place-8", b"")]);
        let (error, took) = times_out(&script.changes([ms(10)]), ms(1_000)).await;
        assert_eq!((error.kind(), took), (ErrorKind::Timeout, ms(1_000)));
        assert_eq!(error.holder(), None, "who held it before is no news");
        assert!(error.source().unwrap().to_string().contains("as the script says"), "{error:?}");
    }
}

// ----- asking once -----

#[tokio::test(start_paused = true)]
async fn try_asks_once() {
    let script = Script::new([waiting(), held(1, secs(9))]);
    assert!(script.locker().acquire(request(), Patience::Once).await.unwrap().is_none());
    assert_eq!((script.times("ask").len(), script.times("leave").len()), (1, 1));
    assert!(script.locker().acquire(request(), Patience::Once).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn try_does_not_wait_for_a_store() {
    let script = Script::new([Ask::Fail(ErrorKind::Unavailable), Ask::Hang]);
    let error = script.locker().acquire(request(), Patience::Once).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::Known));
    assert_eq!(script.times("ask"), [Duration::ZERO]);

    let locker = script.locker().with_limits(limits(secs(9), secs(3), ms(100)));
    let error = locker.acquire(request(), Patience::Once).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(script.clock().now(), Instant::from_nanos(0) + secs(3));
    assert_eq!(script.times("leave").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn try_returns_although_leaving_hangs() {
    let script = Script::new([waiting()]).leaves([Leave::Hang]);
    assert!(script.locker().acquire(request(), Patience::Once).await.unwrap().is_none());
    assert_eq!(script.clock().now(), Instant::from_nanos(0) + Limits::default().leave);
}

// ----- waiting -----

#[tokio::test(start_paused = true)]
async fn a_missing_wake_up_costs_time_only() {
    let script = Script::new([waiting(), waiting(), held(1, secs(60))]);
    let locker = script.locker().with_limits(limits(secs(8), secs(10), ms(250)));
    drop(locker.acquire(request(), Patience::Forever).await.unwrap().unwrap());
    let asks = script.times("ask");
    for pause in [asks[1] - asks[0], asks[2] - asks[1]] {
        assert!(pause >= secs(4) && pause <= ms(8_001), "{asks:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wake_up_is_a_hint() {
    let script = Script::new([waiting(), waiting(), waiting(), held(1, secs(60))]);
    let script = script.changes([ms(10), ms(20), ms(30)]);
    let locker = script.locker().with_limits(patient());
    drop(locker.acquire(request(), Patience::Forever).await.unwrap().unwrap());
    assert_eq!(script.times("ask"), [ms(0), ms(10), ms(30), ms(60)]);
}

#[tokio::test(start_paused = true)]
async fn trouble_is_waited_out_with_growing_pauses_and_told() {
    let down = || Ask::Fail(ErrorKind::Unavailable);
    let script = Script::new([down(), down(), down(), down(), waiting(), held(1, secs(60))]);
    let script = script.changes([ms(1)]);
    let seen = Mutex::new(String::new());
    let progress = |progress: Progress<'_>| {
        seen.lock().unwrap().push(match progress {
            Progress::Waiting(_) => 'w',
            Progress::Trouble(_) => 't',
            _ => '?',
        });
    };
    let locker = script.locker().with_limits(patient());
    drop(locker.acquire_with(request(), Patience::Forever, &progress).await.unwrap().unwrap());
    assert_eq!(*seen.lock().unwrap(), "ttttw");
    let asks = script.times("ask");
    for (index, length) in [50, 100, 200, 400].into_iter().enumerate() {
        let pause = asks[index + 1] - asks[index];
        assert!(pause >= ms(length) / 2 && pause <= ms(length + 1), "{asks:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_ends_the_trouble_before_it() {
    let down = || Ask::Fail(ErrorKind::Unavailable);
    let script = Script::new([down(), down(), down(), down(), waiting(), down(), held(1, secs(9))]);
    let script = script.changes([ms(1)]);
    drop(script.locker().acquire(request(), Patience::Forever).await.unwrap().unwrap());
    let asks = script.times("ask");
    assert!(asks[6] - asks[5] <= ms(51), "pauses begin anew: {asks:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_is_far_back_asks_again_more_rarely_and_never_too_rarely() {
    for (ahead, expected) in [
        (None, secs(10)),
        (Some(0), secs(10)),
        (Some(1), secs(10)),
        (Some(100), secs(100)),
        (Some(100_000), secs(300)),
        (Some(u32::MAX), secs(300)),
    ] {
        let waits = Ask::Waiting(Waiting { ahead, holder: None });
        let script = Script::new([waits.clone(), waits.clone(), waits, held(1, secs(9))]);
        drop(script.locker().acquire(request(), Patience::Forever).await.unwrap().unwrap());
        for pair in script.times("ask").windows(2) {
            let pause = pair[1] - pair[0];
            assert!(pause >= expected / 2 && pause <= expected + ms(1), "{ahead:?}: {pause:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_limit_is_kept_also_where_a_line_is_long() {
    let waits = Ask::Waiting(Waiting { ahead: Some(u32::MAX), holder: None });
    let script = Script::new([waits, held(1, secs(9))]);
    let locker = script.locker().with_limits(patient());
    drop(locker.acquire(request(), Patience::Forever).await.unwrap().unwrap());
    assert!(script.times("ask")[1] >= secs(12 * 3600));
}

#[tokio::test(start_paused = true)]
async fn what_asking_again_cannot_heal_ends_the_wait() {
    for kind in [ErrorKind::Denied, ErrorKind::Refused, ErrorKind::Invalid, ErrorKind::Protocol] {
        let script = Script::new([waiting(), Ask::Fail(kind)]).changes([ms(5)]);
        let error = script.locker().acquire(request(), Patience::Forever).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (kind, Outcome::Known));
        assert_eq!(script.times("leave").len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_lost_while_waiting_is_an_error() {
    for loss in [Loss::Removed, Loss::SessionEnded] {
        let script = Script::new([waiting(), Ask::Gone(loss)]).changes([ms(5)]);
        let error = script.locker().acquire(request(), Patience::Forever).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Lost);
        assert!(error.to_string().contains(&loss.to_string()), "{error}");
        assert!(error.hint().is_some());
        assert_eq!(script.times("leave").len(), 1, "what may be left of it is removed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_arrives_after_its_lease_is_no_lock() {
    for delay in [secs(5), secs(6)] {
        let script = Script::new([after(delay, held(1, secs(5)))]);
        let error = script.locker().acquire(request(), Patience::Forever).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Lost, Outcome::Known));
        assert_eq!(script.times("leave"), [delay]);
    }
    let script = Script::new([after(ms(4_999), held(1, secs(5)))]);
    assert!(script.locker().acquire(request(), Patience::Forever).await.unwrap().is_some());

    let lease = Lease::new(Instant::FAR);
    lease.end(Loss::SessionEnded);
    let script = Script::new([Ask::Held(1, Term::Session(lease))]);
    let error = script.locker().acquire(request(), Patience::Forever).await.unwrap_err();
    assert!(error.to_string().contains("session"), "{error}");
}

// ----- being dropped -----

#[tokio::test(start_paused = true)]
async fn a_future_that_was_never_polled_sends_nothing() {
    let script = Script::new([waiting()]);
    let locker = script.locker();
    drop(locker.acquire(request(), Patience::Forever));
    assert!(dropped_after(0, locker.acquire(request(), Patience::Forever)).await.is_none());
    settle().await;
    assert!(script.times("ask").is_empty() && script.times("leave").is_empty());
}

/// Drops the attempt after each number of polls, until it takes no more polls than that.
async fn drop_everywhere(locker: &Locker, mut check: impl AsyncFnMut(usize)) -> usize {
    for polls in 1..200 {
        let patience = Patience::Until(locker.clock().now() + secs(3));
        let outcome = dropped_after(polls, locker.acquire(request(), patience)).await;
        let done = outcome.is_some();
        drop(outcome);
        check(polls).await;
        if done {
            return polls;
        }
    }
    panic!("an attempt of three seconds has few await points");
}

#[tokio::test(start_paused = true)]
async fn nothing_stays_in_memory_wherever_the_future_is_dropped() {
    for taken in [false, true] {
        let memory = Memory::new();
        let clock = Arc::new(TokioClock::new());
        let locker = Locker::new(Arc::new(memory.clone()), clock).with_limits(patient());
        let acquire = || locker.acquire(request(), Patience::Forever);
        let mut guard = if taken { acquire().await.unwrap() } else { None };
        let polls = drop_everywhere(&locker, async |polls| {
            settle().await;
            let line = memory.line(&name()).await.unwrap();
            assert_eq!(line.len(), usize::from(taken), "dropped after {polls} polls: {line:?}");
            if let Some(old) = guard.take() {
                // Whoever asks next is granted as soon as the lock is free.
                let next = tokio::spawn({
                    let locker = locker.clone();
                    async move { locker.acquire(request(), Patience::Forever).await }
                });
                settle().await;
                old.unlock().await.unwrap();
                guard = next.await.unwrap().unwrap();
            }
        })
        .await;
        assert!(polls >= if taken { 3 } else { 1 }, "{polls}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_stays_in_a_store_with_terms_wherever_the_future_is_dropped() {
    for taken in [false, true] {
        // The term is so long that nothing but leaving frees the lock.
        let store = Terms::new(secs(3600), ms(100));
        let locker = store.locker();
        let guard = match taken {
            true => locker.acquire(request(), Patience::Forever).await.unwrap(),
            false => None,
        };
        let polls = drop_everywhere(&locker, async |polls| {
            tokio::time::sleep(ms(500)).await;
            assert_eq!(store.held_until().is_some(), taken, "dropped after {polls} polls");
        })
        .await;
        assert!(polls >= 3, "{polls}");
        drop(guard);
        assert!(locker.acquire(request(), Patience::Forever).await.unwrap().is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_progress_callback_that_panics_leaves_the_line() {
    let memory = Memory::new();
    let locker = Locker::new(Arc::new(memory.clone()), Arc::new(TokioClock::new()));
    let _guard = locker.acquire(request(), Patience::Forever).await.unwrap();
    let attempt = tokio::spawn(async move {
        let progress = |_: Progress<'_>| panic!("a defect of the caller");
        locker.acquire_with(request(), Patience::Forever, &progress).await
    });
    assert!(attempt.await.unwrap_err().is_panic());
    settle().await;
    assert_eq!(memory.line(&name()).await.unwrap().len(), 1);
}

#[test]
fn an_attempt_that_outlives_its_runtime_is_dropped_in_peace() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let memory = Memory::new();
    let locker = Locker::new(Arc::new(memory.clone()), Arc::new(TokioClock::new()));
    let (guard, attempt) = runtime.block_on(async {
        let guard = locker.acquire(request(), Patience::Forever).await.unwrap();
        let mut attempt = Box::pin(locker.acquire(request(), Patience::Forever));
        let waits = std::future::poll_fn(|context| {
            std::task::Poll::Ready(attempt.as_mut().poll(context).is_pending())
        });
        assert!(waits.await);
        (guard, attempt)
    });
    drop(runtime);
    drop(attempt);
    drop(guard);
    assert_eq!(memory.label().as_ref(), "this process");
}
