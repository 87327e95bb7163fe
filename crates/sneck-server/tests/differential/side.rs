//! One of the two servers, with its clients, and what they see of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use sneck_wire::jute::Reader;
use sneck_wire::{
    ConnectReply, ConnectRequest, ErrorCode, EventKind, FrameDecoder, MultiResult, OpCode, Reply,
    Request, RequestHeader, Secret, Stat, WatchedEvent, decode_reply_header, encode_frame, xid,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::steps::{CLIENTS, Step};

const PATIENCE: Duration = Duration::from_secs(60);
/// No session may end by itself, however slow the machine: the other server's would go on.
const TIMEOUT_MS: i32 = 120_000;

/// What a client sees, with nothing in it that may differ: ids are the numbers of sessions, zxids
/// the numbers of steps, times and orders without meaning are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Reply { error: ErrorCode, reply: Option<Reply> },
    Event { kind: EventKind, path: String, zxid: i64 },
    Greeting { timeout_ms: i32, session: i64 },
    Closed,
}

/// A server and its clients.
pub(crate) struct Side {
    address: SocketAddr,
    clients: Vec<Client>,
    /// The last zxid of each step, the first being the one before all.
    zxids: Vec<i64>,
    /// The number of each session.
    sessions: BTreeMap<i64, i64>,
}

struct Client {
    stream: Option<TcpStream>,
    input: BytesMut,
    session: i64,
    password: Secret,
    last_xid: i32,
}

impl Side {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let mut side =
            Self { address, clients: Vec::new(), zxids: vec![0], sessions: BTreeMap::new() };
        for _ in 0..CLIENTS {
            side.clients.push(Client {
                stream: None,
                input: BytesMut::new(),
                session: 0,
                password: Secret::default(),
                last_xid: 0,
            });
        }
        for client in 0..CLIENTS {
            side.greet(client).await;
            side.end_step().await;
        }
        side
    }

    /// Lets a client do something, and says who saw what, in the order each of them did.
    pub(crate) async fn perform(&mut self, step: &Step) -> Vec<(usize, Seen)> {
        let mut seen = Vec::new();
        match step {
            Step::Ask { client, op, body, .. } => self.ask(*client, *op, body, &mut seen).await,
            Step::SetWatches { client, steps_ago, request } => {
                let at = self.zxids.len().saturating_sub(1 + steps_ago);
                let mut request = request.clone();
                if let Request::SetWatches { relative_zxid, .. }
                | Request::SetWatches2 { relative_zxid, .. } = &mut request
                {
                    *relative_zxid = self.zxids[at];
                }
                let mut body = BytesMut::new();
                request.encode(&mut body);
                self.ask(*client, request.op().code(), &body, &mut seen).await;
            }
            Step::Reconnect { client } => {
                self.clients[*client].hang_up();
                seen.push((*client, self.greet(*client).await));
            }
            Step::Renew { client } => {
                self.ask(*client, OpCode::CloseSession.code(), &[], &mut seen).await;
                self.clients[*client].hang_up();
                self.clients[*client].session = 0;
                self.look_at_others(*client, &mut seen).await;
                seen.push((*client, self.greet(*client).await));
            }
        }
        let actor = match step {
            Step::Ask { client, .. }
            | Step::SetWatches { client, .. }
            | Step::Reconnect { client }
            | Step::Renew { client } => *client,
        };
        self.look_at_others(actor, &mut seen).await;
        self.end_step().await;
        let mut seen: Vec<_> =
            seen.into_iter().map(|(client, seen)| (client, self.leave_out(seen))).collect();
        if matches!(step, Step::Renew { .. }) {
            // The nodes of a session go in no promised order.
            seen.sort_by_key(|(client, seen)| (*client, format!("{seen:?}")));
        }
        seen
    }

    /// Connects again those clients that either side has hung up on.
    pub(crate) async fn repair(&mut self, other: &mut Self) {
        for client in 0..CLIENTS {
            if self.clients[client].stream.is_some() && other.clients[client].stream.is_some() {
                continue;
            }
            for side in [&mut *self, &mut *other] {
                side.clients[client].hang_up();
                side.greet(client).await;
                side.end_step().await;
            }
        }
    }

    async fn greet(&mut self, client: usize) -> Seen {
        let stream = TcpStream::connect(self.address).await.expect("the server listens");
        stream.set_nodelay(true).expect("a TCP connection");
        let client = &mut self.clients[client];
        client.stream = Some(stream);
        let request = ConnectRequest {
            protocol: 0,
            last_zxid_seen: self.zxids.last().copied().unwrap_or(0),
            timeout_ms: TIMEOUT_MS,
            session_id: client.session,
            password: client.password.clone(),
            read_only: Some(false),
        };
        let mut out = BytesMut::new();
        encode_frame(&mut out, |out| request.encode(out));
        client.write(&out).await;
        let Some(frame) = client.read().await else { return Seen::Closed };
        let reply = ConnectReply::decode(&mut Reader::new(&frame)).expect("a greeting");
        client.session = reply.session_id;
        client.password = reply.password;
        let number = i64::try_from(self.sessions.len()).expect("few sessions") + 1;
        let session = *self.sessions.entry(reply.session_id).or_insert(number);
        Seen::Greeting { timeout_ms: reply.timeout_ms, session }
    }

    async fn ask(&mut self, client: usize, op: i32, body: &[u8], seen: &mut Vec<(usize, Seen)>) {
        let number = client;
        let client = &mut self.clients[client];
        client.last_xid += 1;
        let xid = client.last_xid;
        client.send(xid, op, body).await;
        loop {
            let frame = client.next().await;
            let is_last = frame.as_ref().is_none_or(|(at, _)| *at == xid);
            seen.push((number, understand(frame.map(|(_, frame)| frame), op)));
            if is_last {
                break;
            }
        }
        // The reply to some requests is the last thing that comes: this must be seen too.
        let (code, closes) = (ErrorCode::AUTH_FAILED, op == OpCode::CloseSession.code());
        let unknown = ErrorCode::UNIMPLEMENTED;
        let refused = seen.last().is_some_and(|(_, seen)| {
            matches!(seen, Seen::Reply { error, .. } if *error == code || *error == unknown)
        });
        if (refused || closes) && client.next().await.is_none() {
            seen.push((number, Seen::Closed));
        }
    }

    /// Lets the other clients ping, which brings what was sent to them before.
    async fn look_at_others(&mut self, actor: usize, seen: &mut Vec<(usize, Seen)>) {
        for number in (0..CLIENTS).filter(|number| *number != actor) {
            let client = &mut self.clients[number];
            if client.stream.is_none() {
                continue;
            }
            client.send(xid::PING, OpCode::Ping.code(), &[]).await;
            loop {
                match client.next().await {
                    Some((xid::PING, _)) => break,
                    Some((_, frame)) => seen.push((number, understand(Some(frame), 0))),
                    None => {
                        seen.push((number, Seen::Closed));
                        break;
                    }
                }
            }
        }
    }

    /// Notes up to which zxid this step went.
    async fn end_step(&mut self) {
        let mut last = self.zxids.last().copied().unwrap_or(0);
        let alive = self.clients.iter_mut().find(|client| client.stream.is_some());
        if let Some(client) = alive {
            client.send(xid::PING, OpCode::Ping.code(), &[]).await;
            if let Some((xid, frame)) = client.next().await {
                assert_eq!(xid, xid::PING, "something came after everything: {frame:?}");
                last = last.max(decode_reply_header(&frame).expect("a reply").0.zxid);
            }
        }
        self.zxids.push(last);
    }

    fn leave_out(&self, seen: Seen) -> Seen {
        match seen {
            Seen::Reply { error, reply } => {
                Seen::Reply { error, reply: reply.map(|reply| self.leave_out_of(reply)) }
            }
            Seen::Event { kind, path, zxid } => Seen::Event { kind, path, zxid: self.step(zxid) },
            other => other,
        }
    }

    fn leave_out_of(&self, mut reply: Reply) -> Reply {
        match &mut reply {
            Reply::Create2 { stat, .. }
            | Reply::CreateContainer { stat, .. }
            | Reply::CreateTtl { stat, .. }
            | Reply::Exists(stat)
            | Reply::GetData { stat, .. }
            | Reply::SetData(stat)
            | Reply::SetAcl(stat) => self.leave_out_of_stat(stat),
            Reply::GetAcl { acl, stat } => {
                acl.sort_by_key(|acl| acl.id.clone());
                self.leave_out_of_stat(stat);
            }
            Reply::GetChildren2 { children, stat } => {
                children.sort();
                self.leave_out_of_stat(stat);
            }
            Reply::GetChildren(names) | Reply::GetEphemerals(names) => names.sort(),
            Reply::WhoAmI(infos) => infos.sort_by_key(|info| info.scheme.clone() + &info.user),
            Reply::Multi(results) | Reply::MultiRead(results) => {
                for result in results {
                    match result {
                        MultiResult::Create { stat: Some(stat), .. }
                        | MultiResult::SetData(stat)
                        | MultiResult::Data { stat, .. } => self.leave_out_of_stat(stat),
                        MultiResult::Children(names) => names.sort(),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        reply
    }

    fn leave_out_of_stat(&self, stat: &mut Stat) {
        (stat.ctime, stat.mtime) = (0, 0);
        stat.czxid = self.step(stat.czxid);
        stat.mzxid = self.step(stat.mzxid);
        stat.pzxid = self.step(stat.pzxid);
        if stat.ephemeral_owner != 0 {
            stat.ephemeral_owner = self.sessions.get(&stat.ephemeral_owner).copied().unwrap_or(-1);
        }
    }

    /// The step in which a zxid came up; those that stand for nothing stay as they are.
    fn step(&self, zxid: i64) -> i64 {
        match zxid {
            ..=0 => zxid,
            _ => i64::try_from(self.zxids.partition_point(|last| *last < zxid)).expect("few steps"),
        }
    }
}

fn understand(frame: Option<Bytes>, op: i32) -> Seen {
    let Some(frame) = frame else { return Seen::Closed };
    let (header, mut body) = decode_reply_header(&frame).expect("a reply");
    if header.xid == xid::NOTIFICATION {
        let event = WatchedEvent::decode(&mut body).expect("an event");
        return Seen::Event { kind: event.kind, path: event.path, zxid: header.zxid };
    }
    let op = OpCode::try_from(op).ok();
    let reply = op.filter(|_| header.error.is_ok());
    let reply = reply.map(|op| Reply::decode(op, &mut body).expect("a reply to this operation"));
    Seen::Reply { error: header.error, reply }
}

impl Client {
    fn hang_up(&mut self) {
        self.stream = None;
        self.input.clear();
    }

    async fn send(&mut self, xid: i32, op: i32, body: &[u8]) {
        let mut out = BytesMut::new();
        encode_frame(&mut out, |out| {
            RequestHeader { xid, op }.encode(out);
            out.extend_from_slice(body);
        });
        self.write(&out).await;
    }

    async fn write(&mut self, bytes: &[u8]) {
        if let Some(stream) = &mut self.stream {
            // If it is closed, that will be seen by reading.
            let _ = stream.write_all(bytes).await;
        }
    }

    /// The next frame with its xid, or `None` if the server has hung up.
    async fn next(&mut self) -> Option<(i32, Bytes)> {
        let frame = self.read().await?;
        let (header, _) = decode_reply_header(&frame).expect("a reply");
        Some((header.xid, frame))
    }

    async fn read(&mut self) -> Option<Bytes> {
        let decoder = FrameDecoder::default();
        loop {
            if let Some(frame) = decoder.next(&mut self.input).expect("a frame") {
                return Some(frame);
            }
            let stream = self.stream.as_mut()?;
            let read = timeout(PATIENCE, stream.read_buf(&mut self.input)).await;
            match read.expect("the server answers or hangs up") {
                Ok(0) | Err(_) => {
                    self.hang_up();
                    return None;
                }
                Ok(_) => {}
            }
        }
    }
}
