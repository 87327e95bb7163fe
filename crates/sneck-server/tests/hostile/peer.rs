//! A peer that may say anything, on whatever kind of connection.

use bytes::{Bytes, BytesMut};
use sneck_server::{InProcess, Running};
use sneck_wire::jute::Reader;
use sneck_wire::{
    Acl, ConnectReply, ConnectRequest, CreateMode, ErrorCode, FrameDecoder, NewNode, Reply,
    ReplyHeader, Request, Secret, decode_reply_header, encode_frame, encode_request, xid,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::SOON;
use crate::process::Process;

/// What any connection can do.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A way in, again and again.
#[derive(Clone, Copy)]
pub(crate) enum Way<'a> {
    Tcp(std::net::SocketAddr),
    Unix(&'a std::path::Path),
    InProcess(&'a InProcess),
}

impl<'a> Way<'a> {
    pub(crate) fn tcp(server: &Running) -> Way<'static> {
        Way::Tcp(server.addresses()[0])
    }

    pub(crate) async fn open(self) -> Box<dyn Stream> {
        match self {
            Way::Tcp(address) => {
                Box::new(TcpStream::connect(address).await.expect("the server listens"))
            }
            Way::Unix(path) => {
                Box::new(UnixStream::connect(path).await.expect("the server listens"))
            }
            Way::InProcess(server) => Box::new(server.connect()),
        }
    }
}

impl From<&Process> for Way<'static> {
    fn from(process: &Process) -> Self {
        Way::Tcp(process.address)
    }
}

/// A peer with a session.
pub(crate) struct Peer {
    stream: Box<dyn Stream>,
    input: BytesMut,
    last_xid: i32,
    /// The longest frame it can take.
    frame_bytes_max: usize,
}

/// The greeting of a client that asks for a session of so many milliseconds.
pub(crate) fn greeting(timeout_ms: i32) -> BytesMut {
    let request = ConnectRequest {
        protocol: 0,
        last_zxid_seen: 0,
        timeout_ms,
        session_id: 0,
        password: Secret::from(vec![0; 16]),
        read_only: None,
    };
    let mut out = BytesMut::new();
    encode_frame(&mut out, |out| request.encode(out));
    out
}

pub(crate) fn node(path: &str, mode: CreateMode) -> NewNode {
    NewNode { path: path.into(), data: None, acl: Acl::open(), mode }
}

impl Peer {
    /// A peer with a session; `None` if it is hung up on instead.
    pub(crate) async fn greet(way: impl Into<Way<'_>>) -> Option<Peer> {
        let mut stream = way.into().open().await;
        stream.write_all(&greeting(20_000)).await.ok()?;
        let mut peer =
            Peer { stream, input: BytesMut::new(), last_xid: 0, frame_bytes_max: 64 << 20 };
        let frame = peer.frame().await?;
        let reply = ConnectReply::decode(&mut Reader::new(&frame)).expect("a greeting");
        assert!(!reply.is_expired());
        Some(peer)
    }

    /// As [`Peer::greet`], where there is room for one more.
    pub(crate) async fn of(way: impl Into<Way<'_>>) -> Peer {
        Peer::greet(way).await.expect("a session")
    }

    /// Sends a frame's content, or what passes for it; says whether the server still took it.
    pub(crate) async fn say(&mut self, bytes: &[u8]) -> bool {
        timeout(SOON, self.stream.write_all(bytes)).await.expect("it is read").is_ok()
    }

    /// Sends a request without waiting for anything.
    pub(crate) async fn send(&mut self, request: &Request) -> bool {
        let frame = self.encode(request);
        self.say(&frame).await
    }

    /// A request as it goes over the wire.
    pub(crate) fn encode(&mut self, request: &Request) -> BytesMut {
        self.last_xid += 1;
        let mut out = BytesMut::new();
        encode_request(&mut out, self.last_xid, request);
        out
    }

    /// Asks, and waits for the answer.
    pub(crate) async fn ask(&mut self, request: &Request) -> Result<Reply, ErrorCode> {
        assert!(self.send(request).await, "the server takes requests");
        self.reply(request).await.expect("an answer")
    }

    /// The next reply, which is one to such a request; `None` once it was hung up on.
    pub(crate) async fn reply(&mut self, request: &Request) -> Option<Result<Reply, ErrorCode>> {
        loop {
            let frame = self.frame().await?;
            let (header, mut body) = decode_reply_header(&frame).expect("a reply");
            let ReplyHeader { error, .. } = header;
            match header.xid {
                xid::NOTIFICATION => {}
                _ if !error.is_ok() => return Some(Err(error)),
                _ => return Some(Ok(Reply::decode(request.op(), &mut body).expect("its reply"))),
            }
        }
    }

    /// The next frame; `None` once it was hung up on.
    pub(crate) async fn frame(&mut self) -> Option<Bytes> {
        let decoder = FrameDecoder::new(self.frame_bytes_max);
        loop {
            if let Some(frame) = decoder.next(&mut self.input).expect("a frame") {
                return Some(frame);
            }
            match timeout(SOON, self.stream.read_buf(&mut self.input)).await.expect("soon") {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Reads until the server hangs up.
    pub(crate) async fn until_hung_up_on(mut self) {
        while self.frame().await.is_some() {}
    }
}
