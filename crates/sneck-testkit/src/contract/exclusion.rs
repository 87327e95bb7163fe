//! One holder.

use super::{Case, Client, held, is_refused, leave, named, until_held, waiting, within};
use sneck_core::{Patience, Token};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

pub(super) async fn two_claims_of_one_client_exclude_each_other(case: &Case) {
    let client = case.client().await;
    let (mut one, mut other) = (client.claim(), client.claim());
    let first = held(&mut one).await.token;
    waiting(&mut other).await;
    leave(&mut one).await;
    assert!(until_held(&mut other, client.promises()).await.token > first);
    leave(&mut other).await;
}

pub(super) async fn an_unprotected_counter_survives(case: &Case) {
    const TASKS: usize = 8;
    const INCREMENTS: u64 = 50;
    let clients: [Client; 3] = case.clients().await;
    let (counter, last_token) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(None)));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let client = clients[task % 3].clone();
            let (counter, last_token) = (counter.clone(), last_token.clone());
            tokio::spawn(async move {
                for round in 0..INCREMENTS {
                    let guard = client.hold().await;
                    let read = counter.load(Ordering::SeqCst);
                    let token = Some(guard.token());
                    let before = replace(&last_token, token);
                    assert!(before < token, "{token:?} after {before:?}");
                    tokio::task::yield_now().await;
                    counter.store(read + 1, Ordering::SeqCst);
                    // Both ways to give it back.
                    if round % 2 == 0 {
                        let unlocked = within("unlock", guard.unlock()).await;
                        unlocked.unwrap_or_else(|error| panic!("{error:?}"));
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
    assert_eq!(counter.load(Ordering::SeqCst), TASKS as u64 * INCREMENTS, "increments got lost");
}

pub(super) async fn names_are_told_apart(case: &Case) {
    let [one, other] = case.clients().await;
    let names =
        ["a", "A", "a b", "ab", "a.b", "a%2Fb", "a%20b", "a+b", "ä", "a\u{308}", "x/y", "a/b"];
    let mut guards = Vec::new();
    for name in names.map(named) {
        // A store that cannot keep two names apart has to say so.
        let attempt = one.locker.acquire(one.request(&name, ""), Patience::Once);
        match within("trying", attempt).await {
            Ok(Some(guard)) => guards.push(guard),
            Err(error) if is_refused(error.kind()) => {}
            taken => panic!("{name} is free: {taken:?}"),
        }
    }
    assert!(guards.len() >= names.len() / 2, "most names work everywhere");
    for guard in &guards {
        let attempt = other.locker.acquire(other.request(guard.name(), ""), Patience::Once);
        match within("trying", attempt).await {
            Ok(None) => {}
            Err(error) if is_refused(error.kind()) => {}
            free => panic!("{} is held: {free:?}", guard.name()),
        }
        assert!(guard.is_held());
    }
}

/// Puts the token of this grant in the place of the last one's.
fn replace(last: &Mutex<Option<Token>>, token: Option<Token>) -> Option<Token> {
    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::replace(&mut *last, token)
}
