//! What holds for every record: it survives the wire, no part of it is taken for the whole, and no
//! bytes at all make a decoder panic or allocate more than they are worth.

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use sneck_wire::jute::Reader;
use sneck_wire::{
    Acl, AddWatchMode, ClientInfo, ConnectReply, ConnectRequest, CreateMode, DecodeError,
    ErrorCode, EventKind, FrameDecoder, Id, MultiOp, MultiResult, NewNode, OpCode, Permissions,
    ReadOp, Reply, ReplyHeader, Request, Secret, Stat, WatchedEvent, WatcherKind,
    decode_reply_header, decode_request_header, encode_reply, encode_request, path,
};

fn text() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..12).prop_map(String::from_iter)
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    vec(text(), 0..4)
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..24).prop_map(Bytes::from)
}

fn data() -> impl Strategy<Value = Option<Bytes>> {
    option::of(bytes())
}

fn secret() -> impl Strategy<Value = Secret> {
    bytes().prop_map(Secret::from)
}

fn stat() -> impl Strategy<Value = Stat> {
    let (zxids, times, versions) = (any::<[i64; 3]>(), any::<[i64; 2]>(), any::<[i32; 3]>());
    (zxids, times, versions, any::<i64>(), any::<[i32; 2]>()).prop_map(
        |(zxids, times, versions, ephemeral_owner, sizes)| Stat {
            czxid: zxids[0],
            mzxid: zxids[1],
            ctime: times[0],
            mtime: times[1],
            version: versions[0],
            cversion: versions[1],
            aversion: versions[2],
            ephemeral_owner,
            data_length: sizes[0],
            num_children: sizes[1],
            pzxid: zxids[2],
        },
    )
}

fn acl() -> impl Strategy<Value = Vec<Acl>> {
    let entry = (any::<i32>(), text(), text())
        .prop_map(|(bits, scheme, id)| Acl::new(Permissions::from_bits(bits), Id::new(scheme, id)));
    vec(entry, 0..4)
}

fn node() -> impl Strategy<Value = NewNode> {
    let mode = (0..=6).prop_map(|flags| CreateMode::try_from(flags).expect("a known mode"));
    (text(), data(), acl(), mode).prop_map(|(path, data, acl, mode)| NewNode {
        path,
        data,
        acl,
        mode,
    })
}

fn multi_op() -> impl Strategy<Value = MultiOp> {
    prop_oneof![
        node().prop_map(MultiOp::Create),
        node().prop_map(MultiOp::Create2),
        node().prop_map(MultiOp::CreateContainer),
        (node(), any::<i64>()).prop_map(|(node, ttl_ms)| MultiOp::CreateTtl { node, ttl_ms }),
        (text(), any::<i32>()).prop_map(|(path, version)| MultiOp::Delete { path, version }),
        (text(), data(), any::<i32>()).prop_map(|(path, data, version)| MultiOp::SetData {
            path,
            data,
            version
        }),
        (text(), any::<i32>()).prop_map(|(path, version)| MultiOp::Check { path, version }),
    ]
}

fn read_op() -> impl Strategy<Value = ReadOp> {
    prop_oneof![
        text().prop_map(|path| ReadOp::GetChildren { path }),
        text().prop_map(|path| ReadOp::GetData { path }),
    ]
}

fn multi_result() -> impl Strategy<Value = MultiResult> {
    prop_oneof![
        (text(), option::of(stat())).prop_map(|(path, stat)| MultiResult::Create { path, stat }),
        Just(MultiResult::Delete),
        stat().prop_map(MultiResult::SetData),
        Just(MultiResult::Check),
        texts().prop_map(MultiResult::Children),
        (data(), stat()).prop_map(|(data, stat)| MultiResult::Data { data, stat }),
        any::<i32>().prop_map(|code| MultiResult::Error(ErrorCode::new(code))),
    ]
}

/// The operations a client can ask for.
fn op() -> impl Strategy<Value = OpCode> {
    let not_requests = [OpCode::Notification, OpCode::CreateSession, OpCode::DeleteContainer];
    let ops: Vec<OpCode> =
        OpCode::ALL.iter().copied().filter(|op| !not_requests.contains(op)).collect();
    prop::sample::select(ops)
}

/// A request for `op`. The match is over every operation, so that a new one cannot be forgotten.
fn request_for(op: OpCode) -> BoxedStrategy<Request> {
    let watched = || (text(), any::<bool>());
    let versioned = || (text(), any::<i32>());
    let kind = || {
        prop::sample::select(vec![
            WatcherKind::Children,
            WatcherKind::Data,
            WatcherKind::Any,
            WatcherKind::Persistent,
            WatcherKind::PersistentRecursive,
        ])
    };
    match op {
        OpCode::Create => node().prop_map(Request::Create).boxed(),
        OpCode::Create2 => node().prop_map(Request::Create2).boxed(),
        OpCode::CreateContainer => node().prop_map(Request::CreateContainer).boxed(),
        OpCode::CreateTtl => (node(), any::<i64>())
            .prop_map(|(node, ttl_ms)| Request::CreateTtl { node, ttl_ms })
            .boxed(),
        OpCode::Delete => {
            versioned().prop_map(|(path, version)| Request::Delete { path, version }).boxed()
        }
        OpCode::Exists => {
            watched().prop_map(|(path, watch)| Request::Exists { path, watch }).boxed()
        }
        OpCode::GetData => {
            watched().prop_map(|(path, watch)| Request::GetData { path, watch }).boxed()
        }
        OpCode::SetData => (versioned(), data())
            .prop_map(|((path, version), data)| Request::SetData { path, data, version })
            .boxed(),
        OpCode::GetAcl => text().prop_map(|path| Request::GetAcl { path }).boxed(),
        OpCode::SetAcl => (versioned(), acl())
            .prop_map(|((path, version), acl)| Request::SetAcl { path, acl, version })
            .boxed(),
        OpCode::GetChildren => {
            watched().prop_map(|(path, watch)| Request::GetChildren { path, watch }).boxed()
        }
        OpCode::GetChildren2 => {
            watched().prop_map(|(path, watch)| Request::GetChildren2 { path, watch }).boxed()
        }
        OpCode::Sync => text().prop_map(|path| Request::Sync { path }).boxed(),
        OpCode::Ping => Just(Request::Ping).boxed(),
        OpCode::Check => {
            versioned().prop_map(|(path, version)| Request::Check { path, version }).boxed()
        }
        OpCode::Multi => vec(multi_op(), 0..5).prop_map(Request::Multi).boxed(),
        OpCode::MultiRead => vec(read_op(), 0..5).prop_map(Request::MultiRead).boxed(),
        OpCode::Auth => (text(), secret())
            .prop_map(|(scheme, credential)| Request::Auth { scheme, credential })
            .boxed(),
        OpCode::SetWatches => (any::<i64>(), texts(), texts(), texts())
            .prop_map(|(relative_zxid, data, exist, child)| Request::SetWatches {
                relative_zxid,
                data,
                exist,
                child,
            })
            .boxed(),
        OpCode::SetWatches2 => (any::<i64>(), texts(), texts(), texts(), texts(), texts())
            .prop_map(|(relative_zxid, data, exist, child, persistent, persistent_recursive)| {
                Request::SetWatches2 {
                    relative_zxid,
                    data,
                    exist,
                    child,
                    persistent,
                    persistent_recursive,
                }
            })
            .boxed(),
        OpCode::AddWatch => {
            let modes = vec![AddWatchMode::Persistent, AddWatchMode::PersistentRecursive];
            (text(), prop::sample::select(modes))
                .prop_map(|(path, mode)| Request::AddWatch { path, mode })
                .boxed()
        }
        OpCode::RemoveWatches => {
            (text(), kind()).prop_map(|(path, kind)| Request::RemoveWatches { path, kind }).boxed()
        }
        OpCode::CheckWatches => {
            (text(), kind()).prop_map(|(path, kind)| Request::CheckWatches { path, kind }).boxed()
        }
        OpCode::GetEphemerals => {
            text().prop_map(|prefix| Request::GetEphemerals { prefix }).boxed()
        }
        OpCode::GetAllChildrenNumber => {
            text().prop_map(|path| Request::GetAllChildrenNumber { path }).boxed()
        }
        OpCode::WhoAmI => Just(Request::WhoAmI).boxed(),
        OpCode::Reconfig => bytes().prop_map(Request::Reconfig).boxed(),
        OpCode::Sasl => option::of(secret()).prop_map(|token| Request::Sasl { token }).boxed(),
        OpCode::CloseSession => Just(Request::CloseSession).boxed(),
        OpCode::Notification | OpCode::CreateSession | OpCode::DeleteContainer => {
            unreachable!("{op} is not a request")
        }
    }
}

/// A reply to `op`. The match is over every operation, so that a new one cannot be forgotten.
fn reply_for(op: OpCode) -> BoxedStrategy<Reply> {
    let created = || (text(), stat());
    match op {
        OpCode::Create => text().prop_map(|path| Reply::Create { path }).boxed(),
        OpCode::Create2 => created().prop_map(|(path, stat)| Reply::Create2 { path, stat }).boxed(),
        OpCode::CreateContainer => {
            created().prop_map(|(path, stat)| Reply::CreateContainer { path, stat }).boxed()
        }
        OpCode::CreateTtl => {
            created().prop_map(|(path, stat)| Reply::CreateTtl { path, stat }).boxed()
        }
        OpCode::Delete => Just(Reply::Delete).boxed(),
        OpCode::Exists => stat().prop_map(Reply::Exists).boxed(),
        OpCode::GetData => {
            (data(), stat()).prop_map(|(data, stat)| Reply::GetData { data, stat }).boxed()
        }
        OpCode::SetData => stat().prop_map(Reply::SetData).boxed(),
        OpCode::GetAcl => {
            (acl(), stat()).prop_map(|(acl, stat)| Reply::GetAcl { acl, stat }).boxed()
        }
        OpCode::SetAcl => stat().prop_map(Reply::SetAcl).boxed(),
        OpCode::GetChildren => texts().prop_map(Reply::GetChildren).boxed(),
        OpCode::GetChildren2 => (texts(), stat())
            .prop_map(|(children, stat)| Reply::GetChildren2 { children, stat })
            .boxed(),
        OpCode::Sync => text().prop_map(|path| Reply::Sync { path }).boxed(),
        OpCode::Ping => Just(Reply::Ping).boxed(),
        OpCode::Check => Just(Reply::Check).boxed(),
        OpCode::Multi => vec(multi_result(), 0..5).prop_map(Reply::Multi).boxed(),
        OpCode::MultiRead => vec(multi_result(), 0..5).prop_map(Reply::MultiRead).boxed(),
        OpCode::Auth => Just(Reply::Auth).boxed(),
        OpCode::SetWatches => Just(Reply::SetWatches).boxed(),
        OpCode::SetWatches2 => Just(Reply::SetWatches2).boxed(),
        OpCode::AddWatch => Just(Reply::AddWatch).boxed(),
        OpCode::RemoveWatches => Just(Reply::RemoveWatches).boxed(),
        OpCode::CheckWatches => Just(Reply::CheckWatches).boxed(),
        OpCode::GetEphemerals => texts().prop_map(Reply::GetEphemerals).boxed(),
        OpCode::GetAllChildrenNumber => any::<i32>().prop_map(Reply::GetAllChildrenNumber).boxed(),
        OpCode::WhoAmI => {
            let info = (text(), text()).prop_map(|(scheme, user)| ClientInfo { scheme, user });
            vec(info, 0..4).prop_map(Reply::WhoAmI).boxed()
        }
        OpCode::Reconfig => bytes().prop_map(Reply::Reconfig).boxed(),
        OpCode::Sasl => option::of(secret()).prop_map(|token| Reply::Sasl { token }).boxed(),
        OpCode::CloseSession => Just(Reply::CloseSession).boxed(),
        OpCode::Notification | OpCode::CreateSession | OpCode::DeleteContainer => {
            unreachable!("{op} has no reply")
        }
    }
}

fn request() -> impl Strategy<Value = Request> {
    op().prop_flat_map(request_for)
}

fn reply() -> impl Strategy<Value = Reply> {
    op().prop_flat_map(reply_for)
}

fn connect_request() -> impl Strategy<Value = ConnectRequest> {
    let numbers = (any::<i32>(), any::<i64>(), any::<i32>(), any::<i64>());
    (numbers, secret(), any::<Option<bool>>()).prop_map(
        |((protocol, last_zxid_seen, timeout_ms, session_id), password, read_only)| {
            ConnectRequest { protocol, last_zxid_seen, timeout_ms, session_id, password, read_only }
        },
    )
}

fn connect_reply() -> impl Strategy<Value = ConnectReply> {
    let numbers = (any::<i32>(), any::<i32>(), any::<i64>());
    (numbers, secret(), any::<Option<bool>>()).prop_map(
        |((protocol, timeout_ms, session_id), password, read_only)| ConnectReply {
            protocol,
            timeout_ms,
            session_id,
            password,
            read_only,
        },
    )
}

fn event() -> impl Strategy<Value = WatchedEvent> {
    (any::<i32>(), any::<i32>(), text()).prop_map(|(kind, state, path)| WatchedEvent {
        kind: EventKind::from(kind),
        state,
        path,
    })
}

/// Bytes that look like jute more often than chance would have it: small and huge lengths, null,
/// and the numbers of operations.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just(-1),
        -3..=32,
        Just(i32::MAX),
        Just(i32::MIN),
        Just(0x2000_0000),
        any::<i32>(),
    ]
    .prop_map(|word| word.to_be_bytes().to_vec());
    let piece = prop_oneof![3 => word, 1 => vec(any::<u8>(), 0..6)];
    vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn decode_request(frame: &[u8]) -> Result<Request, DecodeError> {
    let (header, mut body) = decode_request_header(frame)?;
    Request::decode(OpCode::try_from(header.op)?, &mut body)
}

fn decode_reply(op: OpCode, frame: &[u8]) -> Result<Reply, DecodeError> {
    let (_, mut body) = decode_reply_header(frame)?;
    Reply::decode(op, &mut body)
}

/// Takes the one frame there is.
fn only_frame(mut out: BytesMut) -> Bytes {
    let frame =
        FrameDecoder::default().next(&mut out).expect("a good length").expect("a whole frame");
    assert!(out.is_empty());
    frame
}

fn request_frame(xid: i32, request: &Request) -> Bytes {
    let mut out = BytesMut::new();
    encode_request(&mut out, xid, request);
    only_frame(out)
}

fn reply_frame(reply: &Reply) -> Bytes {
    let mut out = BytesMut::new();
    let header = ReplyHeader { xid: 1, zxid: 2, error: ErrorCode::OK };
    encode_reply(&mut out, header, Some(reply));
    only_frame(out)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..Default::default() })]

    #[test]
    fn requests_survive_the_wire(xid: i32, request in request()) {
        let frame = request_frame(xid, &request);
        let (header, mut body) = decode_request_header(&frame).unwrap();
        prop_assert_eq!((header.xid, header.op), (xid, request.op().code()));
        prop_assert_eq!(Request::decode(request.op(), &mut body), Ok(request));
    }

    #[test]
    fn replies_survive_the_wire(reply in reply()) {
        let frame = reply_frame(&reply);
        prop_assert_eq!(decode_reply(reply.op(), &frame), Ok(reply));
    }

    #[test]
    fn handshakes_survive_the_wire(request in connect_request(), reply in connect_reply()) {
        let mut out = BytesMut::new();
        request.encode(&mut out);
        prop_assert_eq!(ConnectRequest::decode(&mut Reader::new(&out)), Ok(request));
        out.clear();
        reply.encode(&mut out);
        prop_assert_eq!(ConnectReply::decode(&mut Reader::new(&out)), Ok(reply));
    }

    #[test]
    fn events_survive_the_wire(event in event()) {
        let mut out = BytesMut::new();
        event.encode(&mut out);
        prop_assert_eq!(WatchedEvent::decode(&mut Reader::new(&out)), Ok(event));
    }

    #[test]
    fn no_part_of_a_request_is_one(request in request()) {
        // The body of a reconfig is not interpreted, so any part of it will do.
        prop_assume!(request.op() != OpCode::Reconfig);
        let frame = request_frame(1, &request);
        for end in 0..frame.len() {
            prop_assert!(decode_request(&frame[..end]).is_err(), "{} of {}", end, frame.len());
        }
    }

    #[test]
    fn no_part_of_a_reply_is_one(reply in reply()) {
        prop_assume!(reply.op() != OpCode::Reconfig);
        let frame = reply_frame(&reply);
        for end in 0..frame.len() {
            prop_assert!(decode_reply(reply.op(), &frame[..end]).is_err(), "at {}", end);
        }
    }

    #[test]
    fn only_the_optional_byte_of_a_handshake_can_be_missing(request in connect_request()) {
        let mut out = BytesMut::new();
        request.encode(&mut out);
        let whole = out.len() - usize::from(request.read_only.is_some());
        for end in 0..whole {
            prop_assert!(ConnectRequest::decode(&mut Reader::new(&out[..end])).is_err());
        }
        let shorter = ConnectRequest { read_only: None, ..request };
        prop_assert_eq!(ConnectRequest::decode(&mut Reader::new(&out[..whole])), Ok(shorter));
    }

    #[test]
    fn no_part_of_an_event_is_one(event in event()) {
        let mut out = BytesMut::new();
        event.encode(&mut out);
        for end in 0..out.len() {
            prop_assert!(WatchedEvent::decode(&mut Reader::new(&out[..end])).is_err());
        }
    }

    #[test]
    fn surplus_is_refused(request in request(), reply in reply(), surplus: u8) {
        prop_assume!(request.op() != OpCode::Reconfig && reply.op() != OpCode::Reconfig);
        let mut frame = request_frame(1, &request).to_vec();
        frame.push(surplus);
        prop_assert!(decode_request(&frame).is_err());
        let mut frame = reply_frame(&reply).to_vec();
        frame.push(surplus);
        prop_assert!(decode_reply(reply.op(), &frame).is_err());
    }

    /// Also with huge lengths, where a decoder that believed them would abort for want of memory.
    #[test]
    fn noise_is_harmless(op in op(), noise in noise()) {
        if let Ok(request) = Request::decode(op, &mut Reader::new(&noise)) {
            let frame = request_frame(1, &request);
            prop_assert_eq!(decode_request(&frame), Ok(request));
        }
        if let Ok(reply) = Reply::decode(op, &mut Reader::new(&noise)) {
            let frame = reply_frame(&reply);
            prop_assert_eq!(decode_reply(op, &frame), Ok(reply));
        }
        let _harmless = ConnectRequest::decode(&mut Reader::new(&noise));
        let _harmless = ConnectReply::decode(&mut Reader::new(&noise));
        let _harmless = WatchedEvent::decode(&mut Reader::new(&noise));
        let _harmless = decode_request(&noise);
        let _harmless = FrameDecoder::default().next(&mut BytesMut::from(&noise[..]));
    }

    /// A valid record with one damaged byte comes closer to the limits than noise does.
    #[test]
    fn damage_is_harmless(request in request(), reply in reply(), at: prop::sample::Index, by in 1_u8..) {
        for whole in [request_frame(1, &request), reply_frame(&reply)] {
            let mut frame = whole.to_vec();
            let at = at.index(frame.len());
            frame[at] = frame[at].wrapping_add(by);
            let _harmless = decode_request(&frame);
            let _harmless = decode_reply(reply.op(), &frame);
        }
    }

    #[test]
    fn the_cut_between_reads_does_not_matter(requests in vec(request(), 1..4), cut: prop::sample::Index) {
        let mut stream = BytesMut::new();
        for request in &requests {
            encode_request(&mut stream, 1, request);
        }
        let cut = cut.index(stream.len());
        let decoder = FrameDecoder::default();
        let mut input = BytesMut::new();
        let mut decoded = Vec::new();
        for piece in [&stream[..cut], &stream[cut..]] {
            input.extend_from_slice(piece);
            while let Some(frame) = decoder.next(&mut input).unwrap() {
                decoded.push(decode_request(&frame).unwrap());
            }
        }
        prop_assert_eq!(decoded, requests);
    }

    #[test]
    fn a_legal_path_is_legal_for_sequential_nodes_too(path in "(/[a.é\u{1}\u{1f600}]{0,3}){0,4}") {
        if path::validate(&path).is_ok() {
            prop_assert_eq!(path::validate_sequential(&path), Ok(()));
        }
        prop_assert_eq!(
            path::validate_sequential(&path).is_ok(),
            !path.is_empty() && path::validate(&format!("{path}0000000007")).is_ok()
        );
    }

    #[test]
    fn any_text_can_be_checked_as_a_path(path: String) {
        let _harmless = path::validate(&path);
        let _harmless = path::validate_sequential(&path);
    }
}
