//! The bodies of replies.

use bytes::{BufMut, Bytes, BytesMut};

use crate::jute::{Reader, Writer};
use crate::{Acl, ClientInfo, DecodeError, MultiResult, OpCode, Secret, Stat};

/// The result of a successful request, without the header: one variant for each operation, under
/// the name of the [`Request`](crate::Request).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reply {
    /// The node was created.
    Create {
        /// Its path, with its number if it is sequential.
        path: String,
    },
    /// The node was created.
    Create2 {
        /// Its path, with its number if it is sequential.
        path: String,
        /// Its stat.
        stat: Stat,
    },
    /// The container was created.
    CreateContainer {
        /// Its path.
        path: String,
        /// Its stat.
        stat: Stat,
    },
    /// The node was created.
    CreateTtl {
        /// Its path, with its number if it is sequential.
        path: String,
        /// Its stat.
        stat: Stat,
    },
    /// The node was deleted.
    Delete,
    /// The node exists; this is its stat.
    Exists(Stat),
    /// The node's data and stat.
    GetData {
        /// The data; `None` is null.
        data: Option<Bytes>,
        /// The stat.
        stat: Stat,
    },
    /// The data were replaced; this is the node's stat now.
    SetData(Stat),
    /// The node's access list and stat.
    GetAcl {
        /// The list.
        acl: Vec<Acl>,
        /// The stat.
        stat: Stat,
    },
    /// The access list was replaced; this is the node's stat now.
    SetAcl(Stat),
    /// The names of the node's children, in no order.
    GetChildren(Vec<String>),
    /// The names of the node's children, in no order, and its stat.
    GetChildren2 {
        /// The names.
        children: Vec<String>,
        /// The stat.
        stat: Stat,
    },
    /// The server has caught up.
    Sync {
        /// The path of the request.
        path: String,
    },
    /// The session is alive.
    Ping,
    /// The version is the expected one.
    Check,
    /// What became of each operation; success and failure look alike in the header.
    Multi(Vec<MultiResult>),
    /// What became of each operation.
    MultiRead(Vec<MultiResult>),
    /// The identity was accepted.
    Auth,
    /// The watches are set; events that were due have come before this.
    SetWatches,
    /// The watches are set; events that were due have come before this.
    SetWatches2,
    /// The watch is set.
    AddWatch,
    /// The watches are gone.
    RemoveWatches,
    /// The node has such watches.
    CheckWatches,
    /// Paths of the session's ephemeral nodes.
    GetEphemerals(Vec<String>),
    /// How many descendants the node has.
    GetAllChildrenNumber(i32),
    /// The identities of the connection.
    WhoAmI(Vec<ClientInfo>),
    /// The new configuration; the body is carried uninterpreted.
    Reconfig(Bytes),
    /// One step of a SASL exchange.
    Sasl {
        /// What the mechanism says; `None` is null.
        token: Option<Secret>,
    },
    /// The session is closed; the server hangs up next.
    CloseSession,
}

impl Reply {
    /// The operation this is the result of.
    pub const fn op(&self) -> OpCode {
        match self {
            Self::Create { .. } => OpCode::Create,
            Self::Create2 { .. } => OpCode::Create2,
            Self::CreateContainer { .. } => OpCode::CreateContainer,
            Self::CreateTtl { .. } => OpCode::CreateTtl,
            Self::Delete => OpCode::Delete,
            Self::Exists(_) => OpCode::Exists,
            Self::GetData { .. } => OpCode::GetData,
            Self::SetData(_) => OpCode::SetData,
            Self::GetAcl { .. } => OpCode::GetAcl,
            Self::SetAcl(_) => OpCode::SetAcl,
            Self::GetChildren(_) => OpCode::GetChildren,
            Self::GetChildren2 { .. } => OpCode::GetChildren2,
            Self::Sync { .. } => OpCode::Sync,
            Self::Ping => OpCode::Ping,
            Self::Check => OpCode::Check,
            Self::Multi(_) => OpCode::Multi,
            Self::MultiRead(_) => OpCode::MultiRead,
            Self::Auth => OpCode::Auth,
            Self::SetWatches => OpCode::SetWatches,
            Self::SetWatches2 => OpCode::SetWatches2,
            Self::AddWatch => OpCode::AddWatch,
            Self::RemoveWatches => OpCode::RemoveWatches,
            Self::CheckWatches => OpCode::CheckWatches,
            Self::GetEphemerals(_) => OpCode::GetEphemerals,
            Self::GetAllChildrenNumber(_) => OpCode::GetAllChildrenNumber,
            Self::WhoAmI(_) => OpCode::WhoAmI,
            Self::Reconfig(_) => OpCode::Reconfig,
            Self::Sasl { .. } => OpCode::Sasl,
            Self::CloseSession => OpCode::CloseSession,
        }
    }

    /// Appends the body, without header or length;
    /// [`encode_reply`](crate::encode_reply) makes a whole frame.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Create { path } | Self::Sync { path } => out.put_string(path),
            Self::Create2 { path, stat }
            | Self::CreateContainer { path, stat }
            | Self::CreateTtl { path, stat } => {
                out.put_string(path);
                stat.encode(out);
            }
            Self::Exists(stat) | Self::SetData(stat) | Self::SetAcl(stat) => stat.encode(out),
            Self::GetData { data, stat } => {
                out.put_buffer(data.as_deref());
                stat.encode(out);
            }
            Self::GetAcl { acl, stat } => {
                Acl::encode_list(acl, out);
                stat.encode(out);
            }
            Self::GetChildren(names) | Self::GetEphemerals(names) => out.put_strings(names),
            Self::GetChildren2 { children, stat } => {
                out.put_strings(children);
                stat.encode(out);
            }
            Self::Multi(results) | Self::MultiRead(results) => {
                MultiResult::encode_list(results, out);
            }
            Self::AddWatch => out.put_i32(ADD_WATCH_RESULT),
            Self::GetAllChildrenNumber(count) => out.put_i32(*count),
            Self::WhoAmI(infos) => out.put_vector(infos, |out, info| info.encode(out)),
            Self::Reconfig(body) => out.put_slice(body),
            Self::Sasl { token } => out.put_buffer(token.as_ref().map(|token| &token[..])),
            Self::Delete
            | Self::Ping
            | Self::Check
            | Self::Auth
            | Self::SetWatches
            | Self::SetWatches2
            | Self::RemoveWatches
            | Self::CheckWatches
            | Self::CloseSession => {}
        }
    }

    /// Reads the body of a successful reply to a request for `op`, to its end.
    ///
    /// # Errors
    /// Any [`DecodeError`] of a malformed or over-long body; [`DecodeError::UnknownOp`] for the
    /// numbers that exist but are not requests.
    pub fn decode(op: OpCode, body: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let reply = Self::decode_body(op, body)?;
        body.finish("reply")?;
        Ok(reply)
    }

    fn decode_body(op: OpCode, body: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match op {
            OpCode::Create => Self::Create { path: path(body)? },
            OpCode::Create2 => Self::Create2 { path: path(body)?, stat: Stat::decode(body)? },
            OpCode::CreateContainer => {
                Self::CreateContainer { path: path(body)?, stat: Stat::decode(body)? }
            }
            OpCode::CreateTtl => Self::CreateTtl { path: path(body)?, stat: Stat::decode(body)? },
            OpCode::Delete => Self::Delete,
            OpCode::Exists => Self::Exists(Stat::decode(body)?),
            OpCode::GetData => {
                Self::GetData { data: body.buffer("data")?, stat: Stat::decode(body)? }
            }
            OpCode::SetData => Self::SetData(Stat::decode(body)?),
            OpCode::GetAcl => {
                Self::GetAcl { acl: Acl::decode_list(body)?, stat: Stat::decode(body)? }
            }
            OpCode::SetAcl => Self::SetAcl(Stat::decode(body)?),
            OpCode::GetChildren => Self::GetChildren(body.strings("children")?),
            OpCode::GetChildren2 => Self::GetChildren2 {
                children: body.strings("children")?,
                stat: Stat::decode(body)?,
            },
            OpCode::Sync => Self::Sync { path: path(body)? },
            OpCode::Ping => Self::Ping,
            OpCode::Check => Self::Check,
            OpCode::Multi => Self::Multi(MultiResult::decode_list(body)?),
            OpCode::MultiRead => Self::MultiRead(MultiResult::decode_list(body)?),
            OpCode::Auth => Self::Auth,
            OpCode::SetWatches => Self::SetWatches,
            OpCode::SetWatches2 => Self::SetWatches2,
            OpCode::AddWatch => Self::decode_add_watch(body)?,
            OpCode::RemoveWatches => Self::RemoveWatches,
            OpCode::CheckWatches => Self::CheckWatches,
            OpCode::GetEphemerals => Self::GetEphemerals(body.strings("ephemerals")?),
            OpCode::GetAllChildrenNumber => Self::GetAllChildrenNumber(body.int("count")?),
            OpCode::WhoAmI => Self::WhoAmI(body.vector(
                "identities",
                ClientInfo::WIRE_BYTES_MIN,
                ClientInfo::decode,
            )?),
            OpCode::Reconfig => Self::Reconfig(Bytes::copy_from_slice(body.rest())),
            OpCode::Sasl => Self::Sasl { token: body.buffer("sasl token")?.map(Secret::from) },
            OpCode::CloseSession => Self::CloseSession,
            OpCode::Notification | OpCode::CreateSession | OpCode::DeleteContainer => {
                return Err(DecodeError::UnknownOp(op.code()));
            }
        })
    }

    fn decode_add_watch(body: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = body.position();
        match body.int("addWatch result")? {
            ADD_WATCH_RESULT => Ok(Self::AddWatch),
            value => Err(DecodeError::InvalidValue { what: "addWatch result", at, value }),
        }
    }
}

/// The body of an addWatch reply is an error code of its own, which is always 0: a failure is
/// reported in the header, and then there is no body.
const ADD_WATCH_RESULT: i32 = 0;

fn path(body: &mut Reader<'_>) -> Result<String, DecodeError> {
    body.string("path")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn add_watch_has_a_body() {
        let mut out = BytesMut::new();
        Reply::AddWatch.encode(&mut out);
        assert_eq!(&out[..], [0; 4]);
        assert!(Reply::decode(OpCode::AddWatch, &mut Reader::new(&[])).is_err());
        assert!(Reply::decode(OpCode::AddWatch, &mut Reader::new(&[0, 0, 0, 1])).is_err());
    }
}
