//! What is seen from outside the lines: who holds, how, and who waits in a circle.

use super::{Case, Client, SOON, held, leave, lock, named, waiting, within};
use sneck_core::{
    Contender, Deadlocks, Error, ErrorKind, Guard, Mode, Order, Patience, Permits, Request, Survey,
    Ties, deadlocks,
};
use std::time::Duration;
use tokio::task::JoinHandle;

/// The store seen from outside; `None` where who waits is not seen, and the case has nothing to say.
fn survey(client: &Client) -> Option<&dyn Survey> {
    client.backend.survey().filter(|_| client.promises().order == Order::Fifo)
}

async fn line(client: &Client) -> Vec<Contender> {
    let Some(survey) = survey(client) else { return Vec::new() };
    let line = within("the line", survey.line(&lock())).await;
    line.unwrap_or_else(|error| panic!("the line: {error:?}"))
}

pub(super) async fn readers_who_hold_are_told_from_a_writer_who_waits(case: &Case) {
    let [one, other] = case.clients().await;
    if survey(&one).is_none() || !one.backend.supports(Mode::Shared) {
        return;
    }
    let mut readers = [one.claim_as(Mode::Shared), other.claim_as(Mode::Shared)];
    for reader in &mut readers {
        held(reader).await;
    }
    let request = one.request_as(Mode::Write);
    let (id, mut writer) = (request.id, one.backend.claim(request));
    waiting(&mut writer).await;
    let mut late = other.claim_as(Mode::Shared);
    waiting(&mut late).await;
    let line = line(&other).await;
    let shown: Vec<_> = line.iter().map(|place| (place.mode, place.held)).collect();
    let shared = Some(Mode::Shared);
    // In some dialects the place of a writer has the name of a mutex's.
    let write = line[2].mode.filter(|mode| [Mode::Write, Mode::Exclusive].contains(mode));
    assert!(write.is_some(), "{shown:?}");
    assert_eq!(shown, [(shared, true), (shared, true), (write, false), (shared, false)]);
    assert_eq!(line[2].claim, Some(id), "the identity of a claim is seen");
    for claim in readers.iter_mut().chain([&mut writer, &mut late]) {
        leave(claim).await;
    }
}

pub(super) async fn permits_that_are_held_are_told_from_those_waited_for(case: &Case) {
    let [one, other] = case.clients().await;
    let permits = |take, of| Permits::new(take, of).map(Mode::Permits).ok();
    let (Some(two), Some(all)) = (permits(2, 3), permits(3, 3)) else { return };
    if survey(&one).is_none() || !one.backend.supports(two) {
        return;
    }
    let (mut holder, mut waiter) = (one.claim_as(two), other.claim_as(all));
    held(&mut holder).await;
    waiting(&mut waiter).await;
    let shown = line(&one).await;
    let shown: Vec<_> = shown.iter().map(|place| (place.mode, place.held)).collect();
    assert_eq!(shown, [(Some(two), true), (Some(all), false)]);
    leave(&mut holder).await;
    leave(&mut waiter).await;
}

/// Waits for a lock while holding another.
fn wait_holding(client: &Client, name: &str, guard: &Guard, yields: bool) -> Waiter {
    let client = client.clone();
    let request = client.request(&named(name), name);
    let ties = Ties { holds: vec![guard.claim_id()], yields, ..Ties::default() };
    let request = Request { ties, ..request };
    tokio::spawn(async move { client.locker.acquire(request, Patience::Forever).await })
}

type Waiter = JoinHandle<Result<Option<Guard>, Error>>;

/// Looks until there is a circle.
async fn until_found(survey: &dyn Survey) -> Deadlocks {
    let found = async {
        loop {
            let seen = deadlocks(survey).await;
            let seen = seen.unwrap_or_else(|error| panic!("looking for circles: {error:?}"));
            if !seen.found.is_empty() {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within("a circle", found).await
}

pub(super) async fn waiting_in_a_circle_is_seen_with_every_edge(case: &Case) {
    let [one, other, outside] = case.clients().await;
    let Some(survey) = survey(&outside) else { return };
    let (a, b) = (one.hold_as(&named("a"), "").await, other.hold_as(&named("b"), "").await);
    let first = wait_holding(&one, "b", &a, false);
    // Who waits behind a circle is no part of it.
    let bystander = wait_holding(&outside, "a", &outside.hold_as(&named("c"), "").await, false);
    let seen = within("no circle", deadlocks(survey)).await;
    assert!(seen.is_ok_and(|seen| seen.found.is_empty()), "nobody waits in a circle yet");
    let second = wait_holding(&other, "a", &b, false);
    let seen = until_found(survey).await;
    let [deadlock] = &seen.found[..] else { panic!("{seen:?}") };
    let mut edges: Vec<_> = (0..deadlock.circle.len())
        .map(|at| {
            let (held, by) = deadlock.holds(at).unwrap_or_else(|| panic!("{deadlock}"));
            (held.as_str(), by.claim, deadlock.circle[at].wants.as_str())
        })
        .collect();
    edges.sort_unstable();
    assert_eq!(edges, [("a", Some(a.claim_id()), "b"), ("b", Some(b.claim_id()), "a")]);
    assert!(deadlock.victim().is_none(), "nobody gives up who does not say so");
    // It ends as soon as somebody gives up what it holds.
    bystander.abort();
    // What it may have been given at the last moment is given back.
    drop(within("the bystander", bystander).await);
    drop(a);
    let held = within("the lock", second).await;
    assert!(matches!(held, Ok(Ok(Some(_)))), "{held:?}");
    drop((b, held));
    let held = within("the lock", first).await;
    assert!(matches!(held, Ok(Ok(Some(_)))), "{held:?}");
}

pub(super) async fn of_a_circle_exactly_one_gives_up(case: &Case) {
    let clients: [Client; 3] = case.clients().await;
    if survey(&clients[0]).is_none() {
        return;
    }
    let names = ["a", "b", "c"];
    let mut waits = Vec::new();
    for (client, name) in clients.iter().zip(names) {
        waits.push((client, client.hold_as(&named(name), "").await));
    }
    let mut waits: Vec<(Waiter, Guard)> = waits
        .into_iter()
        .zip(names.iter().cycle().skip(1))
        .map(|((client, guard), wants)| (wait_holding(client, wants, &guard, true), guard))
        .collect();
    let (mut given_up, mut granted) = (0, 0);
    while !waits.is_empty() {
        let ended = async {
            loop {
                if let Some(at) = waits.iter().position(|(waiter, _)| waiter.is_finished()) {
                    return at;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let at = within("an end of the circle", ended).await;
        let (waiter, guard) = waits.remove(at);
        match tokio::time::timeout(SOON, waiter).await {
            Ok(Ok(Ok(Some(had)))) => {
                granted += 1;
                drop(had);
            }
            Ok(Ok(Err(error))) => {
                assert_eq!(error.kind(), ErrorKind::Deadlock, "{error:?}");
                let circle = error.deadlock().map(|deadlock| deadlock.circle.len());
                assert_eq!(circle, Some(3), "{error:?}");
                given_up += 1;
            }
            other => panic!("{other:?}"),
        }
        drop(guard);
    }
    assert_eq!((given_up, granted), (1, 2));
}
