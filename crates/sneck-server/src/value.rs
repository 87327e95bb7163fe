//! The core as a value that can be cloned and hashed, for a checker of models.
//!
//! No part of the interface: this is for `sneck-model`, and only there with the feature `simulation`.
//! Requests and replies are not put into bytes, and no time passes: sessions end when that is said, and
//! what was made is durable at once.

use std::hash::{Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sneck_wire::{
    ConnectRequest, Reply, ReplyHeader, Request, RequestHeader, Secret, WatchedEvent,
};

use crate::core::contents::Contents;
use crate::core::words::Allowed;
use crate::core::{ConnectionId, Core, Effects, Frame, Input, Now, Peer, Schedule, Settings};
use crate::limits::Limits;

/// Where the zxids of a new server begin.
const FLOOR: i64 = 100;
/// The one session timeout that it grants, in milliseconds.
pub const TIMEOUT_MS: i32 = 4_000;
/// The connection that an operator comes by; no other may have this number.
const OPERATOR: u64 = u64::MAX;
/// No time passes.
const NOW: Now = Now { mono_ms: 1, wall_ms: 1_800_000_000_000 };

/// A server. The core looks at its own refusals while it is only read, and so it is no `Sync`: the lock
/// makes it one, for states that threads share. Nobody ever waits for it.
#[derive(Debug)]
pub struct Server {
    core: Mutex<Core>,
}

/// What is to be sent on a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Sent {
    /// The answer to a greeting: the session, or that it is over.
    Greeting(Option<i64>),
    /// The answer to a request.
    Reply(ReplyHeader, Option<Reply>),
    /// Something that was watched for.
    Event(WatchedEvent),
    /// Nothing comes after this.
    Close,
}

/// What is to be sent, and on which connection, in this order.
pub type Outcome = Vec<(u64, Sent)>;

impl Default for Server {
    fn default() -> Self {
        Self::from(Core::new(settings(), Contents::new(FLOOR), NOW))
    }
}

impl Server {
    /// The same server after it was ended and started again: nobody is connected, and nothing is watched.
    #[must_use]
    pub fn restarted(self) -> Self {
        let core = self.core.into_inner().unwrap_or_else(PoisonError::into_inner);
        Self::from(Core::new(settings(), core.into_contents(), NOW))
    }

    /// A connection begins, with the greeting for this session, or for a new one, of a client that has
    /// seen this zxid.
    pub fn greeted(&mut self, connection: u64, session: Option<i64>, zxid_seen: i64) -> Outcome {
        let connection = ConnectionId(connection);
        let request = ConnectRequest {
            protocol: 0,
            last_zxid_seen: zxid_seen,
            timeout_ms: TIMEOUT_MS,
            session_id: session.unwrap_or(0),
            password: session.map_or_else(Secret::default, |id| self.core().password_of(id)),
            read_only: None,
        };
        let mut outcome = self.handle(Input::Opened { connection, peer: Peer::Local });
        outcome.extend(self.handle(Input::Greeting { connection, request }));
        outcome
    }

    /// A request has come.
    pub fn requested(&mut self, connection: u64, request: Request) -> Outcome {
        let header = RequestHeader { xid: 1, op: request.op().into() };
        let connection = ConnectionId(connection);
        self.handle(Input::Request { connection, header, body: Ok(request) })
    }

    /// A connection has ended.
    pub fn closed(&mut self, connection: u64) -> Outcome {
        self.handle(Input::Closed { connection: ConnectionId(connection) })
    }

    /// The time of a session is over.
    pub fn expire(&mut self, session: i64) -> Outcome {
        self.handle(Input::Expire { session })
    }

    /// An operator asks for something, by a session of his own.
    pub fn operate(&mut self, request: Request) -> Outcome {
        let mut outcome = self.greeted(OPERATOR, None, 0);
        outcome.extend(self.requested(OPERATOR, request));
        outcome.extend(self.requested(OPERATOR, Request::CloseSession));
        outcome.extend(self.closed(OPERATOR));
        outcome.retain(|(connection, _)| *connection != OPERATOR);
        outcome
    }

    /// Whether a session is not over.
    pub fn has_session(&self, session: i64) -> bool {
        self.core().session_ids().any(|id| id == session)
    }

    /// Whether a connection is one that it would listen to.
    pub fn is_connected(&self, connection: u64) -> bool {
        self.core().is_connected(ConnectionId(connection))
    }

    /// The children of a node, with the zxid that made each, the oldest first. None of a node that is not
    /// there.
    pub fn children(&self, path: &str) -> Vec<(String, i64)> {
        let core = self.core();
        let Some(node) = core.tree().get(path) else { return Vec::new() };
        let made =
            |child: &str| core.tree().get(&format!("{path}/{child}")).map_or(0, |it| it.czxid);
        let mut children: Vec<_> =
            node.children.iter().map(|child| (child.to_string(), made(child))).collect();
        children.sort_by_key(|(_, czxid)| *czxid);
        children
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&mut self, input: Input) -> Outcome {
        let core = self.core.get_mut().unwrap_or_else(PoisonError::into_inner);
        let Effects { outputs, .. } = core.handle(input, NOW);
        outputs.into_iter().map(|output| (output.connection.0, sent(output.frame))).collect()
    }
}

impl Hash for Server {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.core().hash_what_is_known(state);
    }
}

impl Clone for Server {
    fn clone(&self) -> Self {
        Self::from(self.core().clone())
    }
}

impl From<Core> for Server {
    fn from(core: Core) -> Self {
        Self { core: Mutex::new(core) }
    }
}

fn sent(frame: Frame) -> Sent {
    match frame {
        Frame::Greeting(reply) => Sent::Greeting((!reply.is_expired()).then_some(reply.session_id)),
        Frame::Reply(header, reply) => Sent::Reply(header, reply),
        Frame::Event { event, .. } => Sent::Event(event),
        Frame::Text(_) | Frame::Close => Sent::Close,
    }
}

fn settings() -> Settings {
    Settings {
        tick_ms: 500,
        timeout_ms_min: TIMEOUT_MS,
        timeout_ms_max: TIMEOUT_MS,
        limits: Limits::default(),
        super_digest: None,
        words: Allowed::ByDefault,
        reaper: Schedule::default(),
    }
}
