//! Places that are lost, and holders that die.

use super::{Case, Client, gone, held, lock, waiting, within};
use sneck_core::{Crash, Order};
use std::time::Duration;
use tokio::runtime;

pub(super) async fn a_place_that_was_taken_away_is_gone_for_good(case: &Case) {
    let [one, other] = case.clients().await;
    let guard = one.hold().await;
    let mut waiter = other.claim();
    waiting(&mut waiter).await;
    // A hold is believed in for as long as nobody takes it away by hand; then it must be noticed.
    case.clear().await;
    within("the news", guard.lost()).await;
    assert!(!guard.is_held());
    if one.promises().order == Order::Fifo {
        gone(&mut waiter).await;
        gone(&mut waiter).await;
        let left = within("leaving", waiter.leave()).await;
        assert!(left.is_ok(), "{left:?}");
        gone(&mut waiter).await;
        let next = other.hold().await;
        assert!(next.token() > guard.token());
        assert!(within("unlock", guard.unlock()).await.is_err(), "it had been lost");
        assert!(next.is_held(), "the release of the old one did not touch it");
        other.assert_in_line(1, "after the release of the old one").await;
    }
}

pub(super) async fn the_lock_of_a_dead_holder_is_freed_after_the_holder_must_know(case: &Case) {
    let other = case.client().await;
    if other.promises().crash == Crash::Together {
        return;
    }
    // The client lives in a runtime of its own, which ends from one moment to the next. What is moved
    // out of it is not told.
    let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| panic!("a runtime: {error}"));
    let (subject, name) = (case.subject.clone(), case.name);
    let doomed = runtime.spawn(async move {
        let client = Client::new(subject.mortal(name).await, subject.clock());
        let guard = client.hold_as(&lock(), "doomed").await;
        (client, guard)
    });
    let doomed = within("a lock to be left behind", doomed).await;
    let (doomed, guard) = doomed.unwrap_or_else(|error| panic!("{error}"));
    let waiter = tokio::spawn({
        let other = other.clone();
        // Longer than other waits: the store may take its time to see that somebody died.
        async move { (other.hold().await, other) }
    });
    if other.promises().order == Order::Fifo {
        other.until_in_line(2, "when the waiter has come").await;
    }
    runtime.shutdown_background();
    let next = within("the lock of the dead", waiter).await;
    let (next, _other) = next.unwrap_or_else(|error| panic!("{error}"));
    assert!(!guard.is_held(), "somebody else holds it");
    assert!(next.is_held() && next.token() > guard.token());
    drop((guard, doomed));
}

pub(super) async fn a_lock_is_held_for_as_long_as_its_holder_lives(case: &Case) {
    let client = case.client().await;
    let guard = client.hold().await;
    assert!(guard.is_held() && !guard.remaining().is_zero());
    // Where each lock has a term of its own, somebody has to renew it; a session's lease is the
    // session's affair. Past the second term, what was renewed once has been renewed again.
    if client.promises().crash == Crash::Term {
        let terms = guard.remaining() * 2;
        let worked = guard.protect(tokio::time::sleep(terms)).await;
        assert!(worked.is_ok(), "{worked:?}");
    }
    let kept = guard.protect(tokio::time::sleep(Duration::from_millis(300))).await;
    assert!(kept.is_ok(), "{kept:?}");
    let mut claim = client.claim();
    waiting(&mut claim).await;
    let left = within("leaving", claim.leave()).await;
    assert!(left.is_ok(), "{left:?}");
    within("unlock", guard.unlock()).await.unwrap_or_else(|error| panic!("{error:?}"));
    held(&mut client.claim()).await;
}
