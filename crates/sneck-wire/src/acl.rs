//! Access lists of nodes: who may do what.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

use bytes::{BufMut, BytesMut};

use crate::DecodeError;
use crate::jute::{Reader, STRING_BYTES_MIN, Writer};

/// A set of rights on one node. They are not inherited by its children.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Permissions(i32);

impl Permissions {
    /// No right at all.
    pub const NONE: Self = Self(0);
    /// Read the data, and list the children.
    pub const READ: Self = Self(1);
    /// Replace the data.
    pub const WRITE: Self = Self(2);
    /// Create children.
    pub const CREATE: Self = Self(4);
    /// Delete children.
    pub const DELETE: Self = Self(8);
    /// Replace the access list.
    pub const ADMIN: Self = Self(16);
    /// Every right.
    pub const ALL: Self = Self(31);

    /// The set with these bits; bits without a meaning are kept.
    pub const fn from_bits(bits: i32) -> Self {
        Self(bits)
    }

    /// The bits on the wire.
    pub const fn bits(self) -> i32 {
        self.0
    }

    /// Whether every right in `other` is in this set too.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Permissions {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Permissions {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// Shows the rights as ZooKeeper's tools do: a letter each, in the order `cdrwa`.
impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = [
            (Self::CREATE, "c"),
            (Self::DELETE, "d"),
            (Self::READ, "r"),
            (Self::WRITE, "w"),
            (Self::ADMIN, "a"),
        ];
        for (_, letter) in letters.iter().filter(|(right, _)| self.contains(*right)) {
            f.write_str(letter)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Permissions({self}, {:#x})", self.0)
    }
}

/// Whom an entry of an access list is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id {
    /// How the identity is established: `world`, `auth`, `digest`, `ip`, ...
    pub scheme: String,
    /// The identity within the scheme, such as `anyone` or `user:hash`.
    pub id: String,
}

impl Id {
    /// The identity `id` within `scheme`.
    pub fn new(scheme: impl Into<String>, id: impl Into<String>) -> Self {
        Self { scheme: scheme.into(), id: id.into() }
    }

    /// Everybody: `world:anyone`.
    pub fn anyone() -> Self {
        Self::new("world", "anyone")
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.scheme, self.id)
    }
}

/// One entry of a node's access list: who may do what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Acl {
    /// What may be done.
    pub permissions: Permissions,
    /// By whom.
    pub id: Id,
}

impl Acl {
    /// The least bytes an entry takes on the wire: the rights and two empty strings.
    pub(crate) const WIRE_BYTES_MIN: usize = 4 + 2 * STRING_BYTES_MIN;

    /// The entry that gives `permissions` to `id`.
    pub fn new(permissions: Permissions, id: Id) -> Self {
        Self { permissions, id }
    }

    /// The list by which everybody may do everything.
    pub fn open() -> Vec<Self> {
        vec![Self::new(Permissions::ALL, Id::anyone())]
    }

    /// The list by which whoever creates the node may do everything, and nobody else anything.
    /// The server puts the identities of the connection in place of the entry, and refuses it from
    /// a connection that has none.
    pub fn creator_all() -> Vec<Self> {
        vec![Self::new(Permissions::ALL, Id::new("auth", ""))]
    }

    /// The list by which everybody may read, and do nothing else.
    pub fn read_only() -> Vec<Self> {
        vec![Self::new(Permissions::READ, Id::anyone())]
    }

    /// Appends the entry.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_i32(self.permissions.bits());
        out.put_string(&self.id.scheme);
        out.put_string(&self.id.id);
    }

    /// Reads an entry. A null scheme or id reads as empty, which a server refuses as an invalid
    /// access list all the same.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`], [`DecodeError::NegativeLength`] or [`DecodeError::NotUtf8`].
    pub fn decode(body: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let permissions = Permissions::from_bits(body.int("permissions")?);
        let scheme = body.nullable_string("acl scheme")?.unwrap_or_default();
        let id = body.nullable_string("acl id")?.unwrap_or_default();
        Ok(Self { permissions, id: Id { scheme, id } })
    }

    /// Appends an access list.
    pub fn encode_list(list: &[Self], out: &mut BytesMut) {
        out.put_vector(list, |out, acl| acl.encode(out));
    }

    /// Reads an access list; null reads as empty, as servers refuse both alike.
    ///
    /// # Errors
    /// As for [`Acl::decode`], and [`DecodeError::TooLong`].
    pub fn decode_list(body: &mut Reader<'_>) -> Result<Vec<Self>, DecodeError> {
        body.vector("acl", Self::WIRE_BYTES_MIN, Self::decode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_combine() {
        let both = Permissions::READ | Permissions::CREATE;
        assert!(both.contains(Permissions::READ));
        assert!(!both.contains(Permissions::READ | Permissions::WRITE));
        assert_eq!(both.to_string(), "cr");
        assert_eq!(Permissions::ALL.to_string(), "cdrwa");
    }

    #[test]
    fn the_open_list_on_the_wire() {
        let mut out = BytesMut::new();
        Acl::encode_list(&Acl::open(), &mut out);
        assert_eq!(&out[..], b"\0\0\0\x01\0\0\0\x1f\0\0\0\x05world\0\0\0\x06anyone");
        assert_eq!(Acl::decode_list(&mut Reader::new(&out)), Ok(Acl::open()));
    }

    #[test]
    fn a_null_list_is_empty() {
        assert_eq!(Acl::decode_list(&mut Reader::new(&[0xff; 4])), Ok(Vec::new()));
    }
}
