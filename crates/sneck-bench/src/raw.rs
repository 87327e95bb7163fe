//! A bare blocking socket: the floor under any client.

use std::fmt::Debug;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use sneck_wire::{
    Acl, ConnectReply, ConnectRequest, CreateMode, ErrorCode, FrameDecoder, NewNode, OpCode, Reply,
    ReplyHeader, Request, Secret, decode_reply_header, encode_frame, encode_request, xid,
};

/// Longer than a run, so that nobody has to ping.
pub(crate) const SESSION_TIMEOUT_MS: i32 = 600_000;
const READ_BYTES: usize = 16 << 10;

/// What carries a session.
pub(crate) trait Stream: Read + Write + Debug + Send {
    /// What can be waited for together with others; not everything has it.
    fn fd(&self) -> Option<BorrowedFd<'_>>;
}

impl Stream for TcpStream {
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_fd())
    }
}

impl Stream for UnixStream {
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_fd())
    }
}

/// A session on a bare socket.
#[derive(Debug)]
pub(crate) struct Raw {
    stream: Box<dyn Stream>,
    input: BytesMut,
    output: BytesMut,
    sent: i32,
}

/// What came from the server: a reply, or an event.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) header: ReplyHeader,
    body: Bytes,
}

impl Raw {
    /// Opens a session over TCP.
    pub(crate) fn connect(addr: SocketAddr) -> io::Result<Raw> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        Raw::over(Box::new(stream))
    }

    /// Opens a session over a Unix socket.
    pub(crate) fn connect_unix(path: &Path) -> io::Result<Raw> {
        Raw::over(Box::new(UnixStream::connect(path)?))
    }

    /// Opens a session that lasts while nothing is said for as long as a measurement takes.
    pub(crate) fn over(stream: Box<dyn Stream>) -> io::Result<Raw> {
        let (raw, timeout_ms) = Raw::greet(stream)?;
        if timeout_ms != SESSION_TIMEOUT_MS {
            return Err(io::Error::other("the server granted another session timeout"));
        }
        Ok(raw)
    }

    /// Opens a session over TCP for whoever always has something to say: it is as short as the server likes.
    pub(crate) fn connect_busy(addr: SocketAddr) -> io::Result<Raw> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        Ok(Raw::greet(Box::new(stream))?.0)
    }

    /// Opens a session, with the timeout in milliseconds that the server granted.
    fn greet(stream: Box<dyn Stream>) -> io::Result<(Raw, i32)> {
        let mut raw = Raw { stream, input: BytesMut::new(), output: BytesMut::new(), sent: 0 };
        let hello = ConnectRequest {
            protocol: 0,
            last_zxid_seen: 0,
            timeout_ms: SESSION_TIMEOUT_MS,
            session_id: 0,
            password: Secret::from([0; 16]),
            read_only: Some(false),
        };
        encode_frame(&mut raw.output, |out| hello.encode(out));
        raw.flush()?;
        let answer = raw.content()?;
        let answer = ConnectReply::decode(&mut sneck_wire::jute::Reader::new(&answer));
        let answer = answer.map_err(io::Error::other)?;
        Ok((raw, answer.timeout_ms))
    }

    /// Puts a request into the output.
    pub(crate) fn put(&mut self, request: &Request) {
        self.sent += 1;
        encode_request(&mut self.output, self.sent, request);
    }

    /// Writes the output.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if !self.output.is_empty() {
            self.stream.write_all(&self.output)?;
            self.output.clear();
        }
        Ok(())
    }

    /// Whether the next frame is here already.
    pub(crate) fn has_frame(&self) -> bool {
        let announced = self.input.first_chunk::<4>().map(|length| i32::from_be_bytes(*length));
        let announced = announced.and_then(|length| usize::try_from(length).ok());
        announced.is_some_and(|length| self.input.len() >= 4 + length)
    }

    /// Waits for the next frame.
    pub(crate) fn frame(&mut self) -> io::Result<Frame> {
        frame(&self.content()?)
    }

    /// The next frame, if it is here already.
    pub(crate) fn frame_here(&mut self) -> io::Result<Option<Frame>> {
        let content = FrameDecoder::default().next(&mut self.input).map_err(io::Error::other)?;
        content.as_ref().map(frame).transpose()
    }

    /// Reads once, waiting only where nothing has come yet.
    pub(crate) fn fill(&mut self) -> io::Result<()> {
        let filled = self.input.len();
        self.input.resize(filled + READ_BYTES, 0);
        let read = self.stream.read(&mut self.input[filled..])?;
        self.input.truncate(filled + read);
        if read == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// What can be waited for together with others.
    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.stream.fd()
    }

    /// Sends a request and waits for its reply.
    pub(crate) fn call(&mut self, request: &Request) -> io::Result<Frame> {
        self.put(request);
        self.flush()?;
        self.frame()?.reply()
    }

    /// Makes a node unless it is there.
    pub(crate) fn make(&mut self, path: &str) -> io::Result<()> {
        let node = NewNode {
            path: path.to_owned(),
            data: Some(Bytes::new()),
            acl: Acl::open(),
            mode: CreateMode::Persistent,
        };
        self.put(&Request::Create(node));
        self.flush()?;
        match self.frame()?.header.error {
            ErrorCode::OK | ErrorCode::NODE_EXISTS => Ok(()),
            error => Err(io::Error::other(error.to_string())),
        }
    }

    fn content(&mut self) -> io::Result<Bytes> {
        loop {
            let next = FrameDecoder::default().next(&mut self.input).map_err(io::Error::other)?;
            if let Some(content) = next {
                return Ok(content);
            }
            self.fill()?;
        }
    }
}

fn frame(content: &Bytes) -> io::Result<Frame> {
    let (header, reader) = decode_reply_header(content).map_err(io::Error::other)?;
    let body = content.slice(content.len() - reader.remaining()..);
    Ok(Frame { header, body })
}

impl Frame {
    /// A frame that must be a reply without an error.
    pub(crate) fn reply(self) -> io::Result<Frame> {
        match self.header.error {
            ErrorCode::OK if self.header.xid != xid::NOTIFICATION => Ok(self),
            error => Err(io::Error::other(format!("xid {}: {error}", self.header.xid))),
        }
    }

    /// The path in the reply to a create.
    pub(crate) fn created(self) -> io::Result<String> {
        match Reply::decode(OpCode::Create2, &mut sneck_wire::jute::Reader::new(&self.body)) {
            Ok(Reply::Create2 { path, .. }) => Ok(path),
            other => Err(io::Error::other(format!("no reply to a create: {other:?}"))),
        }
    }
}

/// The create of a place in a lock's line.
pub(crate) fn place(dir: &str, data: &str) -> Request {
    Request::Create2(NewNode {
        path: format!("{dir}/_c_01234567-89ab-4cde-8f01-23456789abcd-lock-"),
        data: Some(Bytes::copy_from_slice(data.as_bytes())),
        acl: Acl::open(),
        mode: CreateMode::EphemeralSequential,
    })
}

/// The listing of a lock's line.
pub(crate) fn list(dir: &str) -> Request {
    Request::GetChildren { path: dir.to_owned(), watch: false }
}

/// The deletion of a place.
pub(crate) fn delete(path: String) -> Request {
    Request::Delete { path, version: -1 }
}
