//! The server as a pure state machine: no clock, socket, thread or randomness inside.
//!
//! ```text
//!  Greeting --greeting accepted--> Open(session) --close, expiry, moved, refused--> gone
//!      |                                                                             ^
//!      +--refused, or a four-letter word---------------------------------------------+
//! ```
//!
//! It is fed with what connections send and with the time, and fills [`Effects`] with frames to send
//! and transactions to write down. A write is checked and made at once. What it reveals must not be
//! seen before it is durable, and so each frame carries the zxid that has to be durable first.

pub(crate) mod access;
pub(crate) mod change;
mod connection;
pub(crate) mod contents;
pub(crate) mod node;
mod password;
mod processes;
mod reads;
mod reaper;
#[cfg(feature = "simulation")]
mod replica;
mod sessions;
pub(crate) mod tree;
mod watch_requests;
mod watches;
pub(crate) mod words;
mod writes;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod invariants;
#[cfg(test)]
mod operations;

pub(crate) use processes::ProcessId;
pub(crate) use reaper::Schedule;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use sneck_wire::{
    ConnectReply, ConnectRequest, DecodeError, ErrorCode, Reply, ReplyHeader, Request,
    RequestHeader, WatchedEvent,
};

use crate::limits::Limits;
use crate::mutant::mutant;
use crate::refusals::Limit;
use change::{Deed, Txn};
use connection::Connection;
use contents::{Contents, last_changes_of};
use node::At;
use sessions::Sessions;
use tree::Tree;
use watches::Watches;
use words::Word;

/// Names a connection, as long as the server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ConnectionId(pub(crate) u64);

/// Where a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    Tcp(SocketAddr),
    /// The Unix socket, from a process whose end will be told.
    Process(ProcessId),
    /// The Unix socket, from nobody knows which process, or within this one.
    Local,
}

impl Peer {
    /// Its address; of those without one, that of this machine.
    pub(crate) fn address(self) -> IpAddr {
        match self {
            Self::Tcp(address) => address.ip(),
            Self::Process(_) | Self::Local => IpAddr::V4(Ipv4Addr::LOCALHOST),
        }
    }

    /// Which process it is, where that is known.
    fn process(self) -> Option<ProcessId> {
        match self {
            Self::Process(process) => Some(process),
            Self::Tcp(_) | Self::Local => None,
        }
    }

    pub(crate) fn is_near(self) -> bool {
        self.address().to_canonical().is_loopback()
    }
}

/// The time, by both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Now {
    /// Milliseconds on a clock that never goes back.
    pub(crate) mono_ms: u64,
    /// Milliseconds since 1970.
    pub(crate) wall_ms: i64,
}

/// What happens to the server.
#[derive(Debug)]
pub(crate) enum Input {
    Opened {
        connection: ConnectionId,
        peer: Peer,
    },
    Greeting {
        connection: ConnectionId,
        request: ConnectRequest,
    },
    Word {
        connection: ConnectionId,
        word: Word,
    },
    Request {
        connection: ConnectionId,
        header: RequestHeader,
        body: Result<Request, DecodeError>,
    },
    Closed {
        connection: ConnectionId,
    },
    /// The process of a connection has ended, and the connection has not.
    HandedOn {
        connection: ConnectionId,
    },
    /// A process has ended. What has become of its connections has been told before.
    ProcessEnded {
        process: ProcessId,
    },
    /// Time has passed. To come several times a tick, and to come late if anything else does.
    Tick,
    /// Somebody wants a session to be over.
    Expire {
        session: i64,
    },
    /// Somebody wants a parent's next sequential child to get this number.
    SetCounter {
        path: String,
        creates: i32,
    },
    /// Somebody wants every connection to break.
    DropConnections,
}

/// What is to be sent to a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    Greeting(ConnectReply),
    Reply(ReplyHeader, Option<Reply>),
    Event {
        zxid: i64,
        event: WatchedEvent,
    },
    /// The answer to a four-letter word, which has no length in front.
    Text(String),
    /// Nothing comes after this: send what there is and hang up.
    Close,
}

/// A frame with its way, and what must be durable before it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) connection: ConnectionId,
    pub(crate) zxid: i64,
    pub(crate) frame: Frame,
}

/// What an input leads to. Outputs are in order, per connection and of their zxids.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) outputs: Vec<Output>,
    pub(crate) txns: Vec<Txn>,
    /// The limits at which something was refused.
    pub(crate) refused: Vec<Limit>,
    /// Bytes of the events among the outputs.
    event_bytes: usize,
}

/// What the core goes by.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) tick_ms: u64,
    pub(crate) timeout_ms_min: i32,
    pub(crate) timeout_ms_max: i32,
    pub(crate) limits: Limits,
    pub(crate) super_digest: Option<String>,
    pub(crate) words: words::Allowed,
    pub(crate) reaper: Schedule,
}

/// The server. See the module's text.
#[derive(Debug, Clone)]
pub(crate) struct Core {
    settings: Settings,
    tree: Tree,
    watches: Watches,
    sessions: Sessions,
    connections: BTreeMap<ConnectionId, Connection>,
    zxid: i64,
    ticked_at_ms: Option<u64>,
    reaped_at_ms: Option<u64>,
    /// The limits at which the present input was refused. It can be added to while the core is only
    /// looked at, which is when requests are checked.
    refused: RefCell<Vec<Limit>>,
    pub(crate) traffic: words::Traffic,
}

impl Core {
    /// A server with these nodes and sessions, and nobody connected. Sessions get their full time.
    pub(crate) fn new(settings: Settings, contents: Contents, now: Now) -> Self {
        let mut sessions = Sessions::new(settings.tick_ms, contents.last_session);
        for (id, timeout_ms) in contents.sessions {
            let since_ms = if mutant!("no-fresh-time-after-a-restart") { 0 } else { now.mono_ms };
            sessions.open(id, timeout_ms, since_ms);
        }
        Self {
            sessions,
            settings,
            tree: contents.tree,
            watches: Watches::default(),
            connections: BTreeMap::new(),
            zxid: contents.zxid,
            ticked_at_ms: None,
            reaped_at_ms: None,
            refused: RefCell::default(),
            traffic: words::Traffic::default(),
        }
    }

    /// What outlives it.
    pub(crate) fn into_contents(self) -> Contents {
        Contents {
            sessions: self.sessions.iter().map(|(id, one)| (id, one.timeout_ms)).collect(),
            last_session: self.sessions.last_id(),
            tree: self.tree,
            zxid: self.zxid,
        }
    }

    /// The last transaction.
    pub(crate) fn zxid(&self) -> i64 {
        self.zxid
    }

    /// How many sessions there are.
    pub(crate) fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// The nodes, for whoever looks on.
    #[cfg(feature = "simulation")]
    pub(crate) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The sessions that are not over, for whoever looks on.
    #[cfg(feature = "simulation")]
    pub(crate) fn session_ids(&self) -> impl Iterator<Item = i64> {
        self.sessions.iter().map(|(id, _)| id)
    }

    /// Whether this connection has greeted and is not gone.
    #[cfg(feature = "simulation")]
    pub(crate) fn is_connected(&self, id: ConnectionId) -> bool {
        self.connections.get(&id).is_some_and(|connection| connection.session.is_some())
    }

    /// Hashes all on which an answer can depend while no time passes; not what only counts.
    #[cfg(feature = "simulation")]
    pub(crate) fn hash_what_is_known<H: std::hash::Hasher>(&self, state: &mut H) {
        use std::hash::Hash as _;
        self.zxid.hash(state);
        self.tree.hash_nodes(state);
        for (connection, path, modes) in self.watches.each_with_modes() {
            (connection, path, modes).hash(state);
        }
        self.sessions.last_id().hash(state);
        for (id, session) in self.sessions.iter() {
            (id, session.connection).hash(state);
        }
        for (id, connection) in &self.connections {
            (id, connection.session).hash(state);
        }
    }

    /// Takes one input.
    pub(crate) fn handle(&mut self, input: Input, now: Now) -> Effects {
        let mut effects = Effects::default();
        match input {
            Input::Opened { connection, peer } => {
                self.connections.insert(connection, Connection::new(peer));
            }
            Input::Greeting { connection, request } => {
                self.greet(connection, &request, now, &mut effects);
            }
            Input::Word { connection, word } => {
                let text = self.speak(connection, word);
                self.send(connection, Frame::Text(text), &mut effects);
                self.hang_up(connection, &mut effects);
            }
            Input::Request { connection, header, body } => {
                self.request(connection, header, body, now, &mut effects);
            }
            Input::Closed { connection } => self.forget(connection),
            Input::HandedOn { connection } => self.handed_on(connection),
            Input::ProcessEnded { process } => self.process_ended(process, now, &mut effects),
            Input::Tick => self.tick(now, &mut effects),
            Input::Expire { session } => self.close_session(session, now, &mut effects),
            Input::SetCounter { path, creates } => {
                self.set_counter(path, creates, now, &mut effects);
            }
            Input::DropConnections => {
                let all: Vec<_> = self.connections.keys().copied().collect();
                all.into_iter().for_each(|connection| self.hang_up(connection, &mut effects));
            }
        }
        effects.refused = self.refused.take();
        effects
    }

    /// Notes that something is refused at a limit, and gives the error that says so.
    fn refuse_at(&self, limit: Limit, error: ErrorCode) -> ErrorCode {
        self.refused.borrow_mut().push(limit);
        error
    }

    fn request(
        &mut self,
        id: ConnectionId,
        header: RequestHeader,
        body: Result<Request, DecodeError>,
        now: Now,
        effects: &mut Effects,
    ) {
        let Some(session) = self.connections.get(&id).and_then(|connection| connection.session)
        else {
            // Either nothing is known of the connection any more, or it did not begin with a
            // greeting, which the front end does not let happen.
            return;
        };
        self.traffic.received += 1;
        if !mutant!("requests-keep-no-session") {
            self.sessions.touch(session, now.mono_ms);
        }
        let xid = header.xid;
        match body {
            Err(error) => self.refuse(id, header, &error, effects),
            Ok(Request::Auth { scheme, credential }) => {
                self.authenticate(id, xid, &scheme, &credential, effects);
            }
            Ok(Request::CloseSession) => {
                self.say_good_bye(id, xid, session, now, effects);
            }
            // Not offered; a client that goes on without may do so.
            Ok(Request::Sasl { .. } | Request::Check { .. }) => {
                self.refuse(id, header, &DecodeError::UnknownOp(header.op), effects);
            }
            Ok(request) => {
                let answer = self.answer(id, session, request, now, effects);
                self.reply(id, xid, answer, effects);
            }
        }
    }

    /// Every request that has an ordinary reply.
    fn answer(
        &mut self,
        id: ConnectionId,
        session: i64,
        request: Request,
        now: Now,
        effects: &mut Effects,
    ) -> Result<Reply, ErrorCode> {
        match request {
            Request::Create(_)
            | Request::Create2(_)
            | Request::CreateContainer(_)
            | Request::CreateTtl { .. }
            | Request::Delete { .. }
            | Request::SetData { .. }
            | Request::SetAcl { .. } => self.write(id, session, request, now, effects),
            Request::Multi(ops) => self.multi(id, session, &ops, now, effects),
            Request::SetWatches { relative_zxid, data, exist, child } => {
                let again = watch_requests::Again::one_shot(relative_zxid, data, exist, child);
                self.set_watches(id, &again, effects)?;
                Ok(Reply::SetWatches)
            }
            Request::SetWatches2 {
                relative_zxid,
                data,
                exist,
                child,
                persistent,
                persistent_recursive,
            } => {
                let mut again = watch_requests::Again::one_shot(relative_zxid, data, exist, child);
                again.persistent = persistent;
                again.recursive = persistent_recursive;
                self.set_watches(id, &again, effects)?;
                Ok(Reply::SetWatches2)
            }
            Request::AddWatch { path, mode } => self.add_watch(id, &path, mode),
            Request::RemoveWatches { path, kind } => self.remove_watches(id, &path, kind),
            Request::CheckWatches { path, kind } => self.check_watches(id, &path, kind),
            Request::Ping => Ok(Reply::Ping),
            Request::Reconfig(_) => Err(ErrorCode::RECONFIG_DISABLED),
            read => self.read(id, session, &read),
        }
    }

    fn tick(&mut self, now: Now, effects: &mut Effects) {
        let before = self.ticked_at_ms.replace(now.mono_ms).unwrap_or(now.mono_ms);
        let passed = now.mono_ms.saturating_sub(before);
        if passed > self.settings.tick_ms {
            self.sessions.stalled(passed);
        }
        for session in self.sessions.expired(now.mono_ms) {
            self.close_session(session, now, effects);
        }
        self.reap(now, effects);
    }

    /// Ends a session: one transaction for it and all its nodes.
    fn close_session(&mut self, session: i64, now: Now, effects: &mut Effects) {
        let Some(closed) = self.sessions.close(session) else { return };
        let at = self.begin(now);
        let mut changes = last_changes_of(&self.tree, session);
        if mutant!("a-node-outlives-its-session") {
            changes.pop();
        }
        for change in changes {
            self.make(&change, at, effects);
        }
        effects.txns.push(Txn { at, deed: Deed::CloseSession { id: session } });
        if let Some(connection) = closed.connection {
            self.hang_up(connection, effects);
        }
    }

    /// The next transaction.
    fn begin(&mut self, now: Now) -> At {
        self.zxid += 1;
        At { zxid: self.zxid, time_ms: now.wall_ms }
    }

    fn reply(
        &mut self,
        connection: ConnectionId,
        xid: i32,
        answer: Result<Reply, ErrorCode>,
        effects: &mut Effects,
    ) {
        let (error, reply) = match answer {
            Ok(reply) => (ErrorCode::OK, Some(reply)),
            Err(error) => (error, None),
        };
        let header = ReplyHeader { xid, zxid: self.zxid, error };
        self.send(connection, Frame::Reply(header, reply), effects);
    }

    fn send(&mut self, connection: ConnectionId, frame: Frame, effects: &mut Effects) {
        if frame != Frame::Close {
            self.traffic.sent += 1;
        }
        let zxid = if mutant!("told-before-it-is-durable") { 0 } else { self.zxid };
        effects.outputs.push(Output { connection, zxid, frame });
    }
}
