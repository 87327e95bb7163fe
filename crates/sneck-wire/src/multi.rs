//! Lists of operations and of their results. Each element has a header of its own, and a header
//! with `done` set ends the list, which is why nothing announces how many there are.

use bytes::{BufMut, Bytes, BytesMut};

use crate::jute::{Reader, Writer};
use crate::{DecodeError, ErrorCode, NewNode, OpCode, Stat};

/// The most operations or results one list may have.
///
/// More than fit in a frame of [`MAX_FRAME_DEFAULT`](crate::MAX_FRAME_DEFAULT), so it refuses
/// nothing there; where frames may be larger it bounds what one of them can make us allocate.
pub const MULTI_OPS_MAX: usize = 1 << 17;

/// One write of a multi.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MultiOp {
    /// Create a node; the result is its path.
    Create(NewNode),
    /// Create a node; the result is its path and, from most servers, its stat.
    Create2(NewNode),
    /// Create a container; the result is its path and stat.
    CreateContainer(NewNode),
    /// Create a node with a time to live; the result is its path and stat.
    CreateTtl {
        /// The node.
        node: NewNode,
        /// How long it lives when unchanged and childless, in milliseconds.
        ttl_ms: i64,
    },
    /// Delete a node.
    Delete {
        /// The node.
        path: String,
        /// Its version, or -1 for any.
        version: i32,
    },
    /// Replace a node's data; the result is its stat.
    SetData {
        /// The node.
        path: String,
        /// The data; `None` is null.
        data: Option<Bytes>,
        /// Its version, or -1 for any.
        version: i32,
    },
    /// Fail unless the node exists in this version.
    Check {
        /// The node.
        path: String,
        /// Its version, or -1 for any.
        version: i32,
    },
}

impl MultiOp {
    /// The operation.
    pub const fn op(&self) -> OpCode {
        match self {
            Self::Create(_) => OpCode::Create,
            Self::Create2(_) => OpCode::Create2,
            Self::CreateContainer(_) => OpCode::CreateContainer,
            Self::CreateTtl { .. } => OpCode::CreateTtl,
            Self::Delete { .. } => OpCode::Delete,
            Self::SetData { .. } => OpCode::SetData,
            Self::Check { .. } => OpCode::Check,
        }
    }

    pub(crate) fn encode_list(ops: &[Self], out: &mut BytesMut) {
        for op in ops {
            Header::request(op.op()).encode(out);
            op.encode(out);
        }
        Header::END.encode(out);
    }

    pub(crate) fn decode_list(body: &mut Reader<'_>) -> Result<Vec<Self>, DecodeError> {
        decode_list(body, Self::decode)
    }

    fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Create(node) | Self::Create2(node) | Self::CreateContainer(node) => {
                node.encode(out);
            }
            Self::CreateTtl { node, ttl_ms } => {
                node.encode(out);
                out.put_i64(*ttl_ms);
            }
            Self::Delete { path, version } | Self::Check { path, version } => {
                out.put_string(path);
                out.put_i32(*version);
            }
            Self::SetData { path, data, version } => {
                out.put_string(path);
                out.put_buffer(data.as_deref());
                out.put_i32(*version);
            }
        }
    }

    fn decode(header: Header, body: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match OpCode::try_from(header.kind) {
            Ok(OpCode::Create) => Self::Create(decode_node(body)?),
            Ok(OpCode::Create2) => Self::Create2(decode_node(body)?),
            Ok(OpCode::CreateContainer) => Self::CreateContainer(decode_node(body)?),
            Ok(OpCode::CreateTtl) => {
                Self::CreateTtl { node: decode_node(body)?, ttl_ms: body.long("ttl")? }
            }
            Ok(OpCode::Delete) => {
                Self::Delete { path: body.string("path")?, version: body.int("version")? }
            }
            Ok(OpCode::SetData) => Self::SetData {
                path: body.string("path")?,
                data: body.buffer("data")?,
                version: body.int("version")?,
            },
            Ok(OpCode::Check) => {
                Self::Check { path: body.string("path")?, version: body.int("version")? }
            }
            _ => return Err(header.unexpected("operation in a multi")),
        })
    }
}

/// One read of a multi-read.
///
/// The wire has room for a watch flag, but a multi-read sets no watches: the flag is written as
/// false and ignored when read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ReadOp {
    /// List a node's children.
    GetChildren {
        /// The node.
        path: String,
    },
    /// Read a node's data and stat.
    GetData {
        /// The node.
        path: String,
    },
}

impl ReadOp {
    /// The operation.
    pub const fn op(&self) -> OpCode {
        match self {
            Self::GetChildren { .. } => OpCode::GetChildren,
            Self::GetData { .. } => OpCode::GetData,
        }
    }

    pub(crate) fn encode_list(ops: &[Self], out: &mut BytesMut) {
        for op in ops {
            Header::request(op.op()).encode(out);
            let (Self::GetChildren { path } | Self::GetData { path }) = op;
            out.put_string(path);
            out.put_bool(false);
        }
        Header::END.encode(out);
    }

    pub(crate) fn decode_list(body: &mut Reader<'_>) -> Result<Vec<Self>, DecodeError> {
        decode_list(body, Self::decode)
    }

    fn decode(header: Header, body: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let make = match OpCode::try_from(header.kind) {
            Ok(OpCode::GetChildren) => |path| Self::GetChildren { path },
            Ok(OpCode::GetData) => |path| Self::GetData { path },
            _ => return Err(header.unexpected("operation in a multi-read")),
        };
        let path = body.string("path")?;
        body.boolean("watch flag")?;
        Ok(make(path))
    }
}

/// What became of one operation of a multi or a multi-read.
///
/// The header of the reply reports success even if a multi has failed. In that case every result
/// is [`MultiResult::Error`]: with [`ErrorCode::OK`] before the operation that failed, and with
/// [`ErrorCode::RUNTIME_INCONSISTENCY`] after it. In a multi-read each result stands for itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MultiResult {
    /// A node was created, by any of the four create operations.
    ///
    /// On the wire `None` is result type 1 and `Some` is type 15. A plain create has no stat; but
    /// neither has a create2 from Apache before 3.7.2, 3.8.2 and 3.9.0, so never rely on it.
    Create {
        /// The node's path, with its number if it is sequential.
        path: String,
        /// The node's stat, if the server sends it.
        stat: Option<Stat>,
    },
    /// A node was deleted.
    Delete,
    /// A node's data were replaced; this is its stat now.
    SetData(Stat),
    /// A check has passed.
    Check,
    /// The children of a node, in no order.
    Children(Vec<String>),
    /// A node's data and stat.
    Data {
        /// The data; `None` is null.
        data: Option<Bytes>,
        /// The stat.
        stat: Stat,
    },
    /// The operation failed, or the multi did.
    Error(ErrorCode),
}

impl MultiResult {
    pub(crate) fn encode_list(results: &[Self], out: &mut BytesMut) {
        for result in results {
            result.encode(out);
        }
        Header::END.encode(out);
    }

    pub(crate) fn decode_list(body: &mut Reader<'_>) -> Result<Vec<Self>, DecodeError> {
        decode_list(body, Self::decode)
    }

    fn encode(&self, out: &mut BytesMut) {
        self.header().encode(out);
        match self {
            Self::Create { path, stat } => {
                out.put_string(path);
                if let Some(stat) = stat {
                    stat.encode(out);
                }
            }
            Self::SetData(stat) => stat.encode(out),
            Self::Children(names) => out.put_strings(names),
            Self::Data { data, stat } => {
                out.put_buffer(data.as_deref());
                stat.encode(out);
            }
            Self::Error(code) => out.put_i32(code.code()),
            Self::Delete | Self::Check => {}
        }
    }

    fn header(&self) -> Header {
        Header::result(match self {
            Self::Create { stat: None, .. } => OpCode::Create,
            Self::Create { stat: Some(_), .. } => OpCode::Create2,
            Self::Delete => OpCode::Delete,
            Self::SetData(_) => OpCode::SetData,
            Self::Check => OpCode::Check,
            Self::Children(_) => OpCode::GetChildren,
            Self::Data { .. } => OpCode::GetData,
            Self::Error(code) => return Header::failure(*code),
        })
    }

    fn decode(header: Header, body: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if header.kind == Header::NO_KIND {
            // The code stands in the header too; clients go by the one in the body.
            return Ok(Self::Error(ErrorCode::new(body.int("error code")?)));
        }
        Ok(match OpCode::try_from(header.kind) {
            Ok(OpCode::Create) => Self::Create { path: body.string("path")?, stat: None },
            Ok(OpCode::Create2) => {
                Self::Create { path: body.string("path")?, stat: Some(Stat::decode(body)?) }
            }
            Ok(OpCode::Delete) => Self::Delete,
            Ok(OpCode::SetData) => Self::SetData(Stat::decode(body)?),
            Ok(OpCode::Check) => Self::Check,
            Ok(OpCode::GetChildren) => Self::Children(body.strings("children")?),
            Ok(OpCode::GetData) => {
                Self::Data { data: body.buffer("data")?, stat: Stat::decode(body)? }
            }
            _ => return Err(header.unexpected("result in a multi")),
        })
    }
}

/// What stands before each element of a list, and alone at its end.
#[derive(Clone, Copy)]
struct Header {
    kind: i32,
    done: bool,
    error: i32,
    /// Where it stood, for error messages.
    at: usize,
}

impl Header {
    /// In place of an operation: of a failure, and of the end.
    const NO_KIND: i32 = -1;
    const END: Self = Self { kind: Self::NO_KIND, done: true, error: -1, at: 0 };

    const fn request(op: OpCode) -> Self {
        Self { kind: op.code(), done: false, error: -1, at: 0 }
    }

    const fn result(op: OpCode) -> Self {
        Self { kind: op.code(), done: false, error: 0, at: 0 }
    }

    const fn failure(code: ErrorCode) -> Self {
        Self { kind: Self::NO_KIND, done: false, error: code.code(), at: 0 }
    }

    fn encode(self, out: &mut BytesMut) {
        out.put_i32(self.kind);
        out.put_bool(self.done);
        out.put_i32(self.error);
    }

    fn decode(body: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            at: body.position(),
            kind: body.int("operation in a multi")?,
            done: body.boolean("end mark in a multi")?,
            error: body.int("error code in a multi")?,
        })
    }

    fn unexpected(self, what: &'static str) -> DecodeError {
        DecodeError::Misplaced { what, at: self.at, value: self.kind }
    }
}

/// Reads a node to create. Flags that are no mode are bad arguments of a create alone, but Apache's server
/// cannot read a multi that has such flags in it.
fn decode_node(body: &mut Reader<'_>) -> Result<NewNode, DecodeError> {
    NewNode::decode(body).map_err(|error| match error {
        DecodeError::InvalidValue { what, at, value } => DecodeError::Misplaced { what, at, value },
        error => error,
    })
}

fn decode_list<T>(
    body: &mut Reader<'_>,
    mut element: impl FnMut(Header, &mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let mut elements = Vec::new();
    loop {
        let header = Header::decode(body)?;
        if header.done {
            return Ok(elements);
        }
        if elements.len() == MULTI_OPS_MAX {
            let (at, length) = (header.at, MULTI_OPS_MAX + 1);
            return Err(DecodeError::TooLong { what: "multi", at, length, limit: MULTI_OPS_MAX });
        }
        elements.push(element(header, body)?);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_that_are_no_mode_spoil_a_multi_as_a_whole() {
        let mode = crate::CreateMode::Persistent;
        let node = NewNode { path: "/a".into(), data: None, acl: Vec::new(), mode };
        for op in [MultiOp::Create(node.clone()), MultiOp::CreateTtl { node, ttl_ms: 1 }] {
            let mut out = BytesMut::new();
            MultiOp::encode_list(&[op], &mut out);
            let at = 9 + 6 + 4 + 4;
            out[at..at + 4].copy_from_slice(&7_i32.to_be_bytes());
            let error = MultiOp::decode_list(&mut Reader::new(&out)).unwrap_err();
            assert_eq!(error, DecodeError::Misplaced { what: "create flags", at, value: 7 });
            assert_eq!(error.error_code(), ErrorCode::MARSHALLING_ERROR);
        }
    }

    #[test]
    fn the_limit_refuses_nothing_that_fits_in_a_default_frame() {
        // The shortest element there is, a check result, is a bare header.
        let mut header = BytesMut::new();
        Header::END.encode(&mut header);
        assert!(crate::MAX_FRAME_DEFAULT / header.len() <= MULTI_OPS_MAX);
    }

    #[test]
    fn the_limit_holds() {
        let mut out = BytesMut::new();
        MultiResult::encode_list(&vec![MultiResult::Check; MULTI_OPS_MAX], &mut out);
        assert_eq!(
            MultiResult::decode_list(&mut Reader::new(&out)).map(|results| results.len()),
            Ok(MULTI_OPS_MAX)
        );
        out.clear();
        MultiResult::encode_list(&vec![MultiResult::Check; MULTI_OPS_MAX + 1], &mut out);
        assert!(matches!(
            MultiResult::decode_list(&mut Reader::new(&out)),
            Err(DecodeError::TooLong { what: "multi", limit: MULTI_OPS_MAX, .. })
        ));
    }

    #[test]
    fn a_multi_inside_a_multi_is_refused() {
        let mut out = BytesMut::new();
        Header::request(OpCode::Multi).encode(&mut out);
        assert_eq!(
            MultiOp::decode_list(&mut Reader::new(&out)),
            Err(DecodeError::Misplaced { what: "operation in a multi", at: 0, value: 14 })
        );
    }

    #[test]
    fn reads_and_writes_do_not_mix() {
        let mut out = BytesMut::new();
        ReadOp::encode_list(&[ReadOp::GetData { path: "/a".into() }], &mut out);
        assert!(MultiOp::decode_list(&mut Reader::new(&out)).is_err());
        out.clear();
        let write = MultiOp::Delete { path: "/a".into(), version: -1 };
        MultiOp::encode_list(&[write], &mut out);
        assert!(ReadOp::decode_list(&mut Reader::new(&out)).is_err());
    }
}
