//! Locks that outlive their owners.

use crate::{Store, given_up, until, within};
use sneck::{ClaimId, ErrorKind, Loss};
use std::time::Duration;

const NAME: &str = "db/migration";

pub(crate) async fn a_durable_lock_outlives_its_holder_and_is_taken_up_again(store: &Store) {
    let (first, other) = (store.client().await, store.client().await);
    let mine = first.durable(NAME, "deployer-7").with_reason("schema 12");
    let hold = within("the lock", mine.take()).await.unwrap();
    let token = hold.token();
    drop(hold);
    first.close().await;

    let theirs = other.durable(NAME, "deployer-8");
    assert!(within("trying", theirs.try_take()).await.unwrap().is_none());
    let holder = theirs.holder().await.unwrap().unwrap();
    assert_eq!((holder.owner.as_str(), holder.reason.as_str()), ("deployer-7", "schema 12"));
    assert_eq!(holder.token, token);
    assert_eq!(holder.caller.as_ref().unwrap().pid, std::process::id());
    let error = within("a time-out", theirs.take_timeout(Duration::from_millis(20))).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains(NAME), "{error}");
    assert!(error.holder().unwrap().text.contains("deployer-7: schema 12"), "{error:?}");
    assert_eq!(other.durable_names().await.unwrap()[0].as_str(), NAME);

    // The owner after a restart: the same lock since then, under a larger token.
    let restarted = store.client().await;
    let mine = restarted.durable(NAME, "deployer-7").with_reason("schema 12, again");
    let again = within("the same lock", mine.take()).await.unwrap();
    assert!(again.token() > token);
    assert_eq!(theirs.holder().await.unwrap().unwrap().since, holder.since);
    // An earlier process of that owner that still runs is told.
    let newest = within("the same lock", mine.take()).await.unwrap();
    assert_eq!(within("the loss", again.lost()).await, Loss::Usurped);
    assert!(!again.is_held() && newest.is_held() && newest.token() > again.token());
    assert_eq!(again.free().await.unwrap_err().kind(), ErrorKind::Lost);
    assert!(newest.is_held(), "what another process has is not freed");
    within("freeing", newest.free()).await.unwrap();
    assert_eq!(theirs.holder().await.unwrap(), None);
    assert!(other.durable_names().await.unwrap().is_empty());
    let next = within("the lock", theirs.take()).await.unwrap();
    assert!(next.token().get() > token.get());
}

pub(crate) async fn a_waiter_is_woken_when_the_lock_is_freed(store: &Store) {
    let (one, other) = (store.client().await, store.client().await);
    let mut last = None;
    for round in 0..6 {
        let hold = within("the lock", one.durable(NAME, "a").take()).await.unwrap();
        let other = other.clone();
        let waiting = tokio::spawn(async move { other.durable(NAME, "b").take().await });
        if round % 2 == 0 {
            tokio::task::yield_now().await;
        }
        let token = hold.token();
        within("freeing", hold.free()).await.unwrap();
        let next = within("the waiter", waiting).await.unwrap().unwrap();
        assert!(next.token() > token && last < Some(token));
        last = Some(next.token());
        within("freeing", next.free()).await.unwrap();
    }
}

pub(crate) async fn force_needs_the_id_and_is_remembered(store: &Store) {
    let (one, other) = (store.client().await, store.client().await);
    let hold = within("the lock", one.durable(NAME, "a").with_reason("r").take()).await.unwrap();
    let admin = other.durable(NAME, "admin");
    let holder = admin.holder().await.unwrap().unwrap();

    let error = admin.force(ClaimId::random(), "a mistake").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("another id"), "{error}");
    let error = admin.force(holder.id, &"x".repeat(257)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(admin.holder().await.unwrap(), Some(holder.clone()), "nothing was written");
    assert!(hold.is_held());

    let waiter = store.client().await;
    let waiting = tokio::spawn(async move {
        let taken = waiter.durable(NAME, "b").take().await;
        (waiter, taken)
    });
    assert!(admin.force(holder.id, "a burnt down").await.unwrap());
    within("the loss", hold.lost()).await;
    assert_eq!(hold.protect(async {}).await.unwrap_err().kind(), ErrorKind::Lost);
    let (waiter, next) = within("the waiter", waiting).await.unwrap();
    let next = next.unwrap();
    assert!(next.token() > hold.token());
    // The id of the hold that was ended does not end another.
    assert_eq!(admin.force(holder.id, "").await.unwrap_err().kind(), ErrorKind::Refused);
    within("freeing", next.free()).await.unwrap();
    assert!(!admin.force(holder.id, "").await.unwrap(), "nobody has it");

    let [event] = &admin.history().await.unwrap()[..] else { panic!("one release by force") };
    assert_eq!((event.reason.as_str(), &event.ended), ("a burnt down", &holder));
    assert_eq!(event.by.as_ref().unwrap().pid, std::process::id());
    assert!(event.at >= holder.since);
    assert!(within("the lock", waiter.durable(NAME, "c").try_take()).await.unwrap().is_some());
}

pub(crate) async fn only_its_owner_frees_it(store: &Store) {
    let locks = store.client().await;
    let mine = locks.durable(NAME, "a");
    assert!(!mine.free().await.unwrap(), "nobody has it");
    drop(within("the lock", mine.take()).await.unwrap());
    let error = locks.durable(NAME, "b").free().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.holder().is_some_and(|holder| holder.text.contains("note=a")), "{error:?}");
    assert!(mine.holder().await.unwrap().is_some());
    // Another process of the owner, which has no hold of it in its hands.
    assert!(store.client().await.durable(NAME, "a").free().await.unwrap());
    assert_eq!(mine.holder().await.unwrap(), None);
}

pub(crate) async fn a_dropped_attempt_leaves_nothing_and_takes_nothing_away(store: &Store) {
    let locks = store.client().await;
    for polls in 0..30 {
        let name = format!("dropped-{polls}");
        let (fresh, other) = (locks.durable(&name, "a"), locks.durable(&name, "b"));
        if let Some(taken) = given_up(polls, fresh.take()).await {
            drop(taken.unwrap());
            assert!(fresh.free().await.unwrap());
        }
        until("nothing is left", async || other.holder().await.unwrap().is_none()).await;
        // What the owner has had before stays, although this attempt was given up.
        drop(within("the lock", fresh.take()).await.unwrap());
        drop(given_up(polls, fresh.take()).await);
        drop(given_up(polls, other.take()).await);
        let holder = other.holder().await.unwrap().unwrap();
        assert_eq!(holder.owner, "a", "after {polls} polls");
    }
}

pub(crate) async fn what_can_never_work_is_refused_before_anything_is_written(store: &Store) {
    let locks = store.client().await;
    let long = "x".repeat(257);
    for (name, owner, reason) in [
        ("", "a", ""),
        ("a//b", "a", ""),
        (NAME, "", ""),
        (NAME, "a\nb", ""),
        (NAME, long.as_str(), ""),
        (NAME, "a", long.as_str()),
    ] {
        let durable = locks.durable(name, owner).with_reason(reason);
        for error in [durable.take().await.err(), durable.try_take().await.err()] {
            assert_eq!(error.unwrap().kind(), ErrorKind::Invalid, "{name:?} {owner:?}");
        }
    }
    assert!(locks.durable_names().await.unwrap().is_empty());
}
