//! What passed a proxy, for assertions.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use sneck_wire::{OpCode, Secret};

/// How many requests and sessions are remembered; a long test forgets the oldest.
const REMEMBERED_MAX: usize = 200_000;

/// A request as it was on the wire.
#[derive(Debug, Clone)]
pub struct SeenRequest {
    /// Connections of this proxy, counted from 1.
    pub connection: u64,
    /// The client's number for the request.
    pub xid: i32,
    /// What was asked; `None` for an operation that `sneck-wire` does not know.
    pub op: Option<OpCode>,
    /// The path asked about, of operations that are about one.
    pub path: Option<String>,
    /// When it was forwarded, or lost on purpose.
    pub at: Instant,
    /// Whether the server got it.
    pub forwarded: bool,
}

/// A session as the server granted it on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenSession {
    /// Connections of this proxy, counted from 1.
    pub connection: u64,
    /// The session, or 0 if the server said that it is over.
    pub session_id: i64,
    /// The timeout the server gave.
    pub timeout_ms: i32,
    /// What resumes the session, or closes it from elsewhere.
    pub password: Secret,
    /// When the client was told.
    pub at: Instant,
}

/// Sums over all connections. Bytes include the length that precedes each frame; what was lost on
/// purpose counts as lost, not as a frame.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections accepted.
    pub connections: u64,
    /// Frames forwarded to the server, with the handshakes.
    pub request_frames: u64,
    /// Their bytes.
    pub request_bytes: u64,
    /// Frames forwarded to clients: handshakes, replies and events.
    pub reply_frames: u64,
    /// Their bytes.
    pub reply_bytes: u64,
    /// Watch events forwarded to clients.
    pub events: u64,
    /// Frames that were lost on purpose, either way.
    pub lost: u64,
    by_op: BTreeMap<i32, u64>,
}

impl Counts {
    /// Requests of one kind that clients sent, whether they were forwarded or lost.
    pub fn requests(&self, op: OpCode) -> u64 {
        self.by_op.get(&op.code()).copied().unwrap_or(0)
    }

    /// Requests of all kinds but pings, whose number is a matter of time.
    pub fn requests_but_pings(&self) -> u64 {
        self.by_op.values().sum::<u64>() - self.requests(OpCode::Ping)
    }
}

#[derive(Debug, Default)]
pub(super) struct Traffic {
    pub(super) counts: Counts,
    pub(super) requests: VecDeque<SeenRequest>,
    pub(super) sessions: VecDeque<SeenSession>,
    connections_ever: u64,
}

impl Traffic {
    /// Counts a connection, and returns its number.
    pub(super) fn on_connection(&mut self) -> u64 {
        self.counts.connections += 1;
        self.connections_ever += 1;
        self.connections_ever
    }

    pub(super) fn on_request(&mut self, op: i32, request: SeenRequest) {
        *self.counts.by_op.entry(op).or_default() += 1;
        remember(&mut self.requests, request);
    }

    pub(super) fn on_session(&mut self, session: SeenSession) {
        remember(&mut self.sessions, session);
    }

    pub(super) fn on_forwarded_request(&mut self, bytes: usize) {
        self.counts.request_frames += 1;
        self.counts.request_bytes += bytes as u64;
    }

    pub(super) fn on_forwarded_reply(&mut self, bytes: usize) {
        self.counts.reply_frames += 1;
        self.counts.reply_bytes += bytes as u64;
    }

    /// Numbers of connections go on, so that one number never means two connections.
    pub(super) fn forget(&mut self) {
        *self = Traffic { connections_ever: self.connections_ever, ..Traffic::default() };
    }
}

fn remember<T>(list: &mut VecDeque<T>, item: T) {
    if list.len() == REMEMBERED_MAX {
        list.pop_front();
    }
    list.push_back(item);
}
