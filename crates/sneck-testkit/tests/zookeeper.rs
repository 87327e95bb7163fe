//! The launcher against the servers it launches.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod raw;

use std::time::{Duration, Instant};

use raw::{
    CREATE, CREATE_TTL, EPHEMERAL_SEQUENTIAL, EXISTS, PERSISTENT_WITH_TTL, PING, Raw, create,
    exists,
};
use sneck_testkit::or_skip;
use sneck_testkit::zookeeper::{self, Builder, Certificate, Version};

const SOON: Duration = Duration::from_secs(20);

async fn serves_a_session(version: Version) {
    let server = or_skip!(zookeeper::shared(version).await);
    let told = server.four_letter(0, "srvr").await;
    // A server started beforehand may have been given another release by its owner.
    assert!(told.contains(version.release()), "{told}");
    let mut raw = Raw::connect(server.addr(0), 4_000).await;
    assert_eq!(raw.negotiated_ms, 4_000);
    let path = format!("/launcher-{:x}", raw.session_id);
    let reply = raw.call(CREATE, &create(&path, 1), SOON).await.unwrap();
    assert_eq!(reply.error, 0);
    assert!(server.metric(0, "zk_ephemerals_count").await >= 1.0);
    assert!(server.wchs(0).await.contains("Total watches"));
}

#[tokio::test]
async fn shared_server_of_3_8() {
    serves_a_session(Version::V3_8).await;
}

#[tokio::test]
async fn shared_server_of_3_9() {
    serves_a_session(Version::V3_9).await;
}

#[tokio::test]
async fn limits_and_properties_reach_the_server() {
    let server = or_skip!(
        Builder::new(Version::V3_9)
            .tick_ms(200)
            .session_timeout_min(Duration::from_millis(1_000))
            .session_timeout_max(Duration::from_millis(4_000))
            .property("zookeeper.extendedTypesEnabled", "true")
            .start()
            .await
    );
    assert_eq!(Raw::connect(server.addr(0), 40_000).await.negotiated_ms, 4_000);
    assert_eq!(Raw::connect(server.addr(0), 1).await.negotiated_ms, 1_000);
    // Nodes with a time to live are refused unless the property is set.
    let mut raw = Raw::connect(server.addr(0), 4_000).await;
    let with_ttl = [create("/ttl", PERSISTENT_WITH_TTL), 60_000i64.to_be_bytes().to_vec()].concat();
    assert_eq!(raw.call(CREATE_TTL, &with_ttl, SOON).await.unwrap().error, 0);
    let folder = server.folder().to_owned();
    assert!(server.log(0).contains("binding to port"), "{}", server.log(0));
    drop(server);
    assert!(!folder.exists());
}

/// Creates a sequential node, whose own name differs from all others, and returns its number.
async fn number_of_next(raw: &mut Raw, parent: &str, name: &str) -> String {
    let prefix = format!("{parent}/{name}-");
    let reply = raw.call(CREATE, &create(&prefix, EPHEMERAL_SEQUENTIAL), SOON).await.unwrap();
    assert_eq!(reply.error, 0);
    let path = String::from_utf8(reply.body[4..].to_vec()).unwrap();
    path.strip_prefix(&prefix).unwrap().to_owned()
}

#[tokio::test]
async fn counters_begin_where_they_are_told_to() {
    for (version, nodes) in [(Version::V3_8, 1), (Version::V3_9, 1), (Version::V3_9, 3)] {
        let builder = Builder::new(version).nodes(nodes);
        let builder = builder.counter("/deep/below", 41).counter("/late", 2_147_483_645);
        let servers = or_skip!(builder.start().await);
        let mut raw = Raw::connect(servers.addr(nodes - 1), 4_000).await;
        assert_eq!(number_of_next(&mut raw, "/deep/below", "a").await, "0000000041");
        assert_eq!(number_of_next(&mut raw, "/deep/below", "b").await, "0000000042");
        // The ancestor has a counter of its own, which has counted its child.
        assert_eq!(number_of_next(&mut raw, "/deep", "c").await, "0000000001");
        let mut numbers = Vec::new();
        for name in ["d", "e", "f", "g", "h"] {
            numbers.push(number_of_next(&mut raw, "/late", name).await);
        }
        println!("{version:?}, {nodes} servers: {numbers:?}");
        // Used up, the counter stays at its largest number, for all that is asked for one by one.
        assert_eq!(numbers[..2], ["2147483645", "2147483646"]);
        assert!(numbers[2..].iter().all(|number| number == "2147483647"), "{numbers:?}");
    }
}

#[tokio::test]
async fn data_outlives_kill_and_pause() {
    let server = or_skip!(Builder::new(Version::V3_9).start().await);
    let mut raw = Raw::connect(server.addr(0), 4_000).await;
    assert_eq!(raw.call(CREATE, &create("/kept", 0), SOON).await.unwrap().error, 0);

    server.pause(0).await;
    assert!(raw.call(PING, &[], Duration::from_millis(300)).await.is_none());
    server.resume(0).await;
    assert_eq!(raw.reply().await.unwrap().xid, raw::PING_XID);

    server.restart(0).await;
    let mut raw = Raw::connect(server.addr(0), 4_000).await;
    assert_eq!(raw.call(EXISTS, &exists("/kept", false), SOON).await.unwrap().error, 0);
}

#[tokio::test]
async fn ensemble_elects_another_leader() {
    let ensemble = or_skip!(Builder::new(Version::V3_9).nodes(3).start().await);
    let first = ensemble.leader().await;
    assert_eq!(ensemble.followers().await.len(), 2);
    ensemble.kill(first).await;
    ensemble.wait_until_serving().await;
    let second = ensemble.leader().await;
    assert_ne!(first, second);
    ensemble.start_server(first).await;
    ensemble.wait_until_serving().await;
    assert_eq!(ensemble.followers().await.len(), 2);
}

/// The reason for the links: a follower without its leader answers pings for as long as the
/// sync limit lets it, takes no write, and the majority meanwhile expires its client's session.
#[tokio::test(flavor = "multi_thread")]
async fn isolated_follower_answers_pings_only() {
    let builder = Builder::new(Version::V3_9).nodes(3).links(true).sync_limit(16);
    let ensemble = or_skip!(builder.start().await);
    let leader = ensemble.leader().await;
    let follower = (leader + 1) % 3;
    let mut client = Raw::connect(ensemble.addr(follower), 2_000).await;
    let mut writer = Raw::connect(ensemble.addr(follower), 2_000).await;
    assert_eq!(client.call(CREATE, &create("/held", 1), SOON).await.unwrap().error, 0);

    ensemble.isolate(follower).await;
    let cut = Instant::now();
    let unanswered = writer.call(CREATE, &create("/late", 0), Duration::from_millis(500)).await;
    assert!(unanswered.is_none(), "a write went through a cut link");

    let mut other = Raw::connect(ensemble.addr(leader), 4_000).await;
    let mut gone = None;
    let mut answered = cut;
    // The follower closes the connection when it gives up: that ends the loop.
    while client.call(PING, &[], SOON).await.is_some() {
        answered = Instant::now();
        let held = other.call(EXISTS, &exists("/held", false), SOON).await.unwrap();
        if held.error != 0 && gone.is_none() {
            gone = Some(Instant::now());
        }
        assert!(cut.elapsed() < Duration::from_secs(60), "the follower never gave up");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let gone = gone.expect("the session expired while its follower still answered pings");
    println!(
        "the node went after {:?}, the last ping was answered after {:?}",
        gone - cut,
        answered - cut
    );
    assert!(answered > gone);

    ensemble.heal(follower).await;
    ensemble.wait_until_serving().await;
    assert_eq!(ensemble.followers().await.len(), 2);
    assert_eq!(ensemble.leader().await, leader);
}

#[tokio::test(flavor = "multi_thread")]
async fn isolated_leader_is_replaced_and_returns() {
    let builder = Builder::new(Version::V3_8).nodes(3).links(true).sync_limit(4);
    let ensemble = or_skip!(builder.start().await);
    let first = ensemble.leader().await;
    ensemble.isolate(first).await;
    ensemble.wait_until_serving().await;
    assert_ne!(ensemble.leader().await, first);
    ensemble.heal(first).await;
    ensemble.wait_until_serving().await;
    assert_ne!(ensemble.leader().await, first);
    assert_eq!(ensemble.followers().await.len(), 2);
}

#[tokio::test]
async fn tls_port_is_open_beside_the_plain_one() {
    for version in Version::ALL {
        let server = or_skip!(Builder::new(version).tls(Certificate::Good).start().await);
        let material = server.tls().expect("asked for");
        assert!(material.ca.is_file());
        // A TLS port answers what is no TLS record with an alert or the end, never with a session.
        let addr = server.secure_connect_string();
        let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        stream.write_all(b"\x00\x00\x00\x2dnot tls at all").await.unwrap();
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(SOON, stream.read_to_end(&mut answer)).await.unwrap();
        assert!(answer.len() < 40, "{answer:?}");
        assert_eq!(Raw::connect(server.addr(0), 4_000).await.negotiated_ms, 4_000);
    }
}
