//! A client with nothing but frames: it must be able to resume a session it never opened.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::BytesMut;
use sneck_wire::jute::Reader;
use sneck_wire::{
    ConnectReply, ConnectRequest, ErrorCode, OpCode, Reply, Request, Secret, decode_reply_header,
    encode_frame, encode_request,
};

pub(crate) struct Raw {
    stream: TcpStream,
    pub(crate) accepted: ConnectReply,
    /// The zxid of the last reply.
    pub(crate) zxid: i64,
    xid: i32,
}

impl Raw {
    /// Opens a session, or resumes the one with this id.
    pub(crate) fn connect(addr: SocketAddr, session_id: i64, last_zxid_seen: i64) -> Raw {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let request = ConnectRequest {
            protocol: 0,
            last_zxid_seen,
            timeout_ms: 10_000,
            session_id,
            password: Secret::from(if session_id == 0 { [0; 16] } else { password(session_id) }),
            read_only: Some(false),
        };
        let mut out = BytesMut::new();
        encode_frame(&mut out, |out| request.encode(out));
        stream.write_all(&out).unwrap();
        let accepted = ConnectReply::decode(&mut Reader::new(&read_frame(&mut stream))).unwrap();
        Raw { stream, accepted, zxid: 0, xid: 0 }
    }

    pub(crate) fn call(&mut self, op: OpCode, request: &Request) -> Result<Reply, ErrorCode> {
        self.xid += 1;
        let xid = if op == OpCode::Auth { -4 } else { self.xid };
        let mut out = BytesMut::new();
        encode_request(&mut out, xid, request);
        self.stream.write_all(&out).unwrap();
        let frame = read_frame(&mut self.stream);
        let (header, mut body) = decode_reply_header(&frame).unwrap();
        assert_eq!(header.xid, xid);
        self.zxid = header.zxid;
        match header.error {
            ErrorCode::OK => Ok(Reply::decode(op, &mut body).unwrap()),
            error => Err(error),
        }
    }
}

fn read_frame(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut frame).unwrap();
    frame
}

/// `new java.util.Random(id ^ 0xB3415C00L).nextBytes(16)`.
fn password(id: i64) -> [u8; 16] {
    const MASK: u64 = (1 << 48) - 1;
    let mut seed = ((id ^ 0xb341_5c00) as u64 ^ 0x5_deec_e66d) & MASK;
    let mut password = [0; 16];
    for chunk in password.chunks_mut(4) {
        seed = seed.wrapping_mul(0x5_deec_e66d).wrapping_add(0xb) & MASK;
        chunk.copy_from_slice(&((seed >> 16) as u32).to_le_bytes());
    }
    password
}
