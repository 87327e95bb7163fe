//! Frames: a 32-bit length and that many bytes. They are written whole and cut from the bytes of a
//! connection as they come.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::jute::{Reader, wire_length};
use crate::{DecodeError, Reply, ReplyHeader, Request, RequestHeader, WatchedEvent, xid};

/// The longest frame that servers and clients accept unless configured otherwise, in bytes and
/// without the four of the length: ZooKeeper's default of `jute.maxbuffer`.
pub const MAX_FRAME_DEFAULT: usize = 0xf_ffff;

/// Appends a frame whose content is what `body` appends.
///
/// # Panics
/// If the content is 2 GiB or more, which a frame cannot announce.
pub fn encode_frame(out: &mut BytesMut, body: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    // The length is known only afterwards, so its place is kept and filled in then.
    out.put_i32(0);
    let content = out.len();
    body(out);
    let length = wire_length(out.len() - content);
    out[start..content].copy_from_slice(&length.to_be_bytes());
}

/// Appends the frame of a request.
///
/// # Panics
/// As for [`encode_frame`].
pub fn encode_request(out: &mut BytesMut, xid: i32, request: &Request) {
    encode_frame(out, |out| {
        RequestHeader { xid, op: request.op().code() }.encode(out);
        request.encode(out);
    });
}

/// Appends the frame of a reply. A body beside an error is left out, because clients do not expect
/// one and would take it for a protocol error.
///
/// # Panics
/// As for [`encode_frame`].
pub fn encode_reply(out: &mut BytesMut, header: ReplyHeader, reply: Option<&Reply>) {
    encode_frame(out, |out| {
        header.encode(out);
        if let Some(reply) = reply.filter(|_| header.error.is_ok()) {
            reply.encode(out);
        }
    });
}

/// Appends the frame of a watch event; `zxid` is that of the transaction, or -1 as servers up to
/// 3.8 have it.
///
/// # Panics
/// As for [`encode_frame`].
pub fn encode_event(out: &mut BytesMut, zxid: i64, event: &WatchedEvent) {
    encode_frame(out, |out| {
        ReplyHeader { xid: xid::NOTIFICATION, zxid, error: crate::ErrorCode::OK }.encode(out);
        event.encode(out);
    });
}

/// Splits the content of a frame into the header of a request and a reader at its body.
///
/// # Errors
/// [`DecodeError::Truncated`].
pub fn decode_request_header(frame: &[u8]) -> Result<(RequestHeader, Reader<'_>), DecodeError> {
    let mut reader = Reader::new(frame);
    let header = RequestHeader::decode(&mut reader)?;
    Ok((header, reader))
}

/// Splits the content of a frame into the header of a reply and a reader at its body, which is a
/// [`WatchedEvent`] if the xid is [`xid::NOTIFICATION`], and otherwise a [`Reply`] if there is no
/// error.
///
/// # Errors
/// [`DecodeError::Truncated`].
pub fn decode_reply_header(frame: &[u8]) -> Result<(ReplyHeader, Reader<'_>), DecodeError> {
    let mut reader = Reader::new(frame);
    let header = ReplyHeader::decode(&mut reader)?;
    Ok((header, reader))
}

/// Cuts frames from the bytes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameDecoder {
    /// The longest content to accept, in bytes.
    pub max_len: usize,
}

impl FrameDecoder {
    /// A decoder that accepts frames of up to `max_len` bytes, the length itself not counted.
    pub const fn new(max_len: usize) -> Self {
        Self { max_len }
    }

    /// Takes the next frame's content off the front of `input`, or `None` if it is not all there.
    ///
    /// The content shares the allocation of `input`. Nothing is reserved for what is still to
    /// come: a peer gets memory for the bytes it has sent, not for those it has announced.
    ///
    /// # Errors
    /// [`DecodeError::NegativeLength`] or [`DecodeError::TooLong`], as soon as the length is there.
    /// The stream cannot be understood from then on: `input` is left as it is, every further call
    /// fails alike, and the connection should be closed.
    pub fn next(&self, input: &mut BytesMut) -> Result<Option<Bytes>, DecodeError> {
        let Some(prefix) = input.first_chunk::<4>() else { return Ok(None) };
        let announced = i32::from_be_bytes(*prefix);
        let Ok(length) = usize::try_from(announced) else {
            return Err(DecodeError::NegativeLength { what: "frame", at: 0, length: announced });
        };
        if length > self.max_len {
            let limit = self.max_len;
            return Err(DecodeError::TooLong { what: "frame", at: 0, length, limit });
        }
        if input.len() - prefix.len() < length {
            return Ok(None);
        }
        input.advance(4);
        Ok(Some(input.split_to(length).freeze()))
    }
}

impl Default for FrameDecoder {
    /// A decoder that accepts frames of up to [`MAX_FRAME_DEFAULT`] bytes.
    fn default() -> Self {
        Self::new(MAX_FRAME_DEFAULT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(bytes: &[u8]) -> BytesMut {
        BytesMut::from(bytes)
    }

    #[test]
    fn frames_come_out_one_by_one() {
        let mut bytes = BytesMut::new();
        for content in [&b"first"[..], b"", b"third"] {
            encode_frame(&mut bytes, |out| out.put_slice(content));
        }
        let decoder = FrameDecoder::default();
        assert_eq!(decoder.next(&mut bytes).unwrap().unwrap(), "first");
        assert_eq!(decoder.next(&mut bytes).unwrap().unwrap(), "");
        assert_eq!(decoder.next(&mut bytes).unwrap().unwrap(), "third");
        assert_eq!(decoder.next(&mut bytes), Ok(None));
        assert!(bytes.is_empty());
    }

    #[test]
    fn a_frame_may_arrive_byte_by_byte() {
        let frame = [0, 0, 0, 2, b'o', b'k'];
        let decoder = FrameDecoder::default();
        let mut bytes = BytesMut::new();
        for byte in &frame[..5] {
            bytes.put_u8(*byte);
            assert_eq!(decoder.next(&mut bytes), Ok(None));
        }
        bytes.put_u8(frame[5]);
        assert_eq!(decoder.next(&mut bytes).unwrap().unwrap(), "ok");
    }

    #[test]
    fn the_longest_frame_and_one_byte_more() {
        let decoder = FrameDecoder::new(3);
        assert_eq!(decoder.next(&mut input(b"\0\0\0\x03abc")).unwrap().unwrap(), "abc");
        let refused = DecodeError::TooLong { what: "frame", at: 0, length: 4, limit: 3 };
        assert_eq!(decoder.next(&mut input(b"\0\0\0\x04")), Err(refused));
    }

    #[test]
    fn bad_lengths_are_refused_at_once_and_for_good() {
        let decoder = FrameDecoder::default();
        for bytes in [[0x7f, 0xff, 0xff, 0xff], [0xff; 4], [0x80, 0, 0, 0], *b"ruok"] {
            let mut bytes = input(&bytes);
            let capacity = bytes.capacity();
            assert!(decoder.next(&mut bytes).is_err());
            assert!(decoder.next(&mut bytes).is_err());
            assert_eq!(bytes.capacity(), capacity);
        }
    }

    #[test]
    fn an_error_has_no_body() {
        let mut out = BytesMut::new();
        let header = ReplyHeader { xid: 1, zxid: 2, error: crate::ErrorCode::NO_NODE };
        encode_reply(&mut out, header, Some(&Reply::Sync { path: "/".into() }));
        assert_eq!(out.len(), 4 + 16);
        let (decoded, body) = decode_reply_header(&out[4..]).unwrap();
        assert_eq!((decoded, body.remaining()), (header, 0));
    }
}
