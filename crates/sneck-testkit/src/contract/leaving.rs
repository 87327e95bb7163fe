//! Giving up a place or a lock.

use super::{Case, Client, ask, gone, held, leave, named, waiting, within};
use sneck_core::{Claim, Guard, Order, Patience, Standing};
use std::sync::Arc;
use std::time::Duration;

pub(super) async fn leaving_frees_the_place_and_may_be_repeated(case: &Case) {
    let [one, other] = case.clients().await;
    let mut holder = one.claim();
    held(&mut holder).await;
    for _ in 0..3 {
        leave(&mut holder).await;
        one.assert_in_line(0, "after leaving").await;
    }
    let mut next = other.claim();
    held(&mut next).await;
    // The first release comes again, late: it is nobody else's.
    leave(&mut holder).await;
    held(&mut next).await;
    gone(&mut holder).await;
    other.assert_in_line(1, "after one has left four times").await;

    let mut waiter = one.claim();
    waiting(&mut waiter).await;
    leave(&mut waiter).await;
    other.assert_in_line(1, "after a waiter has left").await;
    leave(&mut next).await;
    held(&mut one.claim()).await;
}

pub(super) async fn leaving_without_asking(case: &Case) {
    let [one, other] = case.clients().await;
    let mut claim = one.claim();
    leave(&mut claim).await;
    gone(&mut claim).await;
    one.assert_in_line(0, "after nothing was asked").await;
    held(&mut other.claim()).await;
}

pub(super) async fn a_guard_that_is_dropped_releases(case: &Case) {
    let [one, other] = case.clients().await;
    for _ in 0..5 {
        drop(one.hold().await);
        drop(other.hold().await);
    }
    other.until_in_line(0, "after the last guard was dropped").await;
}

pub(super) async fn closing_gives_everything_back(case: &Case) {
    let [one, other] = case.clients().await;
    let guard = Arc::new(one.hold().await);
    let mut waiter = one.claim();
    waiting(&mut waiter).await;
    let next = tokio::spawn(succeed(guard.clone(), other));
    if one.promises().order == Order::Fifo {
        one.until_in_line(3, "when all have come").await;
    }
    // Whoever asks through a client that is being closed gets some answer, and hangs nobody.
    let deadline = one.locker.clock().now() + Duration::from_secs(10);
    let late = one.locker.acquire(one.request(&named("late"), ""), Patience::Until(deadline));
    let closing = async { tokio::join!(one.backend.close(), late) };
    let ((), late) = within("closing", closing).await;
    let mut next = within("the next one", next).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(!guard.is_held(), "the next one holds the lock");
    held(&mut next).await;
    leave(&mut next).await;
    drop(late);
}

/// Waits for the lock of this guard, which must know that it is lost by the time it is had.
async fn succeed(guard: Arc<Guard>, other: Client) -> Box<dyn Claim> {
    let mut claim = other.claim();
    loop {
        match ask(&mut claim).await {
            Standing::Held(_) => break,
            Standing::Waiting(_) => {
                let _ = tokio::time::timeout(Duration::from_millis(100), claim.changed()).await;
            }
            // Where all clients live in one process, closing ends everybody's places.
            Standing::Gone(_) => claim = other.claim(),
        }
    }
    assert!(!guard.is_held(), "somebody else holds it");
    claim
}
