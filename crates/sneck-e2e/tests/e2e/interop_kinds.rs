//! Read-write locks, semaphores and requests to let go, in one line with Apache Curator.

use crate::stage::{line_of, observer_of, places, url};
use sneck::Locks;
use sneck_testkit::curator::Peer;
use sneck_testkit::or_skip;
use sneck_testkit::zookeeper::{Builder, Version};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10);

async fn locks(servers: &str, root: &str) -> Locks {
    sneck::connect(&url(servers, root, "10s")).await.expect("the servers serve")
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_and_writers_of_curator_and_sneck_share_one_line() {
    let server = or_skip!(Builder::new(Version::V3_9).start().await);
    let mut curator = or_skip!(Peer::start(&server.connect_string(), TIMEOUT).await);
    let mut other = or_skip!(Peer::start(&server.connect_string(), TIMEOUT).await);
    let locks = locks(&server.connect_string(), "rw").await;
    let (dir, observer) = ("/rw/l", observer_of(&server).await);

    curator.begin("write", dir);
    curator.held(dir).await;
    let reader = tokio::spawn({
        let lock = locks.rw_lock("l");
        async move { lock.read().await }
    });
    line_of(&observer, dir, 2).await;
    other.begin("read", dir);
    line_of(&observer, dir, 3).await;
    let writer = tokio::spawn({
        let lock = locks.rw_lock("l");
        async move { lock.write().await }
    });
    line_of(&observer, dir, 4).await;
    assert!(!reader.is_finished() && !other.is_held(dir), "there is a writer");
    curator.end("write", dir).await;
    // Both readers come in together, and no later one passes the writer.
    let reader = reader.await.expect("no panic").expect("it is our turn");
    other.held(dir).await;
    curator.begin("read", dir);
    line_of(&observer, dir, 4).await;
    reader.unlock().await.expect("it was held");
    assert!(!writer.is_finished(), "Curator still reads");
    other.end("read", dir).await;
    let writer = writer.await.expect("no panic").expect("it is our turn");
    assert!(!curator.is_held(dir), "it came after our writer");
    writer.unlock().await.expect("it was held");
    curator.held(dir).await;
    curator.end("read", dir).await;
    line_of(&observer, dir, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_downgrade_on_either_side_keeps_the_writer_of_the_other_out() {
    let server = or_skip!(Builder::new(Version::V3_9).start().await);
    let mut curator = or_skip!(Peer::start(&server.connect_string(), TIMEOUT).await);
    let locks = locks(&server.connect_string(), "down").await;
    let (dir, observer) = ("/down/l", observer_of(&server).await);

    let ours = locks.rw_lock("l").write().await.expect("it is free");
    curator.begin("write", dir);
    line_of(&observer, dir, 2).await;
    let ours = ours.downgrade().await.expect("it is held");
    // A reader behind Curator's writer could only pass it if that line were not one line.
    assert!(locks.rw_lock("l").try_read().await.expect("an answer").is_none());
    assert!(!curator.is_held(dir), "we still read");
    ours.unlock().await.expect("it was held");
    curator.held(dir).await;

    // Curator's way: read while writing, then end writing.
    curator.begin("read", dir);
    curator.held(dir).await;
    let writer = tokio::spawn({
        let lock = locks.rw_lock("l");
        async move { lock.write().await }
    });
    line_of(&observer, dir, 3).await;
    curator.end("write", dir).await;
    line_of(&observer, dir, 2).await;
    assert!(locks.rw_lock("l").try_read().await.expect("an answer").is_none());
    assert!(!writer.is_finished(), "Curator still reads");
    curator.end("read", dir).await;
    writer.await.expect("no panic").expect("it is our turn").unlock().await.expect("it was held");
}

#[tokio::test(flavor = "multi_thread")]
async fn permits_of_curator_and_sneck_are_never_more_than_there_are() {
    let server = or_skip!(Builder::new(Version::V3_9).start().await);
    let mut curator = or_skip!(Peer::start(&server.connect_string(), TIMEOUT).await);
    let locks = locks(&server.connect_string(), "sem").await;
    let (dir, leases, observer) = ("/sem/s", "/sem/s/leases", observer_of(&server).await);

    curator.begin_permits(dir, 2, 3);
    curator.held(dir).await;
    let one = locks.semaphore("s", 3).acquire().await.expect("one is free");
    assert!(locks.semaphore("s", 3).try_acquire().await.expect("an answer").is_none());
    let two = tokio::spawn({
        let semaphore = locks.semaphore("s", 3);
        async move { semaphore.acquire_many(2).await }
    });
    line_of(&observer, "/sem/s/locks", 1).await;
    assert_eq!(places(&observer, leases).await.len(), 3);
    curator.give_back(dir).await;
    let two = two.await.expect("no panic").expect("two are free");
    assert_eq!(places(&observer, leases).await.len(), 3);
    curator.begin_permits(dir, 1, 3);
    line_of(&observer, "/sem/s/locks", 1).await;
    assert!(!curator.is_held(dir), "all three are ours");
    one.unlock().await.expect("it was held");
    curator.held(dir).await;
    two.unlock().await.expect("they were held");
    curator.give_back(dir).await;
    line_of(&observer, leases, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_to_let_go_are_understood_both_ways() {
    let server = or_skip!(Builder::new(Version::V3_9).start().await);
    let mut curator = or_skip!(Peer::start(&server.connect_string(), TIMEOUT).await);
    let locks = locks(&server.connect_string(), "revoke").await;
    let (dir, observer) = ("/revoke/l", observer_of(&server).await);

    let guard = locks.mutex("l").lock().await.expect("it is free");
    let node = places(&observer, dir).await.remove(0);
    curator.revoke(dir, &node).await;
    guard.revocation_requested().await;
    assert!(guard.is_held(), "it is a request");
    // Curator wrote over who we are; we write it back behind the request.
    let shown = async {
        loop {
            let line = locks.line("l").await.expect("the line");
            if line.first().is_some_and(|holder| holder.caller.is_some()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), shown).await.expect("who holds it is shown");
    guard.unlock().await.expect("it was held");

    curator.lock_revocably(dir).await;
    assert_eq!(locks.request_revocation("l").await.expect("an answer").len(), 1);
    curator.asked(dir).await;
    curator.unlock(dir).await;
}
