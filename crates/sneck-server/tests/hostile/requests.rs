//! Requests that are well-formed, and ask for far too much.

use bytes::Bytes;
use sneck_server::Limit;
use sneck_wire::{
    Acl, CreateMode, ErrorCode, Id, MultiOp, MultiResult, Permissions, ReadOp, Reply, Request,
    Secret,
};

use crate::bystander::Bystander;
use crate::peer::{Peer, node};
use crate::process::Process;

const MIB: usize = 1 << 20;

fn create(path: &str, mode: CreateMode) -> Request {
    Request::Create(node(path, mode))
}

/// Fails if the server has ever had so much more memory.
fn assert_grown_by_less(process: &Process, before_kb: usize, mib: usize) {
    let grown_kb = process.peak_kb().saturating_sub(before_kb);
    assert!(before_kb > 0 && grown_kb < mib << 10, "{grown_kb} kB, above {mib} MiB");
}

#[tokio::test]
async fn a_multi_of_a_million_operations() {
    let process = Process::start(&[(Limit::FrameBytes, 32 * MIB)]);
    let bystander = Bystander::start(process.address).await;
    let before_kb = process.resident_kb();
    let mut peer = Peer::of(&process).await;
    let check = MultiOp::Check { path: "/".into(), version: -1 };
    let deep = Request::Multi(vec![check; 1_000_000]);
    // As much as fits into a frame of the usual length is done; a million are not looked at.
    assert_eq!(peer.ask(&deep).await, Err(ErrorCode::MARSHALLING_ERROR));
    assert_grown_by_less(&process, before_kb, 150);
    bystander.stop().await;
}

#[tokio::test]
async fn multis_in_multis() {
    let process = Process::start(&[]);
    let bystander = Bystander::start(process.address).await;
    let mut peer = Peer::of(&process).await;
    // Each header of an operation that is itself a multi: kind 14, not the last, no error.
    let nested: Vec<u8> = [0, 0, 0, 14, 0, 0xff, 0xff, 0xff, 0xff].repeat(100_000);
    let length = u32::try_from(8 + nested.len()).unwrap();
    let mut frame = length.to_be_bytes().to_vec();
    frame.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 14]);
    frame.extend_from_slice(&nested);
    assert!(peer.say(&frame).await);
    let answer = peer.reply(&Request::Ping).await.expect("an answer");
    assert_eq!(answer, Err(ErrorCode::MARSHALLING_ERROR));
    assert!(peer.ask(&Request::Ping).await.is_ok(), "the connection goes on");
    bystander.stop().await;
}

#[tokio::test]
async fn multis_whose_replies_would_be_enormous() {
    let process = Process::start(&[]);
    let bystander = Bystander::start(process.address).await;
    let mut peer = Peer::of(&process).await;
    peer.ask(&create("/big", CreateMode::Persistent)).await.unwrap();
    let data = Some(Bytes::from(vec![1; 900_000]));
    let set = Request::SetData { path: "/big".into(), data, version: -1 };
    peer.ask(&set).await.unwrap();
    let before_kb = process.resident_kb();
    let reads = vec![ReadOp::GetData { path: "/big".into() }; 45_000];
    // 40 GB, were it not for the limit.
    let Ok(Reply::MultiRead(results)) = peer.ask(&Request::MultiRead(reads)).await else {
        panic!("a multi-read answers for each of its reads")
    };
    let (given, refused) = results.split_at(16 * MIB / 900_000);
    assert!(given.iter().all(|result| matches!(result, MultiResult::Data { .. })));
    let too_long = MultiResult::Error(ErrorCode::MARSHALLING_ERROR);
    assert!(refused.len() > 44_000 && refused.iter().all(|result| *result == too_long));
    assert_eq!(process.refused_at(Limit::ReplyBytes).await, 1);
    // A stat for each operation is three times what was asked with, and that is all.
    let same = MultiOp::SetData { path: "/big".into(), data: None, version: -1 };
    let Ok(Reply::Multi(results)) = peer.ask(&Request::Multi(vec![same; 35_000])).await else {
        panic!("it fits")
    };
    assert!(matches!(results[34_999], MultiResult::SetData(stat) if stat.version == 35_001));
    assert_grown_by_less(&process, before_kb, 128);
    bystander.stop().await;
}

#[tokio::test]
async fn endless_and_impossible_names() {
    let process = Process::start(&[]);
    let bystander = Bystander::start(process.address).await;
    let before_kb = process.resident_kb();
    let mut peer = Peer::of(&process).await;
    let mode = CreateMode::Persistent;
    // A name of almost a megabyte is a name; nothing says otherwise, and it fits into a frame.
    let long = format!("/{}", "n".repeat(1_000_000));
    peer.ask(&create(&long, mode)).await.unwrap();
    peer.ask(&Request::Delete { path: long, version: -1 }).await.unwrap();
    let deep = "/a".repeat(100_000);
    assert_eq!(peer.ask(&create(&deep, mode)).await, Err(ErrorCode::NO_NODE));
    let impossible = [
        "/".repeat(500_000),
        format!("/a{}", "/".repeat(500_000)),
        format!("/{}", "../".repeat(100_000)),
        "/a\0b".to_owned(),
        "/a\u{1}".to_owned(),
        "/a\u{e000}".to_owned(),
        "/\u{1f600}".to_owned(),
        "no slash".to_owned(),
        String::new(),
    ];
    for path in impossible {
        let error = peer.ask(&create(&path, mode)).await.unwrap_err();
        let shown = path.chars().take(20).collect::<String>();
        assert!(
            [ErrorCode::BAD_ARGUMENTS, ErrorCode::NO_NODE].contains(&error),
            "{shown}: {error}"
        );
    }
    // Half of a pair of surrogates, which no text has in it, and bytes that are no text at all.
    for name in [&b"/\xed\xa0\x80"[..], b"/\xff\xfe"] {
        let whole = peer.encode(&create("/abc", mode));
        let at = whole.windows(4).position(|window| window == b"/abc").unwrap();
        let mut frame = whole[..at].to_vec();
        frame.extend_from_slice(name);
        frame.extend(std::iter::repeat_n(b'x', 4 - name.len().min(4)));
        frame.extend_from_slice(&whole[at + 4..]);
        assert!(peer.say(&frame).await);
        let answer = peer.reply(&Request::Ping).await.expect("an answer");
        assert_eq!(answer, Err(ErrorCode::MARSHALLING_ERROR));
    }
    assert_grown_by_less(&process, before_kb, 32);
    bystander.stop().await;
}

#[tokio::test]
async fn identities_without_end() {
    let process = Process::start(&[]);
    let bystander = Bystander::start(process.address).await;
    let before_kb = process.resident_kb();
    let auth = |credential: String| Request::Auth {
        scheme: "digest".into(),
        credential: Secret::from(credential.into_bytes()),
    };
    // Many, and a few long ones: either way the last one does not authenticate, which ends the
    // connection as it does everywhere.
    for (limit, length) in [(Limit::Identities, 8), (Limit::IdentityBytes, 10_000)] {
        let mut peer = Peer::of(&process).await;
        let mut number = 0;
        let refused = loop {
            let name = format!("{number}{}:secret", "u".repeat(length));
            match peer.ask(&auth(name)).await {
                Ok(_) => number += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(refused, ErrorCode::AUTH_FAILED);
        assert!((1..64).contains(&number), "{number}");
        assert_eq!(process.refused_at(limit).await, 1);
        peer.until_hung_up_on().await;
    }
    // `auth` stands for all identities, in each of many entries.
    let mut peer = Peer::of(&process).await;
    for number in 0..50 {
        peer.ask(&auth(format!("{number}{}:secret", "u".repeat(200)))).await.unwrap();
    }
    let mut new = node("/mine", CreateMode::Persistent);
    let entry = |number| Acl::new(Permissions::READ, Id::new("auth", format!("{number}")));
    new.acl = (0..20_000).map(entry).collect();
    assert_eq!(peer.ask(&Request::Create(new)).await, Err(ErrorCode::INVALID_ACL));
    assert_eq!(process.refused_at(Limit::AclEntries).await, 1);
    assert_grown_by_less(&process, before_kb, 32);
    bystander.stop().await;
}

#[tokio::test]
async fn access_lists_count_for_what_the_tree_holds() {
    let process = Process::start(&[(Limit::TreeBytes, 8 * MIB)]);
    let bystander = Bystander::start(process.address).await;
    let before_kb = process.resident_kb();
    let mut peer = Peer::of(&process).await;
    let mut error = ErrorCode::OK;
    for number in 0..100 {
        let mut new = node(&format!("/{number}"), CreateMode::Persistent);
        let id = format!("{number}{}:hash", "u".repeat(500_000));
        new.acl = vec![Acl::new(Permissions::ALL, Id::new("digest", id))];
        if let Err(refused) = peer.ask(&Request::Create(new)).await {
            error = refused;
            break;
        }
    }
    assert_eq!(error, ErrorCode::QUOTA_EXCEEDED);
    assert!(process.refused_at(Limit::TreeBytes).await >= 1);
    assert_grown_by_less(&process, before_kb, 48);
    drop(peer);
    // The tree is full; the lock needs less than what no longer fits into it.
    bystander.stop().await;
}

#[tokio::test]
async fn ephemerals_without_end() {
    const MOST: usize = 2_000;
    let process = Process::start(&[(Limit::EphemeralsPerSession, MOST)]);
    let bystander = Bystander::start(process.address).await;
    let mut peer = Peer::of(&process).await;
    let new = MultiOp::Create(node("/e-", CreateMode::EphemeralSequential));
    for _ in 0..MOST / 100 {
        let multi = Request::Multi(vec![new.clone(); 100]);
        assert!(peer.ask(&multi).await.is_ok());
    }
    let one_more = create("/one-more", CreateMode::Ephemeral);
    assert_eq!(peer.ask(&one_more).await, Err(ErrorCode::QUOTA_EXCEEDED));
    assert_eq!(process.refused_at(Limit::EphemeralsPerSession).await, 1);
    assert!(peer.ask(&create("/lasting", CreateMode::Persistent)).await.is_ok());
    peer.ask(&Request::Delete { path: "/e-0000000007".into(), version: -1 })
        .await
        .unwrap_or(Reply::Delete);
    let mut other = Peer::of(&process).await;
    assert!(other.ask(&one_more).await.is_ok(), "others have a count of their own");
    peer.ask(&Request::CloseSession).await.unwrap();
    assert!(process.figure("zk_ephemerals_count").await < 10);
    bystander.stop().await;
}
