//! The client session as a pure state machine: no clock, socket, task or randomness inside.
//!
//! ```text
//!                 on_connection            handshake answered
//!  Disconnected -----------------> Greeting -----------------> Serving
//!       ^                             |                           |
//!       +-----------------------------+---------------------------+  on_disconnection
//!                                     |
//!                                     +--> Over(End): expired, closed, refused or given up
//! ```
//!
//! The driver feeds it bytes, instants and broken connections; it fills `outgoing` with what to send
//! and [`Effects`] with whom to tell.

use super::proof::{is_from_leader, proof_request};
use super::ticket::SessionTicket;
use super::watches::{Delivery, Interest, WatchKey, WatchKind, Watches, restore_bytes};
use crate::credentials::Credentials;
use crate::error::{End, RequestError};
use crate::lease_rule;
use crate::options::{SessionLimits, SessionOptions};
use bytes::{Buf, Bytes, BytesMut};
use sneck_core::{Instant, Lease, Loss, mutant};
use sneck_wire::{
    AddWatchMode, ConnectReply, ConnectRequest, DecodeError, ErrorCode, FrameDecoder, MultiOp,
    NewNode, OpCode, Reply, ReplyHeader, Request, Secret, WatchedEvent, decode_reply_header,
    encode_frame, encode_request, jute::Reader, xid,
};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// What a request came to.
pub(crate) type Answer = Result<Reply, RequestError>;

/// Whom to tell what, once the session's lock is no longer held.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    answers: Vec<(oneshot::Sender<Answer>, Answer)>,
    events: Vec<Delivery>,
}

impl Effects {
    /// How many requests are answered.
    pub(crate) fn answers(&self) -> usize {
        self.answers.len()
    }

    /// Tells everybody: events first, as the server sends them before what they make visible.
    pub(crate) fn deliver(self) {
        self.events.into_iter().for_each(Delivery::deliver);
        for (sink, answer) in self.answers {
            // Whoever asked may have stopped caring.
            let _ = sink.send(answer);
        }
    }
}

/// Why the connection has to be given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// An answer took too long.
    Silent,
    /// The peer broke the protocol.
    Protocol(String),
    /// The server says that the session now lives on another connection.
    Moved,
    /// The session is over; there is nothing left to connect for.
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Disconnected { since: Instant },
    Greeting { sent: Instant },
    Serving,
    Over(End),
}

/// What makes a session ours.
#[derive(Clone, Debug)]
struct Identity {
    id: i64,
    password: Secret,
}

/// A request that waits for the wire: a whole frame whose xid is still to be filled in.
#[derive(Debug)]
struct Queued {
    frame: BytesMut,
    asked: Asked,
}

/// A request whose answer is awaited.
#[derive(Debug)]
struct Asked {
    op: OpCode,
    sink: Option<oneshot::Sender<Answer>>,
    watch: Option<WatchKey>,
}

/// When this connection's greeting was sent, and when it was answered.
#[derive(Clone, Copy, Debug)]
struct Greeted {
    sent: Instant,
    answered: Instant,
}

#[derive(Debug)]
struct InFlight {
    xid: i32,
    sent: Instant,
    asked: Asked,
}

/// The session. See the module's text. Not `Debug`: what is to be sent may hold a password.
pub(crate) struct Machine {
    limits: SessionLimits,
    credentials: Vec<Credentials>,
    phase: Phase,
    identity: Option<Identity>,
    /// Asked for until it is negotiated.
    timeout: Duration,
    timeout_wanted: Duration,
    zxid_seen: i64,
    xid_last: i32,
    queue: VecDeque<Queued>,
    queue_bytes: usize,
    in_flight: VecDeque<InFlight>,
    watches: Watches,
    lease: Lease,
    decoder: FrameDecoder,
    /// Bytes of a reply too long to be kept that are still to come.
    unread: usize,
    outgoing: BytesMut,
    /// When the last byte was handed out to be sent.
    sent_last: Instant,
    /// When a proof was last asked for, or a request was sent whose answer turned out to be one. Any
    /// other write does not count: followers could refuse it, and so could they the next.
    proof_asked: Instant,
    /// When the pings were sent that are not answered yet; pings are answered in order, too.
    pings: VecDeque<Instant>,
    /// Credentials of this connection whose answers have not come.
    unauthenticated: usize,
    greeted: Greeted,
    /// How many connections there have been.
    connections: u64,
    close_since: Option<Instant>,
    /// Since when every attempt ended with the server hanging up on our greeting.
    refused_since: Option<Instant>,
}

impl Machine {
    pub(crate) fn new(options: &SessionOptions, now: Instant) -> Self {
        Machine {
            limits: options.limits,
            credentials: options.credentials.clone(),
            phase: Phase::Disconnected { since: now },
            identity: None,
            timeout: options.timeout,
            timeout_wanted: options.timeout,
            zxid_seen: 0,
            xid_last: 0,
            queue: VecDeque::new(),
            queue_bytes: 0,
            in_flight: VecDeque::new(),
            watches: Watches::default(),
            lease: Lease::new(Instant::from_nanos(0)),
            decoder: FrameDecoder::new(options.limits.reply_bytes_max),
            unread: 0,
            outgoing: BytesMut::new(),
            sent_last: now,
            proof_asked: now,
            pings: VecDeque::new(),
            unauthenticated: 0,
            greeted: Greeted { sent: now, answered: now },
            connections: 0,
            close_since: None,
            refused_since: None,
        }
    }

    /// A session that somebody else has opened, to be ended here.
    pub(crate) fn taken_over(
        options: &SessionOptions,
        ticket: &SessionTicket,
        now: Instant,
    ) -> Self {
        let identity = Identity { id: ticket.id, password: ticket.password.clone() };
        let mut machine = Machine::new(options, now);
        machine.identity = Some(identity);
        (machine.timeout, machine.timeout_wanted) = (ticket.timeout, ticket.timeout);
        machine
    }

    /// What it takes to end the session from elsewhere.
    pub(crate) fn ticket(&self) -> Option<SessionTicket> {
        let Identity { id, password } = self.identity.clone()?;
        Some(SessionTicket { id, password, timeout: self.timeout })
    }

    /// Whether a server answers, and knows who we are.
    pub(crate) fn is_connected(&self) -> bool {
        self.phase == Phase::Serving && self.unauthenticated == 0
    }

    pub(crate) fn end(&self) -> Option<End> {
        match self.phase {
            Phase::Over(end) => Some(end),
            _ => None,
        }
    }

    /// The session's id; 0 before there is one.
    pub(crate) fn id(&self) -> i64 {
        self.identity.as_ref().map_or(0, |identity| identity.id)
    }

    /// The session timeout: as negotiated, or as wanted before that.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn lease(&self) -> &Lease {
        &self.lease
    }

    /// The connection there is, or was last: another number for each.
    pub(crate) fn connection(&self) -> u64 {
        self.connections
    }

    pub(crate) fn zxid_seen(&self) -> i64 {
        self.zxid_seen
    }

    /// What is to be sent; the caller takes it out.
    pub(crate) fn outgoing(&mut self) -> &mut BytesMut {
        &mut self.outgoing
    }

    // ----- requests -----

    /// Takes a request, which goes out in the order of these calls. The watch, if any, is registered
    /// for the answer's outcome.
    pub(crate) fn submit(
        &mut self,
        now: Instant,
        request: &Request,
    ) -> Result<oneshot::Receiver<Answer>, RequestError> {
        let (sink, answer) = oneshot::channel();
        let asked = Asked { op: request.op(), sink: Some(sink), watch: None };
        self.take(now, request, asked)?;
        Ok(answer)
    }

    /// Takes a request that leaves a one-shot watch.
    pub(crate) fn submit_watching(
        &mut self,
        now: Instant,
        request: &Request,
        path: &str,
        kind: WatchKind,
    ) -> Result<Watching<oneshot::Receiver<WatchedEvent>>, RequestError> {
        self.may_take()?;
        self.check_size(restore_bytes(path))?;
        let (key, events) = self.watches.add_once(path, kind);
        self.take_watching(now, request, key, events)
    }

    /// Takes a request for a persistent watch.
    pub(crate) fn submit_streaming(
        &mut self,
        now: Instant,
        path: &str,
        mode: AddWatchMode,
    ) -> Result<Watching<mpsc::Receiver<WatchedEvent>>, RequestError> {
        self.may_take()?;
        self.check_size(restore_bytes(path))?;
        let (key, events) = self.watches.add_stream(path, mode, self.limits.events_max);
        self.take_watching(now, &Request::AddWatch { path: path.to_owned(), mode }, key, events)
    }

    fn take_watching<E>(
        &mut self,
        now: Instant,
        request: &Request,
        key: WatchKey,
        events: E,
    ) -> Result<Watching<E>, RequestError> {
        let (sink, answer) = oneshot::channel();
        let asked = Asked { op: request.op(), sink: Some(sink), watch: Some(key.clone()) };
        if let Err(error) = self.take(now, request, asked) {
            self.watches.remove(&key);
            return Err(error);
        }
        Ok(Watching { answer, key, events })
    }

    /// Forgets a watch, and has the server forget it when nobody else wants it.
    pub(crate) fn unwatch(&mut self, now: Instant, key: &WatchKey) {
        let Some(Interest { kind, set }) = self.watches.remove(key) else { return };
        if self.phase != Phase::Serving && set {
            // It will simply not be set again. Of one that is not set the request is still waiting.
            return;
        }
        let request = Request::RemoveWatches { path: key.path.clone(), kind };
        // The answer does not matter: it may have fired just now, or the server may be too old.
        let _ = self.take(now, &request, Asked { op: request.op(), sink: None, watch: None });
    }

    fn may_take(&self) -> Result<(), RequestError> {
        match self.phase {
            Phase::Over(end) => Err(RequestError::Over { end, sent: false }),
            _ if self.close_since.is_some() => {
                Err(RequestError::Over { end: End::Closed, sent: false })
            }
            _ if self.queue.len() >= self.limits.queue_max => Err(RequestError::QueueFull),
            _ => Ok(()),
        }
    }

    fn take(&mut self, now: Instant, request: &Request, asked: Asked) -> Result<(), RequestError> {
        self.may_take()?;
        self.put(now, request, asked)
    }

    fn put(&mut self, now: Instant, request: &Request, asked: Asked) -> Result<(), RequestError> {
        // Before it is encoded: nobody should pay for a copy of what cannot be sent.
        self.check_size(payload(request))?;
        if self.has_room() && self.queue.is_empty() {
            let start = self.outgoing.len();
            let xid = self.next_xid();
            encode_request(&mut self.outgoing, xid, request);
            if let Err(error) = self.check_size(self.outgoing.len() - start - LENGTH_BYTES) {
                self.outgoing.truncate(start);
                return Err(error);
            }
            self.sent(now, xid, asked);
            return Ok(());
        }
        let mut frame = BytesMut::new();
        encode_request(&mut frame, 0, request);
        self.check_size(frame.len() - LENGTH_BYTES)?;
        if request.op() != OpCode::CloseSession
            && self.queue_bytes + frame.len() > self.limits.queue_bytes_max
        {
            return Err(RequestError::QueueFull);
        }
        self.queue_bytes += frame.len();
        self.queue.push_back(Queued { frame, asked });
        Ok(())
    }

    fn check_size(&self, bytes: usize) -> Result<(), RequestError> {
        let bytes_max = self.limits.request_bytes_max;
        if bytes > bytes_max { Err(RequestError::TooLarge { bytes, bytes_max }) } else { Ok(()) }
    }

    fn has_room(&self) -> bool {
        self.phase == Phase::Serving && self.in_flight.len() < self.limits.in_flight_max
    }

    /// Xids are positive; after the largest comes 1 again, long after its last use.
    fn next_xid(&mut self) -> i32 {
        self.xid_last = self.xid_last.checked_add(1).unwrap_or(1);
        self.xid_last
    }

    fn sent(&mut self, now: Instant, xid: i32, asked: Asked) {
        self.sent_last = now;
        self.in_flight.push_back(InFlight { xid, sent: now, asked });
    }

    /// Moves waiting requests to the wire as far as the window allows.
    fn pump(&mut self, now: Instant) {
        while self.has_room() {
            let Some(Queued { mut frame, asked }) = self.queue.pop_front() else { return };
            self.queue_bytes -= frame.len();
            let xid = self.next_xid();
            frame[4..8].copy_from_slice(&xid.to_be_bytes());
            self.outgoing.extend_from_slice(&frame);
            self.sent(now, xid, asked);
        }
    }

    // ----- connections -----

    /// A connection is there: greet. A session that ended while it was being made wants none.
    pub(crate) fn on_connection(&mut self, now: Instant) -> Result<(), Broken> {
        if matches!(self.phase, Phase::Over(_)) {
            return Err(Broken::Over);
        }
        self.outgoing.clear();
        self.unread = 0;
        self.connections += 1;
        self.phase = Phase::Greeting { sent: now };
        self.sent_last = now;
        let greeting = ConnectRequest {
            protocol: 0,
            last_zxid_seen: self.zxid_seen,
            timeout_ms: millis(self.timeout_wanted),
            session_id: self.id(),
            password: match &self.identity {
                Some(identity) => identity.password.clone(),
                None => Bytes::from_static(&[0; 16]).into(),
            },
            read_only: Some(false),
        };
        encode_frame(&mut self.outgoing, |out| greeting.encode(out));
        Ok(())
    }

    /// The connection is gone, or could not be had.
    pub(crate) fn on_disconnection(&mut self, now: Instant, effects: &mut Effects) {
        let greeting = matches!(self.phase, Phase::Greeting { .. });
        self.refused_since = if greeting { self.refused_since.or(Some(now)) } else { None };
        match self.phase {
            Phase::Over(_) => return,
            Phase::Disconnected { .. } => {}
            Phase::Greeting { .. } | Phase::Serving => {
                self.phase = Phase::Disconnected { since: now }
            }
        }
        self.outgoing.clear();
        self.pings.clear();
        for InFlight { asked, .. } in self.in_flight.drain(..) {
            if let Some(key) = &asked.watch {
                self.watches.remove(key);
            }
            effects.answers.extend(asked.sink.map(|sink| (sink, Err(RequestError::Interrupted))));
        }
        self.give_up_if_hopeless(now, effects);
    }

    /// Ends a session that no server will take back. A running session survives outages of its servers,
    /// who give it a fresh timeout when they come back; but servers that lost their data refuse us for
    /// ever, because we have seen transactions they never will.
    fn give_up_if_hopeless(&mut self, now: Instant, effects: &mut Effects) {
        let Phase::Disconnected { since } = self.phase else { return };
        if let Some(close) = self.close_since
            && now.since(close) >= self.timeout
        {
            return self.finish(End::Closed, effects);
        }
        if self.identity.is_none() {
            return;
        }
        let refused = self.refused_since.map_or(Duration::ZERO, |since| now.since(since));
        if refused >= (self.timeout * 3).max(Duration::from_secs(30))
            || now.since(since) >= (self.timeout * 10).max(Duration::from_secs(300))
        {
            self.finish(End::GivenUp, effects);
        }
    }

    /// Ends the session, telling everybody who waits for something.
    fn finish(&mut self, end: End, effects: &mut Effects) {
        if matches!(self.phase, Phase::Over(_)) {
            return;
        }
        self.phase = Phase::Over(end);
        self.lease.end(Loss::SessionEnded);
        let mut over = |asked: Asked, sent: bool| {
            let error = RequestError::Over { end, sent };
            effects.answers.extend(asked.sink.map(|sink| (sink, Err(error))));
        };
        self.in_flight.drain(..).for_each(|one| over(one.asked, true));
        self.queue.drain(..).for_each(|one| over(one.asked, false));
        self.queue_bytes = 0;
        self.watches.clear();
    }

    /// Ends a session that nobody drives any more. The servers will end it for want of pings.
    pub(crate) fn abandon(&mut self, effects: &mut Effects) {
        self.finish(End::GivenUp, effects);
    }

    /// Begins to end the session. What was submitted before goes out first.
    pub(crate) fn close(&mut self, now: Instant, effects: &mut Effects) {
        if self.close_since.is_some() {
            return;
        }
        // Now, and not when the servers have confirmed it: by then they may have given the locks away.
        self.lease.end(Loss::SessionEnded);
        match self.phase {
            Phase::Over(_) => return,
            _ if self.identity.is_none() => return self.finish(End::Closed, effects),
            Phase::Disconnected { .. } | Phase::Greeting { .. } => {}
            Phase::Serving => self.send_close(now),
        }
        self.close_since = Some(now);
    }

    fn send_close(&mut self, now: Instant) {
        let request = Request::CloseSession;
        let asked = Asked { op: request.op(), sink: None, watch: None };
        // Even when the queue is full: a session that is not closed would be kept alive by its pings.
        let _ = self.put(now, &request, asked);
    }

    // ----- frames -----

    /// Takes bytes from the server, as many whole frames as are there.
    pub(crate) fn on_bytes(
        &mut self,
        now: Instant,
        incoming: &mut BytesMut,
        effects: &mut Effects,
    ) -> Result<(), Broken> {
        let decoder = self.decoder;
        if let Phase::Greeting { .. } = self.phase
            && let Some(stranger) = stranger(incoming)
        {
            return Err(Broken::Protocol(stranger.to_owned()));
        }
        loop {
            self.pass_over(incoming);
            let frame = match decoder.next(incoming) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => match self.on_too_long(incoming, error, effects)? {
                    true => continue,
                    false => break,
                },
            };
            match self.phase {
                Phase::Greeting { sent } => self.on_greeting(now, sent, &frame, effects)?,
                Phase::Serving => self.on_frame(now, &frame, effects)?,
                Phase::Disconnected { .. } | Phase::Over(_) => return Err(Broken::Over),
            }
        }
        self.pump(now);
        Ok(())
    }

    /// Drops what has come of a reply that is too long to be kept.
    fn pass_over(&mut self, incoming: &mut BytesMut) {
        let here = self.unread.min(incoming.len());
        incoming.advance(here);
        self.unread -= here;
    }

    /// Tells whoever asked for it that a reply is longer than there is room for, and goes on behind it: to
    /// hang up would interrupt everybody else, and whoever asked would only ask again. Says whether its
    /// header is there. Anything else that cannot be a frame is a reason to hang up.
    fn on_too_long(
        &mut self,
        incoming: &mut BytesMut,
        error: DecodeError,
        effects: &mut Effects,
    ) -> Result<bool, Broken> {
        let (DecodeError::TooLong { length, limit, .. }, Phase::Serving) = (&error, self.phase)
        else {
            return Err(protocol(error));
        };
        let (bytes, bytes_max) = (*length, *limit);
        if bytes > PASSED_OVER_BYTES_MAX {
            return Err(protocol(error));
        }
        let Some(start) = incoming.get(LENGTH_BYTES..LENGTH_BYTES + ReplyHeader::WIRE_BYTES) else {
            return Ok(false);
        };
        let (header, _) = decode_reply_header(start).map_err(protocol)?;
        if self.in_flight.front().map(|next| next.xid) != Some(header.xid) {
            return Err(protocol(error));
        }
        self.zxid_seen = self.zxid_seen.max(header.zxid);
        if let Some(InFlight { asked: Asked { sink, watch, .. }, .. }) = self.in_flight.pop_front()
        {
            if let Some(key) = watch {
                self.watches.remove(&key);
            }
            let answer = Err(RequestError::ReplyTooLarge { bytes, bytes_max });
            effects.answers.extend(sink.map(|sink| (sink, answer)));
        }
        self.unread = LENGTH_BYTES + bytes;
        Ok(true)
    }

    fn on_greeting(
        &mut self,
        now: Instant,
        sent: Instant,
        frame: &[u8],
        effects: &mut Effects,
    ) -> Result<(), Broken> {
        let reply = ConnectReply::decode(&mut Reader::new(frame)).map_err(protocol)?;
        let resumed = self.identity.is_some();
        if !resumed && (reply.is_expired() || reply.session_id == 0) {
            return Err(Broken::Protocol("it answered without a session".to_owned()));
        }
        if resumed && (reply.is_expired() || reply.session_id != self.id()) {
            // A server that answers with another session than ours has lost ours without saying so
            // (ClickHouse issue 116690).
            let closing = self.close_since.is_some();
            self.finish(if closing { End::Closed } else { End::Expired }, effects);
            return Err(Broken::Over);
        }
        let timeout_ms = u64::try_from(reply.timeout_ms).unwrap_or(0);
        self.identity = Some(Identity { id: reply.session_id, password: reply.password });
        self.timeout = Duration::from_millis(timeout_ms);
        self.phase = Phase::Serving;
        self.refused_since = None;
        self.greeted = Greeted { sent, answered: now };
        self.proof_asked = sent;
        self.reintroduce(now, effects);
        if resumed {
            // The leader resumes a session by itself, also one that is cut off from its followers.
            self.ask_for_proof(now);
        } else {
            // A session is opened by the quorum.
            self.proven(now, sent);
        }
        if self.close_since.is_some() {
            self.send_close(now);
        }
        Ok(())
    }

    /// Sends what every connection begins with: who we are, then what we watch, then what waited.
    fn reintroduce(&mut self, now: Instant, effects: &mut Effects) {
        for credentials in &self.credentials {
            encode_auth(&mut self.outgoing, credentials);
        }
        if mutant!("watches-are-not-set-again") {
            self.sent_last = now;
            return;
        }
        let bytes_max = self.limits.request_bytes_max;
        for request in self.watches.restore(self.zxid_seen, bytes_max, &mut effects.events) {
            encode_request(&mut self.outgoing, xid::SET_WATCHES, &request);
        }
        self.unauthenticated = self.credentials.len();
        self.sent_last = now;
    }

    /// Adds credentials, on this connection and every later one.
    pub(crate) fn authenticate(&mut self, credentials: Credentials) {
        if self.phase == Phase::Serving {
            encode_auth(&mut self.outgoing, &credentials);
        }
        self.credentials.push(credentials);
    }

    fn on_frame(
        &mut self,
        now: Instant,
        frame: &[u8],
        effects: &mut Effects,
    ) -> Result<(), Broken> {
        let (header, mut body) = decode_reply_header(frame).map_err(protocol)?;
        match header.xid {
            xid::NOTIFICATION => {
                let event = WatchedEvent::decode(&mut body).map_err(protocol)?;
                self.watches.fire(&event, &mut effects.events);
            }
            xid::PING => {
                let asked = self.pings.pop_front();
                if let Some(sent) = asked.filter(|_| mutant!("an-answered-ping-is-a-proof")) {
                    self.proven(now, sent);
                }
            }
            xid::SET_WATCHES => {}
            xid::AUTH if header.error.is_ok() => {
                self.unauthenticated = self.unauthenticated.saturating_sub(1);
            }
            xid::AUTH => {
                self.finish(End::AuthFailed, effects);
                return Err(Broken::Over);
            }
            _ => return self.on_reply(now, header, body, effects),
        }
        Ok(())
    }

    fn on_reply(
        &mut self,
        now: Instant,
        header: ReplyHeader,
        mut body: Reader<'_>,
        effects: &mut Effects,
    ) -> Result<(), Broken> {
        let Some(InFlight { xid, sent, asked }) = self.in_flight.pop_front() else {
            return Err(Broken::Protocol(format!("an answer to nothing (xid {})", header.xid)));
        };
        let Asked { op, sink, watch } = asked;
        let answer = match header.error {
            _ if header.xid != xid => {
                Err(Broken::Protocol(format!("answer {} instead of {xid}", header.xid)))
            }
            ErrorCode::SESSION_MOVED => Err(Broken::Moved),
            ErrorCode::SESSION_EXPIRED => Err(Broken::Over),
            ErrorCode::OK => Reply::decode(op, &mut body).map(Ok).map_err(protocol),
            code => Ok(Err(RequestError::Refused(code))),
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(broken) => {
                // Back in line, so that it is told together with the others what became of it.
                self.in_flight.push_front(InFlight { xid, sent, asked: Asked { op, sink, watch } });
                if broken == Broken::Over {
                    self.finish(End::Expired, effects);
                }
                return Err(broken);
            }
        };
        self.zxid_seen = self.zxid_seen.max(header.zxid);
        if op.is_write() && is_from_leader(header.error) {
            self.proven(now, sent);
        }
        if let Some(key) = watch {
            self.settle_watch(&key, op, &answer);
        }
        if op == OpCode::CloseSession {
            self.finish(End::Closed, effects);
            return Err(Broken::Over);
        }
        effects.answers.extend(sink.map(|sink| (sink, answer)));
        Ok(())
    }

    /// An answer decides whether there is a watch, and of which kind.
    fn settle_watch(&mut self, key: &WatchKey, op: OpCode, answer: &Answer) {
        match (op, answer) {
            (OpCode::Exists, Ok(_)) => self.watches.node_exists(key),
            (OpCode::Exists, Err(RequestError::Refused(ErrorCode::NO_NODE))) | (_, Ok(_)) => {}
            (_, Err(_)) => {
                self.watches.remove(key);
                return;
            }
        }
        self.watches.has_set(key);
    }

    /// A request sent at `sent` has come back from the quorum.
    fn proven(&mut self, now: Instant, sent: Instant) {
        if self.close_since.is_some() {
            // A proof that was on the way opens no new lease on what is being given up.
            return;
        }
        self.proof_asked = self.proof_asked.max(sent);
        let sent = if mutant!("a-lease-begins-with-the-answer") { now } else { sent };
        let Greeted { sent: greeted, answered } = self.greeted;
        let timeout = if mutant!("a-lease-of-what-was-asked-for") {
            self.timeout_wanted
        } else {
            self.timeout
        };
        let until = lease_rule::until(timeout, greeted, answered, sent);
        if !self.lease.extend(now, until) && now < until {
            // The holders of the old lease have been told that it ended; this is a new one.
            self.lease = Lease::new(until);
        }
    }

    // ----- time -----

    /// When [`on_time`](Machine::on_time) is to be called at the latest.
    pub(crate) fn alarm(&self) -> Instant {
        match self.phase {
            Phase::Greeting { sent } => sent + self.connect_max(),
            Phase::Serving => {
                let ping = self.sent_last + lease_rule::ping_interval(self.timeout);
                let proof = self.proof_asked + lease_rule::proof_interval(self.timeout);
                let silent = self.unanswered_since().map(|since| since + self.answer_max());
                ping.min(proof).min(silent.unwrap_or(Instant::FAR))
            }
            Phase::Disconnected { .. } => Instant::FAR,
            // Nothing is to be waited for on a connection of an ended session.
            Phase::Over(_) => Instant::from_nanos(0),
        }
    }

    /// Sends a ping or asks for a proof when it is time, and notices silence.
    pub(crate) fn on_time(&mut self, now: Instant) -> Result<(), Broken> {
        match self.phase {
            Phase::Greeting { sent } if now >= sent + self.connect_max() => {
                return Err(Broken::Silent);
            }
            Phase::Serving => {}
            Phase::Over(_) => return Err(Broken::Over),
            Phase::Greeting { .. } | Phase::Disconnected { .. } => return Ok(()),
        }
        if self.unanswered_since().is_some_and(|since| now >= since + self.answer_max()) {
            return Err(Broken::Silent);
        }
        if now >= self.proof_asked + lease_rule::proof_interval(self.timeout) {
            self.ask_for_proof(now);
        } else if now >= self.sent_last + lease_rule::ping_interval(self.timeout) {
            encode_request(&mut self.outgoing, xid::PING, &Request::Ping);
            self.pings.push_back(now);
            self.sent_last = now;
        }
        Ok(())
    }

    /// Sends a `multi` that only checks: it changes nothing, and goes through the quorum. It does not
    /// wait for the window, because the lease of every lock hangs on it.
    fn ask_for_proof(&mut self, now: Instant) {
        let request = proof_request();
        let xid = self.next_xid();
        encode_request(&mut self.outgoing, xid, &request);
        self.proof_asked = now;
        self.sent(now, xid, Asked { op: request.op(), sink: None, watch: None });
    }

    fn answer_max(&self) -> Duration {
        lease_rule::answer_max(self.timeout)
    }

    /// How long to wait for a connection, and again for the answer to the greeting. As long as there is
    /// no session there is no lease to be saved by haste, and the timeout is only a wish: were it a
    /// tiny one, no server could be fast enough.
    pub(crate) fn connect_max(&self) -> Duration {
        match self.identity {
            Some(_) => self.answer_max(),
            None => self.answer_max().max(Duration::from_secs(1)),
        }
    }

    fn unanswered_since(&self) -> Option<Instant> {
        let request = self.in_flight.front().map(|one| one.sent);
        if mutant!("silence-is-not-noticed") {
            return None;
        }
        request.into_iter().chain(self.pings.front().copied()).min()
    }
}

/// A request that was taken, and the watch it leaves.
#[derive(Debug)]
pub(crate) struct Watching<E> {
    pub(crate) answer: oneshot::Receiver<Answer>,
    pub(crate) key: WatchKey,
    pub(crate) events: E,
}

/// The length that stands before each frame, and is no part of its size.
const LENGTH_BYTES: usize = 4;

/// The longest reply that is read to its end although it cannot be kept, in bytes. More than that is a
/// connection's whole term, or no ZooKeeper.
const PASSED_OVER_BYTES_MAX: usize = 1 << 30;

/// The bytes of data in a request, which are all that can make it large beyond measure.
fn payload(request: &Request) -> usize {
    let of_node = |node: &NewNode| node.data.as_ref().map_or(0, Bytes::len);
    match request {
        Request::Create(node)
        | Request::Create2(node)
        | Request::CreateContainer(node)
        | Request::CreateTtl { node, .. } => of_node(node),
        Request::SetData { data, .. } => data.as_ref().map_or(0, Bytes::len),
        Request::Multi(ops) => ops
            .iter()
            .map(|op| match op {
                MultiOp::Create(node)
                | MultiOp::Create2(node)
                | MultiOp::CreateContainer(node)
                | MultiOp::CreateTtl { node, .. } => of_node(node),
                MultiOp::SetData { data, .. } => data.as_ref().map_or(0, Bytes::len),
                MultiOp::Delete { .. } | MultiOp::Check { .. } => 0,
            })
            .sum(),
        _ => 0,
    }
}

fn encode_auth(out: &mut BytesMut, credentials: &Credentials) {
    let scheme = credentials.scheme().to_owned();
    let credential = credentials.secret().clone().into();
    encode_request(out, xid::AUTH, &Request::Auth { scheme, credential });
}

/// Who else may have answered our greeting; what they say reads like the length of a huge frame.
fn stranger(answer: &[u8]) -> Option<&'static str> {
    match answer {
        [b'H', b'T', b'T', b'P', ..] => Some("it speaks HTTP"),
        // A TLS record: an alert or part of a handshake, of any version.
        [0x15 | 0x16, 3, ..] => Some("it speaks TLS, and the connection is a plain one"),
        _ => None,
    }
}

fn protocol(error: DecodeError) -> Broken {
    Broken::Protocol(error.to_string())
}

fn millis(length: Duration) -> i32 {
    i32::try_from(length.as_millis()).unwrap_or(i32::MAX)
}

#[cfg(test)]
#[path = "machine_tests/mod.rs"]
mod tests;
