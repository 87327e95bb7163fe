//! The machine against a scripted server: frames in, frames out, and a clock that is told the time.

use super::*;
use proptest::prelude::*;
use sneck_wire::{
    Acl, CreateMode, EventKind, MultiResult, NewNode, Stat, WatcherKind, decode_request_header,
    encode_event, encode_reply,
};
use tokio::sync::oneshot::error::TryRecvError;

/// Divides well: ping 2 s, proof 6 s, answer 6 s, term 15 s.
const TIMEOUT: Duration = Duration::from_secs(24);
const OURS: i64 = 7;

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A machine, its clock, and the server's end of its connection.
struct Scene {
    machine: Machine,
    now: Instant,
    zxid: i64,
}

impl Scene {
    fn new() -> Scene {
        Scene::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut SessionOptions)) -> Scene {
        let mut options = SessionOptions::new(Vec::new());
        options.timeout = TIMEOUT;
        change(&mut options);
        let now = Instant::from_nanos(0) + secs(1_000);
        Scene { machine: Machine::new(&options, now), now, zxid: 100 }
    }

    /// A new session that a server has just opened.
    fn open() -> Scene {
        Scene::open_with(|_| {})
    }

    fn open_with(change: impl FnOnce(&mut SessionOptions)) -> Scene {
        let mut scene = Scene::with(change);
        scene.connect();
        scene.greet(OURS).unwrap();
        scene
    }

    fn pass(&mut self, length: Duration) {
        self.now = self.now + length;
    }

    /// Connects, and returns what the machine greets with.
    fn connect(&mut self) -> ConnectRequest {
        self.machine.on_connection(self.now).unwrap();
        let frame = self.frames().remove(0);
        ConnectRequest::decode(&mut Reader::new(&frame)).unwrap()
    }

    fn greet(&mut self, session_id: i64) -> Result<(), Broken> {
        self.greet_with(session_id, TIMEOUT)
    }

    fn greet_with(&mut self, session_id: i64, timeout: Duration) -> Result<(), Broken> {
        let timeout_ms = millis(timeout);
        let password = Secret::from([9; 16]);
        let read_only = Some(false);
        self.greet_as(&ConnectReply { protocol: 0, timeout_ms, session_id, password, read_only })
    }

    fn greet_as(&mut self, reply: &ConnectReply) -> Result<(), Broken> {
        let mut bytes = BytesMut::new();
        encode_frame(&mut bytes, |out| reply.encode(out));
        self.feed(bytes)
    }

    /// Connects and resumes; returns what the connection began with, without the proof.
    fn resume(&mut self) -> Vec<(i32, Request)> {
        assert_eq!(self.connect().session_id, OURS);
        self.greet(OURS).unwrap();
        let mut sent = self.sent();
        let proof = sent.iter().position(|(_, request)| *request == proof_request()).unwrap();
        let (xid, _) = sent.remove(proof);
        // Nothing that waits for an answer is ahead of it.
        assert!(sent[..proof].iter().all(|(xid, _)| *xid < 0));
        self.answer(xid, Ok(&Reply::Multi(vec![MultiResult::Check]))).unwrap();
        sent
    }

    fn feed(&mut self, mut bytes: BytesMut) -> Result<(), Broken> {
        let mut effects = Effects::default();
        let result = self.machine.on_bytes(self.now, &mut bytes, &mut effects);
        effects.deliver();
        result
    }

    fn answer(&mut self, xid: i32, result: Result<&Reply, ErrorCode>) -> Result<(), Broken> {
        let error = result.err().unwrap_or(ErrorCode::OK);
        let mut bytes = BytesMut::new();
        encode_reply(&mut bytes, ReplyHeader { xid, zxid: self.zxid, error }, result.ok());
        self.feed(bytes)
    }

    fn event(&mut self, kind: EventKind, path: &str) {
        let mut bytes = BytesMut::new();
        encode_event(&mut bytes, 1 << 40, &WatchedEvent::new(kind, path));
        self.feed(bytes).unwrap();
    }

    fn disconnect(&mut self) {
        let mut effects = Effects::default();
        self.machine.on_disconnection(self.now, &mut effects);
        effects.deliver();
    }

    fn close(&mut self) {
        let mut effects = Effects::default();
        self.machine.close(self.now, &mut effects);
        effects.deliver();
    }

    fn on_time(&mut self) -> Result<(), Broken> {
        self.machine.on_time(self.now)
    }

    fn frames(&mut self) -> Vec<Bytes> {
        let mut bytes = self.machine.outgoing().split();
        let decoder = FrameDecoder::default();
        let mut frames = Vec::new();
        while let Some(frame) = decoder.next(&mut bytes).unwrap() {
            frames.push(frame);
        }
        assert!(bytes.is_empty(), "only whole frames are handed out");
        frames
    }

    /// What the machine has sent since this was last asked, after the greeting.
    fn sent(&mut self) -> Vec<(i32, Request)> {
        let decode = |frame: Bytes| {
            let (header, mut body) = decode_request_header(&frame).unwrap();
            let op = OpCode::try_from(header.op).unwrap();
            (header.xid, Request::decode(op, &mut body).unwrap())
        };
        self.frames().into_iter().map(decode).collect()
    }

    fn sent_requests(&mut self) -> Vec<Request> {
        self.sent().into_iter().map(|(_, request)| request).collect()
    }

    fn sent_xids(&mut self) -> Vec<i32> {
        self.sent().into_iter().map(|(xid, _)| xid).collect()
    }

    fn submit(&mut self, request: &Request) -> oneshot::Receiver<Answer> {
        self.machine.submit(self.now, request).unwrap()
    }

    fn watch(&mut self, path: &str, kind: WatchKind) -> Watching<oneshot::Receiver<WatchedEvent>> {
        let request = read(path, kind);
        self.machine.submit_watching(self.now, &request, path, kind).unwrap()
    }

    /// A watch that the server has set, its request answered with `result`.
    fn watched(
        &mut self,
        path: &str,
        kind: WatchKind,
        result: Result<&Reply, ErrorCode>,
    ) -> Watching<oneshot::Receiver<WatchedEvent>> {
        let watching = self.watch(path, kind);
        let xid = self.sent_xids()[0];
        self.answer(xid, result).unwrap();
        watching
    }

    fn unwatch(&mut self, key: &WatchKey) {
        self.machine.unwatch(self.now, key);
    }

    fn end(&self) -> Option<End> {
        self.machine.end()
    }

    fn holds(&self) -> bool {
        self.machine.lease().loss(self.now).is_none()
    }
}

fn read(path: &str, kind: WatchKind) -> Request {
    let (path, watch) = (path.to_owned(), true);
    match kind {
        WatchKind::Data => Request::GetData { path, watch },
        WatchKind::Exist => Request::Exists { path, watch },
        WatchKind::Child => Request::GetChildren { path, watch },
    }
}

fn get(path: &str) -> Request {
    Request::GetData { path: path.into(), watch: false }
}

fn delete(path: &str) -> Request {
    Request::Delete { path: path.into(), version: -1 }
}

fn set_data(path: &str, bytes: usize) -> Request {
    Request::SetData { path: path.into(), data: Some(vec![0; bytes].into()), version: -1 }
}

fn stat() -> Stat {
    let mut zeros = BytesMut::zeroed(4 + 68);
    zeros[..4].copy_from_slice(&[0xff; 4]);
    match Reply::decode(OpCode::GetData, &mut Reader::new(&zeros)) {
        Ok(Reply::GetData { stat, .. }) => stat,
        other => panic!("{other:?}"),
    }
}

fn data() -> Reply {
    Reply::GetData { data: None, stat: stat() }
}

// ----- greeting -----

#[test]
fn a_new_session_is_asked_for_and_taken() {
    let mut scene = Scene::new();
    let greeting = scene.connect();
    assert_eq!((greeting.session_id, greeting.last_zxid_seen), (0, 0));
    assert_eq!((greeting.timeout_ms, greeting.read_only), (24_000, Some(false)));
    assert_eq!(greeting.password, Secret::from([0; 16]));
    assert!(!scene.machine.is_connected());
    scene.greet_with(OURS, secs(4)).unwrap();
    assert!(scene.machine.is_connected());
    assert_eq!((scene.machine.id(), scene.machine.timeout()), (OURS, secs(4)));
    // The quorum has opened it, so nothing more has to be proven now.
    assert_eq!(scene.sent_requests(), []);
    assert_eq!(scene.machine.lease().until(), scene.now + secs(4) * 5 / 8);
}

#[test]
fn a_session_is_resumed_with_its_password_and_the_last_transaction() {
    let mut scene = Scene::open();
    scene.zxid = 0x42;
    let _answer = scene.submit(&get("/a"));
    scene.answer(1, Ok(&data())).unwrap();
    // Neither an older transaction nor an event's moves it.
    scene.zxid = 0x41;
    let _answer = scene.submit(&get("/a"));
    scene.answer(2, Err(ErrorCode::NO_NODE)).unwrap();
    scene.event(EventKind::Deleted, "/a");
    assert_eq!(scene.machine.zxid_seen(), 0x42);
    scene.disconnect();
    let greeting = scene.connect();
    assert_eq!((greeting.session_id, greeting.last_zxid_seen), (OURS, 0x42));
    assert_eq!(greeting.password, Secret::from([9; 16]));
    // The wanted timeout is asked for again, whatever was given.
    assert_eq!(greeting.timeout_ms, 24_000);
    scene.greet_with(OURS, secs(8)).unwrap();
    assert_eq!(scene.machine.timeout(), secs(8));
    assert!(scene.machine.is_connected());
}

#[test]
fn an_expired_session_is_over_for_everybody() {
    let mut scene = Scene::open();
    let mut watching = scene.watched("/a", WatchKind::Data, Ok(&data()));
    let lease = scene.machine.lease().clone();
    scene.disconnect();
    let mut waiting = scene.submit(&get("/b"));
    scene.connect();
    assert_eq!(scene.greet_as(&ConnectReply::expired(Some(false))), Err(Broken::Over));
    assert_eq!(scene.end(), Some(End::Expired));
    assert_eq!(lease.loss(scene.now), Some(Loss::SessionEnded));
    assert_eq!(watching.events.try_recv(), Err(TryRecvError::Closed));
    let over = RequestError::Over { end: End::Expired, sent: false };
    assert_eq!(waiting.try_recv(), Ok(Err(over.clone())));
    assert_eq!(scene.machine.submit(scene.now, &get("/c")).err(), Some(over));
}

#[test]
fn another_session_than_ours_is_the_end_of_ours() {
    for foreign in [OURS + 1, 0] {
        let mut scene = Scene::open();
        scene.disconnect();
        scene.connect();
        assert_eq!(scene.greet(foreign), Err(Broken::Over));
        assert_eq!(scene.end(), Some(End::Expired));
    }
}

#[test]
fn an_answer_without_a_session_opens_none() {
    for reply in [
        ConnectReply::expired(None),
        ConnectReply { session_id: 5, ..ConnectReply::expired(None) },
        ConnectReply { timeout_ms: 4_000, ..ConnectReply::expired(None) },
        ConnectReply { timeout_ms: -1, session_id: 5, ..ConnectReply::expired(None) },
    ] {
        let mut scene = Scene::new();
        scene.connect();
        assert!(matches!(scene.greet_as(&reply), Err(Broken::Protocol(_))), "{reply:?}");
        assert_eq!((scene.end(), scene.machine.id()), (None, 0));
        scene.disconnect();
        scene.connect();
        scene.greet(OURS).unwrap();
    }
}

#[test]
fn strangers_are_named_at_their_first_bytes() {
    for (answer, named) in [
        (&b"HTTP/1.1 400 Bad Request\r\n"[..], "HTTP"),
        (&[0x15, 3, 3, 0, 2, 2, 40][..], "TLS"),
        (&[0x7f, 0xff, 0xff, 0xff][..], "frame"),
        (&[0xff, 0xff, 0xff, 0xff][..], "frame"),
        (&[0, 0, 0, 3, 1, 2, 3][..], "protocol version"),
    ] {
        let mut scene = Scene::new();
        scene.connect();
        match scene.feed(answer.into()) {
            Err(Broken::Protocol(why)) => assert!(why.contains(named), "{why}"),
            other => panic!("{other:?} of {answer:?}"),
        }
    }
}

#[test]
fn a_greeting_may_come_byte_by_byte() {
    let mut scene = Scene::new();
    scene.connect();
    let mut frame = BytesMut::new();
    let reply = ConnectReply { timeout_ms: 4_000, session_id: 5, ..ConnectReply::expired(None) };
    encode_frame(&mut frame, |out| reply.encode(out));
    let mut incoming = BytesMut::new();
    for byte in frame {
        assert!(!scene.machine.is_connected());
        incoming.extend_from_slice(&[byte]);
        let mut effects = Effects::default();
        scene.machine.on_bytes(scene.now, &mut incoming, &mut effects).unwrap();
    }
    assert!(scene.machine.is_connected());
}

#[test]
fn a_silent_peer_is_given_up() {
    let mut scene = Scene::new();
    scene.connect();
    assert_eq!(scene.machine.alarm(), scene.now + secs(6));
    scene.pass(secs(6) - Duration::from_millis(1));
    assert_eq!(scene.on_time(), Ok(()));
    scene.pass(Duration::from_millis(1));
    assert_eq!(scene.on_time(), Err(Broken::Silent));
}

#[test]
fn a_tiny_wish_does_not_make_connecting_impossible() {
    let mut scene = Scene::with(|options| options.timeout = Duration::from_millis(40));
    scene.connect();
    assert_eq!(scene.machine.alarm(), scene.now + secs(1));
    scene.greet_with(OURS, secs(2)).unwrap();
    scene.disconnect();
    scene.connect();
    assert_eq!(
        scene.machine.alarm(),
        scene.now + Duration::from_millis(500),
        "a lease is at stake"
    );
}

// ----- credentials -----

#[test]
fn credentials_come_first_on_every_connection_and_decide_when_it_is_one() {
    let credentials = vec![Credentials::digest("me", "secret"), Credentials::other("x", "y")];
    let mut scene = Scene::with(|options| options.credentials = credentials);
    let _waiting = scene.submit(&get("/a"));
    scene.connect();
    scene.greet(OURS).unwrap();
    let sent = scene.sent();
    assert_eq!(sent.iter().map(|(xid, _)| *xid).collect::<Vec<_>>(), [xid::AUTH, xid::AUTH, 1]);
    let credential = Secret::from(*b"me:secret");
    assert_eq!(sent[0].1, Request::Auth { scheme: "digest".into(), credential });
    for _ in 0..2 {
        assert!(!scene.machine.is_connected());
        scene.answer(xid::AUTH, Ok(&Reply::Auth)).unwrap();
    }
    assert!(scene.machine.is_connected());

    // More of them do not interrupt what is going on, and are remembered.
    scene.machine.authenticate(Credentials::digest("you", "too"));
    assert!(scene.machine.is_connected());
    scene.answer(xid::AUTH, Ok(&Reply::Auth)).unwrap();
    scene.sent();
    scene.disconnect();
    let sent = scene.resume();
    assert_eq!(sent.iter().filter(|(xid, _)| *xid == xid::AUTH).count(), 3);
    assert!(!scene.machine.is_connected());
}

#[test]
fn refused_credentials_end_the_session() {
    let credentials = vec![Credentials::digest("me", "secret")];
    let mut scene = Scene::open_with(|options| options.credentials = credentials);
    let mut sent = scene.submit(&get("/a"));
    assert_eq!(scene.answer(xid::AUTH, Err(ErrorCode::AUTH_FAILED)), Err(Broken::Over));
    assert_eq!(scene.end(), Some(End::AuthFailed));
    let over = RequestError::Over { end: End::AuthFailed, sent: true };
    assert_eq!(sent.try_recv(), Ok(Err(over)));
    assert!(!scene.holds());
}

// ----- requests -----

#[test]
fn requests_go_out_in_order_and_are_answered_in_order() {
    let mut scene = Scene::open();
    let mut first = scene.submit(&get("/a"));
    let mut second = scene.submit(&delete("/b"));
    assert_eq!(scene.sent(), [(1, get("/a")), (2, delete("/b"))]);
    assert_eq!(first.try_recv(), Err(TryRecvError::Empty));
    scene.answer(1, Ok(&data())).unwrap();
    scene.answer(2, Err(ErrorCode::NOT_EMPTY)).unwrap();
    assert_eq!(first.try_recv(), Ok(Ok(data())));
    assert_eq!(second.try_recv(), Ok(Err(RequestError::Refused(ErrorCode::NOT_EMPTY))));
}

#[test]
fn xids_wrap_to_1() {
    let mut scene = Scene::open();
    scene.machine.xid_last = i32::MAX - 1;
    let mut answers: Vec<_> = (0..3).map(|_| scene.submit(&get("/a"))).collect();
    assert_eq!(scene.sent_xids(), [i32::MAX, 1, 2]);
    for (answer, xid) in answers.iter_mut().zip([i32::MAX, 1, 2]) {
        scene.answer(xid, Ok(&data())).unwrap();
        assert_eq!(answer.try_recv(), Ok(Ok(data())));
    }
}

#[test]
fn a_server_that_breaks_the_protocol_loses_the_connection_and_nobody_waits_for_ever() {
    let header = |xid| ReplyHeader { xid, zxid: 1, error: ErrorCode::OK };
    let frame = |xid, reply: Option<&Reply>| {
        let mut bytes = BytesMut::new();
        encode_reply(&mut bytes, header(xid), reply);
        bytes
    };
    let cases: [(&str, BytesMut); 8] = [
        ("a wrong xid", frame(2, Some(&data()))),
        ("xid 0", frame(0, Some(&data()))),
        ("a reserved xid", frame(-3, Some(&data()))),
        ("a body of another operation", frame(1, Some(&Reply::Sync { path: "/".into() }))),
        ("no body", frame(1, None)),
        ("half a header", BytesMut::from(&[0, 0, 0, 2, 0, 0][..])),
        ("an oversized frame", BytesMut::from(&[0x7f, 0, 0, 0][..])),
        ("half an event", frame(xid::NOTIFICATION, Some(&Reply::AddWatch))),
    ];
    for (what, bytes) in cases {
        let mut scene = Scene::open();
        let mut first = scene.submit(&get("/a"));
        let mut second = scene.watch("/b", WatchKind::Data);
        assert!(matches!(scene.feed(bytes), Err(Broken::Protocol(_))), "{what}");
        scene.disconnect();
        assert_eq!(first.try_recv(), Ok(Err(RequestError::Interrupted)), "{what}");
        assert_eq!(second.answer.try_recv(), Ok(Err(RequestError::Interrupted)), "{what}");
        assert_eq!(second.events.try_recv(), Err(TryRecvError::Closed), "{what}");
        assert!(scene.machine.watches.is_empty());
    }
    let mut scene = Scene::open();
    assert!(matches!(scene.answer(1, Ok(&data())), Err(Broken::Protocol(_))), "answers nothing");
}

#[test]
fn what_was_answered_before_the_garbage_counts() {
    let mut scene = Scene::open();
    let mut first = scene.submit(&get("/a"));
    let mut second = scene.submit(&get("/b"));
    let mut bytes = BytesMut::new();
    let header = ReplyHeader { xid: 1, zxid: 1, error: ErrorCode::OK };
    encode_reply(&mut bytes, header, Some(&data()));
    bytes.extend_from_slice(&[0xff; 9]);
    assert!(scene.feed(bytes).is_err());
    scene.disconnect();
    assert_eq!(first.try_recv(), Ok(Ok(data())));
    assert_eq!(second.try_recv(), Ok(Err(RequestError::Interrupted)));
}

#[test]
fn what_waits_while_there_is_no_server_goes_out_in_order_after_who_we_are_and_what_we_watch() {
    let credentials = vec![Credentials::digest("me", "secret")];
    let mut scene = Scene::open_with(|options| options.credentials = credentials);
    scene.answer(xid::AUTH, Ok(&Reply::Auth)).unwrap();
    scene.sent();
    let _watching = scene.watched("/w", WatchKind::Data, Ok(&data()));
    let mut sent = scene.submit(&delete("/sent"));
    scene.disconnect();
    assert_eq!(sent.try_recv(), Ok(Err(RequestError::Interrupted)));
    let mut waiting: Vec<_> = (0..3).map(|n| scene.submit(&get(&format!("/{n}")))).collect();
    assert!(waiting.iter_mut().all(|answer| answer.try_recv() == Err(TryRecvError::Empty)));
    assert!(scene.machine.outgoing().is_empty());
    let sent = scene.resume();
    let xids: Vec<_> = sent.iter().map(|(xid, _)| *xid).collect();
    assert_eq!(xids[..2], [xid::AUTH, xid::SET_WATCHES]);
    assert!(xids[2..].is_sorted() && xids[2] > 0, "{xids:?}");
    let requests: Vec<_> = sent.into_iter().skip(2).map(|(_, request)| request).collect();
    assert_eq!(requests, [get("/0"), get("/1"), get("/2")]);
}

#[test]
fn the_window_and_the_queue_are_bounded() {
    let mut scene = Scene::open_with(|options| {
        options.limits.in_flight_max = 2;
        options.limits.queue_max = 3;
    });
    let mut answers: Vec<_> = (0..5).map(|n| scene.submit(&get(&format!("/{n}")))).collect();
    assert_eq!(scene.sent_requests(), [get("/0"), get("/1")]);
    let full = scene.machine.submit(scene.now, &get("/5"));
    assert_eq!(full.err(), Some(RequestError::QueueFull));
    let full = scene.machine.submit_streaming(scene.now, "/5", AddWatchMode::Persistent);
    assert_eq!(full.err(), Some(RequestError::QueueFull));
    assert!(scene.machine.watches.is_empty());
    scene.answer(1, Ok(&data())).unwrap();
    assert_eq!(scene.sent_requests(), [get("/2")]);
    // There is room again; who comes now still comes last.
    answers.push(scene.submit(&get("/5")));
    for xid in 2..=6 {
        scene.answer(xid, Ok(&data())).unwrap();
    }
    assert_eq!(scene.sent_requests(), [get("/3"), get("/4"), get("/5")]);
    assert!(answers.iter_mut().all(|answer| answer.try_recv() == Ok(Ok(data()))));
}

#[test]
fn the_queue_is_bounded_in_bytes_too() {
    let mut scene = Scene::open_with(|options| {
        options.limits.in_flight_max = 1;
        options.limits.queue_bytes_max = 2_000;
    });
    let _on_the_way = scene.submit(&get("/a"));
    let _waits = scene.submit(&set_data("/b", 1_500));
    let full = scene.machine.submit(scene.now, &set_data("/c", 1_500));
    assert_eq!(full.err(), Some(RequestError::QueueFull));
    let _small = scene.submit(&get("/d"));
    scene.sent();
    scene.answer(1, Ok(&data())).unwrap();
    let _fits_again = scene.submit(&set_data("/c", 1_500));
}

#[test]
fn data_beyond_measure_is_refused_before_it_is_copied() {
    let mut scene = Scene::open_with(|options| options.limits.request_bytes_max = 100);
    let op = |bytes| MultiOp::SetData {
        path: "/a".into(),
        data: Some(Bytes::from(vec![0; bytes])),
        version: -1,
    };
    let request = Request::Multi(vec![op(60), op(60)]);
    let too_large = Some(RequestError::TooLarge { bytes: 120, bytes_max: 100 });
    assert_eq!(scene.machine.submit(scene.now, &request).err(), too_large);
    assert!(scene.sent_requests().is_empty());
}

#[test]
fn a_proof_does_not_wait_for_the_window() {
    let mut scene = Scene::open_with(|options| options.limits.in_flight_max = 1);
    scene.pass(secs(5));
    let _first = scene.submit(&get("/a"));
    let _second = scene.submit(&get("/b"));
    scene.sent();
    scene.pass(secs(1));
    scene.on_time().unwrap();
    assert_eq!(scene.sent(), [(2, proof_request())]);
}

#[test]
fn a_request_that_is_too_large_is_not_sent_and_costs_nothing() {
    let mut scene = Scene::open_with(|options| options.limits.request_bytes_max = 100);
    let head = 4 + 4 + 4 + 2 + 4 + 4;
    let _fits = scene.submit(&set_data("/a", 100 - head));
    let large = set_data("/a", 101 - head);
    let too_large = Some(RequestError::TooLarge { bytes: 101, bytes_max: 100 });
    assert_eq!(scene.machine.submit(scene.now, &large).err(), too_large);
    assert_eq!(scene.sent_requests().len(), 1);
    let path = "/".repeat(100);
    let watching = scene.machine.submit_watching(scene.now, &get(&path), &path, WatchKind::Data);
    assert!(matches!(watching, Err(RequestError::TooLarge { .. })));
    assert!(scene.machine.watches.is_empty());
    scene.disconnect();
    assert_eq!(scene.machine.submit(scene.now, &large).err(), too_large);
    scene.resume();
    assert_eq!(scene.sent_requests(), []);
}

#[test]
fn a_moved_session_gives_up_the_connection_and_an_expired_one_everything() {
    let mut scene = Scene::open();
    let mut answer = scene.submit(&delete("/a"));
    assert_eq!(scene.answer(1, Err(ErrorCode::SESSION_MOVED)), Err(Broken::Moved));
    scene.disconnect();
    assert_eq!(answer.try_recv(), Ok(Err(RequestError::Interrupted)));
    assert_eq!(scene.end(), None);
    scene.resume();

    let mut answer = scene.submit(&delete("/a"));
    let xid = scene.sent_xids()[0];
    assert_eq!(scene.answer(xid, Err(ErrorCode::SESSION_EXPIRED)), Err(Broken::Over));
    let over = RequestError::Over { end: End::Expired, sent: true };
    assert_eq!(answer.try_recv(), Ok(Err(over)));
    assert_eq!(scene.end(), Some(End::Expired));
    assert!(!scene.holds());
}

// ----- time -----

#[test]
fn it_never_falls_silent_and_asks_for_a_proof_in_time() {
    let mut scene = Scene::open();
    let begin = scene.now;
    let mut sent = Vec::new();
    while scene.now < begin + TIMEOUT {
        let alarm = scene.machine.alarm();
        assert!(alarm > scene.now && alarm <= scene.now + secs(2), "it would sleep too long");
        scene.now = alarm;
        scene.on_time().unwrap();
        for (xid, request) in scene.sent() {
            sent.push((scene.now.since(begin).as_secs(), request.op()));
            let reply = if xid > 0 { Reply::Multi(vec![MultiResult::Check]) } else { Reply::Ping };
            scene.answer(xid, Ok(&reply)).unwrap();
        }
        assert!(scene.holds());
    }
    let (ping, proof) = (OpCode::Ping, OpCode::Multi);
    let expected = [(2, ping), (4, ping), (6, proof), (8, ping), (10, ping), (12, proof)];
    assert_eq!(sent[..6], expected);
}

#[test]
fn what_is_asked_anyway_saves_pings_and_proofs() {
    let mut scene = Scene::open();
    scene.pass(secs(1));
    let _read = scene.submit(&get("/a"));
    assert_eq!(scene.machine.alarm(), scene.now + secs(2), "a read puts off the ping");
    scene.answer(1, Ok(&data())).unwrap();
    scene.pass(secs(1));
    let _write = scene.submit(&delete("/a"));
    scene.answer(2, Ok(&Reply::Delete)).unwrap();
    scene.sent();
    for _ in 0..2 {
        scene.pass(secs(2));
        scene.on_time().unwrap();
        assert_eq!(scene.sent(), [(xid::PING, Request::Ping)]);
        scene.answer(xid::PING, Ok(&Reply::Ping)).unwrap();
    }
    scene.pass(secs(2));
    scene.on_time().unwrap();
    assert_eq!(scene.sent_requests(), [proof_request()], "six seconds after the write");
}

#[test]
fn silence_breaks_the_connection_whoever_it_is_that_waits() {
    // A request.
    let mut scene = Scene::open();
    let _answer = scene.submit(&get("/a"));
    scene.pass(secs(6));
    assert_eq!(scene.on_time(), Err(Broken::Silent));
    // A ping; an answer to an earlier one is none to this.
    let mut scene = Scene::open();
    for _ in 0..2 {
        scene.pass(secs(2));
        scene.on_time().unwrap();
    }
    scene.answer(xid::PING, Ok(&Reply::Ping)).unwrap();
    scene.pass(secs(6) - Duration::from_millis(1));
    assert_eq!(scene.on_time(), Ok(()));
    scene.pass(Duration::from_millis(1));
    assert_eq!(scene.on_time(), Err(Broken::Silent));
    // What an earlier connection left unanswered says nothing about the next.
    scene.disconnect();
    scene.resume();
    assert_eq!(scene.on_time(), Ok(()));
    // A proof, although pings are answered: the follower that is cut off from its leader.
    let mut scene = Scene::open();
    let mut proofs = 0;
    let broken = loop {
        assert!(proofs < 3, "it asks without end");
        scene.now = scene.machine.alarm();
        if let Err(broken) = scene.on_time() {
            break broken;
        }
        for (xid, _) in scene.sent() {
            proofs += u32::from(xid > 0);
            if xid == xid::PING {
                scene.answer(xid, Ok(&Reply::Ping)).unwrap();
            }
        }
    };
    assert_eq!((broken, proofs), (Broken::Silent, 1));
    assert!(scene.holds(), "there is time left to find a better server");
    scene.disconnect();
    scene.resume();
    assert!(scene.holds());
}

// ----- the lease -----

#[test]
fn the_lease_counts_from_the_instant_a_write_was_sent() {
    let mut scene = Scene::open();
    let begin = scene.now;
    scene.pass(secs(1));
    let _read = scene.submit(&get("/a"));
    scene.pass(secs(1));
    let _write = scene.submit(&delete("/a"));
    scene.pass(secs(3));
    scene.answer(1, Ok(&data())).unwrap();
    scene.answer(xid::PING, Ok(&Reply::Ping)).unwrap();
    assert_eq!(scene.machine.lease().until(), begin + secs(15), "reads and pings prove nothing");
    scene.answer(2, Ok(&Reply::Delete)).unwrap();
    assert_eq!(scene.machine.lease().until(), begin + secs(2 + 15));
}

#[test]
fn each_write_the_leader_decided_extends_the_lease_and_no_other_answer_does() {
    let multi = Request::Multi(vec![]);
    let node =
        NewNode { path: "/a".into(), data: None, acl: Acl::open(), mode: CreateMode::Persistent };
    let created = Reply::Create { path: "/a".into() };
    let results = Reply::Multi(vec![MultiResult::Error(ErrorCode::NO_NODE)]);
    let sync = Request::Sync { path: "/".into() };
    let synced = Reply::Sync { path: "/".into() };
    let cases: [(Request, Result<&Reply, ErrorCode>, bool); 11] = [
        (Request::Create(node.clone()), Ok(&created), true),
        (Request::Create(node), Err(ErrorCode::NODE_EXISTS), true),
        (delete("/a"), Ok(&Reply::Delete), true),
        (delete("/a"), Err(ErrorCode::NO_NODE), true),
        (delete("/a"), Err(ErrorCode::NOT_EMPTY), true),
        (set_data("/a", 1), Err(ErrorCode::BAD_VERSION), true),
        (multi.clone(), Ok(&results), true),
        // Followers can refuse these by themselves.
        (delete("/a"), Err(ErrorCode::NO_AUTH), false),
        (multi, Err(ErrorCode::THROTTLED), false),
        (get("/a"), Err(ErrorCode::NO_NODE), false),
        (sync, Ok(&synced), false),
    ];
    for (request, result, proves) in cases {
        let mut scene = Scene::open();
        let before = scene.machine.lease().until();
        scene.pass(secs(3));
        let _answer = scene.submit(&request);
        scene.answer(1, result).unwrap();
        let extended = scene.machine.lease().until() > before;
        assert_eq!(extended, proves, "{request:?} {result:?}");
    }
}

#[test]
fn refusals_without_end_do_not_starve_the_lease() {
    let mut scene = Scene::open();
    let begin = scene.now;
    while scene.now < begin + TIMEOUT * 3 {
        let _answer = scene.submit(&delete("/not-ours"));
        scene.on_time().unwrap();
        for (xid, request) in scene.sent() {
            let checked = Reply::Multi(vec![MultiResult::Check]);
            let refused = Err(ErrorCode::NO_AUTH);
            let result = if request == proof_request() { Ok(&checked) } else { refused };
            scene.answer(xid, result).unwrap();
        }
        scene.pass(Duration::from_millis(500));
        assert!(scene.holds(), "lost after {:?}", scene.now.since(begin));
    }
}

#[test]
fn a_lease_that_has_ended_is_not_revived_and_a_new_one_begins() {
    let mut scene = Scene::open();
    let old = scene.machine.lease().clone();
    let mut late = scene.submit(&delete("/late"));
    scene.pass(secs(15));
    // Nobody has looked at the old lease before the answer, which is itself too old to prove anything.
    scene.answer(1, Ok(&Reply::Delete)).unwrap();
    assert_eq!(late.try_recv(), Ok(Ok(Reply::Delete)));
    assert_eq!(old.loss(scene.now), Some(Loss::DeadlinePassed));
    assert!(!scene.holds());
    let _write = scene.submit(&delete("/a"));
    scene.answer(2, Ok(&Reply::Delete)).unwrap();
    assert!(scene.holds());
    assert_eq!(scene.machine.lease().until(), scene.now + secs(15));
    assert_eq!(old.loss(scene.now), Some(Loss::DeadlinePassed), "its holders have been told");
}

#[test]
fn a_resumed_session_is_believed_in_only_after_a_proof() {
    let mut scene = Scene::open();
    let begin = scene.now;
    scene.pass(secs(8));
    scene.disconnect();
    let mut waiting = scene.submit(&get("/a"));
    scene.connect();
    scene.pass(secs(1));
    scene.greet(OURS).unwrap();
    assert_eq!(scene.machine.lease().until(), begin + secs(15), "a leader alone may resume it");
    let sent = scene.sent();
    assert_eq!(sent[0].1, proof_request(), "ahead of what waited, so that it is proven by then");
    scene.pass(secs(1));
    scene.answer(sent[0].0, Ok(&Reply::Multi(vec![MultiResult::Check]))).unwrap();
    assert_eq!(scene.machine.lease().until(), begin + secs(9 + 15));
    scene.answer(sent[1].0, Ok(&data())).unwrap();
    assert_eq!(waiting.try_recv(), Ok(Ok(data())));
}

#[test]
fn a_slow_greeting_shortens_the_lease() {
    let mut scene = Scene::open();
    scene.pass(secs(10));
    scene.disconnect();
    let greeted = scene.now;
    scene.connect();
    scene.pass(secs(5));
    scene.greet(OURS).unwrap();
    scene.pass(secs(5));
    let proof = scene.sent()[0].0;
    // Sent 5 s after a greeting, from which on alone the leader is known to know us.
    scene.answer(proof, Ok(&Reply::Multi(vec![MultiResult::Check]))).unwrap();
    assert_eq!(scene.machine.lease().until(), greeted + secs(5 + 15));
    let _write = scene.submit(&delete("/a"));
    let xid = scene.sent_xids()[0];
    scene.answer(xid, Ok(&Reply::Delete)).unwrap();
    assert_eq!(scene.machine.lease().until(), greeted + secs(23), "not 10 + 15");
}

#[test]
fn an_outage_alone_does_not_end_a_session() {
    let mut scene = Scene::open();
    let lease = scene.machine.lease().clone();
    scene.disconnect();
    scene.pass(TIMEOUT * 5);
    scene.disconnect();
    assert_eq!((scene.end(), lease.loss(scene.now)), (None, Some(Loss::DeadlinePassed)));
    scene.resume();
    assert!(scene.holds());
    assert!(scene.machine.is_connected());
}

// ----- watches -----

#[test]
fn an_event_that_overtakes_the_answer_is_not_lost() {
    let mut scene = Scene::open();
    let mut watching = scene.watch("/a", WatchKind::Data);
    scene.event(EventKind::DataChanged, "/a");
    scene.answer(1, Ok(&data())).unwrap();
    assert_eq!(watching.events.try_recv().map(|e| e.kind), Ok(EventKind::DataChanged));
    assert_eq!(watching.answer.try_recv(), Ok(Ok(data())));
    assert!(scene.machine.watches.is_empty());
}

#[test]
fn an_error_leaves_no_watch_except_that_a_missing_node_can_be_awaited() {
    let no_node = Err(ErrorCode::NO_NODE);
    for kind in [WatchKind::Data, WatchKind::Child] {
        let mut scene = Scene::open();
        let mut watching = scene.watched("/a", kind, no_node);
        assert_eq!(watching.events.try_recv(), Err(TryRecvError::Closed), "{kind:?}");
        scene.sent();
        scene.unwatch(&watching.key);
        assert_eq!(scene.sent_requests(), [], "there is nothing to be removed");
    }
    let mut scene = Scene::open();
    let mut refused = scene.watched("/a", WatchKind::Exist, Err(ErrorCode::NO_AUTH));
    assert_eq!(refused.events.try_recv(), Err(TryRecvError::Closed));

    let mut scene = Scene::open();
    let mut watching = scene.watched("/a", WatchKind::Exist, no_node);
    assert_eq!(watching.events.try_recv(), Err(TryRecvError::Empty));
    scene.event(EventKind::Created, "/a");
    assert_eq!(watching.events.try_recv().map(|e| e.kind), Ok(EventKind::Created));
}

fn set_watches(data: &[&str], exist: &[&str], child: &[&str]) -> Request {
    let all = |paths: &[&str]| paths.iter().map(|&path| path.to_owned()).collect();
    let (data, exist, child) = (all(data), all(exist), all(child));
    Request::SetWatches { relative_zxid: 100, data, exist, child }
}

#[test]
fn watches_are_set_again_as_what_they_were() {
    let mut scene = Scene::open();
    let exists = Reply::Exists(stat());
    let children = Reply::GetChildren(Vec::new());
    let _a = scene.watched("/data", WatchKind::Data, Ok(&data()));
    let _b = scene.watched("/there", WatchKind::Exist, Ok(&exists));
    let _c = scene.watched("/not-there", WatchKind::Exist, Err(ErrorCode::NO_NODE));
    let _d = scene.watched("/parent", WatchKind::Child, Ok(&children));
    let mut on_the_way = scene.watch("/on-the-way", WatchKind::Data);
    scene.disconnect();
    assert_eq!(on_the_way.answer.try_recv(), Ok(Err(RequestError::Interrupted)));
    let waiting = scene.watch("/waiting", WatchKind::Data);
    let sent = scene.resume();
    let again = set_watches(&["/data", "/there"], &["/not-there"], &["/parent"]);
    assert_eq!(sent[0], (xid::SET_WATCHES, again));
    assert_eq!(sent[1].1, read("/waiting", WatchKind::Data), "which sets its own watch");
    scene.answer(xid::SET_WATCHES, Ok(&Reply::SetWatches)).unwrap();
    drop(waiting);
}

#[test]
fn persistent_watches_are_set_again_and_told_that_they_may_have_missed_something() {
    let mut scene = Scene::open();
    let mut streams = Vec::new();
    for (path, mode) in
        [("/a", AddWatchMode::Persistent), ("/b", AddWatchMode::PersistentRecursive)]
    {
        streams.push(scene.machine.submit_streaming(scene.now, path, mode).unwrap());
        let xid = scene.sent_xids()[0];
        scene.answer(xid, Ok(&Reply::AddWatch)).unwrap();
    }
    scene.disconnect();
    let sent = scene.resume();
    let Request::SetWatches2 { persistent, persistent_recursive, .. } = &sent[0].1 else {
        panic!("{sent:?}")
    };
    assert_eq!(
        (&persistent[..], &persistent_recursive[..]),
        (&["/a".into()][..], &["/b".into()][..])
    );
    scene.event(EventKind::Created, "/b/c");
    let kinds = |stream: &mut Watching<mpsc::Receiver<WatchedEvent>>| {
        std::iter::from_fn(|| stream.events.try_recv().ok()).map(|e| e.kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&mut streams[0]), [EventKind::None]);
    assert_eq!(kinds(&mut streams[1]), [EventKind::None, EventKind::Created]);
}

#[test]
fn a_server_is_told_of_a_dropped_watch_once_nobody_wants_it() {
    let mut scene = Scene::open();
    let first = scene.watched("/a", WatchKind::Data, Ok(&data()));
    let second = scene.watched("/a", WatchKind::Data, Ok(&data()));
    scene.unwatch(&first.key);
    assert_eq!(scene.sent_requests(), []);
    scene.unwatch(&second.key);
    let (path, kind) = ("/a".to_owned(), WatcherKind::Data);
    let removal = Request::RemoveWatches { path, kind };
    let sent = scene.sent();
    assert_eq!(sent[0].1, removal);
    // Whether there was anything to be removed does not matter.
    scene.answer(sent[0].0, Err(ErrorCode::NO_WATCHER)).unwrap();
    scene.unwatch(&second.key);
    assert_eq!(scene.sent_requests(), []);

    // One that has fired is gone already.
    let fired = scene.watched("/a", WatchKind::Data, Ok(&data()));
    scene.event(EventKind::Deleted, "/a");
    scene.unwatch(&fired.key);
    assert_eq!(scene.sent_requests(), []);
}

#[test]
fn a_watch_dropped_while_there_is_no_server_is_not_set_again() {
    let mut scene = Scene::open();
    let set = scene.watched("/a", WatchKind::Data, Ok(&data()));
    scene.disconnect();
    let waiting = scene.watch("/b", WatchKind::Child);
    scene.unwatch(&set.key);
    scene.unwatch(&waiting.key);
    let requests: Vec<_> = scene.resume().into_iter().map(|(_, request)| request).collect();
    // Its request cannot be taken back any more, so the watch it leaves is.
    let removal = Request::RemoveWatches { path: "/b".into(), kind: WatcherKind::Children };
    assert_eq!(requests, [read("/b", WatchKind::Child), removal]);
}

#[test]
fn a_watch_that_fires_twice_or_for_nobody_harms_nobody() {
    let mut scene = Scene::open();
    for path in ["/a", "", "a", "/", "//"] {
        scene.event(EventKind::Deleted, path);
        scene.event(EventKind::Other(99), path);
    }
    assert!(scene.machine.is_connected());
}

// ----- the end -----

const CLOSED: RequestError = RequestError::Over { end: End::Closed, sent: false };

#[test]
fn a_session_that_never_was_is_closed_at_once_and_takes_no_connection() {
    let mut scene = Scene::new();
    let mut waiting = scene.submit(&get("/a"));
    scene.close();
    assert_eq!(scene.end(), Some(End::Closed));
    assert_eq!(waiting.try_recv(), Ok(Err(CLOSED)));
    // The connection that was being made comes too late.
    assert_eq!(scene.machine.on_connection(scene.now), Err(Broken::Over));
    assert_eq!(scene.end(), Some(End::Closed));

    // So does the answer to a greeting, and nobody waits for it.
    let mut scene = Scene::new();
    scene.connect();
    scene.close();
    assert!(scene.machine.alarm() <= scene.now);
    assert_eq!(scene.on_time(), Err(Broken::Over));
    assert_eq!(scene.greet(OURS), Err(Broken::Over));
    assert_eq!(scene.end(), Some(End::Closed));
}

#[test]
fn closing_lets_what_was_asked_before_go_first() {
    let mut scene = Scene::open_with(|options| options.limits.in_flight_max = 1);
    let mut first = scene.submit(&get("/a"));
    let mut second = scene.submit(&get("/b"));
    scene.close();
    scene.close();
    assert_eq!(scene.machine.submit(scene.now, &get("/c")).err(), Some(CLOSED));
    scene.answer(1, Ok(&data())).unwrap();
    scene.answer(2, Ok(&data())).unwrap();
    assert_eq!(scene.sent_requests(), [get("/a"), get("/b"), Request::CloseSession]);
    assert_eq!((first.try_recv(), second.try_recv()), (Ok(Ok(data())), Ok(Ok(data()))));
    assert!(scene.holds(), "it is alive until the server says so");
    assert_eq!(scene.answer(3, Ok(&Reply::CloseSession)), Err(Broken::Over));
    assert_eq!(scene.end(), Some(End::Closed));
    assert!(!scene.holds());
    scene.disconnect();
    assert_eq!(scene.end(), Some(End::Closed));
}

#[test]
fn a_full_queue_cannot_keep_a_session_open() {
    let limits = |options: &mut SessionOptions| {
        options.limits.in_flight_max = 1;
        options.limits.queue_max = 1;
    };
    let mut scene = Scene::open_with(limits);
    let _answers = [scene.submit(&get("/a")), scene.submit(&get("/b"))];
    scene.close();
    scene.answer(1, Ok(&data())).unwrap();
    scene.answer(2, Ok(&data())).unwrap();
    assert_eq!(scene.sent_requests(), [get("/a"), get("/b"), Request::CloseSession]);

    let mut scene = Scene::open_with(limits);
    scene.disconnect();
    let _answer = scene.submit(&get("/a"));
    scene.close();
    let sent = scene.resume();
    assert_eq!(sent.len(), 0, "the proof has taken the window");
    assert_eq!(scene.sent_requests(), [get("/a")]);
    scene.answer(2, Ok(&data())).unwrap();
    assert_eq!(scene.sent_requests(), [Request::CloseSession]);
}

#[test]
fn a_session_closed_while_there_is_no_server_is_closed_at_the_next_one() {
    let mut scene = Scene::open();
    scene.disconnect();
    let mut waiting = scene.submit(&get("/a"));
    scene.close();
    assert_eq!(scene.end(), None);
    let sent = scene.resume();
    let requests: Vec<_> = sent.iter().map(|(_, request)| request.clone()).collect();
    assert_eq!(requests, [get("/a"), Request::CloseSession]);
    scene.answer(sent[0].0, Ok(&data())).unwrap();
    assert_eq!(waiting.try_recv(), Ok(Ok(data())));
    assert_eq!(scene.answer(sent[1].0, Ok(&Reply::CloseSession)), Err(Broken::Over));
    assert_eq!(scene.end(), Some(End::Closed));
}

#[test]
fn closing_while_greeting_goes_on_after_it() {
    let mut scene = Scene::open();
    scene.disconnect();
    scene.connect();
    scene.close();
    scene.greet(OURS).unwrap();
    assert_eq!(scene.sent_requests(), [proof_request(), Request::CloseSession]);
}

#[test]
fn a_lost_answer_to_closing_is_asked_for_again_and_expired_is_as_good() {
    let mut scene = Scene::open();
    scene.close();
    let mut late = scene.machine.submit(scene.now, &get("/a"));
    assert_eq!(late.take_err(), CLOSED);
    scene.sent();
    scene.disconnect();
    assert_eq!(scene.end(), None);
    scene.connect();
    assert_eq!(scene.greet_as(&ConnectReply::expired(None)), Err(Broken::Over));
    assert_eq!(scene.end(), Some(End::Closed));

    let mut scene = Scene::open();
    scene.close();
    scene.sent();
    scene.disconnect();
    let sent = scene.resume();
    assert_eq!(sent[0].1, Request::CloseSession);
}

trait TakeErr<E> {
    fn take_err(&mut self) -> E;
}

impl<T, E: Clone> TakeErr<E> for Result<T, E> {
    fn take_err(&mut self) -> E {
        self.as_ref().err().unwrap().clone()
    }
}

#[test]
fn closing_does_not_outlast_the_timeout() {
    let mut scene = Scene::open();
    scene.disconnect();
    let mut waiting = scene.submit(&get("/a"));
    scene.close();
    scene.pass(TIMEOUT - Duration::from_millis(1));
    scene.disconnect();
    assert_eq!(scene.end(), None);
    scene.pass(Duration::from_millis(1));
    scene.disconnect();
    assert_eq!(scene.end(), Some(End::Closed));
    assert_eq!(waiting.try_recv(), Ok(Err(CLOSED)));
}

#[test]
fn a_session_no_server_takes_back_is_given_up() {
    // Servers that hang up on us, as those do that have lost their data.
    let mut scene = Scene::open();
    scene.disconnect();
    scene.connect();
    scene.disconnect();
    scene.pass(TIMEOUT * 3 - Duration::from_millis(1));
    scene.connect();
    scene.disconnect();
    assert_eq!(scene.end(), None);
    scene.pass(Duration::from_millis(1));
    scene.connect();
    scene.disconnect();
    assert_eq!(scene.end(), Some(End::GivenUp));

    // Servers that cannot be reached: they may come back, and with them the session.
    let mut scene = Scene::open();
    scene.disconnect();
    scene.pass(secs(300) - Duration::from_millis(1));
    scene.disconnect();
    assert_eq!(scene.end(), None);
    scene.pass(Duration::from_millis(1));
    scene.disconnect();
    assert_eq!(scene.end(), Some(End::GivenUp));

    // A server that answers begins all of it anew.
    let mut scene = Scene::open();
    for _ in 0..100 {
        scene.disconnect();
        scene.connect();
        scene.disconnect();
        scene.pass(TIMEOUT);
        scene.resume();
    }
    assert_eq!(scene.end(), None);

    // A session that has not begun has nothing to lose.
    let mut scene = Scene::new();
    for _ in 0..100 {
        scene.connect();
        scene.disconnect();
        scene.pass(TIMEOUT);
    }
    assert_eq!(scene.end(), None);
}

#[test]
fn a_lost_connection_forgets_half_a_request() {
    let mut scene = Scene::open();
    let _answer = scene.submit(&get("/a"));
    scene.disconnect();
    assert!(scene.machine.outgoing().is_empty());
    assert_eq!(scene.feed(BytesMut::from(&[0, 0, 0, 0][..])), Err(Broken::Over));
}

// ----- anything in any order -----

#[derive(Clone, Debug)]
enum Happening {
    Read,
    Write,
    Large,
    Watch(WatchKind),
    Stream(AddWatchMode),
    Unwatch(usize),
    Authenticate,
    Connect,
    Greet {
        session_id: i64,
        timeout_ms: i32,
    },
    /// The server answers its oldest request, with a result or an error.
    Answer(Option<i32>),
    AnswerOther {
        xid: i32,
        error: i32,
    },
    Garbage(Vec<u8>),
    Event(i32, usize),
    Disconnect,
    Time(u64),
    Close,
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::*;
    let kind = prop_oneof![Just(WatchKind::Data), Just(WatchKind::Exist), Just(WatchKind::Child)];
    let mode = prop_oneof![Just(AddWatchMode::Persistent), Just(AddWatchMode::PersistentRecursive)];
    let code = prop_oneof![Just(-101), Just(-102), Just(-110), Just(-111), Just(-121), Just(-118)];
    prop_oneof![
        8 => Just(Read),
        8 => Just(Write),
        1 => Just(Large),
        6 => kind.prop_map(Watch),
        3 => mode.prop_map(Stream),
        4 => (0..8_usize).prop_map(Unwatch),
        1 => Just(Authenticate),
        8 => Just(Connect),
        8 => Just(Greet { session_id: OURS, timeout_ms: 24_000 }),
        1 => (0..9_i64, -1..30_000).prop_map(|(session_id, timeout_ms)| {
            Greet { session_id, timeout_ms }
        }),
        20 => prop_oneof![4 => Just(None), 1 => code.prop_map(Some)].prop_map(Answer),
        1 => (-9..9_i32, -130..2_i32).prop_map(|(xid, error)| AnswerOther { xid, error }),
        1 => proptest::collection::vec(any::<u8>(), 0..40).prop_map(Garbage),
        6 => (-1..9_i32, 0..8_usize).prop_map(|(kind, at)| Event(kind, at)),
        3 => Just(Disconnect),
        8 => (0..7_000_u64).prop_map(Time),
        1 => Just(Close),
    ]
}

/// What the model remembers of everything that was asked for.
#[derive(Default)]
struct Wanted {
    answers: Vec<oneshot::Receiver<Answer>>,
    events: Vec<oneshot::Receiver<WatchedEvent>>,
    streams: Vec<mpsc::Receiver<WatchedEvent>>,
    keys: Vec<WatchKey>,
    made: usize,
}

struct Play {
    scene: Scene,
    asked: Wanted,
    connected: bool,
    greeted: bool,
    /// What the server has got and not answered.
    unanswered: VecDeque<(i32, Request, Instant)>,
    last_number: usize,
    /// Until when any proof the server has given can be believed.
    proven: Instant,
}

impl Play {
    fn new() -> Play {
        let scene = Scene::with(|options| {
            options.limits.in_flight_max = 3;
            options.limits.queue_max = 5;
            options.limits.request_bytes_max = 1_000;
            options.limits.events_max = 2;
        });
        let unanswered = VecDeque::new();
        let (connected, greeted, last_number) = (false, false, 0);
        let (asked, proven) = (Wanted::default(), Instant::from_nanos(0));
        Play { scene, asked, connected, greeted, unanswered, last_number, proven }
    }

    fn path(&mut self) -> String {
        self.asked.made += 1;
        format!("/{}", self.asked.made)
    }

    /// As the driver does it: a broken connection is given up.
    fn check(&mut self, result: Result<(), Broken>) {
        if result.is_err() {
            self.disconnect();
        }
        self.collect();
    }

    fn disconnect(&mut self) {
        self.scene.disconnect();
        (self.connected, self.greeted) = (false, false);
        self.unanswered.clear();
    }

    /// Takes what was sent, which is in the order in which it was asked for.
    fn collect(&mut self) {
        for (xid, request) in if self.connected { self.scene.sent() } else { Vec::new() } {
            let path = match &request {
                Request::GetData { path, .. }
                | Request::Exists { path, .. }
                | Request::GetChildren { path, .. }
                | Request::Delete { path, .. }
                | Request::AddWatch { path, .. } => Some(path),
                _ => None,
            };
            if let Some(number) = path.and_then(|path| path[1..].parse::<usize>().ok()) {
                assert!(number > self.last_number, "{number} after {}", self.last_number);
                self.last_number = number;
            }
            let now = self.scene.now;
            self.unanswered.push_back((xid, request, now));
        }
        let own = |(xid, request, _): &&(i32, Request, Instant)| {
            *xid > 0 && *request != proof_request() && *request != Request::CloseSession
        };
        assert!(self.unanswered.iter().filter(own).count() <= 3);
        let until = self.scene.machine.lease().until();
        assert!(until <= self.proven, "a lease until {until:?} is proven until {:?}", self.proven);
    }

    fn happen(&mut self, happening: Happening) {
        let now = self.scene.now;
        match happening {
            Happening::Read | Happening::Write | Happening::Large => {
                let path = self.path();
                let request = match happening {
                    Happening::Read => get(&path),
                    Happening::Write => delete(&path),
                    _ => set_data(&path, 1_000),
                };
                self.asked.answers.extend(self.scene.machine.submit(now, &request));
            }
            Happening::Watch(kind) => {
                let path = self.path();
                let request = read(&path, kind);
                let watching = self.scene.machine.submit_watching(now, &request, &path, kind);
                if let Ok(Watching { answer, key, events }) = watching {
                    self.asked.answers.push(answer);
                    self.asked.keys.push(key);
                    self.asked.events.push(events);
                }
            }
            Happening::Stream(mode) => {
                let path = self.path();
                let watching = self.scene.machine.submit_streaming(now, &path, mode);
                if let Ok(Watching { answer, key, events }) = watching {
                    self.asked.answers.push(answer);
                    self.asked.keys.push(key);
                    self.asked.streams.push(events);
                }
            }
            Happening::Unwatch(at) => {
                if let Some(key) = self.asked.keys.iter().rev().nth(at).cloned() {
                    self.scene.unwatch(&key);
                }
            }
            Happening::Authenticate => {
                self.scene.machine.authenticate(Credentials::digest("a", "b"));
            }
            Happening::Connect if !self.connected => {
                self.connected = self.scene.machine.on_connection(now).is_ok();
                assert_eq!(self.connected, self.scene.end().is_none());
                self.scene.frames();
            }
            Happening::Greet { session_id, timeout_ms } if self.connected && !self.greeted => {
                self.greeted = true;
                self.proven = self.proven.max(now + TIMEOUT.max(secs(30)) * 5 / 8);
                let password = Secret::from([9; 16]);
                let read_only = None;
                let protocol = 0;
                let result = self.scene.greet_as(&ConnectReply {
                    protocol,
                    timeout_ms,
                    session_id,
                    password,
                    read_only,
                });
                self.check(result);
            }
            Happening::Answer(error) => self.answer(error),
            Happening::AnswerOther { xid, error } if self.greeted => {
                let error = ErrorCode::new(error);
                let result = match error.is_ok() {
                    true => Ok(&Reply::Delete),
                    false => Err(error),
                };
                self.proven = self.proven.max(now + secs(30) * 5 / 8);
                let result = self.scene.answer(xid, result);
                // The server has lost count of what it has answered.
                let result = result.and(if xid > 0 { Err(Broken::Moved) } else { Ok(()) });
                self.check(result);
            }
            Happening::Garbage(bytes) if self.connected => {
                // It may look like an answer, or the beginning of one, so this is the end of it.
                self.proven = self.proven.max(now + secs(30));
                let _ = self.scene.feed(bytes[..].into());
                self.disconnect();
            }
            Happening::Event(kind, at) if self.greeted => {
                let path = self.asked.keys.iter().rev().nth(at).map(|key| key.path.clone());
                self.scene.event(EventKind::from(kind), &path.unwrap_or_default());
            }
            Happening::Disconnect => self.disconnect(),
            Happening::Time(ms) => {
                self.scene.pass(Duration::from_millis(ms));
                let result = self.scene.on_time();
                self.check(result);
            }
            Happening::Close => self.scene.close(),
            _ => {}
        }
        self.collect();
    }

    fn answer(&mut self, error: Option<i32>) {
        let Some((xid, request, sent)) = self.unanswered.pop_front() else { return };
        let (stat, path) = (stat(), String::new());
        let reply = match request.op() {
            OpCode::GetData => Reply::GetData { data: None, stat },
            OpCode::Exists => Reply::Exists(stat),
            OpCode::GetChildren => Reply::GetChildren(Vec::new()),
            OpCode::Delete => Reply::Delete,
            OpCode::AddWatch => Reply::AddWatch,
            OpCode::RemoveWatches => Reply::RemoveWatches,
            OpCode::Multi => Reply::Multi(vec![MultiResult::Check]),
            OpCode::Auth => Reply::Auth,
            OpCode::Ping => Reply::Ping,
            OpCode::SetWatches => Reply::SetWatches,
            OpCode::SetWatches2 => Reply::SetWatches2,
            OpCode::CloseSession => Reply::CloseSession,
            other => panic!("{other:?} {path}"),
        };
        if is_quorum(request.op()) {
            self.proven = self.proven.max(sent + self.scene.machine.timeout() * 5 / 8);
        }
        let error = error.filter(|_| xid > 0 && request.op() != OpCode::CloseSession);
        let result = match error {
            Some(code) => Err(ErrorCode::new(code)),
            None => Ok(&reply),
        };
        let result = self.scene.answer(xid, result);
        self.check(result);
    }

    /// Brings everything to its end, and sees that everybody has been told exactly once.
    fn finish(mut self) {
        self.scene.close();
        for _ in 0..3 {
            self.disconnect();
            self.scene.pass(secs(60));
        }
        assert!(self.scene.end().is_some());
        assert!(!self.scene.holds());
        for answer in &mut self.asked.answers {
            assert!(answer.try_recv().is_ok(), "somebody still waits for an answer");
        }
        for events in &mut self.asked.events {
            assert_ne!(events.try_recv(), Err(TryRecvError::Empty), "a watch is still set");
        }
        for stream in &mut self.asked.streams {
            while stream.try_recv().is_ok() {}
            assert_eq!(stream.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
        }
        assert!(self.scene.machine.watches.is_empty());
        assert!(self.scene.machine.queue.is_empty() && self.scene.machine.in_flight.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() })]

    #[test]
    fn whatever_happens_everybody_is_told_exactly_once(
        happenings in proptest::collection::vec(happening(), 0..120),
    ) {
        let mut play = Play::new();
        play.happen(Happening::Connect);
        play.happen(Happening::Greet { session_id: OURS, timeout_ms: 24_000 });
        for happening in happenings {
            play.happen(happening);
        }
        play.finish();
    }

    #[test]
    fn bytes_of_a_stranger_never_panic(
        pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 1..8),
        greeted in any::<bool>(),
    ) {
        let mut scene = if greeted { Scene::open() } else { Scene::new() };
        if !greeted {
            scene.connect();
        }
        let _answer = scene.submit(&get("/a"));
        for piece in pieces {
            if scene.feed(piece[..].into()).is_err() {
                break;
            }
        }
        scene.disconnect();
    }
}
