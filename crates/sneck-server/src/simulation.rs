//! The core without its surroundings, for a simulator that has the clock, the network and the disk.
//!
//! No part of the interface: this is for `sneck-sim`, and only there with the feature `simulation`.
//! It does what the threads and tasks around the core do, one step at a time: frames are cut out of
//! bytes, and answers put into them, by the same functions. What must not be seen before it is durable
//! is handed out together with the zxid that it waits for.

mod ensemble;

pub use ensemble::{Answer, Asked, Decided, Kind, Leader, View};

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use sneck_wire::jute::Reader;
use sneck_wire::{ConnectRequest, FrameDecoder, Request, RequestHeader};

use crate::core::change::{Change, Deed, Txn};
use crate::core::contents::{Contents, last_changes_of};
use crate::core::node::Owner;
use crate::core::words::Allowed;
use crate::core::{ConnectionId, Core, Effects, Frame, Input, Now, Peer, Schedule, Settings};
use crate::front::connection::{GREETING_BYTES_MAX, understand};
use crate::limits::Limits;
use crate::outbox::encode;

/// Where the zxids of a new server begin.
pub const FLOOR: i64 = 1_000;

/// What a server goes by.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// The unit of its time.
    pub tick: Duration,
    /// The shortest and the longest session timeout that it grants.
    pub session_timeouts: (Duration, Duration),
    /// How often it looks for containers that nobody uses any more.
    pub reap_every: Duration,
}

/// What there is to be sent on a connection.
#[derive(Debug, Clone)]
pub struct Sent {
    /// On which one.
    pub connection: u64,
    /// What has to be durable before it may go.
    pub zxid: i64,
    /// Bytes, or the end of the connection.
    pub bytes: Option<Bytes>,
}

/// What a transaction has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// A node was made; of which session, if it goes with one.
    Made {
        /// Its path.
        path: String,
        /// Its owner.
        session: Option<i64>,
    },
    /// A node was removed.
    Removed {
        /// Its path.
        path: String,
    },
    /// A session was opened.
    Opened {
        /// Its id.
        session: i64,
    },
    /// A session is over. Its nodes are told of before.
    Ended {
        /// Its id.
        session: i64,
    },
}

/// A transaction, as it is written down.
#[derive(Debug, Clone)]
pub struct Written {
    /// Its number.
    pub zxid: i64,
    /// The record, with its length in front.
    pub record: Bytes,
    /// What it has done.
    pub done: Vec<Done>,
}

/// What came of something that happened to a server.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What is to be sent, in this order.
    pub sent: Vec<Sent>,
    /// What is to be written down, in this order.
    pub written: Vec<Written>,
}

/// What has come on a connection and is no whole frame yet.
#[derive(Debug, Default)]
struct Incoming {
    bytes: BytesMut,
    greeted: bool,
}

/// A server without its surroundings.
#[derive(Debug)]
pub struct Machine {
    core: Core,
    limits: Limits,
    incoming: BTreeMap<u64, Incoming>,
    log_bytes: usize,
}

/// The connection that an operator comes by; no other may have this number.
const OPERATOR: u64 = u64::MAX;

impl Machine {
    /// A server that knows what these records say, the bytes of a log up to where it was cut off. Bytes
    /// behind the last whole record are let go, as after a torn write.
    ///
    /// # Panics
    /// When a whole record is none of a server's, or does not fit those before it.
    pub fn recover(shape: &Shape, log: &[u8], time_ms: u64) -> Self {
        let mut contents = Contents::new(FLOOR);
        let log = whole_records(log);
        for txn in Txn::decode_all(log).expect("a log that a server has written") {
            contents.apply(&txn).expect("a transaction that fits those before it");
        }
        let settings = settings(shape);
        let limits = settings.limits.clone();
        let core = Core::new(settings, contents, at(time_ms));
        Self { core, limits, incoming: BTreeMap::new(), log_bytes: log.len() }
    }

    /// How many bytes of the log it was recovered from were whole records.
    pub fn log_bytes(&self) -> usize {
        self.log_bytes
    }

    /// The last transaction that it has made.
    pub fn zxid(&self) -> i64 {
        self.core.zxid()
    }

    /// Whether somebody is connected under this number.
    pub fn knows(&self, connection: u64) -> bool {
        self.incoming.contains_key(&connection)
    }

    /// A connection begins.
    pub fn opened(&mut self, connection: u64, time_ms: u64) -> Outcome {
        self.incoming.insert(connection, Incoming::default());
        self.handle(
            Input::Opened { connection: ConnectionId(connection), peer: Peer::Local },
            time_ms,
        )
    }

    /// A connection has ended.
    pub fn closed(&mut self, connection: u64, time_ms: u64) -> Outcome {
        self.incoming.remove(&connection);
        self.handle(Input::Closed { connection: ConnectionId(connection) }, time_ms)
    }

    /// Time has passed. To come four times a tick.
    pub fn tick(&mut self, time_ms: u64) -> Outcome {
        self.handle(Input::Tick, time_ms)
    }

    /// Bytes have come. What is no request ends the connection.
    pub fn received(&mut self, connection: u64, bytes: &[u8], time_ms: u64) -> Outcome {
        let mut outcome = Outcome::default();
        if let Some(incoming) = self.incoming.get_mut(&connection) {
            incoming.bytes.extend_from_slice(bytes);
        }
        loop {
            match self.next_input(connection) {
                Ok(Some(input)) => outcome.append(self.handle(input, time_ms)),
                Ok(None) => return outcome,
                Err(NoRequest) => {
                    outcome.append(self.closed(connection, time_ms));
                    outcome.sent.push(Sent { connection, zxid: 0, bytes: None });
                    return outcome;
                }
            }
        }
    }

    /// An operator deletes a node, by a session of his own.
    pub fn delete(&mut self, path: &str, time_ms: u64) -> Outcome {
        let mut outcome = Outcome::default();
        for input in inputs_of_operator(path) {
            outcome.append(self.handle(input, time_ms));
        }
        outcome.sent.retain(|sent| sent.connection != OPERATOR);
        outcome
    }

    fn next_input(&mut self, connection: u64) -> Result<Option<Input>, NoRequest> {
        let Some(incoming) = self.incoming.get_mut(&connection) else { return Ok(None) };
        next_input(incoming, connection, &self.limits)
    }

    fn handle(&mut self, input: Input, time_ms: u64) -> Outcome {
        let ending = ending(&self.core, &input);
        let Effects { outputs, txns, .. } = self.core.handle(input, at(time_ms));
        let mut outcome = Outcome::default();
        for output in outputs {
            let connection = output.connection.0;
            let bytes = bytes_of(&output.frame);
            if bytes.is_none() {
                self.incoming.remove(&connection);
            }
            outcome.sent.push(Sent { connection, zxid: output.zxid, bytes });
        }
        outcome.written = txns.iter().map(|txn| written(txn, &ending)).collect();
        outcome
    }
}

impl Outcome {
    /// Adds what comes after it.
    pub fn append(&mut self, mut other: Outcome) {
        self.sent.append(&mut other.sent);
        self.written.append(&mut other.written);
    }
}

/// A peer that speaks something else.
struct NoRequest;

/// Cuts the next request out of what has come on a connection.
fn next_input(
    incoming: &mut Incoming,
    connection: u64,
    limits: &Limits,
) -> Result<Option<Input>, NoRequest> {
    let limit = if incoming.greeted { limits.frame_bytes_max } else { GREETING_BYTES_MAX };
    let frame = FrameDecoder::new(limit).next(&mut incoming.bytes).map_err(|_| NoRequest)?;
    let Some(frame) = frame else { return Ok(None) };
    let connection = ConnectionId(connection);
    if !std::mem::replace(&mut incoming.greeted, true) {
        let request = ConnectRequest::decode(&mut Reader::new(&frame)).map_err(|_| NoRequest)?;
        return Ok(Some(Input::Greeting { connection, request }));
    }
    let (header, body) = understand(&frame).map_err(|_| NoRequest)?;
    Ok(Some(Input::Request { connection, header, body }))
}

/// What a frame is on the wire; nothing for the end of a connection.
fn bytes_of(frame: &Frame) -> Option<Bytes> {
    if *frame == Frame::Close {
        return None;
    }
    let mut bytes = BytesMut::new();
    encode(frame, &mut bytes);
    Some(bytes.freeze())
}

/// What an operator does to delete a node, by a session of his own.
fn inputs_of_operator(path: &str) -> [Input; 5] {
    let connection = ConnectionId(OPERATOR);
    let greeting = ConnectRequest::new_session(4_000);
    let delete = Request::Delete { path: path.to_owned(), version: -1 };
    let request = |xid, body: Request| {
        let header = RequestHeader { xid, op: body.op().into() };
        Input::Request { connection, header, body: Ok(body) }
    };
    [
        Input::Opened { connection, peer: Peer::Local },
        Input::Greeting { connection, request: greeting },
        request(1, delete),
        request(2, Request::CloseSession),
        Input::Closed { connection },
    ]
}

/// The nodes of sessions that this input may end: afterwards nobody can tell any more.
fn ending(core: &Core, input: &Input) -> BTreeMap<i64, Vec<String>> {
    if !matches!(input, Input::Tick | Input::Request { body: Ok(Request::CloseSession), .. }) {
        return BTreeMap::new();
    }
    core.sessions_with_nodes()
}

impl Core {
    /// The nodes of every session.
    fn sessions_with_nodes(&self) -> BTreeMap<i64, Vec<String>> {
        let paths = |session| {
            last_changes_of(self.tree(), session).into_iter().filter_map(|change| match change {
                Change::Delete { path } => Some(path),
                _ => None,
            })
        };
        self.session_ids().map(|session| (session, paths(session).collect())).collect()
    }
}

fn written(txn: &Txn, ending: &BTreeMap<i64, Vec<String>>) -> Written {
    let mut record = BytesMut::new();
    txn.encode(&mut record);
    let done = match &txn.deed {
        Deed::OpenSession { id, .. } => vec![Done::Opened { session: *id }],
        Deed::CloseSession { id } => {
            let paths = ending.get(id).into_iter().flatten();
            let mut done: Vec<_> = paths.map(|path| Done::Removed { path: path.clone() }).collect();
            done.push(Done::Ended { session: *id });
            done
        }
        Deed::Changes(changes) => changes.iter().filter_map(done_by).collect(),
    };
    Written { zxid: txn.at.zxid, record: record.freeze(), done }
}

fn done_by(change: &Change) -> Option<Done> {
    match change {
        Change::Create { path, owner, .. } => {
            let session = match owner {
                Owner::Session(id) => Some(*id),
                _ => None,
            };
            Some(Done::Made { path: path.clone(), session })
        }
        Change::Delete { path } => Some(Done::Removed { path: path.clone() }),
        _ => None,
    }
}

/// The part of a log that is records as a whole.
fn whole_records(log: &[u8]) -> &[u8] {
    let mut length = 0;
    while let Some(head) = log.get(length..length + 4) {
        let record = head.iter().fold(0, |all, byte| all << 8 | usize::from(*byte));
        match length + 4 + record {
            end if end <= log.len() => length = end,
            _ => break,
        }
    }
    &log[..length]
}

fn at(time_ms: u64) -> Now {
    /// The day on which simulated runs begin, by the time of day.
    const BEGINNING_MS: i64 = 1_800_000_000_000;
    Now { mono_ms: time_ms, wall_ms: BEGINNING_MS.saturating_add_unsigned(time_ms) }
}

fn settings(shape: &Shape) -> Settings {
    let ms = |duration: Duration| i32::try_from(duration.as_millis()).unwrap_or(i32::MAX);
    let (shortest, longest) = shape.session_timeouts;
    Settings {
        tick_ms: u64::try_from(shape.tick.as_millis()).unwrap_or(u64::MAX).max(1),
        timeout_ms_min: ms(shortest),
        timeout_ms_max: ms(longest),
        limits: Limits::default(),
        super_digest: None,
        words: Allowed::ByDefault,
        reaper: Schedule { every: shape.reap_every, ..Schedule::default() },
    }
}
