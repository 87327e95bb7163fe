//! Frames as they stand on the wire, written by hand from the protocol: what a round trip cannot
//! see is an encoder and a decoder that agree on the wrong bytes.

use bytes::{Bytes, BytesMut};
use sneck_wire::jute::Reader;
use sneck_wire::{
    Acl, AddWatchMode, ClientInfo, ConnectReply, ConnectRequest, CreateMode, ErrorCode, EventKind,
    FrameDecoder, MultiOp, MultiResult, NewNode, OpCode, ReadOp, Reply, ReplyHeader, Request,
    Secret, Stat, WatchedEvent, WatcherKind, decode_reply_header, decode_request_header,
    encode_event, encode_frame, encode_reply, encode_request, xid,
};

/// The bytes of a text in which a quoted part stands for itself and the rest is hexadecimal.
fn wire(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, part) in text.split('"').enumerate() {
        if number % 2 == 1 {
            bytes.extend_from_slice(part.as_bytes());
            continue;
        }
        let digits: Vec<u8> =
            part.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
        let (pairs, rest) = digits.as_chunks::<2>();
        assert!(rest.is_empty(), "half a byte in {part:?}");
        bytes.extend(pairs.iter().map(|[high, low]| high << 4 | low));
    }
    bytes
}

/// Takes the one frame there is.
fn only_frame(out: &mut BytesMut) -> Bytes {
    let frame = FrameDecoder::default().next(out).expect("a good length").expect("a whole frame");
    assert!(out.is_empty(), "{} bytes after the frame", out.len());
    frame
}

/// Checks that `request` is written as `expected`, length included, and read back from it.
#[track_caller]
fn assert_request(xid: i32, request: &Request, expected: &str) {
    let mut out = BytesMut::new();
    encode_request(&mut out, xid, request);
    assert_eq!(out[..], wire(expected), "{request:?}");
    let frame = only_frame(&mut out);
    let (header, mut body) = decode_request_header(&frame).expect("a header");
    assert_eq!((header.xid, header.op), (xid, request.op().code()));
    assert_eq!(Request::decode(request.op(), &mut body).as_ref(), Ok(request));
}

/// Checks that `reply` is written as `expected`, length included, and read back from it.
#[track_caller]
fn assert_reply(header: ReplyHeader, reply: &Reply, expected: &str) {
    let mut out = BytesMut::new();
    encode_reply(&mut out, header, Some(reply));
    assert_eq!(out[..], wire(expected), "{reply:?}");
    let frame = only_frame(&mut out);
    let (decoded, mut body) = decode_reply_header(&frame).expect("a header");
    assert_eq!(decoded, header);
    assert_eq!(Reply::decode(reply.op(), &mut body).as_ref(), Ok(reply));
}

fn ok(xid: i32, zxid: i64) -> ReplyHeader {
    ReplyHeader { xid, zxid, error: ErrorCode::OK }
}

fn stat() -> Stat {
    Stat {
        czxid: 0x1_0000_0002,
        mzxid: 0x1_0000_0003,
        ctime: 0x0190_0000_0000,
        mtime: 0x0190_0000_0001,
        version: 1,
        cversion: -1,
        aversion: 0,
        ephemeral_owner: 0x0100_0000_0000_0007,
        data_length: 2,
        num_children: 0,
        pzxid: 0x1_0000_0002,
    }
}

/// [`stat`] on the wire.
const STAT: &str = "
    0000000100000002 0000000100000003 0000019000000000 0000019000000001
    00000001 ffffffff 00000000 0100000000000007 00000002 00000000 0000000100000002";

fn lock_node() -> NewNode {
    NewNode {
        path: "/l/n-".into(),
        data: Some("me".into()),
        acl: Acl::open(),
        mode: CreateMode::EphemeralSequential,
    }
}

#[test]
fn opening_a_session() {
    let request = ConnectRequest {
        protocol: 0,
        last_zxid_seen: 0,
        timeout_ms: 10_000,
        session_id: 0,
        password: Secret::from([0; 16]),
        read_only: Some(false),
    };
    let mut out = BytesMut::new();
    encode_frame(&mut out, |out| request.encode(out));
    let expected = "
        0000002d 00000000 0000000000000000 00002710 0000000000000000
        00000010 00000000000000000000000000000000 00";
    assert_eq!(out[..], wire(expected));
    let frame = only_frame(&mut out);
    assert_eq!(ConnectRequest::decode(&mut Reader::new(&frame)), Ok(request));
}

#[test]
fn resuming_a_session_without_the_read_only_flag() {
    let request = ConnectRequest {
        protocol: 0,
        last_zxid_seen: 0x0102,
        timeout_ms: 4000,
        session_id: 0x0100_0000_0000_0007,
        password: Secret::from(*b"0123456789abcdef"),
        read_only: None,
    };
    let mut out = BytesMut::new();
    encode_frame(&mut out, |out| request.encode(out));
    let expected = r#"
        0000002c 00000000 0000000000000102 00000fa0 0100000000000007
        00000010 "0123456789abcdef""#;
    assert_eq!(out[..], wire(expected));
    let frame = only_frame(&mut out);
    assert_eq!(ConnectRequest::decode(&mut Reader::new(&frame)), Ok(request));
}

#[test]
fn a_connect_reply() {
    let reply = ConnectReply {
        protocol: 0,
        timeout_ms: 4000,
        session_id: 0x0100_0000_0000_0007,
        password: Secret::from(*b"0123456789abcdef"),
        read_only: Some(true),
    };
    let mut out = BytesMut::new();
    encode_frame(&mut out, |out| reply.encode(out));
    let expected = r#"
        00000025 00000000 00000fa0 0100000000000007 00000010 "0123456789abcdef" 01"#;
    assert_eq!(out[..], wire(expected));
    let frame = only_frame(&mut out);
    assert_eq!(ConnectReply::decode(&mut Reader::new(&frame)), Ok(reply));
}

#[test]
fn creating_a_node() {
    let body = r#" 00000005 "/l/n-" 00000002 "me"
        00000001 0000001f 00000005 "world" 00000006 "anyone" 00000003"#;
    let create = Request::Create(lock_node());
    assert_request(1, &create, &format!("00000036 00000001 00000001 {body}"));
    let create2 = Request::Create2(lock_node());
    assert_request(2, &create2, &format!("00000036 00000002 0000000f {body}"));
    let ttl = Request::CreateTtl { node: lock_node(), ttl_ms: 1000 };
    assert_request(3, &ttl, &format!("0000003e 00000003 00000015 {body} 00000000000003e8"));

    let path = "/l/n-0000000001".to_owned();
    assert_reply(
        ok(1, 9),
        &Reply::Create { path: path.clone() },
        r#"00000023 00000001 0000000000000009 00000000 0000000f "/l/n-0000000001""#,
    );
    let head = r#"00000067 00000002 0000000000000009 00000000 0000000f "/l/n-0000000001""#;
    assert_reply(ok(2, 9), &Reply::Create2 { path, stat: stat() }, &format!("{head} {STAT}"));
}

#[test]
fn creating_a_container_with_null_data() {
    let node = NewNode {
        path: "/l".into(),
        data: None,
        acl: Acl::creator_all(),
        mode: CreateMode::Container,
    };
    assert_request(
        1,
        &Request::CreateContainer(node),
        r#"0000002a 00000001 00000013 00000002 "/l" ffffffff
           00000001 0000001f 00000004 "auth" 00000000 00000004"#,
    );
}

#[test]
fn reading() {
    let path = "/a".to_owned();
    assert_request(
        1,
        &Request::Exists { path: path.clone(), watch: true },
        r#"0000000f 00000001 00000003 00000002 "/a" 01"#,
    );
    assert_request(
        1,
        &Request::GetData { path: path.clone(), watch: false },
        r#"0000000f 00000001 00000004 00000002 "/a" 00"#,
    );
    assert_request(
        1,
        &Request::GetChildren { path: path.clone(), watch: true },
        r#"0000000f 00000001 00000008 00000002 "/a" 01"#,
    );
    assert_request(
        1,
        &Request::GetChildren2 { path, watch: true },
        r#"0000000f 00000001 0000000c 00000002 "/a" 01"#,
    );
    assert_reply(
        ok(1, -1),
        &Reply::Exists(stat()),
        &format!("00000054 00000001 ffffffffffffffff 00000000 {STAT}"),
    );
    assert_reply(
        ok(1, 2),
        &Reply::GetData { data: None, stat: stat() },
        &format!("00000058 00000001 0000000000000002 00000000 ffffffff {STAT}"),
    );
    assert_reply(
        ok(1, 2),
        &Reply::GetData { data: Some(Bytes::new()), stat: stat() },
        &format!("00000058 00000001 0000000000000002 00000000 00000000 {STAT}"),
    );
    assert_reply(
        ok(1, 2),
        &Reply::GetChildren(vec!["x".into(), "yz".into()]),
        r#"0000001f 00000001 0000000000000002 00000000
           00000002 00000001 "x" 00000002 "yz""#,
    );
    let names = r#"00000001 00000001 "x""#;
    assert_reply(
        ok(1, 2),
        &Reply::GetChildren2 { children: vec!["x".into()], stat: stat() },
        &format!("0000005d 00000001 0000000000000002 00000000 {names} {STAT}"),
    );
}

#[test]
fn writing() {
    let path = "/a".to_owned();
    assert_request(
        1,
        &Request::SetData { path: path.clone(), data: Some("v".into()), version: 3 },
        r#"00000017 00000001 00000005 00000002 "/a" 00000001 "v" 00000003"#,
    );
    assert_request(
        1,
        &Request::Delete { path: path.clone(), version: -1 },
        r#"00000012 00000001 00000002 00000002 "/a" ffffffff"#,
    );
    assert_request(
        1,
        &Request::Check { path, version: 4 },
        r#"00000012 00000001 0000000d 00000002 "/a" 00000004"#,
    );
    assert_reply(ok(1, 2), &Reply::Delete, "00000010 00000001 0000000000000002 00000000");
}

#[test]
fn access_lists() {
    assert_request(
        1,
        &Request::GetAcl { path: "/".into() },
        r#"0000000d 00000001 00000006 00000001 "/""#,
    );
    let acl = r#"00000001 00000001 00000005 "world" 00000006 "anyone""#;
    assert_request(
        1,
        &Request::SetAcl { path: "/".into(), acl: Acl::read_only(), version: -1 },
        &format!(r#"0000002c 00000001 00000007 00000001 "/" {acl} ffffffff"#),
    );
    assert_reply(
        ok(1, 2),
        &Reply::GetAcl { acl: Acl::read_only(), stat: stat() },
        &format!("0000006f 00000001 0000000000000002 00000000 {acl} {STAT}"),
    );
}

#[test]
fn keeping_and_closing_a_session() {
    assert_request(xid::PING, &Request::Ping, "00000008 fffffffe 0000000b");
    assert_request(5, &Request::CloseSession, "00000008 00000005 fffffff5");
    assert_request(
        1,
        &Request::Sync { path: "/a".into() },
        r#"0000000e 00000001 00000009 00000002 "/a""#,
    );
    let ping = ok(xid::PING, 3);
    assert_reply(ping, &Reply::Ping, "00000010 fffffffe 0000000000000003 00000000");
}

#[test]
fn proving_an_identity() {
    assert_request(
        xid::AUTH,
        &Request::Auth { scheme: "digest".into(), credential: (*b"u:p").into() },
        r#"0000001d fffffffc 00000064 00000000 00000006 "digest" 00000003 "u:p""#,
    );
    assert_request(
        1,
        &Request::Sasl { token: Some(Secret::default()) },
        "0000000c 00000001 00000066 00000000",
    );
    assert_reply(
        ok(1, 2),
        &Reply::WhoAmI(vec![ClientInfo { scheme: "ip".into(), user: "::1".into() }]),
        r#"00000021 00000001 0000000000000002 00000000
           00000001 00000002 "ip" 00000003 "::1""#,
    );
}

#[test]
fn a_multi() {
    let ops = vec![
        MultiOp::Check { path: "/a".into(), version: 0 },
        MultiOp::Create2(lock_node()),
        MultiOp::SetData { path: "/a".into(), data: None, version: -1 },
        MultiOp::Delete { path: "/b".into(), version: 1 },
    ];
    assert_request(
        1,
        &Request::Multi(ops),
        r#"00000085 00000001 0000000e
           0000000d 00 ffffffff  00000002 "/a" 00000000
           0000000f 00 ffffffff  00000005 "/l/n-" 00000002 "me"
              00000001 0000001f 00000005 "world" 00000006 "anyone" 00000003
           00000005 00 ffffffff  00000002 "/a" ffffffff ffffffff
           00000002 00 ffffffff  00000002 "/b" 00000001
           ffffffff 01 ffffffff"#,
    );
    let results = vec![
        MultiResult::Check,
        MultiResult::Create { path: "/l/n".into(), stat: None },
        MultiResult::Create { path: "/l/n".into(), stat: Some(stat()) },
        MultiResult::SetData(stat()),
        MultiResult::Delete,
    ];
    assert_reply(
        ok(1, 2),
        &Reply::Multi(results),
        &format!(
            r#"000000de 00000001 0000000000000002 00000000
               0000000d 00 00000000
               00000001 00 00000000  00000004 "/l/n"
               0000000f 00 00000000  00000004 "/l/n" {STAT}
               00000005 00 00000000  {STAT}
               00000002 00 00000000
               ffffffff 01 ffffffff"#
        ),
    );
}

#[test]
fn a_multi_that_failed_has_no_error_in_its_header() {
    let results = vec![
        MultiResult::Error(ErrorCode::OK),
        MultiResult::Error(ErrorCode::NO_NODE),
        MultiResult::Error(ErrorCode::RUNTIME_INCONSISTENCY),
    ];
    assert_reply(
        ok(1, 2),
        &Reply::Multi(results),
        "00000040 00000001 0000000000000002 00000000
         ffffffff 00 00000000 00000000
         ffffffff 00 ffffff9b ffffff9b
         ffffffff 00 fffffffe fffffffe
         ffffffff 01 ffffffff",
    );
}

#[test]
fn a_multi_read() {
    let ops =
        vec![ReadOp::GetChildren { path: "/a".into() }, ReadOp::GetData { path: "/b".into() }];
    assert_request(
        1,
        &Request::MultiRead(ops),
        r#"00000031 00000001 00000016
           00000008 00 ffffffff  00000002 "/a" 00
           00000004 00 ffffffff  00000002 "/b" 00
           ffffffff 01 ffffffff"#,
    );
    let results = vec![
        MultiResult::Children(vec!["x".into()]),
        MultiResult::Data { data: Some("v".into()), stat: stat() },
        MultiResult::Error(ErrorCode::NO_AUTH),
    ];
    assert_reply(
        ok(1, 2),
        &Reply::MultiRead(results),
        &format!(
            r#"0000008a 00000001 0000000000000002 00000000
               00000008 00 00000000  00000001 00000001 "x"
               00000004 00 00000000  00000001 "v" {STAT}
               ffffffff 00 ffffff9a  ffffff9a
               ffffffff 01 ffffffff"#
        ),
    );
}

#[test]
fn setting_watches() {
    let (data, exist, child) = (vec!["/d".to_owned()], vec![], vec!["/c".to_owned()]);
    assert_request(
        xid::SET_WATCHES,
        &Request::SetWatches {
            relative_zxid: 0x0203,
            data: data.clone(),
            exist: exist.clone(),
            child: child.clone(),
        },
        r#"00000028 fffffff8 00000065 0000000000000203
           00000001 00000002 "/d"  00000000  00000001 00000002 "/c""#,
    );
    assert_request(
        xid::SET_WATCHES,
        &Request::SetWatches2 {
            relative_zxid: 0x0203,
            data,
            exist,
            child,
            persistent: vec!["/p".into()],
            persistent_recursive: vec!["/r".into()],
        },
        r#"0000003c fffffff8 00000069 0000000000000203
           00000001 00000002 "/d"  00000000  00000001 00000002 "/c"
           00000001 00000002 "/p"  00000001 00000002 "/r""#,
    );
    assert_request(
        1,
        &Request::AddWatch { path: "/a".into(), mode: AddWatchMode::PersistentRecursive },
        r#"00000012 00000001 0000006a 00000002 "/a" 00000001"#,
    );
    assert_request(
        1,
        &Request::RemoveWatches { path: "/a".into(), kind: WatcherKind::Any },
        r#"00000012 00000001 00000012 00000002 "/a" 00000003"#,
    );
    let header = ok(1, 2);
    assert_reply(header, &Reply::AddWatch, "00000014 00000001 0000000000000002 00000000 00000000");
}

#[test]
fn a_watch_event() {
    let event = WatchedEvent::new(EventKind::Deleted, "/a");
    let mut out = BytesMut::new();
    encode_event(&mut out, -1, &event);
    let expected = r#"
        0000001e ffffffff ffffffffffffffff 00000000 00000002 00000003 00000002 "/a""#;
    assert_eq!(out[..], wire(expected));
    let frame = only_frame(&mut out);
    let (header, mut body) = decode_reply_header(&frame).unwrap();
    assert_eq!(header.xid, xid::NOTIFICATION);
    assert_eq!(WatchedEvent::decode(&mut body), Ok(event));
}

#[test]
fn an_error_reply() {
    let header = ReplyHeader { xid: 6, zxid: 7, error: ErrorCode::NODE_EXISTS };
    let mut out = BytesMut::new();
    encode_reply(&mut out, header, None);
    assert_eq!(out[..], wire("00000010 00000006 0000000000000007 ffffff92"));
}

#[test]
fn a_sequence_of_frames_in_one_buffer() {
    let mut out = BytesMut::new();
    encode_request(&mut out, 1, &Request::WhoAmI);
    encode_request(&mut out, xid::PING, &Request::Ping);
    assert_eq!(out[..], wire("00000008 00000001 0000006b 00000008 fffffffe 0000000b"));
    let frame = FrameDecoder::default().next(&mut out).unwrap().unwrap();
    let (header, _) = decode_request_header(&frame).unwrap();
    assert_eq!(OpCode::try_from(header.op), Ok(OpCode::WhoAmI));
}
