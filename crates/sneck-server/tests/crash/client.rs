//! A client that hides nothing: it asks one thing at a time, and keeps what it was told.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use sneck_wire::jute::Reader;
use sneck_wire::{
    ConnectReply, ConnectRequest, ErrorCode, FrameDecoder, Reply, Request, Secret, WatchedEvent,
    decode_reply_header, encode_frame, encode_request, xid,
};

/// How long a server may take before a test is given up.
const PATIENCE: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(20);

/// A session on its connection.
pub(crate) struct Client {
    stream: TcpStream,
    input: BytesMut,
    last_xid: i32,
    pub(crate) ticket: Ticket,
    /// The highest zxid in any reply or event.
    pub(crate) zxid_seen: i64,
    /// Everything it was told without having asked.
    pub(crate) events: Vec<(i64, WatchedEvent)>,
}

/// With what a session can be resumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) session: i64,
    password: Secret,
}

/// How a request went.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Done(Reply),
    Refused(ErrorCode),
    /// The connection ended before the answer came: it may have been done or not.
    Unknown,
}

impl Client {
    /// Opens a session, or resumes one; `None` if the server hangs up or says that it is over.
    pub(crate) fn greet(server: SocketAddr, ticket: Option<&Ticket>, zxid: i64) -> Option<Client> {
        Client::connect(server, ticket, zxid, TIMEOUT)
    }

    /// Opens a session that ends soon after it is silent.
    pub(crate) fn greet_for(server: SocketAddr, timeout: Duration) -> Option<Client> {
        Client::connect(server, None, 0, timeout)
    }

    fn connect(
        server: SocketAddr,
        ticket: Option<&Ticket>,
        zxid: i64,
        timeout: Duration,
    ) -> Option<Client> {
        let stream = TcpStream::connect(server).ok()?;
        stream.set_nodelay(true).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let nobody = Ticket { session: 0, password: Secret::default() };
        let ticket = ticket.cloned().unwrap_or(nobody);
        let input = BytesMut::new();
        let events = Vec::new();
        let mut client = Client { stream, input, last_xid: 0, ticket, zxid_seen: zxid, events };
        let request = ConnectRequest {
            protocol: 0,
            last_zxid_seen: zxid,
            timeout_ms: i32::try_from(timeout.as_millis()).expect("short"),
            session_id: client.ticket.session,
            password: client.ticket.password.clone(),
            read_only: None,
        };
        let mut out = BytesMut::new();
        encode_frame(&mut out, |out| request.encode(out));
        client.stream.write_all(&out).ok()?;
        let frame = client.frame()?;
        let reply = ConnectReply::decode(&mut Reader::new(&frame)).expect("a greeting");
        if reply.is_expired() {
            return None;
        }
        client.ticket = Ticket { session: reply.session_id, password: reply.password };
        Some(client)
    }

    /// Asks, and waits for the answer.
    pub(crate) fn ask(&mut self, request: &Request) -> Answer {
        self.last_xid += 1;
        let mut out = BytesMut::new();
        encode_request(&mut out, self.last_xid, request);
        if self.stream.write_all(&out).is_err() {
            return Answer::Unknown;
        }
        loop {
            let Some(frame) = self.frame() else { return Answer::Unknown };
            let (header, mut body) = decode_reply_header(&frame).expect("a reply");
            self.zxid_seen = self.zxid_seen.max(header.zxid);
            if header.xid == xid::NOTIFICATION {
                let event = WatchedEvent::decode(&mut body).expect("an event");
                self.events.push((header.zxid, event));
                continue;
            }
            assert_eq!(header.xid, self.last_xid);
            if !header.error.is_ok() {
                return Answer::Refused(header.error);
            }
            return Answer::Done(Reply::decode(request.op(), &mut body).expect("its reply"));
        }
    }

    /// As [`Client::ask`], where only an answer will do.
    pub(crate) fn get(&mut self, request: &Request) -> Reply {
        match self.ask(request) {
            Answer::Done(reply) => reply,
            other => panic!("{request:?}: {other:?}"),
        }
    }

    /// The next frame; `None` once the connection has ended.
    fn frame(&mut self) -> Option<Bytes> {
        let decoder = FrameDecoder::default();
        let mut chunk = [0; 16 << 10];
        loop {
            if let Some(frame) = decoder.next(&mut self.input).expect("a frame") {
                return Some(frame);
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(length) => self.input.extend_from_slice(&chunk[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    panic!("no answer within {PATIENCE:?}")
                }
                Err(_) => return None,
            }
        }
    }
}
