//! A core with clients on it, for tests: what is asked is answered at once.

use std::time::Duration;

use bytes::Bytes;
use sneck_wire::{
    Acl, ConnectReply, ConnectRequest, CreateMode, ErrorCode, EventKind, NewNode, Reply, Request,
    RequestHeader, Secret, Stat,
};

use super::change::Txn;
use super::contents::Contents;
use super::words::Allowed;
use super::{ConnectionId, Core, Frame, Input, Now, Output, Peer, Schedule, Settings};
use crate::limits::Limits;

pub(super) const TICK_MS: u64 = 500;

/// A core, the time, and what has not been looked at yet.
pub(super) struct World {
    pub(super) core: Core,
    pub(super) now: Now,
    pub(super) outputs: Vec<Output>,
    pub(super) txns: Vec<Txn>,
    connections: u64,
}

/// A client on its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) connection: ConnectionId,
    pub(super) session: i64,
}

pub(super) fn settings() -> Settings {
    Settings {
        tick_ms: TICK_MS,
        timeout_ms_min: 1_000,
        timeout_ms_max: 10_000,
        limits: Limits::default(),
        super_digest: Some(super::access::digest(b"super:test")),
        words: Allowed::ByDefault,
        reaper: Schedule { every: Duration::from_secs(60), unused_for: Duration::from_secs(300) },
    }
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(settings())
    }

    pub(super) fn with(settings: Settings) -> Self {
        let now = Now { mono_ms: 1_000_000, wall_ms: 1_800_000_000_000 };
        Self {
            core: Core::new(settings, Contents::new(0), now),
            now,
            outputs: Vec::new(),
            txns: Vec::new(),
            connections: 0,
        }
    }

    pub(super) fn input(&mut self, input: Input) {
        let effects = self.core.handle(input, self.now);
        self.outputs.extend(effects.outputs);
        self.txns.extend(effects.txns);
    }

    /// Lets time pass, with the ticks that belong to it.
    pub(super) fn pass(&mut self, ms: u64) {
        let until = self.now.mono_ms + ms;
        while self.now.mono_ms < until {
            self.stand_still((until - self.now.mono_ms).min(TICK_MS / 2));
            self.input(Input::Tick);
        }
    }

    /// Lets time pass in which the server does not run.
    pub(super) fn stand_still(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.now.wall_ms += i64::try_from(ms).unwrap();
    }

    pub(super) fn restart(&mut self) {
        let empty = Core::new(settings(), Contents::new(0), self.now);
        let contents = std::mem::replace(&mut self.core, empty).into_contents();
        self.core = Core::new(settings(), contents, self.now);
        self.outputs.clear();
    }

    pub(super) fn open(&mut self, peer: Peer) -> ConnectionId {
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        self.input(Input::Opened { connection, peer });
        connection
    }

    pub(super) fn greet(
        &mut self,
        connection: ConnectionId,
        session: i64,
        password: &[u8],
    ) -> Option<ConnectReply> {
        let request = ConnectRequest {
            protocol: 0,
            last_zxid_seen: 0,
            timeout_ms: 4_000,
            session_id: session,
            password: Secret::from(password),
            read_only: Some(false),
        };
        self.input(Input::Greeting { connection, request });
        self.frames(connection).into_iter().find_map(|frame| match frame {
            Frame::Greeting(reply) => Some(reply),
            _ => None,
        })
    }

    pub(super) fn connect(&mut self) -> Client {
        let connection = self.open(Peer::Local);
        let reply = self.greet(connection, 0, &[]).unwrap();
        Client { connection, session: reply.session_id }
    }

    /// What was sent to a connection since the last look.
    pub(super) fn frames(&mut self, connection: ConnectionId) -> Vec<Frame> {
        let (mine, others) = std::mem::take(&mut self.outputs)
            .into_iter()
            .partition(|output: &Output| output.connection == connection);
        self.outputs = others;
        mine.into_iter().map(|output| output.frame).collect()
    }

    /// The events that were sent to a client since the last look.
    pub(super) fn events(&mut self, client: Client) -> Vec<(EventKind, String)> {
        let events = self.frames(client.connection).into_iter().filter_map(|frame| match frame {
            Frame::Event { event, .. } => Some((event.kind, event.path)),
            _ => None,
        });
        events.collect()
    }

    pub(super) fn send(&mut self, client: Client, request: Request) {
        let header = RequestHeader { xid: 7, op: request.op().code() };
        self.input(Input::Request { connection: client.connection, header, body: Ok(request) });
    }

    /// Asks, and answers with the reply. It must be the last frame, after all events.
    pub(super) fn ask(&mut self, client: Client, request: Request) -> Result<Reply, ErrorCode> {
        let before = std::mem::take(&mut self.outputs);
        self.send(client, request);
        let mut after = std::mem::take(&mut self.outputs);
        let at = after
            .iter()
            .rposition(|output| {
                output.connection == client.connection && matches!(output.frame, Frame::Reply(..))
            })
            .expect("a request has a reply");
        let reply = after.remove(at);
        self.outputs = before;
        self.outputs.extend(after);
        match reply.frame {
            Frame::Reply(header, reply) if header.error.is_ok() => Ok(reply.unwrap()),
            Frame::Reply(header, _) => Err(header.error),
            other => panic!("{other:?} is no reply"),
        }
    }

    pub(super) fn create(&mut self, client: Client, path: &str, mode: CreateMode) -> Stat {
        match self.ask(client, Request::Create2(node(path, mode))) {
            Ok(Reply::Create2 { stat, .. }) => stat,
            other => panic!("creating {path}: {other:?}"),
        }
    }

    pub(super) fn delete(&mut self, client: Client, path: &str) {
        let request = Request::Delete { path: path.into(), version: -1 };
        assert_eq!(self.ask(client, request), Ok(Reply::Delete), "{path}");
    }

    pub(super) fn stat(&mut self, client: Client, path: &str) -> Option<Stat> {
        match self.ask(client, Request::Exists { path: path.into(), watch: false }) {
            Ok(Reply::Exists(stat)) => Some(stat),
            _ => None,
        }
    }

    pub(super) fn authenticate(&mut self, client: Client, credential: &str) {
        let credential = Secret::from(credential.as_bytes());
        self.send(client, Request::Auth { scheme: "digest".into(), credential });
        let frames = self.frames(client.connection);
        assert!(
            matches!(&frames[..], [Frame::Reply(header, None)] if header.error.is_ok()),
            "{frames:?}"
        );
    }
}

pub(super) fn node(path: &str, mode: CreateMode) -> NewNode {
    NewNode { path: path.into(), data: Some(Bytes::from_static(b"data")), acl: Acl::open(), mode }
}
