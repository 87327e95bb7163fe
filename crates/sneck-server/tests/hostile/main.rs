//! Peers that mean no good. Others must not notice, and nothing may grow with what they only claim.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod flood;

use std::time::Duration;

use bytes::BytesMut;
use sneck_server::{Limits, Running, Server};
use sneck_zookeeper::{Session, SessionOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(20);

async fn start(change: impl FnOnce(&mut Limits)) -> Running {
    let mut limits = Limits::default();
    change(&mut limits);
    let builder = Server::builder().listen(([127, 0, 0, 1], 0).into()).limits(limits);
    builder.start().await.expect("a free port")
}

async fn peer(server: &Running) -> TcpStream {
    TcpStream::connect(server.addresses()[0]).await.expect("the server listens")
}

/// What the server says before it hangs up.
async fn last_words(mut peer: TcpStream) -> Vec<u8> {
    let mut words = Vec::new();
    // A reset is as good as an end.
    let _ = timeout(SOON, peer.read_to_end(&mut words)).await.expect("the server hangs up");
    words
}

async fn is_well(server: &Running) {
    let port = server.addresses()[0].port();
    let address = sneck_zookeeper::Server { host: "127.0.0.1".into(), port };
    let session = Session::connect(SessionOptions::new(vec![address])).await.expect("a session");
    assert!(timeout(SOON, session.exists("/")).await.expect("soon").expect("an answer").is_some());
    session.close().await;
}

/// Resident memory of this process in kilobytes.
fn resident_kb() -> usize {
    resident_kb_of("self")
}

/// Resident memory of a process in kilobytes.
fn resident_kb_of(process: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn impossible_lengths_are_hung_up_on() {
    let server = start(|_| {}).await;
    for length in [0x7fff_ffff_u32, 0xffff_ffff, 0x8000_0000, 0x0010_0000] {
        let mut peer = peer(&server).await;
        peer.write_all(&length.to_be_bytes()).await.unwrap();
        assert!(last_words(peer).await.is_empty(), "{length:#x}");
    }
    is_well(&server).await;
}

#[tokio::test]
async fn random_bytes_do_no_harm() {
    let server = start(|_| {}).await;
    let mut state = 42_u64;
    for _ in 0..200 {
        let mut bytes = BytesMut::new();
        for _ in 0..64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            bytes.extend_from_slice(&state.to_be_bytes());
        }
        // Half of them announce a frame that is as long as it should be.
        if state.is_multiple_of(2) {
            let length = u32::try_from(bytes.len() - 4).unwrap();
            bytes[..4].copy_from_slice(&length.to_be_bytes());
        }
        let mut peer = peer(&server).await;
        let _ = peer.write_all(&bytes).await;
        let _ = peer.shutdown().await;
        last_words(peer).await;
    }
    is_well(&server).await;
}

#[tokio::test]
async fn a_greeting_may_come_byte_by_byte() {
    let server = start(|_| {}).await;
    let mut greeting = vec![0, 0, 0, 44];
    greeting.extend_from_slice(&[0; 12]);
    greeting.extend_from_slice(&5_000_i32.to_be_bytes());
    greeting.extend_from_slice(&[0; 8]);
    greeting.extend_from_slice(&16_i32.to_be_bytes());
    greeting.extend_from_slice(&[0; 16]);
    let mut peer = peer(&server).await;
    peer.set_nodelay(true).unwrap();
    for byte in greeting {
        peer.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut reply = [0; 40];
    timeout(SOON, peer.read_exact(&mut reply)).await.unwrap().unwrap();
    assert_eq!(reply[..4], 36_u32.to_be_bytes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_only_announced_takes_no_memory() {
    const PEERS: usize = 500;
    let server = start(|limits| limits.handshake_timeout = Duration::from_secs(2)).await;
    let before_kb = resident_kb();
    let mut peers = Vec::new();
    for _ in 0..PEERS {
        let mut peer = peer(&server).await;
        // A frame of almost a megabyte, of which nothing but the first byte ever comes.
        peer.write_all(&[0, 0x0f, 0xff, 0xff, 0]).await.unwrap();
        peers.push(peer);
    }
    is_well(&server).await;
    let grown_kb = resident_kb().saturating_sub(before_kb);
    assert!(grown_kb < 50 * PEERS, "{grown_kb} kB for {PEERS} peers");
    for peer in peers {
        assert!(last_words(peer).await.is_empty(), "who does not greet in time has to go");
    }
}

#[tokio::test]
async fn there_is_a_place_for_so_many_and_no_more() {
    let server = start(|limits| limits.connections_per_peer_max = 3).await;
    let first = [peer(&server).await, peer(&server).await, peer(&server).await];
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(last_words(peer(&server).await).await.is_empty());
    drop(first);
    tokio::time::sleep(Duration::from_millis(100)).await;
    is_well(&server).await;
}

#[tokio::test]
async fn a_word_is_answered_also_where_nothing_more_is_written() {
    let server = start(|_| {}).await;
    for (word, answer) in [("ruok", "imok"), ("isro", "rw")] {
        let mut peer = peer(&server).await;
        peer.write_all(word.as_bytes()).await.unwrap();
        peer.shutdown().await.unwrap();
        assert_eq!(last_words(peer).await, answer.as_bytes());
    }
}
