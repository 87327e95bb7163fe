//! Writing an image in Apache's format.
//!
//! ```text
//! "ZKSN" | int 2 | long -1
//! int sessions | {long id, int timeout}...
//! int access lists | {long id, int entries, {int permissions, scheme, id}...}...
//! {path, data, long acl, czxid, mzxid, ctime, mtime, int version, creates, aversion,
//!  long owner, pzxid}...
//! "/" | long adler32 of all before | "/"
//! ```
//!
//! Servers of all releases since 3.4 read that; what later ones add behind it may be missing.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use sneck_wire::Acl;
use sneck_wire::jute::Writer as _;

use super::adler32::Adler32;
use super::image::{Ancestors, Image, NodeRecord};

pub(super) const MAGIC: [u8; 4] = *b"ZKSN";
pub(super) const VERSION: i32 = 2;
/// The number of the database, which nothing looks at.
const DATABASE: i64 = -1;
/// The access list that lets everybody do everything, which needs no entry in the table.
pub(super) const OPEN_ACL: i64 = -1;
/// The path that stands behind the last node.
pub(super) const END: &str = "/";
/// How much is gathered before it is written.
const CHUNK_BYTES: usize = 64 << 10;

/// Why an image cannot be written.
#[derive(Debug)]
#[non_exhaustive]
pub enum WriteError {
    /// The image is not one of a tree.
    Invalid(InvalidImage),
    /// The writer failed.
    Io(io::Error),
}

/// What is wrong with an image.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidImage {
    /// There is no root.
    Empty,
    /// The node does not stand behind its parent, or its path is none.
    OutOfOrder {
        /// Its path.
        path: String,
    },
    /// More sessions or access lists than the format can count.
    TooMany,
}

impl fmt::Display for InvalidImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the image has no root"),
            Self::OutOfOrder { path } => {
                write!(f, "the node `{}` is not behind its parent", path.escape_debug())
            }
            Self::TooMany => f.write_str("more sessions or access lists than can be counted"),
        }
    }
}

impl Error for InvalidImage {}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(invalid) => invalid.fmt(f),
            Self::Io(_) => f.write_str("cannot write the snapshot"),
        }
    }
}

impl Error for WriteError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Invalid(_) => None,
            Self::Io(error) => Some(error),
        }
    }
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> WriteError {
        WriteError::Io(error)
    }
}

/// Writes an image. Its zxid is not in it: Apache has that in the name of the file.
///
/// # Errors
///
/// [`WriteError`]; what was written by then is no snapshot.
pub fn write(image: &Image, to: impl Write) -> Result<(), WriteError> {
    let mut out = Out { to, sum: Adler32::new(), chunk: BytesMut::new() };
    let sessions = i32::try_from(image.sessions.len()).map_err(|_| too_many())?;
    out.chunk.put_slice(&MAGIC);
    out.chunk.put_i32(VERSION);
    out.chunk.put_i64(DATABASE);
    out.chunk.put_i32(sessions);
    for session in &image.sessions {
        out.chunk.put_i64(session.id);
        out.chunk.put_i32(session.timeout_ms);
        out.flush_chunk()?;
    }
    let table = Table::of(&image.nodes)?;
    out.chunk.put_i32(table.count);
    for (number, acl) in (1..).zip(&table.lists) {
        out.chunk.put_i64(number);
        Acl::encode_list(acl, &mut out.chunk);
        out.flush_chunk()?;
    }
    let mut ancestors = Ancestors::default();
    for node in &image.nodes {
        let path = if node.path == "/" { "" } else { &node.path };
        if !ancestors.admit(path) {
            let path = node.path.clone();
            return Err(WriteError::Invalid(InvalidImage::OutOfOrder { path }));
        }
        put_node(&mut out.chunk, path, table.number(&node.acl), node);
        out.flush_chunk()?;
    }
    if image.nodes.is_empty() {
        return Err(WriteError::Invalid(InvalidImage::Empty));
    }
    out.finish()
}

fn too_many() -> WriteError {
    WriteError::Invalid(InvalidImage::TooMany)
}

fn put_node(out: &mut BytesMut, path: &str, acl: i64, node: &NodeRecord) {
    out.put_string(path);
    out.put_buffer(node.data.as_deref());
    out.put_i64(acl);
    out.put_i64(node.czxid);
    out.put_i64(node.mzxid);
    out.put_i64(node.ctime);
    out.put_i64(node.mtime);
    out.put_i32(node.version);
    out.put_i32(node.creates);
    out.put_i32(node.aversion);
    out.put_i64(node.owner);
    out.put_i64(node.pzxid);
}

/// All access lists of an image but the open one, each once.
struct Table<'a> {
    lists: Vec<&'a [Acl]>,
    count: i32,
    by_list: HashMap<&'a [Acl], i64>,
    open: Vec<Acl>,
}

impl<'a> Table<'a> {
    fn of(nodes: &'a [NodeRecord]) -> Result<Table<'a>, WriteError> {
        let mut table =
            Table { lists: Vec::new(), count: 0, by_list: HashMap::new(), open: Acl::open() };
        // Neighbours mostly share their list, which is quicker to see than to look up.
        let mut before: Option<&'a Arc<[Acl]>> = None;
        for node in nodes {
            if before.is_some_and(|before| Arc::ptr_eq(before, &node.acl)) {
                continue;
            }
            before = Some(&node.acl);
            if *node.acl != *table.open && !table.by_list.contains_key(&*node.acl) {
                table.count = table.count.checked_add(1).ok_or_else(too_many)?;
                table.lists.push(&node.acl);
                table.by_list.insert(&node.acl, i64::from(table.count));
            }
        }
        Ok(table)
    }

    fn number(&self, acl: &[Acl]) -> i64 {
        self.by_list.get(acl).copied().unwrap_or(OPEN_ACL)
    }
}

/// Gathers, sums up and writes.
struct Out<W> {
    to: W,
    sum: Adler32,
    chunk: BytesMut,
}

impl<W: Write> Out<W> {
    /// Writes what was gathered, if that is worth it.
    fn flush_chunk(&mut self) -> io::Result<()> {
        if self.chunk.len() < CHUNK_BYTES {
            return Ok(());
        }
        self.sum.update(&self.chunk);
        self.to.write_all(&self.chunk)?;
        self.chunk.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<(), WriteError> {
        self.chunk.put_string(END);
        self.sum.update(&self.chunk);
        self.chunk.put_i64(i64::from(self.sum.value()));
        self.chunk.put_string(END);
        self.to.write_all(&self.chunk)?;
        Ok(self.to.flush()?)
    }
}
