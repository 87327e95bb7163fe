//! The handshake: the first frame of a connection in each direction, which has no header.

use bytes::{BufMut, BytesMut};

use crate::jute::{Reader, Writer};
use crate::{DecodeError, Secret};

/// The first frame of a connection: open a session, or resume one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectRequest {
    /// Protocol version; there is only 0.
    pub protocol: i32,
    /// The highest transaction id the client has seen. A server that is behind it hangs up, so that
    /// a client never sees time go backwards.
    pub last_zxid_seen: i64,
    /// The session timeout the client wishes, in milliseconds; the server decides.
    pub timeout_ms: i32,
    /// The session to resume, or 0 to open one.
    pub session_id: i64,
    /// The password of the session to resume: 16 bytes, or none when opening one. Null on the wire
    /// reads as empty.
    pub password: Secret,
    /// Whether a read-only server will do. Old clients leave the field out, which is `None`; the
    /// answer must then leave it out too.
    pub read_only: Option<bool>,
}

impl ConnectRequest {
    /// What asks for a new session, of a client that has seen nothing yet.
    pub fn new_session(timeout_ms: i32) -> Self {
        ConnectRequest {
            protocol: 0,
            last_zxid_seen: 0,
            timeout_ms,
            session_id: 0,
            password: Secret::default(),
            read_only: None,
        }
    }

    /// Appends the record; it is the whole content of its frame, without a header.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_i32(self.protocol);
        out.put_i64(self.last_zxid_seen);
        out.put_i32(self.timeout_ms);
        out.put_i64(self.session_id);
        out.put_buffer(Some(&self.password));
        encode_read_only(self.read_only, out);
    }

    /// Reads the record from its frame.
    ///
    /// # Errors
    /// Any [`DecodeError`] of a malformed or over-long record.
    pub fn decode(body: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let request = Self {
            protocol: body.int("protocol version")?,
            last_zxid_seen: body.long("last zxid seen")?,
            timeout_ms: body.int("session timeout")?,
            session_id: body.long("session id")?,
            password: decode_password(body)?,
            read_only: decode_read_only(body)?,
        };
        body.finish("connect request")?;
        Ok(request)
    }
}

/// The answer to a [`ConnectRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectReply {
    /// Protocol version; there is only 0.
    pub protocol: i32,
    /// The session timeout the server has decided on, in milliseconds. 0 says that the session to
    /// resume is over, or the password wrong.
    pub timeout_ms: i32,
    /// The session, or 0 if it is over.
    pub session_id: i64,
    /// The password by which to resume the session: 16 bytes.
    pub password: Secret,
    /// Whether the server is read-only; present if the request had the field.
    pub read_only: Option<bool>,
}

impl ConnectReply {
    /// The answer that the session cannot be resumed: every field zero, and a password of 16 zeros.
    pub fn expired(read_only: Option<bool>) -> Self {
        let password = Secret::from([0; 16]);
        Self { protocol: 0, timeout_ms: 0, session_id: 0, password, read_only }
    }

    /// Whether the server refuses to resume the session.
    pub fn is_expired(&self) -> bool {
        self.timeout_ms <= 0
    }

    /// Appends the record; it is the whole content of its frame, without a header.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_i32(self.protocol);
        out.put_i32(self.timeout_ms);
        out.put_i64(self.session_id);
        out.put_buffer(Some(&self.password));
        encode_read_only(self.read_only, out);
    }

    /// Reads the record from its frame.
    ///
    /// # Errors
    /// Any [`DecodeError`] of a malformed or over-long record.
    pub fn decode(body: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let reply = Self {
            protocol: body.int("protocol version")?,
            timeout_ms: body.int("session timeout")?,
            session_id: body.long("session id")?,
            password: decode_password(body)?,
            read_only: decode_read_only(body)?,
        };
        body.finish("connect reply")?;
        Ok(reply)
    }
}

fn decode_password(body: &mut Reader<'_>) -> Result<Secret, DecodeError> {
    Ok(body.buffer("session password")?.unwrap_or_default().into())
}

fn encode_read_only(read_only: Option<bool>, out: &mut BytesMut) {
    if let Some(read_only) = read_only {
        out.put_bool(read_only);
    }
}

fn decode_read_only(body: &mut Reader<'_>) -> Result<Option<bool>, DecodeError> {
    match body.remaining() {
        0 => Ok(None),
        _ => body.boolean("read-only flag").map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_read_only_flag_stays_absent() {
        let mut reply = ConnectReply::expired(None);
        let mut out = BytesMut::new();
        reply.encode(&mut out);
        assert_eq!(out.len(), 4 + 4 + 8 + 4 + 16);
        assert_eq!(ConnectReply::decode(&mut Reader::new(&out)).as_ref(), Ok(&reply));
        assert!(reply.is_expired());

        reply.read_only = Some(false);
        out.clear();
        reply.encode(&mut out);
        assert_eq!(out.len(), 4 + 4 + 8 + 4 + 16 + 1);
        assert_eq!(ConnectReply::decode(&mut Reader::new(&out)), Ok(reply));
    }

    #[test]
    fn debug_hides_the_password() {
        let reply =
            ConnectReply { password: Secret::from(*b"sesame"), ..ConnectReply::expired(None) };
        let shown = format!("{reply:?}");
        assert!(shown.contains("<6 secret bytes>") && !shown.contains("sesame"), "{shown}");
    }
}
