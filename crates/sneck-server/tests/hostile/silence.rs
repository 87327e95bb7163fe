//! Clients that ask and never read, ask for too much at once, or come and go without end.

use bytes::{Bytes, BytesMut};
use sneck_server::Limit;
use sneck_wire::{CreateMode, ErrorCode, MultiOp, Reply, Request};
use tokio::time::timeout;

use crate::SOON;
use crate::bystander::Bystander;
use crate::peer::{Peer, node};
use crate::process::Process;

const MIB: usize = 1 << 20;

/// A node with so many children, whose names are this long.
async fn crowd(peer: &mut Peer, children: usize, name: usize) {
    peer.ask(&Request::Create(node("/crowd", CreateMode::Persistent))).await.unwrap();
    let numbers: Vec<_> = (0..children).collect();
    for some in numbers.chunks(1_000) {
        let path = |number: &usize| format!("/crowd/{number:0name$}");
        let new = |number| MultiOp::Create(node(&path(number), CreateMode::Persistent));
        assert!(peer.ask(&Request::Multi(some.iter().map(new).collect())).await.is_ok());
    }
}

fn list() -> Request {
    Request::GetChildren { path: "/crowd".into(), watch: false }
}

/// Sends a request so many times over, as one piece, until the server takes no more of it.
async fn pipeline(peer: &mut Peer, request: &Request, times: usize) {
    let mut bytes = BytesMut::new();
    for _ in 0..times {
        bytes.extend_from_slice(&peer.encode(request));
    }
    peer.say(&bytes).await;
}

#[tokio::test]
async fn a_list_that_is_too_long_for_a_reply() {
    let process = Process::start(&[(Limit::ReplyBytes, MIB)]);
    let bystander = Bystander::start(process.address).await;
    let mut peer = Peer::of(&process).await;
    crowd(&mut peer, 20_000, 50).await;
    assert_eq!(peer.ask(&list()).await, Err(ErrorCode::MARSHALLING_ERROR));
    assert_eq!(process.refused_at(Limit::ReplyBytes).await, 1);
    let count = Request::GetAllChildrenNumber { path: "/crowd".into() };
    assert_eq!(peer.ask(&count).await, Ok(Reply::GetAllChildrenNumber(20_000)));
    for number in 0..2_000 {
        let path = format!("/crowd/{number:050}");
        peer.ask(&Request::Delete { path, version: -1 }).await.unwrap();
    }
    let Ok(Reply::GetChildren(names)) = peer.ask(&list()).await else { panic!("now it fits") };
    assert_eq!(names.len(), 18_000);
    bystander.stop().await;
}

#[tokio::test]
async fn lists_that_are_asked_for_and_never_read() {
    let process = Process::start(&[]);
    let bystander = Bystander::start(process.address).await;
    let mut peer = Peer::of(&process).await;
    crowd(&mut peer, 100_000, 60).await;
    let before_kb = process.resident_kb();
    // Each is more than six megabytes long; a thousand of them may be under way.
    let mut silent = Peer::of(&process).await;
    pipeline(&mut silent, &list(), 1_000).await;
    let cut = async {
        while process.refused_at(Limit::OutboxBytes).await == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, cut).await.expect("it is hung up on");
    let grown_kb = process.peak_kb().saturating_sub(before_kb);
    // A name takes more in memory than on the wire, before it is on it.
    assert!(before_kb > 0 && grown_kb < 200 << 10, "{grown_kb} kB");
    assert!(peer.ask(&Request::Ping).await.is_ok());
    bystander.stop().await;
}

#[tokio::test]
async fn data_that_are_asked_for_and_never_read_by_many() {
    const PEERS: usize = 60;
    let process = Process::start(&[(Limit::BacklogBytes, 64 * MIB)]);
    let bystander = Bystander::start(process.address).await;
    let mut peer = Peer::of(&process).await;
    let mut new = node("/big", CreateMode::Persistent);
    new.data = Some(Bytes::from(vec![1; 900_000]));
    peer.ask(&Request::Create(new)).await.unwrap();
    let before_kb = process.resident_kb();
    let get = Request::GetData { path: "/big".into(), watch: false };
    let mut silent = Vec::new();
    for _ in 0..PEERS {
        let mut peer = Peer::of(&process).await;
        pipeline(&mut peer, &get, 20).await;
        silent.push(peer);
    }
    assert!(process.refused_at(Limit::BacklogBytes).await >= 1);
    let grown_kb = process.peak_kb().saturating_sub(before_kb);
    // A gigabyte was asked for. What is being written besides is a reply for each connection.
    let bound_kb = (64 + 2 * PEERS) << 10;
    assert!(before_kb > 0 && grown_kb < bound_kb, "{grown_kb} kB, above {bound_kb} kB");
    assert!(peer.ask(&get).await.is_ok(), "who reads is answered");
    bystander.stop().await;
}

#[tokio::test]
async fn sessions_that_are_opened_and_left() {
    const MOST: usize = 1_000;
    let process = Process::start(&[(Limit::Sessions, MOST)]);
    let bystander = Bystander::start(process.address).await;
    let before_kb = process.resident_kb();
    let (mut opened, mut refused) = (0, 0);
    while refused < 100 {
        match Peer::greet(&process).await {
            Some(_left) => opened += 1,
            None => refused += 1,
        }
    }
    assert!(opened < MOST && opened > MOST - 10, "{opened} besides the bystander's");
    assert_eq!(process.refused_at(Limit::Sessions).await, refused);
    assert_eq!(process.figure("zk_global_sessions").await, MOST);
    let grown_kb = process.peak_kb().saturating_sub(before_kb);
    assert!(before_kb > 0 && grown_kb < 16 << 10, "{grown_kb} kB");
    bystander.stop().await;
}
