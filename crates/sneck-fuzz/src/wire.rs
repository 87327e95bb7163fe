//! What comes over a connection, in both directions.

use bytes::BytesMut;
use sneck_wire::jute::Reader;
use sneck_wire::{
    Acl, ConnectReply, ConnectRequest, ErrorCode, FrameDecoder, OpCode, Reply, Request, Stat,
    WatchedEvent, decode_reply_header, decode_request_header, encode_frame,
};

/// Cuts frames: all at once, and as the bytes come one by one.
pub(crate) fn frames(bytes: &[u8]) {
    let decoder = FrameDecoder::new(1_024);
    let mut whole = BytesMut::from(bytes);
    let mut piecemeal = BytesMut::new();
    let mut rest = bytes.iter();
    loop {
        let expected = decoder.next(&mut whole);
        let mut frame = decoder.next(&mut piecemeal);
        while let Ok(None) = frame {
            let Some(byte) = rest.next() else { break };
            piecemeal.extend_from_slice(&[*byte]);
            frame = decoder.next(&mut piecemeal);
        }
        assert_eq!(frame, expected);
        match frame {
            Ok(Some(content)) => {
                assert!(content.len() <= decoder.max_len);
                // What the two headers say is understood or refused.
                let _ = decode_request_header(&content);
                let _ = decode_reply_header(&content);
            }
            Ok(None) | Err(_) => return,
        }
    }
}

/// Greets, as a server and as a client.
pub(crate) fn connect(bytes: &[u8]) {
    if let Ok(request) = ConnectRequest::decode(&mut Reader::new(bytes)) {
        let again = written(|out| request.encode(out));
        assert_eq!(ConnectRequest::decode(&mut Reader::new(&again)), Ok(request));
    }
    if let Ok(reply) = ConnectReply::decode(&mut Reader::new(bytes)) {
        let again = written(|out| reply.encode(out));
        assert_eq!(ConnectReply::decode(&mut Reader::new(&again)), Ok(reply));
    }
}

/// Reads the content of a request's frame.
pub(crate) fn requests(bytes: &[u8]) {
    let Ok((header, mut body)) = decode_request_header(bytes) else { return };
    let Ok(op) = OpCode::try_from(header.op) else { return };
    let Ok(request) = Request::decode(op, &mut body) else { return };
    assert_eq!((request.op(), body.remaining()), (op, 0));
    let again = written(|out| request.encode(out));
    assert_eq!(Request::decode(op, &mut Reader::new(&again)), Ok(request));
}

/// Reads the content of a reply's frame: its header, behind an operation that it answers.
pub(crate) fn replies(bytes: &[u8]) {
    let mut op = Reader::new(bytes);
    let Ok(Ok(op)) = op.int("operation").map(OpCode::try_from) else { return };
    let Ok((header, mut body)) = decode_reply_header(&bytes[4..]) else { return };
    // Told to people, whatever it is.
    assert!(!header.error.to_string().is_empty());
    let Ok(reply) = Reply::decode(op, &mut body) else { return };
    assert_eq!((reply.op(), body.remaining()), (op, 0));
    let again = written(|out| reply.encode(out));
    assert_eq!(Reply::decode(op, &mut Reader::new(&again)), Ok(reply));
}

/// Reads an event.
pub(crate) fn events(bytes: &[u8]) {
    let Ok(event) = WatchedEvent::decode(&mut Reader::new(bytes)) else { return };
    let again = written(|out| event.encode(out));
    assert_eq!(WatchedEvent::decode(&mut Reader::new(&again)), Ok(event));
}

/// Reads the values that everything is made of, in an order that the first byte says.
pub(crate) fn jute(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let mut reader = Reader::new(bytes);
    for round in 0..8 {
        let before = reader.position();
        let read = match (kind >> (round % 4)) & 7 {
            0 => reader.int("int").map(drop),
            1 => reader.long("long").map(drop),
            2 => reader.boolean("boolean").map(drop),
            3 => reader.string("string").map(|text| assert!(text.len() <= bytes.len())),
            4 => reader.nullable_string("text").map(drop),
            5 => reader.buffer("buffer").map(|buffer| {
                assert!(buffer.is_none_or(|buffer| buffer.len() <= bytes.len()));
            }),
            6 => reader.strings("strings").map(|list| assert!(4 * list.len() <= bytes.len())),
            _ => Acl::decode_list(&mut reader).map(drop),
        };
        let (at, left) = (reader.position(), reader.remaining());
        assert!(at >= before && at + left == bytes.len());
        if let Err(error) = read {
            assert!(ErrorCode::OK != error.error_code() && !error.to_string().is_empty());
            return;
        }
    }
    let _ = Stat::decode(&mut reader);
    assert_eq!(reader.finish("all").is_ok(), reader.remaining() == 0);
}

/// What `encode` writes, which must fit a frame.
fn written(encode: impl FnOnce(&mut BytesMut)) -> BytesMut {
    let mut out = BytesMut::new();
    encode_frame(&mut out, encode);
    out.split_off(4)
}
