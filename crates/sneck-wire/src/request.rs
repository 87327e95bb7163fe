//! The bodies of requests.

use bytes::{BufMut, Bytes, BytesMut};

use crate::jute::{Reader, Writer};
use crate::{
    Acl, AddWatchMode, DecodeError, MultiOp, NewNode, OpCode, ReadOp, Secret, WatcherKind,
};

/// What a client asks for, without the header: one variant for each operation.
///
/// A `version` of -1 means any. A `watch` of true leaves a one-shot watch, where the operation
/// succeeds (or, for `Exists`, also where there is no node).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Request {
    /// Create a node; [`Reply::Create`](crate::Reply::Create) is its path.
    Create(NewNode),
    /// Create a node and answer its stat too.
    Create2(NewNode),
    /// Create a container.
    CreateContainer(NewNode),
    /// Create a node with a time to live.
    CreateTtl {
        /// The node.
        node: NewNode,
        /// How long it lives when unchanged and childless, in milliseconds.
        ttl_ms: i64,
    },
    /// Delete a node that has no children.
    Delete {
        /// The node.
        path: String,
        /// Its version.
        version: i32,
    },
    /// Read a node's stat.
    Exists {
        /// The node.
        path: String,
        /// Whether to watch for its creation, deletion and change of data.
        watch: bool,
    },
    /// Read a node's data and stat.
    GetData {
        /// The node.
        path: String,
        /// Whether to watch for its deletion and change of data.
        watch: bool,
    },
    /// Replace a node's data.
    SetData {
        /// The node.
        path: String,
        /// The data; `None` is null.
        data: Option<Bytes>,
        /// Its version.
        version: i32,
    },
    /// Read a node's access list and stat.
    GetAcl {
        /// The node.
        path: String,
    },
    /// Replace a node's access list.
    SetAcl {
        /// The node.
        path: String,
        /// The list; servers refuse an empty one.
        acl: Vec<Acl>,
        /// The version of the list, which is `aversion` in the stat.
        version: i32,
    },
    /// List a node's children.
    GetChildren {
        /// The node.
        path: String,
        /// Whether to watch for creation and deletion of children and its own deletion.
        watch: bool,
    },
    /// List a node's children and read its stat.
    GetChildren2 {
        /// The node.
        path: String,
        /// Whether to watch for creation and deletion of children and its own deletion.
        watch: bool,
    },
    /// Wait until the server has caught up with the leader.
    Sync {
        /// Any path; the answer repeats it.
        path: String,
    },
    /// Keep the session alive.
    Ping,
    /// Compare a node's version. Servers accept it only inside a multi, as [`MultiOp::Check`].
    Check {
        /// The node.
        path: String,
        /// Its version.
        version: i32,
    },
    /// Several writes, all or none.
    Multi(Vec<MultiOp>),
    /// Several reads at once.
    MultiRead(Vec<ReadOp>),
    /// Add an identity to the connection.
    Auth {
        /// How to prove it, such as `digest`.
        scheme: String,
        /// The proof, such as `user:password`. Null on the wire reads as empty.
        credential: Secret,
    },
    /// Set one-shot watches again after a reconnect.
    SetWatches {
        /// The highest transaction the client has seen; what has changed since fires at once.
        relative_zxid: i64,
        /// Nodes whose data are watched.
        data: Vec<String>,
        /// Nodes whose creation is watched.
        exist: Vec<String>,
        /// Nodes whose children are watched.
        child: Vec<String>,
    },
    /// As [`Request::SetWatches`], and persistent watches, which fire nothing on being set.
    SetWatches2 {
        /// The highest transaction the client has seen; what has changed since fires at once.
        relative_zxid: i64,
        /// Nodes whose data are watched.
        data: Vec<String>,
        /// Nodes whose creation is watched.
        exist: Vec<String>,
        /// Nodes whose children are watched.
        child: Vec<String>,
        /// Nodes with a persistent watch.
        persistent: Vec<String>,
        /// Nodes with a persistent recursive watch.
        persistent_recursive: Vec<String>,
    },
    /// Set a persistent watch.
    AddWatch {
        /// The node, which need not exist.
        path: String,
        /// What the watch covers.
        mode: AddWatchMode,
    },
    /// Remove watches from a node.
    RemoveWatches {
        /// The node.
        path: String,
        /// Which of them.
        kind: WatcherKind,
    },
    /// Ask whether a node has watches.
    CheckWatches {
        /// The node.
        path: String,
        /// Which of them.
        kind: WatcherKind,
    },
    /// List the session's ephemeral nodes.
    GetEphemerals {
        /// How their paths begin.
        prefix: String,
    },
    /// Count all descendants of a node.
    GetAllChildrenNumber {
        /// The node.
        path: String,
    },
    /// List the identities of the connection.
    WhoAmI,
    /// Change the members of the ensemble; the body is carried uninterpreted.
    Reconfig(Bytes),
    /// One step of a SASL exchange.
    Sasl {
        /// What the mechanism says; `None` is null.
        token: Option<Secret>,
    },
    /// Close the session, which deletes its ephemeral nodes.
    CloseSession,
}

impl Request {
    /// The operation, for the header.
    pub const fn op(&self) -> OpCode {
        match self {
            Self::Create(_) => OpCode::Create,
            Self::Create2(_) => OpCode::Create2,
            Self::CreateContainer(_) => OpCode::CreateContainer,
            Self::CreateTtl { .. } => OpCode::CreateTtl,
            Self::Delete { .. } => OpCode::Delete,
            Self::Exists { .. } => OpCode::Exists,
            Self::GetData { .. } => OpCode::GetData,
            Self::SetData { .. } => OpCode::SetData,
            Self::GetAcl { .. } => OpCode::GetAcl,
            Self::SetAcl { .. } => OpCode::SetAcl,
            Self::GetChildren { .. } => OpCode::GetChildren,
            Self::GetChildren2 { .. } => OpCode::GetChildren2,
            Self::Sync { .. } => OpCode::Sync,
            Self::Ping => OpCode::Ping,
            Self::Check { .. } => OpCode::Check,
            Self::Multi(_) => OpCode::Multi,
            Self::MultiRead(_) => OpCode::MultiRead,
            Self::Auth { .. } => OpCode::Auth,
            Self::SetWatches { .. } => OpCode::SetWatches,
            Self::SetWatches2 { .. } => OpCode::SetWatches2,
            Self::AddWatch { .. } => OpCode::AddWatch,
            Self::RemoveWatches { .. } => OpCode::RemoveWatches,
            Self::CheckWatches { .. } => OpCode::CheckWatches,
            Self::GetEphemerals { .. } => OpCode::GetEphemerals,
            Self::GetAllChildrenNumber { .. } => OpCode::GetAllChildrenNumber,
            Self::WhoAmI => OpCode::WhoAmI,
            Self::Reconfig(_) => OpCode::Reconfig,
            Self::Sasl { .. } => OpCode::Sasl,
            Self::CloseSession => OpCode::CloseSession,
        }
    }

    /// Appends the body, without header or length;
    /// [`encode_request`](crate::encode_request) makes a whole frame.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Create(node) | Self::Create2(node) | Self::CreateContainer(node) => {
                node.encode(out);
            }
            Self::CreateTtl { node, ttl_ms } => {
                node.encode(out);
                out.put_i64(*ttl_ms);
            }
            Self::Exists { path, watch }
            | Self::GetData { path, watch }
            | Self::GetChildren { path, watch }
            | Self::GetChildren2 { path, watch } => {
                out.put_string(path);
                out.put_bool(*watch);
            }
            Self::SetData { path, data, version } => {
                out.put_string(path);
                out.put_buffer(data.as_deref());
                out.put_i32(*version);
            }
            Self::SetAcl { path, acl, version } => {
                out.put_string(path);
                Acl::encode_list(acl, out);
                out.put_i32(*version);
            }
            Self::Delete { path, version: number } | Self::Check { path, version: number } => {
                encode_path_and_number(path, *number, out);
            }
            Self::AddWatch { path, mode } => encode_path_and_number(path, mode.code(), out),
            Self::RemoveWatches { path, kind } | Self::CheckWatches { path, kind } => {
                encode_path_and_number(path, kind.code(), out);
            }
            Self::GetAcl { path }
            | Self::Sync { path }
            | Self::GetEphemerals { prefix: path }
            | Self::GetAllChildrenNumber { path } => out.put_string(path),
            Self::Multi(ops) => MultiOp::encode_list(ops, out),
            Self::MultiRead(ops) => ReadOp::encode_list(ops, out),
            Self::Auth { scheme, credential } => {
                out.put_i32(AUTH_TYPE);
                out.put_string(scheme);
                out.put_buffer(Some(credential));
            }
            Self::SetWatches { .. } | Self::SetWatches2 { .. } => self.encode_watches(out),
            Self::Reconfig(body) => out.put_slice(body),
            Self::Sasl { token } => out.put_buffer(token.as_ref().map(|token| &token[..])),
            Self::Ping | Self::WhoAmI | Self::CloseSession => {}
        }
    }

    /// Reads the body of a request for `op`, to its end.
    ///
    /// # Errors
    /// Any [`DecodeError`] of a malformed or over-long body; [`DecodeError::UnknownOp`] for the
    /// numbers that exist but are not requests (`Notification`, `CreateSession`,
    /// `DeleteContainer`). [`DecodeError::error_code`] is what to answer.
    pub fn decode(op: OpCode, body: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let request = Self::decode_body(op, body)?;
        body.finish("request")?;
        Ok(request)
    }

    fn decode_body(op: OpCode, body: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match op {
            OpCode::Create => Self::Create(NewNode::decode(body)?),
            OpCode::Create2 => Self::Create2(NewNode::decode(body)?),
            OpCode::CreateContainer => Self::CreateContainer(NewNode::decode(body)?),
            OpCode::CreateTtl => {
                Self::CreateTtl { node: NewNode::decode(body)?, ttl_ms: body.long("ttl")? }
            }
            OpCode::Delete => Self::Delete { path: path(body)?, version: version(body)? },
            OpCode::Exists => Self::Exists { path: path(body)?, watch: watch(body)? },
            OpCode::GetData => Self::GetData { path: path(body)?, watch: watch(body)? },
            OpCode::SetData => Self::SetData {
                path: path(body)?,
                data: body.buffer("data")?,
                version: version(body)?,
            },
            OpCode::GetAcl => Self::GetAcl { path: path(body)? },
            OpCode::SetAcl => Self::SetAcl {
                path: path(body)?,
                acl: Acl::decode_list(body)?,
                version: version(body)?,
            },
            OpCode::GetChildren => Self::GetChildren { path: path(body)?, watch: watch(body)? },
            OpCode::GetChildren2 => Self::GetChildren2 { path: path(body)?, watch: watch(body)? },
            OpCode::Sync => Self::Sync { path: path(body)? },
            OpCode::Ping => Self::Ping,
            OpCode::Check => Self::Check { path: path(body)?, version: version(body)? },
            OpCode::Multi => Self::Multi(MultiOp::decode_list(body)?),
            OpCode::MultiRead => Self::MultiRead(ReadOp::decode_list(body)?),
            OpCode::Auth | OpCode::Sasl => Self::decode_proof(op, body)?,
            OpCode::SetWatches => Self::decode_watches(body)?,
            OpCode::SetWatches2 => Self::decode_watches2(body)?,
            OpCode::AddWatch => {
                Self::AddWatch { path: path(body)?, mode: AddWatchMode::decode(body)? }
            }
            OpCode::RemoveWatches => {
                Self::RemoveWatches { path: path(body)?, kind: WatcherKind::decode(body)? }
            }
            OpCode::CheckWatches => {
                Self::CheckWatches { path: path(body)?, kind: WatcherKind::decode(body)? }
            }
            OpCode::GetEphemerals => Self::GetEphemerals { prefix: body.string("prefix")? },
            OpCode::GetAllChildrenNumber => Self::GetAllChildrenNumber { path: path(body)? },
            OpCode::WhoAmI => Self::WhoAmI,
            OpCode::Reconfig => Self::Reconfig(Bytes::copy_from_slice(body.rest())),
            OpCode::CloseSession => Self::CloseSession,
            OpCode::Notification | OpCode::CreateSession | OpCode::DeleteContainer => {
                return Err(DecodeError::UnknownOp(op.code()));
            }
        })
    }

    fn decode_proof(op: OpCode, body: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if op == OpCode::Sasl {
            return Ok(Self::Sasl { token: body.buffer("sasl token")?.map(Secret::from) });
        }
        // The type was meant for later use and never got one; servers do not look at it.
        body.int("auth type")?;
        let scheme = body.string("auth scheme")?;
        let credential = body.buffer("credential")?.unwrap_or_default().into();
        Ok(Self::Auth { scheme, credential })
    }

    fn encode_watches(&self, out: &mut BytesMut) {
        if let Self::SetWatches { relative_zxid, data, exist, child }
        | Self::SetWatches2 { relative_zxid, data, exist, child, .. } = self
        {
            out.put_i64(*relative_zxid);
            out.put_strings(data);
            out.put_strings(exist);
            out.put_strings(child);
        }
        if let Self::SetWatches2 { persistent, persistent_recursive, .. } = self {
            out.put_strings(persistent);
            out.put_strings(persistent_recursive);
        }
    }

    fn decode_watches(body: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self::SetWatches {
            relative_zxid: body.long("relative zxid")?,
            data: body.strings("data watches")?,
            exist: body.strings("exist watches")?,
            child: body.strings("child watches")?,
        })
    }

    fn decode_watches2(body: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self::SetWatches2 {
            relative_zxid: body.long("relative zxid")?,
            data: body.strings("data watches")?,
            exist: body.strings("exist watches")?,
            child: body.strings("child watches")?,
            persistent: body.strings("persistent watches")?,
            persistent_recursive: body.strings("persistent recursive watches")?,
        })
    }
}

const AUTH_TYPE: i32 = 0;

fn encode_path_and_number(path: &str, number: i32, out: &mut BytesMut) {
    out.put_string(path);
    out.put_i32(number);
}

fn path(body: &mut Reader<'_>) -> Result<String, DecodeError> {
    body.string("path")
}

fn version(body: &mut Reader<'_>) -> Result<i32, DecodeError> {
    body.int("version")
}

fn watch(body: &mut Reader<'_>) -> Result<bool, DecodeError> {
    body.boolean("watch flag")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_credentials() {
        let auth = Request::Auth { scheme: "digest".into(), credential: (*b"user:pw").into() };
        let shown = format!("{auth:?}");
        assert!(shown.contains("digest") && !shown.contains("user"), "{shown}");
        let sasl = Request::Sasl { token: Some((*b"response").into()) };
        assert!(!format!("{sasl:#?}").contains("response"));
    }

    #[test]
    fn numbers_that_are_not_requests() {
        for op in [OpCode::Notification, OpCode::CreateSession, OpCode::DeleteContainer] {
            let error = Request::decode(op, &mut Reader::new(&[]));
            assert_eq!(error, Err(DecodeError::UnknownOp(op.code())));
        }
    }

    #[test]
    fn surplus_bytes_are_refused() {
        assert_eq!(
            Request::decode(OpCode::Ping, &mut Reader::new(&[0])),
            Err(DecodeError::Trailing { what: "request", at: 0, extra: 1 })
        );
    }
}
