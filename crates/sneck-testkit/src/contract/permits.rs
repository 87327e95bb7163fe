//! Permits of a semaphore.

use super::{Case, Client, gone, held, leave, lock, until_held, waiting, within};
use sneck_core::{Capacity, Crash, ErrorKind, Mode, Order, Patience, Permits, Standing};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::runtime;

/// Whether the case has nothing to say about this store.
fn has_none(client: &Client) -> bool {
    !client.backend.supports(of(1, 1)) || client.promises().order != Order::Fifo
}

fn of(take: u32, of: u32) -> Mode {
    Mode::Permits(Permits::new(take, of).unwrap_or_else(|error| panic!("{error}")))
}

fn number(of: u32) -> NonZeroU32 {
    NonZeroU32::new(of).unwrap_or_else(|| unreachable!("no test uses zero"))
}

fn capacity(client: &Client) -> &dyn Capacity {
    client.backend.capacity().unwrap_or_else(|| panic!("semaphores have a capacity"))
}

async fn resize(client: &Client, permits: u32) {
    let name = lock();
    let resized = capacity(client).set_permits(&name, number(permits));
    within("a new number", resized).await.unwrap_or_else(|error| panic!("{error:?}"));
}

pub(super) async fn as_many_come_in_as_there_are_permits(case: &Case) {
    let [one, other] = case.clients().await;
    if has_none(&one) {
        return;
    }
    let promises = one.promises();
    let mut holders = [one.claim_as(of(1, 3)), other.claim_as(of(2, 3))];
    let mut last = None;
    for holder in &mut holders {
        let token = held(holder).await.token;
        assert!(Some(token) > last, "{token} after {last:?}");
        last = Some(token);
        assert_eq!(held(holder).await.token, token);
    }
    let mut waiter = one.claim_as(of(1, 3));
    waiting(&mut waiter).await;
    let [mut single, mut double] = holders;
    leave(&mut double).await;
    assert!(Some(until_held(&mut waiter, promises).await.token) > last);
    let mut next = other.claim_as(of(1, 3));
    held(&mut next).await;
    waiting(&mut other.claim_as(of(1, 3))).await;
    for claim in [&mut single, &mut waiter, &mut next] {
        leave(claim).await;
        leave(claim).await;
        gone(claim).await;
    }
}

pub(super) async fn a_large_request_is_not_starved_by_small_ones(case: &Case) {
    let [one, other] = case.clients().await;
    if has_none(&one) {
        return;
    }
    let promises = one.promises();
    let mut holders = [one.claim_as(of(1, 3)), other.claim_as(of(1, 3)), one.claim_as(of(1, 3))];
    for holder in &mut holders {
        held(holder).await;
    }
    let (mut large, mut small) = (other.claim_as(of(3, 3)), one.claim_as(of(1, 3)));
    waiting(&mut large).await;
    waiting(&mut small).await;
    for holder in &mut holders {
        // One or two that are free are nothing to it, and it keeps none of them for itself.
        waiting(&mut large).await;
        waiting(&mut small).await;
        leave(holder).await;
    }
    until_held(&mut large, promises).await;
    waiting(&mut small).await;
    leave(&mut large).await;
    until_held(&mut small, promises).await;
    leave(&mut small).await;
    one.assert_in_line(0, "when all have left").await;
}

/// Taking permits one at a time, each could hold one and wait for the other for ever.
pub(super) async fn two_and_two_of_two_from_two_clients_both_finish(case: &Case) {
    let clients: [Client; 2] = case.clients().await;
    if has_none(&clients[0]) {
        return;
    }
    let tasks = clients.map(|client| {
        tokio::spawn(async move {
            for _ in 0..20 {
                let guard = client.hold_mode(of(2, 2)).await;
                within("unlock", guard.unlock()).await.unwrap_or_else(|error| panic!("{error:?}"));
            }
        })
    });
    for task in tasks {
        within("twenty turns", task).await.unwrap_or_else(|error| panic!("{error}"));
    }
}

pub(super) async fn permits_are_never_more_than_there_are(case: &Case) {
    const TASKS: u32 = 8;
    const ROUNDS: u32 = 20;
    const PERMITS: u32 = 4;
    let clients: [Client; 3] = case.clients().await;
    if has_none(&clients[0]) {
        return;
    }
    let taken = Arc::new(AtomicU32::new(0));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (client, taken) = (clients[task as usize % 3].clone(), taken.clone());
            tokio::spawn(async move {
                for round in 0..ROUNDS {
                    let take = 1 + (task + round) % PERMITS;
                    let guard = client.hold_mode(of(take, PERMITS)).await;
                    let now = taken.fetch_add(take, Ordering::SeqCst) + take;
                    assert!(now <= PERMITS, "{now} of {PERMITS} are taken");
                    tokio::task::yield_now().await;
                    taken.fetch_sub(take, Ordering::SeqCst);
                    drop(guard);
                }
            })
        })
        .collect();
    for task in tasks {
        if let Err(error) = task.await {
            std::panic::resume_unwind(error.into_panic());
        }
    }
    clients[0].until_in_line(0, "when all are done").await;
}

pub(super) async fn a_waiter_that_gives_up_keeps_no_permit(case: &Case) {
    let [one, other] = case.clients().await;
    if has_none(&one) {
        return;
    }
    let mut holder = one.claim_as(of(1, 2));
    held(&mut holder).await;
    let mut large = other.claim_as(of(2, 2));
    waiting(&mut large).await;
    let mut small = one.claim_as(of(1, 2));
    waiting(&mut small).await;
    leave(&mut large).await;
    until_held(&mut small, one.promises()).await;
    for _ in 0..3 {
        let attempt = other.locker.acquire(other.request_as(of(1, 2)), Patience::Once);
        assert!(matches!(within("trying", attempt).await, Ok(None)), "both are taken");
    }
    leave(&mut small).await;
    leave(&mut holder).await;
    let all = other.hold_mode(of(2, 2)).await;
    within("unlock", all.unlock()).await.unwrap_or_else(|error| panic!("{error:?}"));
    one.assert_in_line(0, "when all have left").await;
}

pub(super) async fn who_believes_in_another_number_is_told_both(case: &Case) {
    let [one, other] = case.clients().await;
    if has_none(&one) {
        return;
    }
    let none = within("the number", capacity(&other).permits(&lock())).await;
    assert!(matches!(none, Ok(None)), "{none:?}");
    let mut holder = one.claim_as(of(1, 2));
    held(&mut holder).await;
    let stored = within("the number", capacity(&other).permits(&lock())).await;
    assert!(matches!(stored, Ok(Some(stored)) if stored.get() == 2), "{stored:?}");
    for _ in 0..2 {
        let attempt = other.locker.acquire(other.request_as(of(1, 3)), Patience::Forever);
        let Err(error) = within("a refusal", attempt).await else { panic!("there are two") };
        assert_eq!(error.kind(), ErrorKind::Disagreement, "{error:?}");
        let text = error.to_string();
        assert!(text.contains('2') && text.contains('3') && error.hint().is_some(), "{error:?}");
    }
    held(&mut holder).await;
    one.assert_in_line(1, "after a disagreement").await;
    leave(&mut holder).await;
}

pub(super) async fn a_changed_number_wakes_those_for_whom_it_is_enough(case: &Case) {
    let [one, other] = case.clients().await;
    if has_none(&one) {
        return;
    }
    let promises = one.promises();
    let mut holder = one.claim_as(of(2, 2));
    held(&mut holder).await;
    let mut waiters = [other.claim_as(of(1, 2)), one.claim_as(of(2, 2)), other.claim_as(of(1, 2))];
    for waiter in &mut waiters {
        waiting(waiter).await;
    }
    resize(&other, 5).await;
    let [mut first, mut second, mut third] = waiters;
    until_held(&mut first, promises).await;
    until_held(&mut second, promises).await;
    waiting(&mut third).await;
    // Fewer than are held: nobody new comes in until enough have come back, and nobody is put out.
    resize(&one, 2).await;
    leave(&mut first).await;
    leave(&mut holder).await;
    waiting(&mut third).await;
    held(&mut second).await;
    leave(&mut second).await;
    until_held(&mut third, promises).await;
    leave(&mut third).await;
}

pub(super) async fn a_waiter_for_more_than_are_left_is_told(case: &Case) {
    let [one, other] = case.clients().await;
    if has_none(&one) {
        return;
    }
    let mut holder = one.claim_as(of(1, 3));
    held(&mut holder).await;
    let waiter = tokio::spawn({
        let other = other.clone();
        let request = other.request_as(of(3, 3));
        async move { other.locker.acquire(request, Patience::Forever).await }
    });
    one.until_in_line(2, "when the waiter has come").await;
    resize(&one, 2).await;
    let told = within("the news", waiter).await.unwrap_or_else(|error| panic!("{error}"));
    let Err(error) = told else { panic!("three of two") };
    assert_eq!(error.kind(), ErrorKind::Disagreement, "{error:?}");
    one.assert_in_line(1, "when the waiter was told").await;
    held(&mut holder).await;
    leave(&mut holder).await;
}

pub(super) async fn a_crash_returns_exactly_its_permits(case: &Case) {
    let [one, other] = case.clients().await;
    if has_none(&one) || one.promises().crash == Crash::Together {
        return;
    }
    let mut holder = one.claim_as(of(1, 4));
    held(&mut holder).await;
    let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| panic!("a runtime: {error}"));
    let (subject, name) = (case.subject.clone(), case.name);
    let doomed = runtime.spawn(async move {
        let client = Client::new(subject.mortal(name).await, subject.clock());
        let guard = client.hold_mode(of(2, 4)).await;
        (client, guard)
    });
    let doomed = within("permits to be left behind", doomed).await;
    let (doomed, guard) = doomed.unwrap_or_else(|error| panic!("{error}"));
    let mut waiter = other.claim_as(of(3, 4));
    waiting(&mut waiter).await;
    runtime.shutdown_background();
    until_held(&mut waiter, other.promises()).await;
    assert!(!guard.is_held(), "its permits are somebody else's");
    let mut too_many = other.claim_as(of(1, 4));
    assert!(
        matches!(super::ask(&mut too_many).await, Standing::Waiting(_)),
        "it had two, not three"
    );
    held(&mut holder).await;
    for claim in [&mut too_many, &mut waiter, &mut holder] {
        leave(claim).await;
    }
    drop((guard, doomed));
    one.assert_in_line(0, "when all have left").await;
}
