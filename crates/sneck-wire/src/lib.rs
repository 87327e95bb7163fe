//! ZooKeeper's client protocol: records and frames, both directions, no I/O.
//!
//! A client and a server share this crate. It turns [`Request`]s, [`Reply`]s and
//! [`WatchedEvent`]s into bytes and back, and knows nothing of sockets, sessions or trees.
//!
//! Everything on a connection is a frame: a 32-bit length and that many bytes. The first frame
//! each way is a [`ConnectRequest`] and a [`ConnectReply`]. After that a client sends a
//! [`RequestHeader`] and a [`Request`] per frame, and a server answers, in the same order, with a
//! [`ReplyHeader`] and, if there is no error, a [`Reply`]; in between it may send
//! [`WatchedEvent`]s. A reply does not say what it answers: the client knows, and so
//! [`Reply::decode`] has to be told.
//!
//! ```
//! use bytes::BytesMut;
//! use sneck_wire::{
//!     ErrorCode, FrameDecoder, OpCode, Reply, ReplyHeader, Request, decode_reply_header,
//!     decode_request_header, encode_reply, encode_request,
//! };
//!
//! let mut wire = BytesMut::new();
//! let frames = FrameDecoder::default();
//!
//! // The client asks,
//! encode_request(&mut wire, 7, &Request::Sync { path: "/locks".into() });
//!
//! // the server reads and answers,
//! let frame = frames.next(&mut wire)?.expect("the frame is complete");
//! let (header, mut body) = decode_request_header(&frame)?;
//! let request = Request::decode(OpCode::try_from(header.op)?, &mut body)?;
//! assert_eq!(request, Request::Sync { path: "/locks".into() });
//! let header = ReplyHeader { xid: header.xid, zxid: 42, error: ErrorCode::OK };
//! encode_reply(&mut wire, header, Some(&Reply::Sync { path: "/locks".into() }));
//!
//! // and the client, which remembers what it asked under 7, understands.
//! let frame = frames.next(&mut wire)?.expect("the frame is complete");
//! let (header, mut body) = decode_reply_header(&frame)?;
//! assert_eq!((header.xid, header.zxid), (7, 42));
//! let reply = Reply::decode(OpCode::Sync, &mut body)?;
//! assert_eq!(reply, Reply::Sync { path: "/locks".into() });
//! # Ok::<(), sneck_wire::DecodeError>(())
//! ```
//!
//! # Trust
//!
//! Decoding never panics and never allocates on the word of the peer: announced lengths and counts
//! are compared with the bytes that are there first. Decoded values own their memory, so keeping
//! one does not keep the frame. Passwords and credentials are [`Secret`]s, which do not show in
//! `Debug` output.

mod acl;
mod client_info;
mod connect;
mod create_mode;
mod decode_error;
mod error_code;
mod event;
mod frame;
mod header;
pub mod jute;
mod multi;
mod new_node;
mod op_code;
pub mod path;
mod reply;
mod request;
mod secret;
mod stat;
mod watch;

pub use acl::{Acl, Id, Permissions};
pub use client_info::ClientInfo;
pub use connect::{ConnectReply, ConnectRequest};
pub use create_mode::CreateMode;
pub use decode_error::DecodeError;
pub use error_code::ErrorCode;
pub use event::{EventKind, WatchedEvent};
pub use frame::{
    FrameDecoder, MAX_FRAME_DEFAULT, decode_reply_header, decode_request_header, encode_event,
    encode_frame, encode_reply, encode_request,
};
pub use header::{ReplyHeader, RequestHeader, xid};
pub use multi::{MULTI_OPS_MAX, MultiOp, MultiResult, ReadOp};
pub use new_node::NewNode;
pub use op_code::OpCode;
pub use path::PathError;
pub use reply::Reply;
pub use request::Request;
pub use secret::Secret;
pub use stat::Stat;
pub use watch::{AddWatchMode, WatcherKind};
