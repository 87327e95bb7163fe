//! Inputs that are right, from which the corpus began: at least one of each kind.

use crate::history;
use bytes::{BufMut, Bytes, BytesMut};
use sneck_server::fuzzing::{CLOSED, TIME_PASSES, example_snapshot};
use sneck_wire::jute::Writer as _;
use sneck_wire::{
    Acl, AddWatchMode, ClientInfo, ConnectReply, ConnectRequest, CreateMode, ErrorCode, EventKind,
    MultiOp, MultiResult, NewNode, OpCode, ReadOp, Reply, Request, RequestHeader, Secret, Stat,
    WatchedEvent, WatcherKind, encode_event, encode_frame, encode_reply, encode_request,
};

/// The examples for a target, in no promised order. None for a name that is no target's.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "frames" => frames(),
        "connect" => connect(),
        "requests" => requests().iter().map(|request| content(1, request)).collect(),
        "replies" => replies(),
        "events" => events(),
        "jute" => jute(),
        "conversation" => conversations(),
        "word" => ["ruok", "mntr", "dump", "wchp", "srvr", "????"].map(Vec::from).to_vec(),
        "segment_header" => segment_headers(),
        "log_batches" => log_batches(),
        "transactions" => transactions(),
        "snapshot" => vec![example_snapshot()],
        "path" => PATHS.map(Vec::from).to_vec(),
        "url" => URLS.map(Vec::from).to_vec(),
        "redis_url" => REDIS_URLS.map(Vec::from).to_vec(),
        "cassandra_url" => CASSANDRA_URLS.map(Vec::from).to_vec(),
        "ticket" => TICKETS.map(Vec::from).to_vec(),
        "node_name" => NODE_NAMES.map(Vec::from).to_vec(),
        "node_data" => NODE_DATA.map(Vec::from).to_vec(),
        "record" => RECORDS.map(Vec::from).to_vec(),
        "history" => history::examples(),
        _ => Vec::new(),
    }
}

const PATHS: [&str; 9] =
    ["/", "/a", "/a/b-0000000001", "/a/", "//", "/./a", "/a/..", "/\u{1}", "/\u{e000}x\u{1f512}"];
const URLS: [&str; 8] = [
    "zk://localhost",
    "zk://zk1:2181,zk2:2182/apps/billing?timeout=6s&connect-timeout=250ms",
    "zk://user:p%40ss@[::1]:2181/a?acl=creator&dialect=curator&foreign=block",
    "zks://h/?ca=/ca.pem&cert=c&key=k",
    "zk://",
    "http://h",
    "zk://h:99999",
    "zk://h?timeout=",
];

const REDIS_URLS: [&str; 9] = [
    "redis://localhost",
    "redis://ann:p%40ss@[::1]:6380/2?term=30s&prefix=a%3Ab&connect-timeout=250ms",
    "redis://cache?replicas=1&replicas-within=200ms",
    "redis+sentinel://s1:26379,s2,s3/primary/3?sentinel-password=open",
    "redis+cluster://:secret@c1,c2:7001,c3",
    "redlock://a,b,c:6380/1?term=500ms",
    "rediss://h/?ca=/ca.pem&cert=c&key=k",
    "redis://a,b",
    "redis://h/99999999999",
];
const CASSANDRA_URLS: [&str; 7] = [
    "cassandra://c1,c2:9043/apps?ttl=15s",
    "cassandra://ann:p%40ss@[::1]:9042/k?skew=250ms&poll=2s&connect-timeout=3s",
    "scylla://h/apps?table=locks&namespace=a%2Fb&datacenter=eu-1&scope=datacenter",
    "cassandra://h/apps?create=keyspace&replicas=3",
    "cassandra://h/apps?create=table",
    "cassandra://h",
    "cassandra://h/1-2?ttl=",
];

const TICKETS: [&str; 4] =
    ["1 00 4000", "10000abcdef0001 0123456789abcdef0123456789abcdef 30000", "1 0 1", "1  1"];
/// Of each library, and behind a line with a pattern.
const NODE_NAMES: [&str; 14] = [
    "_c_11111111-2222-4333-8444-555555555555-lock-0000000007",
    "_c_11111111-2222-4333-8444-555555555555-__READ__0000000007",
    "_c_11111111-2222-4333-8444-555555555555-__WRIT__0000000007",
    "_c_11111111-2222-4333-8444-555555555555-latch-0000000007",
    "_c_11111111-2222-4333-8444-555555555555-lease-0000000007",
    "_c_0123456789abcdef0123456789abcdef-lock-0000000000",
    "0123456789abcdef0123456789abcdef__lock__0000000001",
    "0123456789abcdef0123456789abcdef__rlock__0000000001",
    "0123456789abcdef0123456789abcdef",
    "lock-2147483647",
    "_c_x-lock--2147483648",
    "job-*-ticket-\njob-0123456789abcdef0123456789abcdef-ticket-0000000003",
    "*_\n0123456789abcdef0123456789abcdef_-000000003",
    "qn-0000000001",
];
/// Of ourselves, of Curator, of kazoo, and of somebody who wants to be taken for us.
const NODE_DATA: [&str; 6] = [
    "host=web-3 pid=4242 user=alice command=make since=2026-11-23T10:00:00Z note=why by=sneck",
    "host=h pid=1 user=u by=sneck permits=2/3 group=11111111-2222-4333-8444-555555555555",
    "host=h%20h pid=1 user=u%0A by=sneck holds=11111111-2222-4333-8444-555555555555 yields",
    "192.168.1.7",
    "python-1234@host",
    "by=sneck pid=x\u{1b}[2J host=%1b%5b2J",
];
const RECORDS: [&str; 3] = ["owner=deploy%0A7\nby=sneck\n", "a=1\r\na=2\nb\n=\n%=%\n", ""];

fn node(path: &str, mode: CreateMode) -> NewNode {
    let (path, data) = (path.to_owned(), Some(Bytes::from_static(b"data")));
    NewNode { path, data, acl: Acl::open(), mode }
}

fn stat() -> Stat {
    let mut bytes = BytesMut::new();
    bytes.put_bytes(1, Stat::WIRE_BYTES);
    Stat::decode(&mut sneck_wire::jute::Reader::new(&bytes)).expect("any bytes are a stat")
}

/// One request of each operation.
fn requests() -> Vec<Request> {
    let path = || "/a".to_owned();
    let paths = |path: &str| vec![path.to_owned()];
    vec![
        Request::Create(node("/a", CreateMode::Persistent)),
        Request::Create2(node("/a/n-", CreateMode::EphemeralSequential)),
        Request::CreateContainer(node("/c", CreateMode::Container)),
        Request::CreateTtl { node: node("/t", CreateMode::PersistentWithTtl), ttl_ms: 1_000 },
        Request::Delete { path: path(), version: -1 },
        Request::Exists { path: path(), watch: true },
        Request::GetData { path: path(), watch: true },
        Request::SetData { path: path(), data: None, version: 0 },
        Request::GetAcl { path: path() },
        Request::SetAcl { path: path(), acl: Acl::creator_all(), version: -1 },
        Request::GetChildren { path: "/".into(), watch: true },
        Request::GetChildren2 { path: "/".into(), watch: false },
        Request::Sync { path: path() },
        Request::Ping,
        Request::Multi(vec![
            MultiOp::Create2(node("/m", CreateMode::Persistent)),
            MultiOp::Create(node("/m/e", CreateMode::Ephemeral)),
            MultiOp::SetData { path: "/m".into(), data: None, version: -1 },
            MultiOp::Check { path: "/m".into(), version: 1 },
            MultiOp::Delete { path: "/m/e".into(), version: -1 },
        ]),
        Request::MultiRead(vec![
            ReadOp::GetChildren { path: "/".into() },
            ReadOp::GetData { path: path() },
        ]),
        Request::Auth { scheme: "digest".into(), credential: Secret::from(&b"super:test"[..]) },
        Request::SetWatches {
            relative_zxid: 3,
            data: paths("/a"),
            exist: paths("/b"),
            child: paths("/"),
        },
        Request::SetWatches2 {
            relative_zxid: 3,
            data: paths("/a"),
            exist: paths("/b"),
            child: paths("/"),
            persistent: paths("/c"),
            persistent_recursive: paths("/"),
        },
        Request::AddWatch { path: "/".into(), mode: AddWatchMode::PersistentRecursive },
        Request::RemoveWatches { path: "/".into(), kind: WatcherKind::Any },
        Request::CheckWatches { path: path(), kind: WatcherKind::Persistent },
        Request::GetEphemerals { prefix: "/".into() },
        Request::GetAllChildrenNumber { path: "/".into() },
        Request::WhoAmI,
        Request::Reconfig(Bytes::from_static(&[0xff; 20])),
        Request::Sasl { token: Some(Secret::from(&b"token"[..])) },
        Request::CloseSession,
    ]
}

/// The content of a request's frame.
fn content(xid: i32, request: &Request) -> Vec<u8> {
    let mut out = BytesMut::new();
    encode_request(&mut out, xid, request);
    out[4..].to_vec()
}

fn replies() -> Vec<Vec<u8>> {
    let (path, stat) = (|| "/a".to_owned(), stat());
    let results = || {
        vec![
            MultiResult::Create { path: "/m".into(), stat: Some(stat) },
            MultiResult::SetData(stat),
            MultiResult::Error(ErrorCode::NO_NODE),
        ]
    };
    let reads = vec![
        MultiResult::Data { data: Some(Bytes::from_static(b"x")), stat },
        MultiResult::Children(vec!["b".into()]),
    ];
    let all = [
        Reply::Create { path: path() },
        Reply::Create2 { path: path(), stat },
        Reply::Exists(stat),
        Reply::GetData { data: None, stat },
        Reply::GetAcl { acl: Acl::read_only(), stat },
        Reply::GetChildren(vec!["b".into(), "c".into()]),
        Reply::GetChildren2 { children: vec!["b".into()], stat },
        Reply::Multi(results()),
        Reply::MultiRead(reads),
        Reply::AddWatch,
        Reply::GetAllChildrenNumber(7),
        Reply::WhoAmI(vec![ClientInfo { scheme: "ip".into(), user: "127.0.0.1".into() }]),
        Reply::Sasl { token: None },
        Reply::CloseSession,
    ];
    all.iter().map(reply).collect()
}

fn reply(reply: &Reply) -> Vec<u8> {
    let header = sneck_wire::ReplyHeader { xid: 1, zxid: 2, error: ErrorCode::OK };
    let mut frame = BytesMut::new();
    encode_reply(&mut frame, header, Some(reply));
    let mut out = reply.op().code().to_be_bytes().to_vec();
    out.extend_from_slice(&frame[4..]);
    out
}

fn events() -> Vec<Vec<u8>> {
    let kinds = [
        EventKind::Created,
        EventKind::Deleted,
        EventKind::DataChanged,
        EventKind::ChildrenChanged,
    ];
    let event = |kind| {
        let mut out = BytesMut::new();
        WatchedEvent::new(kind, "/a").encode(&mut out);
        out.to_vec()
    };
    kinds.map(event).to_vec()
}

fn frames() -> Vec<Vec<u8>> {
    let mut several = BytesMut::new();
    encode_request(&mut several, 1, &Request::Ping);
    encode_event(&mut several, 9, &WatchedEvent::new(EventKind::Created, "/a"));
    encode_frame(&mut several, |_| {});
    vec![several.to_vec(), vec![0x7f, 0xff, 0xff, 0xff], vec![0xff; 4], b"ruok".to_vec()]
}

fn connect() -> Vec<Vec<u8>> {
    let mut examples = Vec::new();
    for read_only in [None, Some(false)] {
        let (mut request, mut reply) = (BytesMut::new(), BytesMut::new());
        let password = || Secret::from([7; 16]);
        ConnectRequest {
            protocol: 0,
            last_zxid_seen: 3,
            timeout_ms: 4_000,
            session_id: 1 << 56,
            password: password(),
            read_only,
        }
        .encode(&mut request);
        ConnectReply {
            protocol: 0,
            timeout_ms: 4_000,
            session_id: 1 << 56,
            password: password(),
            read_only,
        }
        .encode(&mut reply);
        examples.extend([request.to_vec(), reply.to_vec()]);
    }
    examples
}

fn jute() -> Vec<Vec<u8>> {
    // The kind of each value is three bits of the first byte; strings suit most of them.
    let mut values = BytesMut::new();
    for text in ["one", "", "three"] {
        values.put_string(text);
    }
    values.put_strings(&["a".to_owned(), "b".to_owned()]);
    Acl::encode_list(&Acl::creator_all(), &mut values);
    let with = |kind: u8| [&[kind], &values[..]].concat();
    (0..8).map(|kind| with(kind * 0x24)).collect()
}

/// Frames of three clients: everybody asks everything; then somebody leaves and time passes.
fn conversations() -> Vec<Vec<u8>> {
    let mut all = BytesMut::new();
    for (xid, request) in (0..).zip(requests()) {
        if request.op() != OpCode::CloseSession {
            encode_request(&mut all, xid, &request);
        }
    }
    let mut queue = BytesMut::new();
    for xid in 0..6 {
        encode_request(&mut queue, xid, &Request::Create2(node("/n-", CreateMode::Ephemeral)));
        let create = node("/n-", CreateMode::EphemeralSequential);
        encode_request(&mut queue, xid, &Request::Create2(create));
        encode_request(&mut queue, xid, &Request::Exists { path: "/n-".into(), watch: true });
    }
    encode_request(&mut queue, 0, &Request::CloseSession);
    for op in [CLOSED, TIME_PASSES, TIME_PASSES, TIME_PASSES] {
        encode_frame(&mut queue, |out| RequestHeader { xid: 1, op }.encode(out));
    }
    // Two clients that ask in turn, of which each operation gives the other something to hear.
    let mut watched = BytesMut::new();
    for request in requests().iter().take(15) {
        let watch = Request::AddWatch { path: "/".into(), mode: AddWatchMode::Persistent };
        encode_request(&mut watched, 1, &watch);
        encode_request(&mut watched, 2, request);
    }
    vec![all.to_vec(), queue.to_vec(), watched.to_vec()]
}

fn segment_headers() -> Vec<Vec<u8>> {
    let mut out = BytesMut::new();
    out.put_slice(b"SNKL");
    out.put_u32(1);
    out.put_u64(7);
    out.put_u64(0xfeed);
    out.put_u64(1 << 20);
    // The checksum is put right by the target.
    out.put_u32(0);
    vec![out.to_vec()]
}

fn log_batches() -> Vec<Vec<u8>> {
    const HEADER: usize = 64;
    let batch = |entries: &[(i64, &[u8])]| {
        let mut body = BytesMut::new();
        for (zxid, payload) in entries {
            body.put_i64(*zxid);
            body.put_u32(u32::try_from(payload.len()).expect("short"));
            body.put_slice(payload);
        }
        let mut out = BytesMut::new();
        out.put_bytes(0, 24);
        out.put_u64(0);
        out.put_i64(0);
        out.put_i64(entries.first().map_or(0, |(zxid, _)| *zxid));
        out.put_u32(0);
        out.put_u32(u32::try_from(entries.len()).expect("few"));
        out.put_u32(u32::try_from(body.len()).expect("short"));
        out.put_u32(0);
        debug_assert_eq!(out.len(), HEADER);
        out.put_slice(&body);
        out.to_vec()
    };
    let two = batch(&[(1, b"one"), (2, b""), (9, b"more")]);
    let mut row = two.clone();
    row.resize(4_096, 0);
    row.extend(batch(&[(1, b"next")]));
    vec![two, row, batch(&[])]
}

fn transactions() -> Vec<Vec<u8>> {
    const VERSION: i32 = 1 << 8;
    let record = |kind: i32, zxid: i64, body: &dyn Fn(&mut BytesMut)| {
        let mut out = BytesMut::new();
        encode_frame(&mut out, |out| {
            out.put_i32(VERSION | kind);
            out.put_i64(zxid);
            out.put_i64(1_800_000_000_000);
            body(out);
        });
        out
    };
    let open = record(1, 101, &|out| {
        out.put_i64(7);
        out.put_i32(4_000);
    });
    let changes = record(3, 102, &|out| {
        out.put_i32(3);
        out.put_i32(1);
        out.put_string("/a");
        out.put_buffer(Some(b"data"));
        Acl::encode_list(&Acl::open(), out);
        out.put_i64(7);
        out.put_i32(3);
        out.put_string("/a");
        out.put_buffer(None);
        out.put_i32(5);
        out.put_string("/");
        out.put_i32(9);
    });
    let more = record(3, 103, &|out| {
        out.put_i32(2);
        out.put_i32(4);
        out.put_string("/a");
        Acl::encode_list(&Acl::read_only(), out);
        out.put_i32(2);
        out.put_string("/a");
    });
    let close = record(2, 104, &|out| out.put_i64(7));
    let all = [&open[..], &changes, &more, &close].concat();
    let cut_short = [&open[..], &changes, &close].concat();
    vec![all, cut_short, open.to_vec()]
}
