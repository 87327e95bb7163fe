//! Reading an image in Apache's format: see [`encode`](super::encode).

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::io::{self, BufReader, Read};
use std::sync::Arc;

use bytes::Bytes;
use sneck_wire::{Acl, Id, Permissions};

use super::adler32::Adler32;
use super::encode::{END, MAGIC, OPEN_ACL, VERSION};
use super::image::{Ancestors, Image, NodeRecord, SessionRecord};

/// The longest path, data, scheme or id. Frames are sixteen times shorter by default.
const FIELD_BYTES_MAX: usize = 16 << 20;

/// Why bytes are no snapshot.
#[derive(Debug)]
#[non_exhaustive]
pub enum BadSnapshot {
    /// They do not begin as one, or in a version that is not known.
    NotASnapshot,
    /// They end too early.
    Truncated,
    /// The checksum is not that of what was read.
    Checksum,
    /// Something in it cannot be.
    Invalid {
        /// What.
        what: &'static str,
    },
    /// The reader failed.
    Io(io::Error),
}

impl fmt::Display for BadSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotASnapshot => f.write_str("not a snapshot of a known version"),
            Self::Truncated => f.write_str("the snapshot is cut off"),
            Self::Checksum => f.write_str("the snapshot's checksum is wrong"),
            Self::Invalid { what } => write!(f, "the snapshot has an invalid {what}"),
            Self::Io(_) => f.write_str("cannot read the snapshot"),
        }
    }
}

impl Error for BadSnapshot {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for BadSnapshot {
    fn from(error: io::Error) -> BadSnapshot {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => BadSnapshot::Truncated,
            _ => BadSnapshot::Io(error),
        }
    }
}

/// Reads an image, to which its file's name gives the zxid. What newer releases of Apache's write
/// behind it is not looked at.
///
/// No memory is taken on the word of a length or count: it grows with what is really read.
///
/// # Errors
///
/// See [`BadSnapshot`].
pub fn read(zxid: i64, from: impl Read) -> Result<Image, BadSnapshot> {
    let mut input = Input { from: BufReader::with_capacity(64 << 10, from), sum: Adler32::new() };
    let magic = input.array()?;
    if magic != MAGIC || input.int()? != VERSION {
        return Err(BadSnapshot::NotASnapshot);
    }
    input.long()?;
    let mut sessions = Vec::new();
    for _ in 0..input.count("number of sessions")? {
        sessions.push(SessionRecord { id: input.long()?, timeout_ms: input.int()? });
    }
    let lists = read_lists(&mut input)?;
    let mut nodes = Vec::new();
    let mut ancestors = Ancestors::default();
    loop {
        let path = input.string("path")?;
        if path == END {
            break;
        }
        if !ancestors.admit(&path) {
            return Err(BadSnapshot::Invalid { what: "order of nodes" });
        }
        nodes.push(read_node(&mut input, path, &lists)?);
    }
    let sum = i64::from(input.sum.value());
    if input.long()? != sum {
        return Err(BadSnapshot::Checksum);
    }
    if input.string("end")? != END {
        return Err(BadSnapshot::Invalid { what: "end" });
    }
    if nodes.is_empty() {
        return Err(BadSnapshot::Invalid { what: "tree: it has no root" });
    }
    Ok(Image { zxid, sessions, nodes })
}

type Lists = HashMap<i64, Arc<[Acl]>>;

fn read_lists<R: Read>(input: &mut Input<R>) -> Result<Lists, BadSnapshot> {
    let mut lists = Lists::from([(OPEN_ACL, Acl::open().into())]);
    for _ in 0..input.count("number of access lists")? {
        let number = input.long()?;
        let mut list = Vec::new();
        for _ in 0..input.count("length of an access list")? {
            let permissions = Permissions::from_bits(input.int()?);
            let (scheme, id) = (input.string("scheme")?, input.string("identity")?);
            list.push(Acl::new(permissions, Id { scheme, id }));
        }
        lists.insert(number, list.into());
    }
    Ok(lists)
}

fn read_node<R: Read>(
    input: &mut Input<R>,
    path: String,
    lists: &Lists,
) -> Result<NodeRecord, BadSnapshot> {
    let data = input.buffer("data")?.map(Bytes::from);
    let acl = lists.get(&input.long()?).ok_or(BadSnapshot::Invalid { what: "access list" })?;
    Ok(NodeRecord {
        path: if path.is_empty() { "/".to_owned() } else { path },
        data,
        acl: Arc::clone(acl),
        czxid: input.long()?,
        mzxid: input.long()?,
        ctime: input.long()?,
        mtime: input.long()?,
        version: input.int()?,
        creates: input.int()?,
        aversion: input.int()?,
        owner: input.long()?,
        pzxid: input.long()?,
    })
}

/// Reads and sums up.
struct Input<R> {
    from: BufReader<R>,
    sum: Adler32,
}

impl<R: Read> Input<R> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], BadSnapshot> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes)?;
        self.sum.update(&bytes);
        Ok(bytes)
    }

    fn int(&mut self) -> Result<i32, BadSnapshot> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    fn long(&mut self) -> Result<i64, BadSnapshot> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// A count; null, as Java writes an absent list, is none.
    fn count(&mut self, what: &'static str) -> Result<i32, BadSnapshot> {
        match self.int()? {
            count @ 0.. => Ok(count),
            -1 => Ok(0),
            _ => Err(BadSnapshot::Invalid { what }),
        }
    }

    fn buffer(&mut self, what: &'static str) -> Result<Option<Vec<u8>>, BadSnapshot> {
        let announced = self.int()?;
        if announced == -1 {
            return Ok(None);
        }
        let length = usize::try_from(announced).ok().filter(|length| *length <= FIELD_BYTES_MAX);
        let length = length.ok_or(BadSnapshot::Invalid { what })?;
        let mut bytes = Vec::new();
        self.from.by_ref().take(length as u64).read_to_end(&mut bytes)?;
        if bytes.len() < length {
            return Err(BadSnapshot::Truncated);
        }
        // Read piece by piece it may have room to spare, and nodes are kept for long.
        bytes.shrink_to_fit();
        self.sum.update(&bytes);
        Ok(Some(bytes))
    }

    fn string(&mut self, what: &'static str) -> Result<String, BadSnapshot> {
        let bytes = self.buffer(what)?.ok_or(BadSnapshot::Invalid { what })?;
        String::from_utf8(bytes).map_err(|_| BadSnapshot::Invalid { what })
    }
}
