//! Peers that mean no good. Others must not notice, and nothing may grow with what they only claim.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bystander;
mod flood;
mod peer;
mod process;
mod requests;
mod silence;
mod streams;
mod watches;

use std::time::Duration;

use peer::Peer;
use process::Process;
use sneck_server::{Limit, Limits, Running, Server};
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

/// A figure of a process's memory in kilobytes; 0 where there is none.
fn status_kb(process: &str, name: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
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
async fn a_greeting_may_come_byte_by_byte() {
    let server = start(|_| {}).await;
    let mut peer = peer(&server).await;
    peer.set_nodelay(true).unwrap();
    for byte in peer::greeting(5_000) {
        peer.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut reply = [0; 40];
    timeout(SOON, peer.read_exact(&mut reply)).await.unwrap().unwrap();
    assert_eq!(reply[..4], 36_u32.to_be_bytes());
}

#[tokio::test]
async fn what_is_only_announced_takes_no_memory() {
    const PEERS: usize = 500;
    let server = Process::start(&[]);
    let before_kb = server.resident_kb();
    let mut peers = Vec::new();
    for _ in 0..PEERS {
        let mut peer = Peer::of(&server).await;
        // A frame of almost a megabyte, of which nothing but the first byte ever comes.
        assert!(peer.say(&[0, 0x0f, 0xff, 0xff, 0]).await);
        peers.push(peer);
    }
    let grown_kb = server.peak_kb().saturating_sub(before_kb);
    assert!(before_kb > 0 && grown_kb < 50 * PEERS, "{grown_kb} kB for {PEERS} peers");
}

#[tokio::test]
async fn a_greeting_is_short_and_comes_in_time() {
    let server = start(|limits| limits.handshake_timeout = Duration::from_millis(300)).await;
    // Long for a greeting, though not for a request.
    for beginning in [&[0, 0x0f, 0xff, 0xff, 0][..], &[0, 0, 0, 44, 0]] {
        let mut peer = peer(&server).await;
        peer.write_all(beginning).await.unwrap();
        assert!(last_words(peer).await.is_empty());
    }
    assert_eq!(server.refusals().at(Limit::HandshakeTimeout), 1);
    is_well(&server).await;
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
