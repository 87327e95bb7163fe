//! The core as it is in an ensemble: a [`Leader`] decides, and the [`View`] of each member makes what was
//! decided, in order, and later.
//!
//! What goes between them, who leads and what a majority has is the simulator's.

use std::collections::BTreeMap;

use bytes::BytesMut;
use sneck_wire::{ErrorCode, ReplyHeader, Request};

use super::{
    Incoming, NoRequest, Sent, Shape, Written, at, bytes_of, ending, inputs_of_operator,
    next_input, settings, written,
};
use crate::core::change::{Deed, Txn};
use crate::core::contents::Contents;
use crate::core::{ConnectionId, Core, Effects, Frame, Input, Peer};
use crate::limits::Limits;

/// A transaction that a leader has decided.
#[derive(Debug, Clone)]
pub struct Decided {
    txn: Txn,
    /// What it does, for whoever looks on.
    pub written: Written,
}

/// What a client wants of the member that it is on.
#[derive(Debug)]
pub struct Asked {
    /// What it takes.
    pub kind: Kind,
    input: Input,
}

/// What it takes to answer a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A session, which the leader opens.
    Open,
    /// To go on with this session, which the leader knows or not.
    Resume(i64),
    /// A decision of the leader's.
    Write,
    /// All that the leader had committed by now.
    Sync,
    /// A look at what there is here.
    Look,
}

/// What a client is told when the transaction that it has asked for was made where it is.
#[derive(Debug, Clone)]
pub struct Answer(Frame);

impl Asked {
    /// The last transaction that a client has seen, where it says so.
    pub fn zxid_seen(&self) -> i64 {
        match &self.input {
            Input::Greeting { request, .. } => request.last_zxid_seen,
            _ => 0,
        }
    }
}

impl Answer {
    /// The session that was opened, if one was.
    pub fn opened(&self) -> Option<i64> {
        match &self.0 {
            Frame::Greeting(reply) => Some(reply.session_id),
            _ => None,
        }
    }
}

/// The one who decides. What it has decided and nobody has yet agreed to counts for what it decides next.
#[derive(Debug)]
pub struct Leader {
    core: Core,
}

/// The connection by which whoever has no session is heard.
const NEWCOMER: ConnectionId = ConnectionId(u64::MAX - 1);

impl Leader {
    /// One that knows these transactions, in an epoch above all of theirs. Sessions have their whole time
    /// before them.
    pub fn new<'a>(
        shape: &Shape,
        log: impl Iterator<Item = &'a Decided>,
        epoch: u32,
        time_ms: u64,
    ) -> Self {
        let mut contents = recovered(log);
        contents.zxid = i64::from(epoch) << 32;
        Self { core: Core::new(settings(shape), contents, at(time_ms)) }
    }

    /// Opens a session; not if there are too many.
    pub fn open(&mut self, asked: Asked, time_ms: u64) -> Option<(Decided, Answer)> {
        let Input::Greeting { request, .. } = asked.input else { return None };
        let now = at(time_ms);
        self.core.handle(Input::Opened { connection: NEWCOMER, peer: Peer::Local }, now);
        let greeting = Input::Greeting { connection: NEWCOMER, request };
        let Effects { outputs, txns, .. } = self.core.handle(greeting, now);
        self.core.handle(Input::Closed { connection: NEWCOMER }, now);
        let frame = outputs.into_iter().map(|output| output.frame).next()?;
        Some((decided(txns.into_iter().next()?, &BTreeMap::new()), Answer(frame)))
    }

    /// Decides what a client has asked for under this session.
    pub fn decide(&mut self, session: i64, asked: Asked, time_ms: u64) -> (Decided, Answer) {
        let Some(connection) = self.core.speaker_for(session) else {
            return self.refuse(asked, ErrorCode::SESSION_EXPIRED, time_ms);
        };
        let Input::Request { header, body, .. } = asked.input else {
            return self.refuse(asked, ErrorCode::SYSTEM_ERROR, time_ms);
        };
        let (input, now) = (Input::Request { connection, header, body }, at(time_ms));
        let nodes = ending(&self.core, &input);
        let Effects { outputs, txns, .. } = self.core.handle(input, now);
        self.core.handle(Input::Closed { connection }, now);
        let reply = outputs.into_iter().find_map(|output| match output.frame {
            Frame::Reply(header, reply) => Some((header, reply)),
            _ => None,
        });
        let txn = txns.into_iter().next().unwrap_or_else(|| self.core.decide_nothing(now));
        let nothing =
            || (ReplyHeader { xid: header.xid, zxid: 0, error: ErrorCode::SYSTEM_ERROR }, None);
        let (mut header, reply) = reply.unwrap_or_else(nothing);
        header.zxid = txn.at.zxid;
        (decided(txn, &nodes), Answer(Frame::Reply(header, reply)))
    }

    /// Refuses what a client has asked for.
    pub fn refuse(&mut self, asked: Asked, error: ErrorCode, time_ms: u64) -> (Decided, Answer) {
        let txn = self.core.decide_nothing(at(time_ms));
        let xid = match asked.input {
            Input::Request { header, .. } => header.xid,
            _ => 0,
        };
        let header = ReplyHeader { xid, zxid: txn.at.zxid, error };
        (decided(txn, &BTreeMap::new()), Answer(Frame::Reply(header, None)))
    }

    /// A member has heard of a session. Says whether there is one.
    pub fn touch(&mut self, session: i64, time_ms: u64) -> bool {
        self.core.touch_session(session, at(time_ms))
    }

    /// Time has passed. To come four times a tick.
    pub fn tick(&mut self, time_ms: u64) -> Vec<Decided> {
        self.all_of([Input::Tick], time_ms)
    }

    /// An operator deletes a node, by a session of his own.
    pub fn delete(&mut self, path: &str, time_ms: u64) -> Vec<Decided> {
        self.all_of(inputs_of_operator(path), time_ms)
    }

    fn all_of(&mut self, inputs: impl IntoIterator<Item = Input>, time_ms: u64) -> Vec<Decided> {
        let mut all = Vec::new();
        for input in inputs {
            let nodes = ending(&self.core, &input);
            let Effects { txns, .. } = self.core.handle(input, at(time_ms));
            all.extend(txns.into_iter().map(|txn| decided(txn, &nodes)));
        }
        all
    }
}

/// What a member has made of what was decided, and who looks at it there.
#[derive(Debug)]
pub struct View {
    core: Core,
    limits: Limits,
    incoming: BTreeMap<u64, Incoming>,
}

impl View {
    /// That of a member that has made these transactions.
    pub fn new<'a>(shape: &Shape, log: impl Iterator<Item = &'a Decided>, time_ms: u64) -> Self {
        let settings = settings(shape);
        let limits = settings.limits.clone();
        let core = Core::new(settings, recovered(log), at(time_ms));
        Self { core, limits, incoming: BTreeMap::new() }
    }

    /// Whether somebody is connected under this number.
    pub fn knows(&self, connection: u64) -> bool {
        self.incoming.contains_key(&connection)
    }

    /// A connection begins.
    pub fn opened(&mut self, connection: u64, time_ms: u64) {
        self.incoming.insert(connection, Incoming::default());
        let connection = ConnectionId(connection);
        self.core.handle(Input::Opened { connection, peer: Peer::Local }, at(time_ms));
    }

    /// A connection has ended.
    pub fn closed(&mut self, connection: u64, time_ms: u64) {
        self.incoming.remove(&connection);
        self.core.handle(Input::Closed { connection: ConnectionId(connection) }, at(time_ms));
    }

    /// Bytes have come: what is asked for by them. Nothing, not even that, if they are no requests.
    pub fn received(&mut self, connection: u64, bytes: &[u8]) -> Option<Vec<Asked>> {
        let incoming = self.incoming.get_mut(&connection)?;
        incoming.bytes.extend_from_slice(bytes);
        let mut all = Vec::new();
        loop {
            match next_input(incoming, connection, &self.limits) {
                Ok(Some(input)) => all.push(Asked { kind: kind_of(&input), input }),
                Ok(None) => return Some(all),
                Err(NoRequest) => return None,
            }
        }
    }

    /// Whether a client has been elsewhere, and seen more there than there is here. It is not let in then.
    pub fn is_behind(&self, asked: &Asked) -> bool {
        asked.zxid_seen() > self.core.zxid()
    }

    /// Answers from what there is here.
    pub fn look(&mut self, asked: Asked, time_ms: u64) -> Vec<Sent> {
        let effects = self.core.handle(asked.input, at(time_ms));
        self.sent(effects)
    }

    /// Lets a client go on with its session here; or not, as the leader does not know it.
    pub fn resume(&mut self, asked: &Asked, is_valid: bool) -> Vec<Sent> {
        let Input::Greeting { connection, request } = &asked.input else { return Vec::new() };
        let effects = self.core.resume_as_told(*connection, request, is_valid);
        self.sent(effects)
    }

    /// Makes a transaction, and answers the client here that has asked for it.
    pub fn learn(&mut self, decided: &Decided, answer: Option<(u64, &Answer)>) -> Vec<Sent> {
        let answer = answer.map(|(to, Answer(frame))| (ConnectionId(to), frame.clone()));
        let effects = self.core.learn(&decided.txn, answer);
        self.sent(effects)
    }

    fn sent(&mut self, effects: Effects) -> Vec<Sent> {
        let mut all = Vec::new();
        for output in effects.outputs {
            let connection = output.connection.0;
            let bytes = bytes_of(&output.frame);
            if bytes.is_none() {
                self.incoming.remove(&connection);
            }
            all.push(Sent { connection, zxid: output.zxid, bytes });
        }
        all
    }
}

impl Decided {
    /// Its number.
    pub fn zxid(&self) -> i64 {
        self.txn.at.zxid
    }
}

fn kind_of(input: &Input) -> Kind {
    match input {
        Input::Greeting { request, .. } if request.session_id == 0 => Kind::Open,
        Input::Greeting { request, .. } => Kind::Resume(request.session_id),
        Input::Request { body: Ok(request), .. } => match request {
            Request::CloseSession => Kind::Write,
            Request::Sync { .. } => Kind::Sync,
            request if request.op().is_write() => Kind::Write,
            _ => Kind::Look,
        },
        _ => Kind::Look,
    }
}

fn recovered<'a>(log: impl Iterator<Item = &'a Decided>) -> Contents {
    let mut contents = Contents::new(0);
    for Decided { txn, .. } in log {
        contents.apply(txn).expect("a transaction that fits those before it");
    }
    contents
}

fn decided(txn: Txn, nodes: &BTreeMap<i64, Vec<String>>) -> Decided {
    let written = match &txn.deed {
        Deed::Changes(changes) if changes.is_empty() => {
            Written { zxid: txn.at.zxid, record: BytesMut::new().freeze(), done: Vec::new() }
        }
        _ => written(&txn, nodes),
    };
    Decided { txn, written }
}
