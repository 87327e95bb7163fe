//! Futures that are dropped.

use super::{Case, Client, POLLS_MAX, ask, dropped_after, held, leave, lock, until_held, waiting};
use sneck_core::{Order, Patience};
use std::time::Duration;

pub(super) async fn a_dropped_attempt_leaves_nothing(case: &Case) {
    let [one, other] = case.clients().await;
    for taken in [false, true] {
        let mut guard = if taken { Some(other.hold().await) } else { None };
        for polls in 1..=POLLS_MAX {
            let deadline = one.locker.clock().now() + Duration::from_millis(150);
            let attempt = one.locker.acquire(one.request(&lock(), ""), Patience::Until(deadline));
            let done = dropped_after(polls, attempt).await.is_some();
            let when = format!("after an attempt was dropped at poll {polls}");
            one.until_in_line(usize::from(taken), &when).await;
            // Whoever comes next is not kept waiting.
            drop(guard.take());
            let next = other.hold().await;
            guard = taken.then_some(next);
            if done {
                break;
            }
            assert!(polls < POLLS_MAX, "an attempt has more than {POLLS_MAX} await points");
        }
    }
}

pub(super) async fn a_dropped_question_may_be_asked_again(case: &Case) {
    let [one, other] = case.clients().await;
    let promises = one.promises();
    for polls in 1..=POLLS_MAX {
        // Alone.
        let mut claim = one.claim();
        let mut done = dropped_after(polls, claim.ask()).await.is_some();
        let token = held(&mut claim).await.token;
        one.assert_in_line(1, "after a question was dropped and asked again").await;
        done &= dropped_after(polls, claim.ask()).await.is_some();
        assert_eq!(held(&mut claim).await.token, token);

        // Behind it, and behind another one.
        let (mut second, mut third) = (other.claim(), one.claim());
        done &= dropped_after(polls, second.ask()).await.is_some();
        let _ = dropped_after(1, second.changed()).await;
        waiting(&mut second).await;
        waiting(&mut third).await;
        done &= dropped_after(polls, third.ask()).await.is_some();
        leave(&mut claim).await;
        until_held(&mut second, promises).await;
        let _ = dropped_after(polls, third.ask()).await;
        let _ = dropped_after(1, third.changed()).await;
        waiting(&mut third).await;

        // Left right after it was dropped, without asking again.
        let mut hasty = other.claim();
        let _ = dropped_after(polls, hasty.ask()).await;
        leave(&mut hasty).await;
        if promises.order == Order::Fifo {
            one.assert_in_line(2, "after a claim was dropped and left").await;
        }
        for claim in [&mut second, &mut third] {
            // A release that is dropped is asked for again, too.
            let _ = dropped_after(polls, claim.leave()).await;
            leave(claim).await;
        }
        one.assert_in_line(0, "when all have left").await;
        if done {
            return;
        }
    }
    panic!("a question has more than {POLLS_MAX} await points");
}

pub(super) async fn a_dropped_release_goes_on(case: &Case) {
    let [one, other]: [Client; 2] = case.clients().await;
    for polls in 0..=POLLS_MAX {
        let guard = one.hold().await;
        let done = dropped_after(polls, guard.unlock()).await.is_some();
        let next = other.hold().await;
        other.until_in_line(1, "after a release was dropped").await;
        drop(next);
        if done {
            other.until_in_line(0, "at the end").await;
            let mut last = one.claim();
            ask(&mut last).await;
            leave(&mut last).await;
            return;
        }
    }
    panic!("a release has more than {POLLS_MAX} await points");
}
