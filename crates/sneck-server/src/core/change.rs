//! What a transaction does to the tree, and how it is written down.
//!
//! A transaction is written as a kind, its zxid and its time, and what the kind needs. Payloads of
//! the log are such records one after the other, each with its length in front; a record begins with
//! the version of this format, so that an older server can refuse what it does not understand.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use sneck_wire::jute::{Reader, Writer};
use sneck_wire::{Acl, DecodeError, encode_frame};

use super::access::AccessList;
use super::node::{At, Owner};

/// A change of one node, already checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Create {
        path: String,
        data: Option<Bytes>,
        acl: AccessList,
        owner: Owner,
    },
    Delete {
        path: String,
    },
    SetData {
        path: String,
        data: Option<Bytes>,
    },
    SetAcl {
        path: String,
        acl: AccessList,
    },
    /// Makes the next sequential child get this number.
    SetCounter {
        path: String,
        creates: i32,
    },
}

/// What one zxid stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deed {
    OpenSession {
        id: i64,
        timeout_ms: i32,
    },
    /// Ends a session, and with it every node it owns.
    CloseSession {
        id: i64,
    },
    Changes(Vec<Change>),
}

/// A transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Txn {
    pub(crate) at: At,
    pub(crate) deed: Deed,
}

/// Bytes that are no transaction of a version we know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TxnError {
    Version(i32),
    Kind(i32),
    Decode(DecodeError),
}

impl fmt::Display for TxnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => {
                write!(f, "transaction of format {version}; this server knows up to {VERSION}")
            }
            Self::Kind(kind) => write!(f, "unknown kind of transaction {kind}"),
            Self::Decode(error) => write!(f, "malformed transaction: {error}"),
        }
    }
}

impl From<DecodeError> for TxnError {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

/// Of the format, in the upper bytes of the number a record begins with; the lowest is its kind.
const VERSION: i32 = 1;

mod kind {
    pub(super) const OPEN_SESSION: i32 = 1;
    pub(super) const CLOSE_SESSION: i32 = 2;
    pub(super) const CHANGES: i32 = 3;

    pub(super) const CREATE: i32 = 1;
    pub(super) const DELETE: i32 = 2;
    pub(super) const SET_DATA: i32 = 3;
    pub(super) const SET_ACL: i32 = 4;
    pub(super) const SET_COUNTER: i32 = 5;
}

impl Txn {
    /// Appends the record, with its length in front.
    pub(crate) fn encode(&self, out: &mut BytesMut) {
        encode_frame(out, |out| {
            out.put_i32((VERSION << 8) | self.deed.kind());
            out.put_i64(self.at.zxid);
            out.put_i64(self.at.time_ms);
            match &self.deed {
                Deed::OpenSession { id, timeout_ms } => {
                    out.put_i64(*id);
                    out.put_i32(*timeout_ms);
                }
                Deed::CloseSession { id } => out.put_i64(*id),
                Deed::Changes(changes) => out.put_vector(changes, |out, change| change.encode(out)),
            }
        });
    }

    /// Reads every record of a payload.
    pub(crate) fn decode_all(payload: &[u8]) -> Result<Vec<Self>, TxnError> {
        let mut reader = Reader::new(payload);
        let mut txns = Vec::new();
        while reader.remaining() > 0 {
            let record = reader.buffer("transaction")?.unwrap_or_default();
            txns.push(Self::decode(&mut Reader::new(&record))?);
        }
        Ok(txns)
    }

    fn decode(record: &mut Reader<'_>) -> Result<Self, TxnError> {
        let head = record.int("kind of transaction")?;
        let (version, kind) = (head >> 8, head & 0xff);
        if version != VERSION {
            return Err(TxnError::Version(version));
        }
        let at = At { zxid: record.long("zxid")?, time_ms: record.long("time")? };
        let deed = match kind {
            kind::OPEN_SESSION => Deed::OpenSession {
                id: record.long("session id")?,
                timeout_ms: record.int("session timeout")?,
            },
            kind::CLOSE_SESSION => Deed::CloseSession { id: record.long("session id")? },
            kind::CHANGES => Deed::Changes(decode_changes(record)?),
            unknown => return Err(TxnError::Kind(unknown)),
        };
        record.finish("transaction")?;
        Ok(Self { at, deed })
    }
}

impl Deed {
    fn kind(&self) -> i32 {
        match self {
            Self::OpenSession { .. } => kind::OPEN_SESSION,
            Self::CloseSession { .. } => kind::CLOSE_SESSION,
            Self::Changes(_) => kind::CHANGES,
        }
    }
}

impl Change {
    /// About how many bytes it takes when written down.
    pub(crate) fn weight(&self) -> usize {
        const NUMBERS: usize = 32;
        let list = |acl: &AccessList| -> usize {
            acl.iter().map(|entry| 12 + entry.id.scheme.len() + entry.id.id.len()).sum()
        };
        let bytes = |data: &Option<Bytes>| data.as_ref().map_or(0, Bytes::len);
        NUMBERS
            + match self {
                Self::Create { path, data, acl, .. } => path.len() + bytes(data) + list(acl),
                Self::SetData { path, data } => path.len() + bytes(data),
                Self::SetAcl { path, acl } => path.len() + list(acl),
                Self::Delete { path } | Self::SetCounter { path, .. } => path.len(),
            }
    }

    fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Create { path, data, acl, owner } => {
                out.put_i32(kind::CREATE);
                out.put_string(path);
                out.put_buffer(data.as_deref());
                Acl::encode_list(acl, out);
                out.put_i64(owner.number());
            }
            Self::Delete { path } => {
                out.put_i32(kind::DELETE);
                out.put_string(path);
            }
            Self::SetData { path, data } => {
                out.put_i32(kind::SET_DATA);
                out.put_string(path);
                out.put_buffer(data.as_deref());
            }
            Self::SetAcl { path, acl } => {
                out.put_i32(kind::SET_ACL);
                out.put_string(path);
                Acl::encode_list(acl, out);
            }
            Self::SetCounter { path, creates } => {
                out.put_i32(kind::SET_COUNTER);
                out.put_string(path);
                out.put_i32(*creates);
            }
        }
    }

    fn decode(record: &mut Reader<'_>) -> Result<Self, TxnError> {
        let kind = record.int("kind of change")?;
        let path = record.string("path")?;
        Ok(match kind {
            kind::CREATE => Self::Create {
                path,
                data: record.buffer("data")?,
                acl: Acl::decode_list(record)?.into(),
                owner: Owner::from_number(record.long("owner")?),
            },
            kind::DELETE => Self::Delete { path },
            kind::SET_DATA => Self::SetData { path, data: record.buffer("data")? },
            kind::SET_ACL => Self::SetAcl { path, acl: Acl::decode_list(record)?.into() },
            kind::SET_COUNTER => Self::SetCounter { path, creates: record.int("creates")? },
            unknown => return Err(TxnError::Kind(unknown)),
        })
    }
}

fn decode_changes(record: &mut Reader<'_>) -> Result<Vec<Change>, TxnError> {
    let count = record.int("changes")?;
    (0..count).map(|_| Change::decode(record)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn txns() -> Vec<Txn> {
        let changes = vec![
            Change::Create {
                path: "/a".into(),
                data: None,
                acl: Acl::open().into(),
                owner: Owner::Session(7),
            },
            Change::SetData { path: "/a".into(), data: Some(Bytes::from_static(b"x")) },
            Change::SetAcl { path: "/a".into(), acl: Acl::read_only().into() },
            Change::SetCounter { path: "/a".into(), creates: 9 },
            Change::Delete { path: "/a".into() },
        ];
        let deeds = [
            Deed::OpenSession { id: 7, timeout_ms: 4000 },
            Deed::Changes(changes),
            Deed::CloseSession { id: 7 },
        ];
        let at = |zxid| At { zxid, time_ms: 1000 + zxid };
        deeds.into_iter().zip(1..).map(|(deed, zxid)| Txn { at: at(zxid), deed }).collect()
    }

    fn payload() -> BytesMut {
        let mut out = BytesMut::new();
        txns().iter().for_each(|txn| txn.encode(&mut out));
        out
    }

    #[test]
    fn transactions_survive_being_written() {
        assert_eq!(Txn::decode_all(&payload()), Ok(txns()));
        assert_eq!(Txn::decode_all(&[]), Ok(Vec::new()));
    }

    #[test]
    fn every_truncation_is_refused() {
        let payload = payload();
        let mut whole = 0;
        for length in 1..payload.len() {
            whole += usize::from(Txn::decode_all(&payload[..length]).is_ok());
        }
        // Only where one record ends and the next begins.
        assert_eq!(whole, txns().len() - 1);
    }

    #[test]
    fn a_later_format_is_refused_by_name() {
        let mut payload = payload();
        payload[6] = 2;
        assert_eq!(Txn::decode_all(&payload), Err(TxnError::Version(2)));
    }
}
