//! The record that the four create operations have in common.

use bytes::{BufMut, Bytes, BytesMut};

use crate::jute::{Reader, Writer};
use crate::{Acl, CreateMode, DecodeError};

/// The node that a create request asks for; the same in all four create operations, alone and
/// inside a multi.
///
/// Servers go by `mode`, not by the operation, so the two are kept apart here although clients
/// keep them in step ([`CreateMode::Container`] with `createContainer`, the two TTL modes with
/// `createTTL`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NewNode {
    /// Where; for sequential modes the beginning of it.
    pub path: String,
    /// The data; `None` is null, which reads back as null and not as empty.
    pub data: Option<Bytes>,
    /// The access list. Servers refuse an empty one.
    pub acl: Vec<Acl>,
    /// How long the node lives and whether it is numbered.
    pub mode: CreateMode,
}

impl NewNode {
    pub(crate) fn encode(&self, out: &mut BytesMut) {
        out.put_string(&self.path);
        out.put_buffer(self.data.as_deref());
        Acl::encode_list(&self.acl, out);
        out.put_i32(self.mode.flags());
    }

    pub(crate) fn decode(body: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            path: body.string("path")?,
            data: body.buffer("data")?,
            acl: Acl::decode_list(body)?,
            mode: CreateMode::decode(body)?,
        })
    }
}
