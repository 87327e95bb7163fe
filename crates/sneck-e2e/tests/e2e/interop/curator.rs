//! What Curator's clients share with sneck's beyond waiting for each other: order, readers and writers,
//! permits, requests to let go.

use super::{LASTING, speaking};
use crate::stage::server::{Kind, on_each_kind};
use crate::stage::{Site, line_of, places, soon, until, worker};
use sneck_testkit::peer::Recipe;
use sneck_testkit::{curator, or_skip};

on_each_kind!(
    curator_and_sneck_wait_for_each_other_in_order,
    readers_and_writers_of_curator_and_sneck_share_one_line,
    a_downgrade_on_either_side_keeps_the_writer_of_the_other_out,
    permits_of_curator_and_sneck_are_never_more_than_there_are,
    requests_to_let_go_are_understood_both_ways,
);

async fn curator_and_sneck_wait_for_each_other_in_order(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let servers = site.server.connect_string();
    let mut curator = or_skip!(curator::start(&servers, LASTING).await);
    let mut other = or_skip!(curator::start(&servers, LASTING).await);
    let url = site.url("20s");
    let (mut ours, mut last, dir) = (worker(&url).await, worker(&url).await, site.dir("l"));

    curator.acquire(Recipe::Lock, &dir).await;
    ours.send("lock l").await;
    site.line_of("l", 2).await;
    other.begin(Recipe::Lock, &dir);
    site.line_of("l", 3).await;
    last.send("lock l").await;
    site.line_of("l", 4).await;
    // Curator sees our places where they are.
    assert_eq!(curator.queue(&dir).await, site.places("l").await);

    curator.release(&dir).await;
    ours.wait_for(&["held", "l"]).await;
    assert!(!other.is_held(&dir), "ours is ahead");
    ours.ask("unlock l", &["free"]).await;
    other.held(&dir).await;
    assert!(last.unread().is_empty(), "theirs is ahead: {:?}", last.unread());
    other.release(&dir).await;
    last.wait_for(&["held", "l"]).await;
    last.ask("unlock l", &["free"]).await;
    site.line_of("l", 0).await;
    curator.exit().await;
    other.exit().await;
}

async fn readers_and_writers_of_curator_and_sneck_share_one_line(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let servers = site.server.connect_string();
    let mut curator = or_skip!(curator::start(&servers, LASTING).await);
    let mut other = or_skip!(curator::start(&servers, LASTING).await);
    let (locks, dir) = (speaking(&site, "curator").await, site.dir("l"));

    curator.acquire(Recipe::Write, &dir).await;
    let reader = tokio::spawn({
        let lock = locks.rw_lock("l");
        async move { lock.read().await }
    });
    site.line_of("l", 2).await;
    other.begin(Recipe::Read, &dir);
    site.line_of("l", 3).await;
    let writer = tokio::spawn({
        let lock = locks.rw_lock("l");
        async move { lock.write().await }
    });
    site.line_of("l", 4).await;
    assert!(!reader.is_finished() && !other.is_held(&dir), "there is a writer");
    curator.release(&dir).await;
    // Both readers come in together, and no later one passes the writer.
    let reader = soon("our turn", reader).await.expect("no panic").expect("our turn");
    other.held(&dir).await;
    curator.begin(Recipe::Read, &dir);
    site.line_of("l", 4).await;
    reader.unlock().await.expect("it was held");
    assert!(!writer.is_finished(), "Curator still reads");
    other.release(&dir).await;
    let writer = soon("our turn", writer).await.expect("no panic").expect("our turn");
    assert!(!curator.is_held(&dir), "it came after our writer");
    writer.unlock().await.expect("it was held");
    curator.held(&dir).await;
    curator.release(&dir).await;
    site.line_of("l", 0).await;
}

async fn a_downgrade_on_either_side_keeps_the_writer_of_the_other_out(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let servers = site.server.connect_string();
    let mut curator = or_skip!(curator::start(&servers, LASTING).await);
    let (locks, dir) = (speaking(&site, "curator").await, site.dir("l"));

    let ours = locks.rw_lock("l").write().await.expect("it is free");
    curator.begin(Recipe::Write, &dir);
    site.line_of("l", 2).await;
    let ours = ours.downgrade().await.expect("it is held");
    // A reader behind Curator's writer could only pass it if that line were not one line.
    assert!(locks.rw_lock("l").try_read().await.expect("an answer").is_none());
    assert!(!curator.is_held(&dir), "we still read");
    ours.unlock().await.expect("it was held");
    curator.held(&dir).await;

    // Curator's way: read while writing, then end writing.
    curator.acquire(Recipe::Read, &dir).await;
    let writer = tokio::spawn({
        let lock = locks.rw_lock("l");
        async move { lock.write().await }
    });
    site.line_of("l", 3).await;
    curator.release(&dir).await;
    site.line_of("l", 2).await;
    assert!(locks.rw_lock("l").try_read().await.expect("an answer").is_none());
    assert!(!writer.is_finished(), "Curator still reads");
    curator.release(&dir).await;
    let writer = soon("our turn", writer).await.expect("no panic").expect("our turn");
    writer.unlock().await.expect("it was held");
}

async fn permits_of_curator_and_sneck_are_never_more_than_there_are(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let servers = site.server.connect_string();
    let mut curator = or_skip!(curator::start(&servers, LASTING).await);
    let locks = speaking(&site, "curator").await;
    let (dir, leases, waiting) = (site.dir("s"), site.dir("s/leases"), site.dir("s/locks"));
    let (observer, semaphore) = (&site.observer, locks.semaphore("s", 3));

    curator.acquire(Recipe::Permits { take: 2, of: 3 }, &dir).await;
    let one = semaphore.acquire().await.expect("one is free");
    assert!(semaphore.try_acquire().await.expect("an answer").is_none());
    let two = tokio::spawn({
        let semaphore = semaphore.clone();
        async move { semaphore.acquire_many(2).await }
    });
    line_of(observer, &waiting, 1).await;
    assert_eq!(places(observer, &leases).await.len(), 3);
    curator.release(&dir).await;
    let two = soon("our turn", two).await.expect("no panic").expect("two are free");
    assert_eq!(places(observer, &leases).await.len(), 3);
    curator.begin(Recipe::Permits { take: 1, of: 3 }, &dir);
    line_of(observer, &waiting, 1).await;
    assert!(!curator.is_held(&dir), "all three are ours");
    one.unlock().await.expect("it was held");
    curator.held(&dir).await;
    two.unlock().await.expect("they were held");
    curator.release(&dir).await;
    line_of(observer, &leases, 0).await;
}

async fn requests_to_let_go_are_understood_both_ways(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let servers = site.server.connect_string();
    let mut curator = or_skip!(curator::start(&servers, LASTING).await);
    let (locks, dir) = (speaking(&site, "curator").await, site.dir("l"));

    let guard = locks.mutex("l").lock().await.expect("it is free");
    let node = site.places("l").await.remove(0);
    curator.revoke(&dir, &node).await;
    soon("the request", guard.revocation_requested()).await;
    assert!(guard.is_held(), "it is a request");
    // Curator wrote over who we are; we write it back behind the request.
    until("who holds it is shown", async || {
        let line = locks.line("l").await.expect("the line");
        line.first().is_some_and(|holder| holder.caller.is_some())
    })
    .await;
    guard.unlock().await.expect("it was held");

    curator.lock_revocably(&dir).await;
    assert_eq!(locks.request_revocation("l").await.expect("an answer").len(), 1);
    curator.asked(&dir).await;
    curator.release(&dir).await;
}
