//! Readers and writers.

use super::{Case, Client, dropped_after, held, leave, named, until_held, waiting, within};
use sneck_core::{Guard, Mode, Order, Patience, Standing};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Whether the case has nothing to say about this store.
fn has_none(client: &Client) -> bool {
    !client.backend.supports(Mode::Shared) || client.promises().order != Order::Fifo
}

pub(super) async fn readers_share_and_a_writer_is_alone(case: &Case) {
    let [one, other] = case.clients().await;
    if has_none(&one) {
        return;
    }
    let promises = one.promises();
    let mut readers = [one.claim_as(Mode::Shared), other.claim_as(Mode::Shared)];
    let mut last = None;
    for reader in &mut readers {
        let token = held(reader).await.token;
        assert!(Some(token) > last, "{token} after {last:?}");
        last = Some(token);
    }
    let mut writer = one.claim_as(Mode::Write);
    waiting(&mut writer).await;
    let [mut first, mut second] = readers;
    leave(&mut first).await;
    waiting(&mut writer).await;
    leave(&mut second).await;
    assert!(Some(until_held(&mut writer, promises).await.token) > last);
    waiting(&mut other.claim_as(Mode::Write)).await;
    leave(&mut writer).await;
}

pub(super) async fn no_later_reader_passes_a_waiting_writer(case: &Case) {
    let [one, other] = case.clients().await;
    if has_none(&one) {
        return;
    }
    let promises = one.promises();
    let mut reader = one.claim_as(Mode::Shared);
    held(&mut reader).await;
    let mut writer = other.claim_as(Mode::Write);
    waiting(&mut writer).await;
    let mut late = [one.claim_as(Mode::Shared), other.claim_as(Mode::Shared)];
    for late in &mut late {
        waiting(late).await;
    }
    let mut last = one.claim_as(Mode::Write);
    waiting(&mut last).await;
    leave(&mut reader).await;
    until_held(&mut writer, promises).await;
    for late in &mut late {
        waiting(late).await;
    }
    // Those who stand together come in together, and the writer behind them after the last.
    leave(&mut writer).await;
    for late in &mut late {
        until_held(late, promises).await;
    }
    waiting(&mut last).await;
    for late in &mut late {
        waiting(&mut last).await;
        leave(late).await;
    }
    until_held(&mut last, promises).await;
    leave(&mut last).await;
    one.assert_in_line(0, "when all have left").await;
}

pub(super) async fn a_writer_that_gives_up_lets_the_readers_behind_in(case: &Case) {
    let [one, other] = case.clients().await;
    if has_none(&one) {
        return;
    }
    let mut reader = one.claim_as(Mode::Shared);
    held(&mut reader).await;
    let (mut writer, mut late) = (other.claim_as(Mode::Write), one.claim_as(Mode::Shared));
    waiting(&mut writer).await;
    waiting(&mut late).await;
    leave(&mut writer).await;
    until_held(&mut late, one.promises()).await;
    held(&mut reader).await;
    leave(&mut reader).await;
    leave(&mut late).await;
}

pub(super) async fn a_downgrade_keeps_later_writers_out(case: &Case) {
    let [one, other] = case.clients().await;
    if has_none(&one) {
        return;
    }
    let promises = one.promises();
    for interrupted in 0..3 {
        let mut writer = one.claim_as(Mode::Write);
        let token = held(&mut writer).await.token;
        let (mut reader, mut next) = (other.claim_as(Mode::Shared), other.claim_as(Mode::Write));
        waiting(&mut reader).await;
        waiting(&mut next).await;
        let _ = dropped_after(interrupted, writer.downgrade()).await;
        for _ in 0..2 {
            let shared = within("a downgrade", writer.downgrade()).await;
            shared.unwrap_or_else(|error| panic!("a downgrade: {error:?}"));
        }
        assert_eq!(held(&mut writer).await.token, token, "it is no new grant");
        until_held(&mut reader, promises).await;
        waiting(&mut next).await;
        leave(&mut reader).await;
        // Only the writer that became a reader is ahead now.
        waiting(&mut next).await;
        leave(&mut writer).await;
        assert!(until_held(&mut next, promises).await.token > token, "whose place is older");
        leave(&mut next).await;
        one.assert_in_line(0, "when all have left").await;
    }
}

pub(super) async fn only_a_holding_writer_can_be_downgraded(case: &Case) {
    let [one, other] = case.clients().await;
    if has_none(&one) {
        return;
    }
    let mut mutex = one.backend.claim(one.request(&named("mutex"), ""));
    let (mut writer, mut waiter) = (one.claim_as(Mode::Write), other.claim_as(Mode::Write));
    held(&mut mutex).await;
    held(&mut writer).await;
    waiting(&mut waiter).await;
    for claim in [&mut mutex, &mut waiter] {
        let refused = within("a refusal", claim.downgrade()).await;
        assert!(refused.is_err_and(|error| !error.is_transient()));
    }
    held(&mut mutex).await;
    waiting(&mut waiter).await;
    for claim in [&mut mutex, &mut writer, &mut waiter] {
        leave(claim).await;
    }
}

pub(super) async fn a_guard_that_is_downgraded_goes_on(case: &Case) {
    let [one, other] = case.clients().await;
    if has_none(&one) {
        return;
    }
    let guard = one.hold_mode(Mode::Write).await;
    let token = guard.token();
    let guard = within("a downgrade", guard.downgrade()).await;
    let guard = guard.unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!((guard.token(), guard.is_held()), (token, true));
    let reader = other.hold_mode(Mode::Shared).await;
    let attempt = other.locker.acquire(other.request_as(Mode::Write), Patience::Once);
    assert!(matches!(within("trying", attempt).await, Ok(None)), "two readers hold it");
    drop(guard);
    drop(reader);
    let writer = other.hold_mode(Mode::Write).await;
    assert!(writer.token() > token);
}

/// Readers and writers of many tasks: the number is below zero while a writer is in, else that of readers.
pub(super) async fn no_reader_is_ever_beside_a_writer(case: &Case) {
    const TASKS: usize = 8;
    const ROUNDS: usize = 25;
    let clients: [Client; 3] = case.clients().await;
    if has_none(&clients[0]) {
        return;
    }
    let inside = Arc::new(AtomicI64::new(0));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (client, inside) = (clients[task % 3].clone(), inside.clone());
            tokio::spawn(async move {
                for round in 0..ROUNDS {
                    match (task + round) % 3 {
                        0 => write(client.hold_mode(Mode::Write).await, &inside, round).await,
                        _ => read(client.hold_mode(Mode::Shared).await, &inside).await,
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        if let Err(error) = task.await {
            std::panic::resume_unwind(error.into_panic());
        }
    }
    if !case.keeps_places() {
        clients[0].until_in_line(0, "when all are done").await;
    }
}

async fn write(guard: Guard, inside: &AtomicI64, round: usize) {
    const WRITER: i64 = -1_000_000;
    assert_eq!(inside.fetch_add(WRITER, Ordering::SeqCst), 0, "somebody is beside the writer");
    tokio::task::yield_now().await;
    assert_eq!(inside.fetch_sub(WRITER, Ordering::SeqCst), WRITER, "somebody came in");
    if round.is_multiple_of(2) {
        let guard = within("a downgrade", guard.downgrade()).await;
        read(guard.unwrap_or_else(|error| panic!("{error:?}")), inside).await;
    }
}

async fn read(guard: Guard, inside: &AtomicI64) {
    assert!(inside.fetch_add(1, Ordering::SeqCst) >= 0, "a reader beside a writer");
    tokio::task::yield_now().await;
    assert!(inside.fetch_sub(1, Ordering::SeqCst) > 0, "a writer came in beside a reader");
    drop(guard);
}

pub(super) async fn kinds_of_locks_under_one_name_exclude_each_other_or_refuse(case: &Case) {
    let [one, other] = case.clients().await;
    if has_none(&one) {
        return;
    }
    for (mine, theirs) in [
        (Mode::Exclusive, Mode::Shared),
        (Mode::Exclusive, Mode::Write),
        (Mode::Shared, Mode::Exclusive),
        (Mode::Write, Mode::Exclusive),
    ] {
        let mut claim = one.claim_as(mine);
        held(&mut claim).await;
        let mut stranger = other.claim_as(theirs);
        match within("an answer", stranger.ask()).await {
            Ok(Standing::Waiting(_)) => {}
            Err(error) => {
                assert!(super::is_refused(error.kind()) && error.hint().is_some(), "{error:?}");
            }
            beside => panic!("{theirs} beside {mine}: {beside:?}"),
        }
        leave(&mut stranger).await;
        held(&mut claim).await;
        leave(&mut claim).await;
    }
    // Refusing has left nothing behind.
    one.assert_in_line(0, "when all have left").await;
    held(&mut one.claim()).await;
}
