//! Apache's servers begin with what was exported, and go on where it ended.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use sneck_server::snapshot::{
    CONTAINER_OWNER, Image, NodeRecord, SessionRecord, export, read, seed,
};
use sneck_testkit::or_skip;
use sneck_testkit::zookeeper::{Builder, Version};
use sneck_wire::{Acl, CreateMode, ErrorCode, Id, NewNode, OpCode, Permissions, Reply, Request};

use crate::raw::Raw;

/// As of a folder that began in 2026.
const ZXID: i64 = (90_000_000 << 32) + 0x20;
const SESSION: i64 = 0x0100_019b_1234_5678;
const LOCK: &str = "/app/lock/c-0000000040";
const SERVERS: [(Version, usize); 3] = [(Version::V3_8, 1), (Version::V3_9, 1), (Version::V3_9, 3)];

fn node(path: &str, creates: i32) -> NodeRecord {
    NodeRecord {
        path: path.to_owned(),
        data: Some(Bytes::new()),
        acl: Acl::open().into(),
        czxid: ZXID - 9,
        mzxid: ZXID - 8,
        ctime: 1_790_000_000_000,
        mtime: 1_790_000_000_001,
        version: 3,
        creates,
        aversion: 0,
        owner: 0,
        pzxid: ZXID - 1,
    }
}

/// Whoever has the password `admin` of `super`, who is nobody special here.
fn secret_list() -> Vec<Acl> {
    let id = Id::new("digest", "super:xQJmxLMiHGwaqBvst5y6rkB6HQs=");
    vec![Acl::new(Permissions::ALL, id), Acl::new(Permissions::CREATE, Id::anyone())]
}

/// A tree with a held lock, as a server would give it away.
fn image() -> Image {
    let held = NodeRecord {
        data: Some(Bytes::from_static(b"holder")),
        owner: SESSION,
        version: 0,
        ..node(LOCK, 0)
    };
    let nodes = vec![
        node("/", 3),
        NodeRecord { data: None, ..node("/app", 2) },
        node("/app/lock", 41),
        held,
        NodeRecord {
            data: Some(Bytes::from_static(b"\0\xffsecret")),
            acl: secret_list().into(),
            ..node("/app/secret", 0)
        },
        NodeRecord { owner: CONTAINER_OWNER, ..node("/container", 0) },
        node("/zookeeper", 2),
        NodeRecord { acl: Acl::read_only().into(), ..node("/zookeeper/config", 0) },
        node("/zookeeper/quota", 0),
    ];
    let sessions = vec![SessionRecord { id: SESSION, timeout_ms: 10_000 }];
    Image { zxid: ZXID, sessions, nodes }
}

fn exists(path: &str) -> Request {
    Request::Exists { path: path.to_owned(), watch: false }
}

fn create(path: &str, mode: CreateMode) -> Request {
    Request::Create(NewNode { path: path.to_owned(), data: None, acl: Acl::open(), mode })
}

fn get(path: &str) -> Request {
    Request::GetData { path: path.to_owned(), watch: false }
}

/// The session goes on where it was, and holds what it held.
fn the_holder_goes_on(holder: &mut Raw) {
    assert_eq!(holder.accepted.session_id, SESSION, "the session was not resumed");
    assert_eq!(holder.accepted.timeout_ms, 10_000);
    let Ok(Reply::GetData { data, stat }) = holder.call(OpCode::GetData, &get(LOCK)) else {
        panic!("the lock's node is gone");
    };
    assert_eq!(data.as_deref(), Some(&b"holder"[..]));
    assert_eq!((stat.czxid, stat.mzxid, stat.ephemeral_owner), (ZXID - 9, ZXID - 8, SESSION));
    assert_eq!((stat.ctime, stat.mtime, stat.version), (1_790_000_000_000, 1_790_000_000_001, 0));
    let Ok(Reply::GetData { data, .. }) = holder.call(OpCode::GetData, &get("/app")) else {
        panic!("a node is gone");
    };
    assert_eq!(data, None, "null has become something else");
    let Ok(Reply::Exists(stat)) = holder.call(OpCode::Exists, &exists("/app/lock")) else {
        panic!("the lock's parent is gone");
    };
    // 41 creates and 40 deletions, and one child left.
    assert_eq!((stat.cversion, stat.num_children, stat.pzxid), (81, 1, ZXID - 1));
    let Ok(Reply::Exists(stat)) = holder.call(OpCode::Exists, &exists("/container")) else {
        panic!("the container is gone");
    };
    assert_eq!(stat.ephemeral_owner, 0);
}

fn access_lists_hold(client: &mut Raw) {
    let denied = client.call(OpCode::GetData, &get("/app/secret"));
    assert_eq!(denied, Err(ErrorCode::NO_AUTH));
    let (scheme, credential) = ("digest".to_owned(), Bytes::from_static(b"super:admin").into());
    client.call(OpCode::Auth, &Request::Auth { scheme, credential }).unwrap();
    let Ok(Reply::GetData { data, .. }) = client.call(OpCode::GetData, &get("/app/secret")) else {
        panic!("the right password opens nothing");
    };
    assert_eq!(data.as_deref(), Some(&b"\0\xffsecret"[..]));
    let path = "/app/secret".to_owned();
    let Ok(Reply::GetAcl { acl, .. }) = client.call(OpCode::GetAcl, &Request::GetAcl { path })
    else {
        panic!("no access list");
    };
    assert_eq!(acl, secret_list());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_lock_moves_to_apaches_servers() {
    let folder = tempfile::tempdir().unwrap();
    let exported = export(&image(), folder.path()).unwrap();
    assert_eq!((exported.nodes, exported.sessions, exported.ttl_nodes), (9, 1, 0));
    for (version, nodes) in SERVERS {
        let builder = Builder::new(version).nodes(nodes).preload(folder.path());
        let servers = or_skip!(builder.start().await);
        // Clients that keep running have seen the last zxid, and are let in.
        let mut holder = Raw::connect(servers.addr(0), SESSION, ZXID);
        the_holder_goes_on(&mut holder);
        let mut waiter = Raw::connect(servers.addr(nodes - 1), 0, ZXID);
        access_lists_hold(&mut waiter);
        let request = create("/app/lock/c-", CreateMode::EphemeralSequential);
        let Ok(Reply::Create { path }) = waiter.call(OpCode::Create, &request) else {
            panic!("no place in line");
        };
        assert_eq!(path, "/app/lock/c-0000000041");
        assert!(waiter.zxid > ZXID, "{version:?}: {:#x} is not above", waiter.zxid);
        println!("{version:?}, {nodes} servers: {ZXID:#x} -> {:#x}", waiter.zxid);
        holder.call(OpCode::CloseSession, &Request::CloseSession).unwrap();
        let path = "/".to_owned();
        waiter.call(OpCode::Sync, &Request::Sync { path }).unwrap();
        assert_eq!(waiter.call(OpCode::Exists, &exists(LOCK)), Err(ErrorCode::NO_NODE));
        // What the servers write in turn, with all that newer releases add, can be read.
        let data = servers.folder().join("server-1/data/version-2");
        assert!(read_all(&data) > 0);
    }
}

/// Reads all snapshots in a folder of Apache's, and says how many.
fn read_all(folder: &Path) -> usize {
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(zxid) = name.strip_prefix("snapshot.") else { continue };
        let zxid = i64::from_str_radix(zxid, 16).unwrap();
        let image = read(zxid, fs::File::open(&path).unwrap()).unwrap();
        assert!(image.nodes.iter().any(|node| node.path == "/app/secret"), "{name}");
        count += 1;
    }
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_gives_apaches_servers_nothing_but_the_zxid() {
    let folder = tempfile::tempdir().unwrap();
    seed(ZXID, folder.path()).unwrap();
    for (version, nodes) in SERVERS {
        let builder = Builder::new(version).nodes(nodes).preload(folder.path());
        let servers = or_skip!(builder.start().await);
        let mut client = Raw::connect(servers.addr(0), 0, ZXID);
        let request = Request::GetChildren { path: "/".to_owned(), watch: false };
        let children = client.call(OpCode::GetChildren, &request);
        assert_eq!(children, Ok(Reply::GetChildren(vec!["zookeeper".to_owned()])));
        client.call(OpCode::Create, &create("/a", CreateMode::Persistent)).unwrap();
        assert!(client.zxid > ZXID, "{version:?}: {:#x} is not above", client.zxid);
        let Ok(Reply::Exists(stat)) = client.call(OpCode::Exists, &exists("/a")) else {
            panic!("the node is gone");
        };
        assert!(stat.czxid > ZXID);
    }
}
