//! What is asked for and can never be had: a typed error, and nothing is written.

use crate::{Store, within};
use sneck::{Election, Error, ErrorKind, Locks};
use std::fmt::Debug;
use std::time::Duration;

const NAME: &str = "a/b";

/// What an attempt that must be refused says. It says for which lock.
async fn refused<T: Debug>(
    attempt: impl Future<Output = Result<T, Error>>,
    kind: ErrorKind,
    says: &str,
) {
    let error = within("a refusal", attempt).await.unwrap_err();
    assert_eq!(error.kind(), kind, "{error:?}");
    assert_eq!(error.lock().map(sneck::Name::as_str), Some(NAME), "{error:?}");
    assert!(error.to_string().contains(says), "no {says:?} in {error}");
}

/// That nothing at all was written in a store that nobody has written to before.
async fn assert_untouched(store: &Store, locks: &Locks) {
    assert_eq!(locks.names().await.unwrap(), []);
    assert_eq!(locks.durable_names().await.unwrap(), []);
    assert_eq!(store.nodes().await, Vec::<String>::new());
}

pub(crate) async fn zero_permits(store: &Store) {
    let locks = store.client().await;
    let pool = locks.semaphore(NAME, 3);
    refused(pool.acquire_many(0), ErrorKind::Invalid, "at least one permit").await;
    refused(pool.try_acquire_many(0), ErrorKind::Invalid, "at least one permit").await;
    refused(pool.set_permits(0), ErrorKind::Invalid, "at least one permit").await;
    let empty = locks.semaphore(NAME, 0);
    refused(empty.acquire(), ErrorKind::Invalid, "at least one permit").await;
    assert_untouched(store, &locks).await;
}

pub(crate) async fn more_permits_than_there_are(store: &Store) {
    let locks = store.client().await;
    let pool = locks.semaphore(NAME, 3);
    refused(pool.acquire_many(4), ErrorKind::Invalid, "4 permits").await;
    refused(pool.try_acquire_many(4), ErrorKind::Invalid, "there are 3").await;
    let soon = Duration::from_secs(1);
    refused(pool.acquire_many_timeout(u32::MAX, soon), ErrorKind::Invalid, "there are 3").await;
    assert_untouched(store, &locks).await;
}

pub(crate) async fn one_lock_twice(store: &Store) {
    let locks = store.client().await;
    let mutexes = locks.all([NAME, "c", NAME]);
    refused(mutexes.lock(), ErrorKind::Invalid, "twice").await;
    refused(mutexes.try_lock(), ErrorKind::Invalid, "twice").await;
    // In whatever modes: the reader would wait for the writer, and for ever.
    let mixed = locks.all([NAME]).read("c").write(NAME);
    refused(mixed.lock(), ErrorKind::Invalid, "twice").await;
    assert_untouched(store, &locks).await;
}

pub(crate) async fn another_number_of_permits(store: &Store) {
    let (one, other) = (store.client().await, store.client().await);
    let held = within("a permit", one.semaphore(NAME, 3).acquire()).await.unwrap();
    let before = (one.line(NAME).await.unwrap(), store.nodes().await);
    for number in [2, 5] {
        let pool = other.semaphore(NAME, number);
        let says = format!("{number}");
        refused(pool.acquire(), ErrorKind::Disagreement, &says).await;
        refused(pool.try_acquire(), ErrorKind::Disagreement, "3").await;
        // Once it is agreed upon there is a permit for it.
        assert_eq!(pool.permits().await.unwrap(), Some(3));
    }
    assert_eq!((one.line(NAME).await.unwrap(), store.nodes().await), before);
    within("release", held.unlock()).await.unwrap();
}

pub(crate) async fn an_interval_of_zero(store: &Store) {
    let locks = store.client().await;
    refused(locks.once(NAME, Duration::ZERO).start(), ErrorKind::Invalid, "zero").await;
    assert_eq!(locks.once(NAME, Duration::from_secs(1)).last().await.unwrap(), None);
    assert_untouched(store, &locks).await;
}

pub(crate) async fn data_that_the_store_does_not_take(store: &Store) {
    let locks = store.client().await;
    let long = "x".repeat(Election::DATA_MAX + 1);
    let election = locks.election(NAME);
    refused(election.campaign(&long), ErrorKind::Invalid, "201 bytes").await;
    refused(election.try_campaign("two\nlines"), ErrorKind::Invalid, "text").await;
    let reason = "x".repeat(257);
    let durable = locks.durable(NAME, "owner").with_reason(&reason);
    refused(durable.take(), ErrorKind::Invalid, "257 bytes").await;
    refused(
        locks.durable(NAME, "owner").force(sneck::ClaimId::random(), &reason),
        ErrorKind::Invalid,
        "257 bytes",
    )
    .await;
    assert_untouched(store, &locks).await;
}

/// A name that the clients of another dialect use, or another kind of lock: they would not see us.
pub(crate) async fn a_name_that_another_dialect_owns(store: &Store) {
    // Elsewhere there is one dialect, and one line for all kinds of locks.
    let Some(kazoo) = store.speaking("kazoo").await else { return };
    let curator = store.client().await;
    let held = within("the lock", kazoo.mutex(NAME).lock()).await.unwrap();
    let nodes = store.nodes().await;
    refused(curator.mutex(NAME).lock(), ErrorKind::Refused, "").await;
    refused(curator.mutex(NAME).try_lock(), ErrorKind::Refused, "").await;
    refused(curator.rw_lock(NAME).read(), ErrorKind::Refused, "").await;
    assert_eq!(store.nodes().await, nodes);
    refused(curator.all([NAME, "c"]).lock(), ErrorKind::Refused, "").await;
    assert_eq!(curator.line("c").await.unwrap(), [], "all or nothing");
    assert!(held.is_held());
    within("release", held.unlock()).await.unwrap();

    let held = within("the lock", curator.rw_lock(NAME).write()).await.unwrap();
    let nodes = store.nodes().await;
    refused(curator.mutex(NAME).lock(), ErrorKind::Refused, "").await;
    refused(kazoo.mutex(NAME).lock(), ErrorKind::Refused, "").await;
    assert_eq!(store.nodes().await, nodes);
    within("release", held.into_guard().unlock()).await.unwrap();
}
