//! Peers with other libraries on a real server.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use sneck_testkit::peer::Recipe;
use sneck_testkit::zookeeper::{self, Version};
use sneck_testkit::{curator, etcd, kazoo, or_skip};

const SESSION_TIMEOUT: Duration = Duration::from_secs(2);

#[tokio::test]
async fn two_peers_stand_in_one_line() {
    let server = or_skip!(zookeeper::shared(Version::V3_9).await);
    let path = format!("/curator-{}", std::process::id());
    let mut first = or_skip!(curator::start(&server.connect_string(), SESSION_TIMEOUT).await);
    let mut second = or_skip!(curator::start(&server.connect_string(), SESSION_TIMEOUT).await);
    first.acquire(Recipe::Lock, &path).await;
    second.begin(Recipe::Lock, &path);
    while first.queue(&path).await.len() < 2 {}
    let queue = second.queue(&path).await;
    let sequences: Vec<&str> =
        queue.iter().map(|node| node.split_once("-lock-").expect("a lock node").1).collect();
    assert_eq!(sequences.len(), 2);
    assert!(sequences[0] < sequences[1]);
    assert!(!second.is_held(&path));
    first.release(&path).await;
    second.held(&path).await;

    // What a dead holder had is free once its session is over; a stopped one is no different.
    first.begin(Recipe::Lock, &path);
    second.kill().await;
    first.held(&path).await;
    first.pause();
    let mut third = or_skip!(curator::start(&server.connect_string(), SESSION_TIMEOUT).await);
    third.acquire(Recipe::Lock, &path).await;
    first.resume();

    let file = server_file();
    std::fs::write(&file, "40").unwrap();
    let other = format!("{path}-count");
    third.begin_count(&other, file.as_ref(), 2);
    third.counted(&other).await;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "42");
    third.exit().await;
}

#[tokio::test]
async fn those_who_are_measured_lock_as_often_as_they_are_told() {
    let server = or_skip!(zookeeper::shared(Version::V3_9).await);
    let (addr, session) = (server.connect_string(), Duration::from_secs(30));
    let mut curator = or_skip!(curator::start_optimised(&addr, session).await);
    let mut kazoo = or_skip!(kazoo::start(&addr, session, "measured").await);
    let root = format!("/measured-{}", std::process::id());
    for (name, peer) in [("curator", &mut curator), ("kazoo", &mut kazoo)] {
        let path = format!("{root}-{name}");
        peer.begin_cycle(&path, 3);
        assert!(peer.cycled(&path).await > Duration::ZERO);
        peer.many(&path, 2, 2).await;
        peer.crowd(&format!("{path}-crowd"), 3, 1).await;
    }
    curator.contend(&root, 3, 2).await;
    // The number of the next place is that of the places before it.
    let numbers = |queue: Vec<String>| -> Vec<u32> {
        queue.iter().map(|node| node[node.len() - 10..].parse().unwrap()).collect()
    };
    let taken = [
        (root.clone(), 6),
        (format!("{root}-curator/1"), 2),
        (format!("{root}-kazoo/1"), 2),
        (format!("{root}-curator-crowd"), 3),
        (format!("{root}-kazoo-crowd"), 3),
    ];
    for (path, before) in taken {
        curator.acquire(Recipe::Lock, &path).await;
        assert_eq!(numbers(curator.queue(&path).await), [before], "{path}");
    }
    curator.exit().await;
    kazoo.exit().await;
}

#[tokio::test]
async fn etcd_locks_as_often_as_it_is_told() {
    let server = or_skip!(etcd::Server::start().await);
    let mut peer = or_skip!(etcd::peer(&server, Duration::from_secs(30)).await);
    peer.begin_cycle("/cycle", 3);
    assert!(peer.cycled("/cycle").await > Duration::ZERO);
    peer.many("/many", 2, 2).await;
    peer.crowd("/crowd", 3, 2).await;
    peer.contend("/contend", 3, 2).await;
    peer.exit().await;
}

fn server_file() -> tempfile::TempPath {
    tempfile::NamedTempFile::new().unwrap().into_temp_path()
}
