//! The stat of a node: its versions, its transaction ids and its owner.

use bytes::{BufMut, BytesMut};

use crate::DecodeError;
use crate::jute::Reader;

/// What the server knows about a node besides its data and access list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Stat {
    /// Transaction id of the node's creation. It never repeats and only grows, which is what makes
    /// it a fencing token.
    pub czxid: i64,
    /// Transaction id of the last change of the data.
    pub mzxid: i64,
    /// Creation time in milliseconds since 1970, by the server's clock.
    pub ctime: i64,
    /// Time of the last change of the data in milliseconds since 1970, by the server's clock.
    pub mtime: i64,
    /// How often the data was changed.
    pub version: i32,
    /// How often a child was created or deleted.
    pub cversion: i32,
    /// How often the access list was changed.
    pub aversion: i32,
    /// The session that owns the node, or 0 if it is not ephemeral.
    pub ephemeral_owner: i64,
    /// Length of the data in bytes.
    pub data_length: i32,
    /// Number of children.
    pub num_children: i32,
    /// Transaction id of the last creation or deletion of a child.
    pub pzxid: i64,
}

impl Stat {
    /// Length of every stat on the wire.
    pub const WIRE_BYTES: usize = 68;

    /// Appends the stat.
    pub fn encode(&self, out: &mut BytesMut) {
        out.reserve(Self::WIRE_BYTES);
        out.put_i64(self.czxid);
        out.put_i64(self.mzxid);
        out.put_i64(self.ctime);
        out.put_i64(self.mtime);
        out.put_i32(self.version);
        out.put_i32(self.cversion);
        out.put_i32(self.aversion);
        out.put_i64(self.ephemeral_owner);
        out.put_i32(self.data_length);
        out.put_i32(self.num_children);
        out.put_i64(self.pzxid);
    }

    /// Reads a stat.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn decode(body: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            czxid: body.long("czxid")?,
            mzxid: body.long("mzxid")?,
            ctime: body.long("ctime")?,
            mtime: body.long("mtime")?,
            version: body.int("version")?,
            cversion: body.int("cversion")?,
            aversion: body.int("aversion")?,
            ephemeral_owner: body.long("ephemeral owner")?,
            data_length: body.int("data length")?,
            num_children: body.int("number of children")?,
            pzxid: body.long("pzxid")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_in_wire_order() {
        let stat = Stat {
            czxid: 1,
            mzxid: 2,
            ctime: 3,
            mtime: 4,
            version: 5,
            cversion: 6,
            aversion: 7,
            ephemeral_owner: 8,
            data_length: 9,
            num_children: 10,
            pzxid: 11,
        };
        let mut out = BytesMut::new();
        stat.encode(&mut out);
        assert_eq!(out.len(), Stat::WIRE_BYTES);
        // The last byte of each field, given the widths 8 8 8 8 4 4 4 8 4 4 8.
        let ends = [7, 15, 23, 31, 35, 39, 43, 51, 55, 59, 67];
        for (value, end) in (1..).zip(ends) {
            assert_eq!(out[end], value);
        }
        assert_eq!(Stat::decode(&mut Reader::new(&out)), Ok(stat));
    }
}
