//! The identities of a connection, as `whoAmI` answers them.

use bytes::BytesMut;

use crate::DecodeError;
use crate::jute::{Reader, STRING_BYTES_MIN, Writer};

/// One identity of a connection, as `whoAmI` reports it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientInfo {
    /// How the identity was established, such as `ip` or `digest`.
    pub scheme: String,
    /// Who it is, without any secret part.
    pub user: String,
}

impl ClientInfo {
    /// The least bytes an entry takes on the wire: two empty strings.
    pub(crate) const WIRE_BYTES_MIN: usize = 2 * STRING_BYTES_MIN;

    pub(crate) fn encode(&self, out: &mut BytesMut) {
        out.put_string(&self.scheme);
        out.put_string(&self.user);
    }

    pub(crate) fn decode(body: &mut Reader<'_>) -> Result<Self, DecodeError> {
        // A scheme whose identities have no user name may yield null; to a reader that is no name.
        Ok(Self {
            scheme: body.string("auth scheme")?,
            user: body.nullable_string("user")?.unwrap_or_default(),
        })
    }
}
