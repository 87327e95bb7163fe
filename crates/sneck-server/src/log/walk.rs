//! Reading segments one after the other, each proven to continue the one before. Changes nothing.

use std::io::Read as _;

use super::batch::{Found, HEADER_BYTES, peek};
use super::batches::{Batches, Rest};
use super::chain::Chain;
use super::error::{OpenError, ReplayError};
use super::folder::{Folder, failed};
use super::segment_header::{BLOCK, BadHeader, SEGMENT_BYTES_MAX, SegmentHeader, file_name, id_in};

/// What is called for each entry, with its zxid and payload.
pub(crate) type Replay<'a> = dyn FnMut(i64, &[u8]) -> Result<(), ReplayError> + 'a;

const MISSING_BATCH: &str = "no batch, though there are later ones";

/// How far the log has been read.
pub(super) struct Walk<'a> {
    folder: &'a Folder,
    /// Everything up to this zxid is in the snapshot.
    after: i64,
    /// How many entries were replayed.
    pub(super) entries: u64,
    /// What follows the last batch that was read.
    pub(super) chain: Option<Chain>,
    /// What was read, in order.
    pub(super) segments: Vec<Read>,
    bytes: Vec<u8>,
}

/// A segment that was read, and what it turned out to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Read {
    pub(super) header: SegmentHeader,
    /// The offset behind the last batch.
    pub(super) end: u64,
    /// What lies there.
    pub(super) rest: Rest,
    /// The zxid of the last entry up to there.
    pub(super) last_zxid: i64,
}

impl Read {
    /// Whether anything was ever written to it.
    pub(super) fn is_used(&self) -> bool {
        self.end > BLOCK as u64 || self.rest != Rest::Zeros
    }
}

/// The numbers of all segments in a folder, ascending.
pub(super) fn segments_in(folder: &Folder) -> Result<Vec<u64>, OpenError> {
    let disk = folder.disk();
    let names = disk.list().map_err(failed("list", &disk.path("")))?;
    let mut ids: Vec<u64> = names.iter().filter_map(|name| id_in(name)).collect();
    ids.sort_unstable();
    Ok(ids)
}

impl<'a> Walk<'a> {
    /// Reads these segments, and calls `replay` for each entry after `after`.
    pub(super) fn over(
        folder: &'a Folder,
        ids: &[u64],
        after: i64,
        replay: &mut Replay<'_>,
    ) -> Result<Walk<'a>, OpenError> {
        let (chain, segments, bytes) = (None, Vec::new(), Vec::new());
        let mut walk = Walk { folder, after, entries: 0, chain, segments, bytes };
        let first = walk.start(ids)?;
        for &id in &ids[first..] {
            let read = walk.segment(id, replay)?;
            // A segment is entered after everything before it is on the disk.
            let torn = walk.segments.iter().find(|read| read.rest != Rest::Zeros);
            if let Some(torn) = torn.filter(|_| read.is_used()) {
                return Err(walk.damaged(torn.header.id, torn.end, MISSING_BATCH));
            }
            walk.segments.push(read);
        }
        Ok(walk)
    }

    /// The segment to begin with, as an index: the last whose first batch follows what the
    /// snapshot has. Older ones wait for their removal, and nothing is wanted from them.
    fn start(&mut self, ids: &[u64]) -> Result<usize, OpenError> {
        for (index, &id) in ids.iter().enumerate().rev() {
            let header = self.load(id, BLOCK + HEADER_BYTES)?;
            // A look at the header is enough to pass on, but to skip what lies before takes the
            // proof of a checksum.
            let follows = self.bytes.get(BLOCK..).and_then(|bytes| peek(bytes, &header));
            if follows.is_none_or(|follows| follows.zxid > self.after) {
                continue;
            }
            self.load(id, usize::MAX)?;
            if Found::decode(&self.bytes[BLOCK..], &header).is_some() {
                return Ok(index);
            }
        }
        Ok(0)
    }

    /// Reads the beginning of a segment, or all of it, and checks its header.
    fn load(&mut self, id: u64, bytes_max: usize) -> Result<SegmentHeader, OpenError> {
        let disk = self.folder.disk();
        let path = disk.path(&file_name(id));
        let (file, length) = disk.read(&file_name(id)).map_err(failed("read", &path))?;
        self.bytes.clear();
        let limit = SEGMENT_BYTES_MAX.min(bytes_max as u64);
        file.take(limit).read_to_end(&mut self.bytes).map_err(failed("read", &path))?;
        let header = match SegmentHeader::decode(&self.bytes) {
            Ok(header) => header,
            Err(BadHeader::Newer(version)) => return Err(OpenError::Newer { path, version }),
            Err(BadHeader::Damaged) => return Err(self.damaged(id, 0, "no header of a segment")),
        };
        if header.id != id {
            return Err(self.damaged(id, 0, "the header of another segment"));
        }
        let read = self.bytes.len() as u64;
        if length != header.capacity || read < limit.min(length) {
            return Err(self.damaged(id, length, "the file is not as long as it was made"));
        }
        Ok(header)
    }

    fn segment(&mut self, id: u64, replay: &mut Replay<'_>) -> Result<Read, OpenError> {
        if let Some(before) = self.segments.last().filter(|before| before.header.id + 1 != id) {
            return Err(self.damaged(before.header.id + 1, 0, "the file is missing"));
        }
        let header = self.load(id, usize::MAX)?;
        let bytes = std::mem::take(&mut self.bytes);
        let mut batches = Batches::new(&bytes, header);
        let mut end = batches.at() as u64;
        while let Some(found) = batches.next() {
            self.accept(id, end, &found.follows)?;
            for (zxid, payload) in found.entries().filter(|(zxid, _)| *zxid > self.after) {
                replay(zxid, payload).map_err(|source| OpenError::Replay { zxid, source })?;
                self.entries += 1;
            }
            self.chain = Some(found.chain());
            end = batches.at() as u64;
        }
        let rest = batches.rest();
        self.bytes = bytes;
        if rest == Rest::Followed {
            return Err(self.damaged(id, end, MISSING_BATCH));
        }
        let last_zxid = self.chain.map_or(self.after, |chain| chain.zxid);
        Ok(Read { header, end, rest, last_zxid })
    }

    /// Whether the batch at `at` is the one that should be there, by what it says it follows.
    fn accept(&self, id: u64, at: u64, follows: &Chain) -> Result<(), OpenError> {
        if let Some(chain) = self.chain
            && (chain.batch, chain.crc) != (follows.batch, follows.crc)
        {
            // What is missing is missing behind the last batch, in whichever segment that is.
            let before = self.segments.last().filter(|_| at == BLOCK as u64);
            let (id, at) = before.map_or((id, at), |before| (before.header.id, before.end));
            return Err(self.damaged(id, at, MISSING_BATCH));
        }
        // Behind the last batch a snapshot from elsewhere may have taken the log further.
        let known_zxid = self.after.max(self.chain.map_or(self.after, |chain| chain.zxid));
        match follows.zxid <= known_zxid {
            true => Ok(()),
            false => Err(OpenError::Gap {
                path: self.folder.disk().path(&file_name(id)),
                known_zxid,
                after_zxid: follows.zxid,
            }),
        }
    }

    fn damaged(&self, id: u64, offset: u64, what: &'static str) -> OpenError {
        OpenError::Damaged { path: self.folder.disk().path(&file_name(id)), offset, what }
    }
}
