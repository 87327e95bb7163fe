//! What is said on a connection, in words, for whoever reads a trace.

use bytes::{Buf, BytesMut};
use sneck_wire::{
    FrameDecoder, MAX_FRAME_DEFAULT, OpCode, Request, WatchedEvent, decode_reply_header,
    decode_request_header, xid,
};

/// What a client says.
pub(crate) fn of_client(bytes: &[u8]) -> String {
    each(bytes, |frame| {
        let (header, mut body) = decode_request_header(frame).ok()?;
        let request = OpCode::try_from(header.op).and_then(|op| Request::decode(op, &mut body));
        Some(format!("{} {:?}", header.xid, request.ok()?))
    })
}

/// What a server says.
pub(crate) fn of_server(bytes: &[u8]) -> String {
    each(bytes, |frame| {
        let (header, mut body) = decode_reply_header(frame).ok()?;
        if header.xid == xid::NOTIFICATION {
            return Some(format!("{:?}", WatchedEvent::decode(&mut body).ok()?));
        }
        Some(format!("{} zxid {:#x} {}", header.xid, header.zxid, header.error))
    })
}

fn each(bytes: &[u8], say: impl Fn(&[u8]) -> Option<String>) -> String {
    let mut rest = BytesMut::from(bytes);
    let mut said = Vec::new();
    while let Ok(Some(frame)) = FrameDecoder::new(MAX_FRAME_DEFAULT).next(&mut rest) {
        said.push(say(&frame).unwrap_or_else(|| format!("{} bytes", frame.len())));
    }
    if rest.has_remaining() {
        said.push(format!("part of a frame, {} bytes", rest.remaining()));
    }
    said.join("; ")
}
