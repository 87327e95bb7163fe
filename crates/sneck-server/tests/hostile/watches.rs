//! Watches without end, and changes that many watch.

use sneck_server::Limit;
use sneck_wire::{AddWatchMode, CreateMode, ErrorCode, MultiOp, Request};

use crate::bystander::Bystander;
use crate::peer::{Peer, node};
use crate::process::Process;

const MIB: usize = 1 << 20;

fn watch(path: String) -> Request {
    Request::Exists { path, watch: true }
}

fn set_watches(paths: Vec<String>) -> Request {
    Request::SetWatches2 {
        relative_zxid: 0,
        data: Vec::new(),
        exist: paths,
        child: Vec::new(),
        persistent: Vec::new(),
        persistent_recursive: Vec::new(),
    }
}

#[tokio::test]
async fn watches_of_one_connection_and_of_all() {
    let limits = [(Limit::WatchesPerConnection, 1_000), (Limit::Watches, 2_500)];
    let process = Process::start(&limits);
    let bystander = Bystander::start(process.address).await;
    let mut peers = Vec::new();
    for number in 0..3 {
        let mut peer = Peer::of(&process).await;
        let mut set = 0;
        let error = loop {
            match peer.ask(&watch(format!("/{set}"))).await {
                Err(ErrorCode::NO_NODE) => set += 1,
                other => break other.unwrap_err(),
            }
        };
        assert_eq!(error, ErrorCode::THROTTLED);
        assert_eq!(set == 1_000, number < 2, "{set} of number {number}");
        // What asks for no watch is answered.
        assert!(peer.ask(&Request::Exists { path: "/".into(), watch: false }).await.is_ok());
        peers.push(peer);
    }
    assert_eq!(process.refused_at(Limit::WatchesPerConnection).await, 2);
    assert!(process.refused_at(Limit::Watches).await >= 1);
    // They do not outlive their connection.
    drop(peers);
    let mut peer = Peer::of(&process).await;
    assert_eq!(peer.ask(&watch("/again".into())).await, Err(ErrorCode::NO_NODE));
    bystander.stop().await;
}

#[tokio::test]
async fn watches_on_endless_names() {
    let limits = [(Limit::WatchBytesPerConnection, 4 * MIB), (Limit::WatchBytes, 6 * MIB)];
    let process = Process::start(&limits);
    let bystander = Bystander::start(process.address).await;
    let before_kb = process.resident_kb();
    let mut peers = Vec::new();
    for _ in 0..3 {
        let mut peer = Peer::of(&process).await;
        let mut set = 0;
        while let Err(ErrorCode::NO_NODE) =
            peer.ask(&watch(format!("/{set}{}", "n".repeat(500_000)))).await
        {
            set += 1;
        }
        assert!(set <= 8, "{set} watches on half a megabyte each");
        peers.push(peer);
    }
    assert!(process.refused_at(Limit::WatchBytesPerConnection).await >= 1);
    assert!(process.refused_at(Limit::WatchBytes).await >= 1);
    let grown_kb = process.peak_kb().saturating_sub(before_kb);
    assert!(before_kb > 0 && grown_kb < 48 << 10, "{grown_kb} kB");
    bystander.stop().await;
}

#[tokio::test]
async fn a_million_watches_set_again_at_once() {
    let process = Process::start(&[(Limit::FrameBytes, 32 * MIB)]);
    let bystander = Bystander::start(process.address).await;
    let before_kb = process.resident_kb();
    let paths: Vec<_> = (0..1_000_000).map(|number| format!("/{number}")).collect();
    let mut peer = Peer::of(&process).await;
    // Each might take two of the million that a connection may have.
    assert_eq!(peer.ask(&set_watches(paths.clone())).await, Err(ErrorCode::THROTTLED));
    assert_eq!(process.refused_at(Limit::WatchesPerConnection).await, 1);
    assert!(peer.ask(&set_watches(paths[..100_000].to_vec())).await.is_ok());
    assert!(process.figure("zk_watch_count").await >= 100_000);
    // All of them are there already, so that all are told at once, as events before the reply.
    let mut other = Peer::of(&process).await;
    assert!(other.ask(&set_watches(vec!["/".into(); 100_000])).await.is_ok());
    let grown_kb = process.peak_kb().saturating_sub(before_kb);
    assert!(before_kb > 0 && grown_kb < 256 << 10, "{grown_kb} kB");
    bystander.stop().await;
}

#[tokio::test]
async fn a_multi_that_many_watch_and_nobody_reads() {
    const WATCHERS: usize = 40;
    let process = Process::start(&[(Limit::BacklogBytes, 32 * MIB)]);
    let bystander = Bystander::start(process.address).await;
    let before_kb = process.resident_kb();
    let mut peer = Peer::of(&process).await;
    peer.ask(&Request::Create(node("/noisy", CreateMode::Persistent))).await.unwrap();
    let mut watchers = Vec::new();
    for _ in 0..WATCHERS {
        let mut watcher = Peer::of(&process).await;
        let mode = AddWatchMode::Persistent;
        watcher.ask(&Request::AddWatch { path: "/noisy".into(), mode }).await.unwrap();
        watchers.push(watcher);
    }
    let set = MultiOp::SetData { path: "/noisy".into(), data: None, version: -1 };
    // A gigabyte of events, none of which is read.
    for _ in 0..5 {
        assert!(peer.ask(&Request::Multi(vec![set.clone(); 30_000])).await.is_ok());
    }
    assert!(process.refused_at(Limit::BacklogBytes).await >= 1);
    let grown_kb = process.peak_kb().saturating_sub(before_kb);
    assert!(before_kb > 0 && grown_kb < 192 << 10, "{grown_kb} kB");
    // Who was hung up on comes back and asks.
    for watcher in watchers {
        drop(watcher);
    }
    assert!(Peer::of(&process).await.ask(&Request::Ping).await.is_ok());
    bystander.stop().await;
}
