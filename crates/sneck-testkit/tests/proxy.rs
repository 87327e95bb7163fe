//! The proxy against a real server, and against a peer that answers with what it is sent.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod raw;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use raw::{CREATE, EXISTS, PING, Raw, create, exists};
use sneck_testkit::or_skip;
use sneck_testkit::proxy::{Proxy, Then};
use sneck_testkit::zookeeper::{self, Version};
use sneck_wire::OpCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const SOON: Duration = Duration::from_secs(20);
/// Long enough for an answer on loopback that is not held back.
const A_WHILE: Duration = Duration::from_millis(300);
/// Late enough that a reply overtakes an event on a busy machine too.
const LATE_BY: Duration = Duration::from_millis(1_500);

/// Sends every byte back; ends a connection when the other side does.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
                let _ = write.shutdown().await;
            });
        }
    });
    addr
}

async fn read_some(stream: &mut TcpStream, wait: Duration) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 4096];
    let length = tokio::time::timeout(wait, stream.read(&mut bytes)).await.ok()?.unwrap();
    bytes.truncate(length);
    Some(bytes)
}

#[tokio::test]
async fn what_is_no_frame_passes_as_it_is() {
    let proxy = Proxy::start(echo().await).unwrap();
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    stream.write_all(b"ruok").await.unwrap();
    assert_eq!(read_some(&mut stream, SOON).await.unwrap(), b"ruok");
    stream.write_all(&[0xff; 9]).await.unwrap();
    assert_eq!(read_some(&mut stream, SOON).await.unwrap(), [0xff; 9]);
    drop(stream);

    // A frame that is cut short by the end.
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    stream.write_all(&[0, 0, 0, 9, 1]).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(read_some(&mut stream, SOON).await.unwrap(), [0, 0, 0, 9, 1]);
    assert_eq!(read_some(&mut stream, SOON).await.unwrap(), []);
}

#[tokio::test]
async fn refused_connections_do_not_touch_others() {
    let proxy = Proxy::start(echo().await).unwrap();
    let mut old = TcpStream::connect(proxy.addr()).await.unwrap();
    old.write_all(b"ruok").await.unwrap();
    assert_eq!(read_some(&mut old, SOON).await.unwrap(), b"ruok");
    proxy.refuse();
    let refused = Instant::now();
    while TcpStream::connect(proxy.addr()).await.is_ok() {
        assert!(refused.elapsed() < SOON);
    }
    old.write_all(b"still").await.unwrap();
    assert_eq!(read_some(&mut old, SOON).await.unwrap(), b"still");
    proxy.heal();
    let healed = Instant::now();
    while TcpStream::connect(proxy.addr()).await.is_err() {
        assert!(healed.elapsed() < SOON);
    }
    proxy.reset_all();
    let error = old.read(&mut [0; 9]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn half_closes_end_one_direction() {
    let proxy = Proxy::start(echo().await).unwrap();
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    stream.write_all(b"ruok").await.unwrap();
    assert_eq!(read_some(&mut stream, SOON).await.unwrap(), b"ruok");
    proxy.half_close_replies();
    assert_eq!(read_some(&mut stream, SOON).await.unwrap(), []);
    stream.write_all(b"into the void").await.unwrap();

    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    stream.write_all(b"ruok").await.unwrap();
    assert_eq!(read_some(&mut stream, SOON).await.unwrap(), b"ruok");
    proxy.half_close_requests();
    // The peer ends its direction once it sees the end of ours.
    assert_eq!(read_some(&mut stream, SOON).await.unwrap(), []);
}

#[tokio::test]
async fn counts_and_remembers_what_was_asked() {
    let server = or_skip!(zookeeper::shared(Version::V3_9).await);
    let proxy = Proxy::start(server.addr(0)).unwrap();
    proxy.split_frames(true);
    let mut raw = Raw::connect(proxy.addr(), 5_000).await;
    let path = format!("/counted-{:x}", raw.session_id);
    assert_eq!(raw.call(CREATE, &create(&path, 1), SOON).await.unwrap().error, 0);
    assert_eq!(raw.call(PING, &[], SOON).await.unwrap().xid, raw::PING_XID);
    let counts = proxy.counts();
    assert_eq!((counts.connections, counts.request_frames, counts.reply_frames), (1, 3, 3));
    assert_eq!((counts.requests(OpCode::Create), counts.requests_but_pings()), (1, 1));
    let seen = proxy.requests();
    assert_eq!(seen.len(), 2);
    assert_eq!((seen[0].op, seen[0].path.as_deref()), (Some(OpCode::Create), Some(&*path)));
    assert_eq!((seen[1].op, seen[1].path.as_deref()), (Some(OpCode::Ping), None));
    let session = &proxy.sessions()[0];
    assert_eq!((session.session_id, session.timeout_ms), (raw.session_id, 5_000));
    proxy.forget_traffic();
    assert_eq!(proxy.counts().request_frames, 0);
}

#[tokio::test]
async fn the_request_is_carried_out_and_its_reply_lost() {
    let server = or_skip!(zookeeper::shared(Version::V3_9).await);
    let proxy = Proxy::start(server.addr(0)).unwrap();
    let mut direct = Raw::connect(server.addr(0), 5_000).await;
    let mut raw = Raw::connect(proxy.addr(), 5_000).await;
    let path = |name: &str| format!("/lost-{name}-{:x}", direct.session_id);
    let (first, second, third) = (path("a"), path("b"), path("c"));
    let mut rule = proxy.swallow_reply(OpCode::Create, 2, Then::Reset);
    assert_eq!(raw.call(CREATE, &create(&first, 1), SOON).await.unwrap().error, 0);
    assert!(!rule.has_fired());
    assert!(raw.call(CREATE, &create(&second, 1), SOON).await.is_none());
    rule.fired().await;
    assert_eq!(proxy.counts().lost, 1);
    assert_eq!(direct.call(EXISTS, &exists(&second, false), SOON).await.unwrap().error, 0);

    let mut raw = Raw::connect(proxy.addr(), 5_000).await;
    proxy.drop_request(OpCode::Create, 1, Then::Nothing);
    assert!(raw.call(CREATE, &create(&third, 1), A_WHILE).await.is_none());
    assert_eq!(raw.call(EXISTS, &exists(&third, false), SOON).await.unwrap().error, -101);
    assert!(!proxy.requests().iter().any(|seen| {
        seen.path.as_ref() == Some(&third) && seen.op == Some(OpCode::Create) && seen.forwarded
    }));
}

#[tokio::test]
async fn events_come_late_or_never() {
    let server = or_skip!(zookeeper::shared(Version::V3_8).await);
    let proxy = Proxy::start(server.addr(0)).unwrap();
    let mut raw = Raw::connect(proxy.addr(), 5_000).await;
    let mut other = Raw::connect(server.addr(0), 5_000).await;
    for (name, late) in [("late", true), ("lost", false)] {
        let path = format!("/event-{name}-{:x}", raw.session_id);
        raw.call(EXISTS, &exists(&path, true), SOON).await.unwrap();
        if late {
            proxy.delay_events(LATE_BY);
        } else {
            proxy.heal();
            proxy.swallow_events(1);
        }
        let created = Instant::now();
        other.call(CREATE, &create(&path, 1), SOON).await.unwrap();
        // The reply that follows the event overtakes it.
        let reply = raw.call(EXISTS, &exists(&path, false), SOON).await.unwrap();
        assert_eq!(reply.error, 0);
        if late {
            assert_eq!(raw.reply().await.unwrap().xid, -1);
            assert!(created.elapsed() >= LATE_BY);
        } else {
            assert!(tokio::time::timeout(A_WHILE, raw.reply()).await.is_err());
        }
    }
    assert_eq!((proxy.counts().events, proxy.counts().lost), (1, 1));
}

#[tokio::test]
async fn a_black_hole_keeps_sockets_open_and_heals() {
    let server = or_skip!(zookeeper::shared(Version::V3_9).await);
    let proxy = Proxy::start(server.addr(0)).unwrap();
    let mut raw = Raw::connect(proxy.addr(), 30_000).await;
    let mut direct = Raw::connect(server.addr(0), 5_000).await;
    let path = |name: &str| format!("/hole-{name}-{:x}", direct.session_id);
    let (requests, replies, both) = (path("requests"), path("replies"), path("both"));

    proxy.blackhole_requests();
    assert!(raw.call(CREATE, &create(&requests, 1), A_WHILE).await.is_none());
    assert_eq!(direct.call(EXISTS, &exists(&requests, false), SOON).await.unwrap().error, -101);
    proxy.heal();
    assert_eq!(raw.reply().await.unwrap().error, 0);

    proxy.blackhole_replies();
    assert!(raw.call(CREATE, &create(&replies, 1), A_WHILE).await.is_none());
    assert_eq!(direct.call(EXISTS, &exists(&replies, false), SOON).await.unwrap().error, 0);
    proxy.heal();
    assert_eq!(raw.reply().await.unwrap().error, 0);

    proxy.blackhole();
    assert!(raw.call(CREATE, &create(&both, 1), A_WHILE).await.is_none());
    let mut fresh = TcpStream::connect(proxy.addr()).await.unwrap();
    fresh.write_all(b"ruok").await.unwrap();
    assert!(read_some(&mut fresh, A_WHILE).await.is_none());
    proxy.heal();
    assert_eq!(raw.reply().await.unwrap().error, 0);
    assert_eq!(read_some(&mut fresh, SOON).await.unwrap(), b"imok");
}
