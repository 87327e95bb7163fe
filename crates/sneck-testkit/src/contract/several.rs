//! Several locks at once, and asking for one back.

use super::{Case, Client, leave, lock, named, waiting, within};
use sneck_core::{ErrorKind, Guard, Mode, Name, Order, Patience, Permits, Request};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Whether the case has nothing to say about this store.
fn has_none(client: &Client) -> bool {
    client.promises().order != Order::Fifo
}

fn requests(client: &Client, names: &[(&str, Mode)]) -> Vec<Request> {
    let request = |(name, mode): &(&str, Mode)| Request {
        mode: *mode,
        ..client.request(&named(name), "all")
    };
    names.iter().map(request).collect()
}

async fn hold(client: &Client, names: &[(&str, Mode)]) -> Guard {
    let acquired = client.locker.acquire_all(requests(client, names), Patience::Forever, &|_| {});
    match within("all locks", acquired).await {
        Ok(Some(guard)) => guard,
        other => panic!("all locks: {other:?}"),
    }
}

async fn is_free(client: &Client, name: &str) -> bool {
    let attempt = client.locker.acquire(client.request(&named(name), ""), Patience::Once);
    let attempt = within("trying", attempt).await.unwrap_or_else(|error| panic!("{error:?}"));
    match attempt {
        Some(guard) => within("unlock", guard.unlock()).await.is_ok(),
        None => false,
    }
}

const ONE: (&str, Mode) = ("one", Mode::Exclusive);
const TWO: (&str, Mode) = ("two", Mode::Exclusive);
const THREE: (&str, Mode) = ("deep/three", Mode::Exclusive);

pub(super) async fn all_locks_are_had_or_none(case: &Case) {
    let [one, other] = case.clients().await;
    if has_none(&one) {
        return;
    }
    let guard = hold(&one, &[TWO, THREE, ONE]).await;
    let names: Vec<String> = guard.tokens().map(|(name, _)| name.to_string()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(guard.tokens().all(|(_, token)| token <= guard.token()));
    for name in ["one", "two", "deep/three"] {
        assert!(!is_free(&other, name).await, "{name} is held");
    }
    within("unlock", guard.unlock()).await.unwrap_or_else(|error| panic!("{error:?}"));
    for name in ["one", "two", "deep/three"] {
        assert!(is_free(&other, name).await, "{name} is free");
    }

    // One of them is taken: trying for all leaves none behind, and neither does a time-out.
    let taken = hold(&other, &[TWO]).await;
    for patience in [Patience::Once, Patience::Until(one.locker.clock().now())] {
        let attempt = one.locker.acquire_all(requests(&one, &[ONE, TWO]), patience, &|_| {});
        assert!(!matches!(within("an answer", attempt).await, Ok(Some(_))), "one is taken");
        one.until_free("one").await;
    }
    drop(taken);
    // Dropped, it gives back all.
    drop(hold(&one, &[ONE, TWO]).await);
    drop(hold(&other, &[TWO, ONE]).await);
}

pub(super) async fn readers_and_writers_are_taken_together(case: &Case) {
    let [one, other] = case.clients().await;
    if has_none(&one) || !one.backend.supports(Mode::Shared) {
        return;
    }
    let guard = hold(&one, &[("read", Mode::Shared), ("write", Mode::Write)]).await;
    let shared = hold(&other, &[("read", Mode::Shared), ("other", Mode::Exclusive)]).await;
    let attempt = requests(&other, &[("write", Mode::Shared)]);
    let attempt = other.locker.acquire_all(attempt, Patience::Once, &|_| {});
    assert!(matches!(within("trying", attempt).await, Ok(None)), "there is a writer");
    drop((guard, shared));
}

/// Taking them one by one in the order in which they are named, these would wait in a circle.
pub(super) async fn opposite_orders_make_progress(case: &Case) {
    let clients: [Client; 4] = case.clients().await;
    if has_none(&clients[0]) {
        return;
    }
    let holders: Arc<Mutex<HashMap<&str, usize>>> = Arc::default();
    let tasks: Vec<_> = (0..16)
        .map(|task| {
            let (client, holders) = (clients[task % 4].clone(), holders.clone());
            tokio::spawn(async move {
                let names = match task % 3 {
                    0 => [ONE, TWO, THREE],
                    1 => [THREE, TWO, ONE],
                    _ => [TWO, ONE, THREE],
                };
                for round in 0..6 {
                    let names = &names[..2 + round % 2];
                    let guard = hold(&client, names).await;
                    for (name, _) in names {
                        let mut holders = holders.lock().unwrap_or_else(PoisonError::into_inner);
                        assert_eq!(holders.insert(name, task), None, "{name} has two holders");
                    }
                    tokio::task::yield_now().await;
                    for (name, _) in names {
                        holders.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
                    }
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
}

pub(super) async fn the_loss_of_one_is_the_loss_of_all(case: &Case) {
    let [one, other] = case.clients().await;
    if has_none(&one) {
        return;
    }
    let acquired = [lock(), named("another")].map(|name| one.request(&name, ""));
    let acquired = one.locker.acquire_all(acquired.into(), Patience::Forever, &|_| {});
    let Ok(Some(guard)) = within("both", acquired).await else { panic!("both are free") };
    case.clear().await;
    within("the news", guard.lost()).await;
    // The place that was not taken away is given up.
    other.until_free("another").await;
}

pub(super) async fn what_cannot_be_taken_together_is_refused(case: &Case) {
    let one = case.client().await;
    let two = |name: &str| named(name);
    let refused = async |requests: Vec<Request>| {
        let attempt = one.locker.acquire_all(requests, Patience::Once, &|_| {});
        match within("a refusal", attempt).await {
            Err(error) => error.kind(),
            Ok(guard) => panic!("{guard:?}"),
        }
    };
    let request = |name: &Name| one.request(name, "");
    assert_eq!(refused(Vec::new()).await, ErrorKind::Invalid);
    let twice = vec![request(&two("a")), request(&two("b")), request(&two("a"))];
    assert_eq!(refused(twice).await, ErrorKind::Invalid);
    let permits = Permits::new(1, 1).map(Mode::Permits);
    if let Ok(mode) = permits
        && one.backend.supports(mode)
    {
        let permits = Request { mode, ..request(&two("c")) };
        assert_eq!(refused(vec![request(&two("a")), permits]).await, ErrorKind::Invalid);
    }
    for name in ["a", "b", "c"] {
        assert!(is_free(&one, name).await, "nothing was taken");
    }
}

pub(super) async fn a_holder_that_is_asked_to_let_go_is_told(case: &Case) {
    let [one, other] = case.clients().await;
    let guard = one.hold_as(&lock(), "the holder").await;
    let asked = match within("asking", other.backend.revoke(&lock())).await {
        Ok(asked) => asked,
        // A store without a way to tell says so.
        Err(error) if error.kind() == ErrorKind::Refused => return,
        Err(error) => panic!("{error:?}"),
    };
    let note = asked.first().and_then(|holder| holder.caller.as_ref()).map(|who| &*who.note);
    assert_eq!((asked.len(), note), (1, Some("the holder")), "{asked:?}");
    within("the request", guard.revocation_requested()).await;
    assert!(guard.is_held() && guard.is_revocation_requested(), "it is a request");
    // Who holds it can still be seen, and whoever comes next was not asked.
    if let Some(survey) = other.backend.survey() {
        let line = within("the line", survey.line(&lock())).await;
        let line = line.unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!(line[0].caller.as_ref().map(|who| &*who.note), Some("the holder"), "{line:?}");
    }
    drop(guard);
    let next = other.hold().await;
    assert!(!next.is_revocation_requested());
    let mut waiter = one.claim();
    waiting(&mut waiter).await;
    leave(&mut waiter).await;
    // Released in the background: whoever comes now may have to wait for that.
    drop(next);
    drop(one.hold().await);
}

pub(super) async fn asking_for_a_lock_that_nobody_holds_asks_nobody(case: &Case) {
    let one = case.client().await;
    match within("asking", one.backend.revoke(&lock())).await {
        Ok(asked) => assert_eq!(asked, []),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}"),
    }
}
