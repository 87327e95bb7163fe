//! What must hold of everything here that reads bytes of others, whatever the bytes are.
//!
//! No part of the interface: this is for `sneck-fuzz`, and only there with the feature `fuzzing`.
//! Each function takes any bytes, and panics only where there is a defect.

use std::time::Duration;

use bytes::{BufMut, BytesMut};
use sneck_wire::jute::Writer as _;
use sneck_wire::{
    Acl, ConnectRequest, FrameDecoder, OpCode, Request, RequestHeader, decode_request_header,
};

use crate::core::change::{Deed, Txn};
use crate::core::contents::Contents;
use crate::core::words::{Allowed, Word};
use crate::core::{ConnectionId, Core, Effects, Frame, Input, Now, Peer, Schedule, Settings};
use crate::limits::Limits;
use crate::log::fuzzing as log;
use crate::snapshot::{self, Image, NodeRecord, Replica};

/// Where the zxids begin.
const FLOOR: i64 = 100;
/// Connections that a conversation goes over.
const CONNECTIONS: u64 = 3;
/// Small, so that limits are reached.
const NODES_MAX: usize = 64;

/// Reads the header of a segment of the log.
pub fn segment_header(bytes: &[u8]) {
    log::segment_header(bytes);
}

/// Reads what lies behind the header of a segment of the log.
pub fn log_batches(bytes: &[u8]) {
    log::batches(bytes);
}

/// Reads the payload of an entry of the log, and makes its transactions again.
pub fn transactions(bytes: &[u8]) {
    let Ok(txns) = Txn::decode_all(bytes) else { return };
    let mut again = BytesMut::new();
    txns.iter().for_each(|txn| txn.encode(&mut again));
    assert_eq!(Txn::decode_all(&again), Ok(txns.clone()), "what was read is written alike");
    let mut contents = Contents::new(FLOOR);
    for txn in txns {
        // A tree that a transaction does not fit is given up, as it is by a server.
        if contents.apply(&txn).is_err() {
            return;
        }
    }
    check_image(contents.into_image());
}

/// Reads a snapshot: the bytes as they are, and as the beginning of one that a checksum vouches
/// for.
pub fn snapshot(bytes: &[u8]) {
    let _ = snapshot::read(FLOOR, bytes);
    let mut whole = BytesMut::from(bytes);
    whole.put_string("/");
    let sum = snapshot::adler32_of(&whole);
    whole.put_i64(i64::from(sum));
    whole.put_string("/");
    let Ok(image) = snapshot::read(FLOOR, &whole[..]) else { return };
    if let Ok(contents) = Contents::restore(Some(image), FLOOR) {
        check_image(contents.into_image());
    }
}

/// What a server knows must be the same after a way through a snapshot.
fn check_image(image: Image) {
    let mut file = Vec::new();
    // Paths that a server does not let in are refused here, too.
    if snapshot::write(&image, &mut file).is_err() {
        return;
    }
    let read = snapshot::read(image.zxid, &file[..]).expect("what was written can be read");
    let restored = Contents::restore(Some(read), FLOOR).expect("it has a root").into_image();
    assert_eq!(restored, image);
}

/// Answers a four-letter word.
pub fn word(bytes: &[u8]) {
    let Some(word) = bytes.first_chunk().copied().and_then(Word::from_bytes) else { return };
    assert_eq!(bytes[..4], *word.text().as_bytes());
    let mut server = Server::new();
    server.input(Input::Opened { connection: ConnectionId(0), peer: Peer::Local });
    let effects = server.input(Input::Word { connection: ConnectionId(0), word });
    let frames: Vec<Frame> = effects.outputs.into_iter().map(|output| output.frame).collect();
    assert!(matches!(&frames[..], [Frame::Text(_), Frame::Close]), "{frames:?}");
}

/// Takes frames of several clients, whose content may be anything, and checks that the transactions
/// lead to what the server has come to.
pub fn conversation(bytes: &[u8]) {
    let mut input = BytesMut::from(bytes);
    let decoder = FrameDecoder::new(4 << 10);
    let mut server = Server::new();
    (0..CONNECTIONS).for_each(|connection| server.connect(ConnectionId(connection)));
    while let Ok(Some(frame)) = decoder.next(&mut input) {
        let Ok((header, mut body)) = decode_request_header(&frame) else { continue };
        let connection = ConnectionId(u64::from(header.xid.unsigned_abs()) % CONNECTIONS);
        match header.op {
            // Operations that no client can ask for stand for what else can happen.
            CLOSED => {
                server.input(Input::Closed { connection });
                server.connect(connection);
            }
            TIME_PASSES => {
                server.now.mono_ms += 3_000;
                server.now.wall_ms += 3_000;
                server.input(Input::Tick);
            }
            _ => server.ask(connection, header, &mut body),
        }
    }
    server.check();
}

/// In a [`conversation`], the connection breaks and the client comes back.
pub const CLOSED: i32 = -1_000;
/// In a [`conversation`], time passes.
pub const TIME_PASSES: i32 = -1_001;

struct Server {
    core: Core,
    now: Now,
    txns: Vec<Txn>,
}

impl Server {
    fn new() -> Self {
        let now = Now { mono_ms: 1_000_000, wall_ms: 1_800_000_000_000 };
        let limits = Limits { nodes_max: NODES_MAX, ..Limits::default() };
        let reaper =
            Schedule { every: Duration::from_secs(10), unused_for: Duration::from_secs(60) };
        let settings = Settings {
            tick_ms: 500,
            timeout_ms_min: 1_000,
            timeout_ms_max: 10_000,
            limits,
            super_digest: Some(crate::digest(b"super:test")),
            words: Allowed::ByDefault,
            reaper,
        };
        Self { core: Core::new(settings, Contents::new(FLOOR), now), now, txns: Vec::new() }
    }

    fn input(&mut self, input: Input) -> Effects {
        let effects = self.core.handle(input, self.now);
        let zxids: Vec<i64> = effects.outputs.iter().map(|output| output.zxid).collect();
        assert!(zxids.is_sorted(), "what is held back is in order");
        self.txns.extend(effects.txns.iter().cloned());
        effects
    }

    fn connect(&mut self, connection: ConnectionId) {
        self.input(Input::Opened { connection, peer: Peer::Local });
        let request = ConnectRequest::new_session(4_000);
        self.input(Input::Greeting { connection, request });
    }

    fn ask(
        &mut self,
        connection: ConnectionId,
        header: RequestHeader,
        body: &mut sneck_wire::jute::Reader<'_>,
    ) {
        let body = OpCode::try_from(header.op).and_then(|op| Request::decode(op, body));
        let effects = self.input(Input::Request { connection, header, body });
        for output in effects.outputs {
            if let Frame::Reply(reply, _) = &output.frame {
                assert!(reply.zxid <= output.zxid, "nothing shows more than it waits for");
            }
            if output.frame == Frame::Close {
                self.connect(output.connection);
            }
        }
    }

    /// The log alone must lead to the same nodes and sessions, and so must a snapshot.
    fn check(self) {
        let mut log = BytesMut::new();
        let mut zxid = FLOOR;
        for txn in &self.txns {
            zxid += 1;
            assert_eq!(txn.at.zxid, zxid, "every zxid is written down once, in order");
            txn.encode(&mut log);
        }
        let mut replayed = Contents::new(FLOOR);
        for txn in Txn::decode_all(&log).expect("what was written can be read") {
            assert!(!matches!(&txn.deed, Deed::Changes(changes) if changes.is_empty()));
            replayed.apply(&txn).expect("it fits, as it did before");
        }
        let live = self.core.into_contents().into_image();
        let mut file = Vec::new();
        snapshot::write(&live, &mut file).expect("only what fits a snapshot is let in");
        assert_eq!(replayed.into_image(), live);
        check_image(live);
    }
}

/// A snapshot without its end, for a corpus.
pub fn example_snapshot() -> Vec<u8> {
    let node = |path: &str, acl: Vec<Acl>, owner| NodeRecord {
        path: path.to_owned(),
        data: Some("data".into()),
        acl: acl.into(),
        czxid: 1,
        mzxid: 2,
        ctime: 3,
        mtime: 4,
        version: 5,
        creates: 6,
        aversion: 7,
        owner,
        pzxid: 8,
    };
    let sessions = vec![snapshot::SessionRecord { id: 7, timeout_ms: 4_000 }];
    let nodes = vec![
        node("/", Acl::open(), 0),
        node("/a", Acl::read_only(), 0),
        node("/a/b", Acl::creator_all(), 7),
        node("/c", Acl::open(), snapshot::CONTAINER_OWNER),
    ];
    let mut file = Vec::new();
    snapshot::write(&Image { zxid: 8, sessions, nodes }, &mut file).expect("a tree");
    // The path "/", a checksum of eight bytes, and once more "/".
    file.truncate(file.len() - 18);
    file
}
