//! Being in line: order, wake-ups, and what others see of it.

use super::{Case, Client, changed, held, leave, lock, named, until_held, waiting, within};
use sneck_core::{Caller, Claim, Contender, ErrorKind, Mode, Order, Outcome, Patience, Wake};
use std::time::Duration;

pub(super) async fn asking_is_idempotent(case: &Case) {
    let [one, other] = case.clients().await;
    let (mut holder, mut waiter) = (one.claim(), other.claim());
    let token = held(&mut holder).await.token;
    waiting(&mut waiter).await;
    for _ in 0..3 {
        assert_eq!(held(&mut holder).await.token, token);
        waiting(&mut waiter).await;
    }
    let places = if one.promises().order == Order::Fifo { 2 } else { 1 };
    one.assert_in_line(places, "after each was asked four times").await;
    leave(&mut waiter).await;
    leave(&mut holder).await;
}

pub(super) async fn first_come_first_served(case: &Case) {
    let clients: [Client; 3] = case.clients().await;
    let promises = clients[0].promises();
    if promises.order != Order::Fifo {
        return;
    }
    let mut line: Vec<Box<dyn Claim>> = (0..10).map(|at| clients[at % 3].claim()).collect();
    held(&mut line[0]).await;
    for (ahead, claim) in line.iter_mut().enumerate().skip(1) {
        let told = waiting(claim).await.ahead;
        assert!(told.is_none_or(|told| told as usize == ahead), "{told:?} ahead, not {ahead}");
    }
    // Some give up before it is their turn: the first of the waiters, two neighbours, and the last.
    for at in [9, 5, 4, 1] {
        leave(&mut line.remove(at)).await;
    }
    while !line.is_empty() {
        let mut first = line.remove(0);
        until_held(&mut first, promises).await;
        for later in &mut line {
            waiting(later).await;
        }
        leave(&mut first).await;
    }
}

pub(super) async fn a_wake_up_is_pushed_and_none_gets_lost(case: &Case) {
    let [one, other] = case.clients().await;
    let promises = one.promises();
    if promises.wake != Wake::Pushed {
        return;
    }
    // The release comes while the change is awaited, before that, and after an earlier wait for it
    // was given up.
    for round in 0..3 {
        let (mut holder, mut waiter) = (one.claim(), other.claim());
        held(&mut holder).await;
        waiting(&mut waiter).await;
        match round {
            0 => {
                let release = async {
                    tokio::task::yield_now().await;
                    leave(&mut holder).await;
                };
                tokio::join!(changed(&mut waiter, promises), release);
            }
            1 => {
                leave(&mut holder).await;
                changed(&mut waiter, promises).await;
            }
            _ => {
                let _ = super::dropped_after(1, waiter.changed()).await;
                leave(&mut holder).await;
                changed(&mut waiter, promises).await;
            }
        }
        until_held(&mut waiter, promises).await;
        leave(&mut waiter).await;
    }
    // The same through the wait loop, which here does not ask again by itself.
    let guard = one.hold().await;
    let waiter = tokio::spawn(async move { other.hold().await });
    one.until_in_line(2, "when the waiter has come").await;
    drop(guard);
    let granted = within("the waiter", waiter).await;
    assert!(granted.is_ok(), "{granted:?}");
}

pub(super) async fn the_line_shows_who_is_in_it(case: &Case) {
    let [one, other] = case.clients().await;
    let Some(survey) = other.backend.survey() else { return };
    assert!(within("names", survey.names()).await.is_ok_and(|names| names.is_empty()));
    let guard = one.hold_as(&lock(), "the first of all").await;
    let second = named("jobs/weekly");
    let _second = other.hold_as(&second, "").await;
    let notes = ["second, with a \"quote\"", "third, Größe 3"];
    let mut waiters: Vec<Box<dyn Claim>> = Vec::new();
    if one.promises().order == Order::Fifo {
        for note in notes {
            let mut waiter = other.backend.claim(other.request(&lock(), note));
            waiting(&mut waiter).await;
            waiters.push(waiter);
        }
    }

    let line = within("the line", survey.line(&lock())).await;
    let line = line.unwrap_or_else(|error| panic!("the line: {error:?}"));
    let shown: Vec<Option<&str>> = line.iter().map(note).collect();
    let expected = std::iter::once("the first of all").chain(notes).map(Some);
    assert_eq!(shown, expected.take(1 + waiters.len()).collect::<Vec<_>>());
    assert!(line[0].token.is_none_or(|token| token == guard.token()), "{:?}", line[0]);
    assert!(line[0].claim.is_none_or(|claim| claim == guard.claim_id()), "{:?}", line[0]);
    assert!(line.iter().all(|place| place.mode == Some(Mode::Exclusive)), "{line:?}");
    assert!(line[0].held && line[1..].iter().all(|place| !place.held), "{line:?}");
    assert!(line[0].caller.as_ref().is_some_and(|caller| caller.pid == 7), "{:?}", line[0]);

    let names = within("names", survey.names()).await;
    assert_eq!(names.unwrap_or_default(), [lock(), second]);
    for mut waiter in waiters {
        leave(&mut waiter).await;
    }
    within("unlock", guard.unlock()).await.unwrap_or_else(|error| panic!("{error:?}"));
    one.assert_in_line(0, "when all have left").await;
}

fn note(contender: &Contender) -> Option<&str> {
    contender.caller.as_ref().map(|Caller { note, .. }| note.as_str())
}

pub(super) async fn a_time_out_leaves_the_line_and_names_the_holder(case: &Case) {
    let [one, other] = case.clients().await;
    let guard = one.hold_as(&lock(), "until the tea is ready").await;
    // Long enough for an answer, also on a busy machine: without one nobody knows the holder.
    let deadline = other.locker.clock().now() + Duration::from_secs(1);
    let request = other.request(&lock(), "");
    let attempt = within("a time-out", other.locker.acquire(request, Patience::Until(deadline)));
    let Err(error) = attempt.await else { panic!("somebody else holds the lock") };
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::Known), "{error:?}");
    if one.backend.survey().is_some() {
        assert_eq!(error.holder().and_then(note), Some("until the tea is ready"), "{error:?}");
    }
    one.assert_in_line(1, "after a time-out").await;
    assert!(guard.is_held());
}

pub(super) async fn trying_leaves_no_trace(case: &Case) {
    let [one, other] = case.clients().await;
    let guard = one.hold().await;
    for client in [&one, &other] {
        for _ in 0..3 {
            let attempt = client.locker.acquire(client.request(&lock(), ""), Patience::Once);
            let attempt = within("trying", attempt).await;
            assert!(matches!(attempt, Ok(None)), "{attempt:?}");
        }
    }
    one.assert_in_line(1, "after six attempts").await;
    within("unlock", guard.unlock()).await.unwrap_or_else(|error| panic!("{error:?}"));
    let attempt = other.locker.acquire(other.request(&lock(), ""), Patience::Once);
    assert!(matches!(within("trying", attempt).await, Ok(Some(_))), "nobody holds it");
}
