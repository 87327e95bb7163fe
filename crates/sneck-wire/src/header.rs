//! What stands before the body of a request and of a reply, and the xids that are set apart.

use bytes::{BufMut, BytesMut};

use crate::jute::Reader;
use crate::{DecodeError, ErrorCode};

/// Numbers of requests that are not part of a client's sequence. Servers only echo them, except
/// that events come under [`NOTIFICATION`](xid::NOTIFICATION).
pub mod xid {
    /// A watch event, which answers no request.
    pub const NOTIFICATION: i32 = -1;
    /// A ping.
    pub const PING: i32 = -2;
    /// An auth request.
    pub const AUTH: i32 = -4;
    /// Setting watches again after a reconnect.
    pub const SET_WATCHES: i32 = -8;
}

/// What every request after the handshake begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestHeader {
    /// The client's number for the request, which the reply repeats.
    pub xid: i32,
    /// The operation, as a number because it may be one we do not know.
    pub op: i32,
}

impl RequestHeader {
    /// Appends the header.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_i32(self.xid);
        out.put_i32(self.op);
    }

    /// Reads the header.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn decode(frame: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { xid: frame.int("xid")?, op: frame.int("operation")? })
    }
}

/// What every reply after the handshake begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReplyHeader {
    /// The number of the request, or [`xid::NOTIFICATION`].
    pub xid: i32,
    /// The last transaction the server had applied. Clients keep the highest they see, but not
    /// from events, where it may be -1.
    pub zxid: i64,
    /// Whether there is a result; a body follows only if there is.
    pub error: ErrorCode,
}

impl ReplyHeader {
    /// How many bytes it takes.
    pub const WIRE_BYTES: usize = 16;

    /// Appends the header.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_i32(self.xid);
        out.put_i64(self.zxid);
        out.put_i32(self.error.code());
    }

    /// Reads the header.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn decode(frame: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            xid: frame.int("xid")?,
            zxid: frame.long("zxid")?,
            error: ErrorCode::new(frame.int("error code")?),
        })
    }
}
