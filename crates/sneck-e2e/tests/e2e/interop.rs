//! One line with Apache Curator.

use crate::stage::{line_of, observer_of, url, worker};
use sneck_testkit::curator::Peer;
use sneck_testkit::or_skip;
use sneck_testkit::zookeeper::{Builder, Version};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn curator_and_sneck_wait_for_each_other_in_order() {
    let server = or_skip!(Builder::new(Version::V3_9).start().await);
    let mut curator = or_skip!(Peer::start(&server.connect_string(), TIMEOUT).await);
    let mut other = or_skip!(Peer::start(&server.connect_string(), TIMEOUT).await);
    let url = url(&server.connect_string(), "interop", "2s");
    let (mut ours, mut last) = (worker(&url).await, worker(&url).await);
    let (dir, observer) = ("/interop/l", observer_of(&server).await);

    curator.lock(dir).await;
    ours.send("lock l").await;
    line_of(&observer, dir, 2).await;
    other.begin_lock(dir);
    line_of(&observer, dir, 3).await;
    last.send("lock l").await;
    line_of(&observer, dir, 4).await;
    // Curator sees our places where they are.
    assert_eq!(curator.queue(dir).await, crate::stage::places(&observer, dir).await);

    curator.unlock(dir).await;
    ours.wait_for(&["held", "l"]).await;
    assert!(!other.is_held(dir), "ours is ahead");
    ours.ask("unlock l", &["free"]).await;
    other.held(dir).await;
    assert!(last.unread().is_empty(), "theirs is ahead: {:?}", last.unread());
    other.unlock(dir).await;
    last.wait_for(&["held", "l"]).await;
    last.ask("unlock l", &["free"]).await;
    line_of(&observer, dir, 0).await;
    curator.exit().await;
    other.exit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_either_side_frees_the_lock_for_the_other() {
    let server = or_skip!(Builder::new(Version::V3_9).start().await);
    let mut first = or_skip!(Peer::start(&server.connect_string(), TIMEOUT).await);
    let mut second = or_skip!(Peer::start(&server.connect_string(), TIMEOUT).await);
    let mut ours = worker(&url(&server.connect_string(), "kill", "2s")).await;
    let (dir, observer) = ("/kill/l", observer_of(&server).await);

    first.lock(dir).await;
    ours.send("lock l").await;
    line_of(&observer, dir, 2).await;
    first.kill().await;
    ours.wait_for(&["held", "l"]).await;
    second.begin_lock(dir);
    line_of(&observer, dir, 2).await;
    ours.kill().await;
    second.held(dir).await;
    second.unlock(dir).await;
    second.exit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn curator_and_sneck_count_together_without_losing_an_update() {
    const TIMES: u32 = 150;
    let server = or_skip!(Builder::new(Version::V3_9).start().await);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("number");
    std::fs::write(&file, "0").expect("a temporary folder");
    let timeout = Duration::from_secs(20);
    let mut theirs = [
        or_skip!(Peer::start(&server.connect_string(), timeout).await),
        or_skip!(Peer::start(&server.connect_string(), timeout).await),
    ];
    let url = url(&server.connect_string(), "count", "20s");
    let mut ours = [worker(&url).await, worker(&url).await];
    for peer in &mut theirs {
        peer.begin_count("/count/l", &file, TIMES);
    }
    for worker in &mut ours {
        worker.send(&format!("count-plain l {} {TIMES}", file.display())).await;
    }
    for peer in &mut theirs {
        peer.counted("/count/l").await;
    }
    for worker in &mut ours {
        worker.wait_for(&["counted"]).await;
    }
    let counted = std::fs::read_to_string(&file).expect("it was written");
    assert_eq!(counted.trim(), (4 * TIMES).to_string());
}
