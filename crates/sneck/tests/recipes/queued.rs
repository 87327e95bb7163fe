//! Attempts that tell where they stand.

use crate::{Store, until, within};
use sneck::{ErrorKind, Locks, Queued, Waiting};
use std::time::Duration;

const NAME: &str = "q/lock";

/// What is told next: how many are ahead, and what the holder has noted.
async fn told<G>(queued: &mut Queued<G>) -> Option<(u32, String)> {
    let Waiting { ahead, holder } = within("news", queued.next()).await?;
    let holder = holder.expect("somebody holds it").caller.expect("one of us");
    Some((ahead.expect("a place"), holder.note))
}

fn some(ahead: u32, note: &str) -> Option<(u32, String)> {
    Some((ahead, note.to_owned()))
}

async fn in_line(locks: &Locks, name: &str) -> usize {
    locks.line(name).await.unwrap().len()
}

pub(crate) async fn the_place_and_the_holder_are_told_as_they_change(store: &Store) {
    let [one, two, three] = [store.client().await, store.client().await, store.client().await];
    let first = within("a", one.mutex(NAME).with_note("a").lock()).await.unwrap();
    let second = two.mutex(NAME).with_note("b");
    let second = tokio::spawn(async move { second.lock().await });
    until("b waits", async || in_line(&one, NAME).await == 2).await;
    let mut third = three.mutex(NAME).lock_queued();
    assert_eq!(told(&mut third).await, some(2, "a"));
    // A call that is given up costs neither the place nor the news.
    let nothing_new = tokio::time::timeout(Duration::from_millis(300), third.next()).await;
    assert!(nothing_new.is_err(), "{nothing_new:?}");
    within("release", first.unlock()).await.unwrap();
    // It is not this one who is woken, yet it is told.
    assert_eq!(told(&mut third).await, some(1, "b"));
    let second = within("b", second).await.unwrap().unwrap();
    within("release", second.unlock()).await.unwrap();
    assert_eq!(told(&mut third).await, None);
    assert_eq!(told(&mut third).await, None, "and so it stays");
    let third = within("c", third.guard()).await.unwrap();
    assert!(third.is_held());
    within("release", third.unlock()).await.unwrap();
}

pub(crate) async fn one_that_is_dropped_leaves_the_line(store: &Store) {
    let (one, other) = (store.client().await, store.client().await);
    let first = within("the lock", one.mutex(NAME).lock()).await.unwrap();
    drop(other.mutex(NAME).lock_queued());
    let mut queued = other.mutex(NAME).lock_queued();
    assert!(within("news", queued.next()).await.is_some());
    assert_eq!(in_line(&one, NAME).await, 2);
    drop(queued);
    until("it has left", async || in_line(&one, NAME).await == 1).await;
    within("release", first.unlock()).await.unwrap();
    // Had, and never asked for.
    let mut queued = other.mutex(NAME).lock_queued();
    assert!(within("the end", queued.next()).await.is_none());
    drop(queued);
    until("it is free", async || in_line(&one, NAME).await == 0).await;
}

pub(crate) async fn every_kind_of_lock_tells_it(store: &Store) {
    let (one, other) = (store.client().await, store.client().await);
    let book = one.rw_lock("q/book").with_note("r").read().await.unwrap();
    let mut writer = other.rw_lock("q/book").write_queued();
    assert_eq!(told(&mut writer).await, some(1, "r"));
    drop(book);
    let writer = within("the writer", writer.guard()).await.unwrap();
    let mut reader = one.rw_lock("q/book").read_queued();
    assert_eq!(told(&mut reader).await.map(|(ahead, _)| ahead), Some(1));
    drop(writer);
    drop(within("the reader", reader.guard()).await.unwrap());

    let pool = one.semaphore("q/pool", 2).with_note("p").acquire_many(2).await.unwrap();
    let mut permit = other.semaphore("q/pool", 2).acquire_many_queued(1);
    assert_eq!(told(&mut permit).await, some(1, "p"));
    drop(pool);
    drop(within("a permit", permit.guard()).await.unwrap());

    let stock = one.mutex("q/stock").with_note("s").lock().await.unwrap();
    let mut both = other.all(["q/order", "q/stock"]).lock_queued();
    assert_eq!(told(&mut both).await, some(1, "s"));
    drop(stock);
    drop(within("both", both.guard()).await.unwrap());

    let leader = one.election("q/election").campaign("here").await.unwrap();
    let mut candidate = other.election("q/election").campaign_queued("there");
    assert_eq!(told(&mut candidate).await, some(1, "here"));
    drop(leader);
    drop(within("leadership", candidate.guard()).await.unwrap());
}

pub(crate) async fn what_can_never_be_had_is_told_at_the_end(store: &Store) {
    let locks = store.client().await;
    let kind = async |mut queued: Queued<sneck::Guard>| {
        assert!(within("the end", queued.next()).await.is_none());
        within("the reason", queued.guard()).await.unwrap_err().kind()
    };
    assert_eq!(kind(locks.mutex("a//b").lock_queued()).await, ErrorKind::Invalid);
    assert_eq!(kind(locks.all(["a", "a"]).lock_queued()).await, ErrorKind::Invalid);
    assert_eq!(kind(locks.all::<&str>([]).lock_queued()).await, ErrorKind::Invalid);
    assert_eq!(kind(locks.semaphore("a", 1).acquire_many_queued(2)).await, ErrorKind::Invalid);
    let candidate = locks.election("a").campaign_queued("two\nlines").guard();
    assert_eq!(within("the reason", candidate).await.unwrap_err().kind(), ErrorKind::Invalid);
}
