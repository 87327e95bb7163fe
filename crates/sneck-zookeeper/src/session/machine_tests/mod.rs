//! The machine against a scripted server: frames in, frames out, and a clock that is told the time.

mod credentials;
mod ending;
mod greeting;
mod lease;
mod random;
mod requests;
mod silence;
mod watches;

use super::*;
use sneck_wire::{EventKind, MultiResult, Stat, decode_request_header, encode_event, encode_reply};

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
