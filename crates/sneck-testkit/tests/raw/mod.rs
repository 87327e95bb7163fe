//! A client of hand-made frames: it shares no code with what it checks.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub(crate) const CREATE: i32 = 1;
pub(crate) const EXISTS: i32 = 3;
pub(crate) const PING: i32 = 11;
pub(crate) const CREATE_TTL: i32 = 21;
pub(crate) const EPHEMERAL_SEQUENTIAL: i32 = 3;
pub(crate) const PERSISTENT_WITH_TTL: i32 = 5;
pub(crate) const PING_XID: i32 = -2;

pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    pub(crate) session_id: i64,
    pub(crate) negotiated_ms: i32,
    xid: i32,
}

pub(crate) struct Reply {
    pub(crate) xid: i32,
    pub(crate) zxid: i64,
    pub(crate) error: i32,
    pub(crate) body: Vec<u8>,
}

impl Raw {
    /// Opens a new session.
    pub(crate) async fn connect(addr: SocketAddr, timeout_ms: i32) -> Raw {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut hello = Vec::new();
        hello.extend(0i32.to_be_bytes());
        hello.extend(0i64.to_be_bytes());
        hello.extend(timeout_ms.to_be_bytes());
        hello.extend(0i64.to_be_bytes());
        hello.extend(16i32.to_be_bytes());
        hello.extend([0; 16]);
        hello.push(0);
        send_frame(&mut stream, &hello).await;
        let answer = read_frame(&mut stream).await.expect("an answer to the handshake");
        let negotiated_ms = i32::from_be_bytes(answer[4..8].try_into().unwrap());
        let session_id = i64::from_be_bytes(answer[8..16].try_into().unwrap());
        Raw { stream, session_id, negotiated_ms, xid: 0 }
    }

    pub(crate) async fn send(&mut self, xid: i32, op: i32, body: &[u8]) {
        let mut frame = xid.to_be_bytes().to_vec();
        frame.extend(op.to_be_bytes());
        frame.extend(body);
        send_frame(&mut self.stream, &frame).await;
    }

    pub(crate) async fn reply(&mut self) -> Option<Reply> {
        let frame = read_frame(&mut self.stream).await?;
        Some(Reply {
            xid: i32::from_be_bytes(frame[..4].try_into().unwrap()),
            zxid: i64::from_be_bytes(frame[4..12].try_into().unwrap()),
            error: i32::from_be_bytes(frame[12..16].try_into().unwrap()),
            body: frame[16..].to_vec(),
        })
    }

    /// Sends a request and waits at most `wait` for the next reply.
    pub(crate) async fn call(&mut self, op: i32, body: &[u8], wait: Duration) -> Option<Reply> {
        self.xid += 1;
        let xid = if op == PING { PING_XID } else { self.xid };
        self.send(xid, op, body).await;
        timeout(wait, self.reply()).await.ok().flatten()
    }
}

async fn send_frame(stream: &mut TcpStream, payload: &[u8]) {
    let mut frame = i32::try_from(payload.len()).unwrap().to_be_bytes().to_vec();
    frame.extend(payload);
    stream.write_all(&frame).await.unwrap();
}

async fn read_frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let length = stream.read_i32().await.ok()?;
    let mut payload = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut payload).await.ok()?;
    Some(payload)
}

pub(crate) fn string(text: &str) -> Vec<u8> {
    let mut bytes = i32::try_from(text.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

/// A create with the open ACL and no data.
pub(crate) fn create(path: &str, flags: i32) -> Vec<u8> {
    let mut body = string(path);
    body.extend(0i32.to_be_bytes());
    body.extend(1i32.to_be_bytes());
    body.extend(31i32.to_be_bytes());
    body.extend(string("world"));
    body.extend(string("anyone"));
    body.extend(flags.to_be_bytes());
    body
}

pub(crate) fn exists(path: &str, watch: bool) -> Vec<u8> {
    let mut body = string(path);
    body.push(u8::from(watch));
    body
}
