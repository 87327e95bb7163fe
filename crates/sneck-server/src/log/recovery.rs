//! What was found in a folder's log, and where it goes on.

use super::batches::Rest;
use super::chain::Chain;
use super::disk::write_all_at;
use super::error::{Failure, OpenError};
use super::folder::{Folder, failed};
use super::options::LogOptions;
use super::sealed::Sealed;
use super::segment::{Segment, TEMPORARY};
use super::segment_header::{SegmentHeader, file_name};
use super::walk::{Read, Replay, Walk, segments_in};

/// A log that has been read to its end, and is ready to go on.
#[derive(Debug)]
pub struct Recovery {
    /// The zxid of the last entry, or where there is none, that of the snapshot or the folder.
    pub zxid: i64,
    /// How many entries were replayed.
    pub entries: u64,
    /// Bytes at the end that a crash had left without a whole batch, and that were wiped.
    pub wiped_bytes: u64,
    pub(super) folder: Folder,
    pub(super) chain: Chain,
    pub(super) sealed: Vec<Sealed>,
    /// Where the log goes on, if there is a segment for it.
    current: Option<Segment>,
    next_id: u64,
}

/// Replays every entry after `after`.
pub(super) fn recover(
    folder: &Folder,
    after: i64,
    replay: &mut Replay<'_>,
) -> Result<Recovery, OpenError> {
    let ids = segments_in(folder)?;
    let walk = Walk::over(folder, &ids, after, replay)?;
    tidy_up(folder, &ids, &walk, after)
}

/// Replays every entry after `after` of segments that are not written to any more, and gives the
/// zxid of the last.
pub(crate) fn replay_sealed(
    folder: &Folder,
    sealed: &[Sealed],
    after: i64,
    replay: &mut Replay<'_>,
) -> Result<i64, OpenError> {
    let ids: Vec<u64> = sealed.iter().map(|sealed| sealed.id).collect();
    let walk = Walk::over(folder, &ids, after, replay)?;
    let zxid = walk.chain.map_or(after, |chain| chain.zxid.max(after));
    let expected = sealed.last().map_or(after, |sealed| sealed.last_zxid);
    let last = walk.segments.last().filter(|read| zxid < expected || read.rest != Rest::Zeros);
    match last {
        Some(read) => Err(OpenError::Damaged {
            path: folder.disk().path(&file_name(read.header.id)),
            offset: read.end,
            what: "a batch that was durable is missing",
        }),
        None => Ok(zxid),
    }
}

/// What is to be done once everything was read and found good. Only here is anything changed.
fn tidy_up(
    folder: &Folder,
    ids: &[u64],
    walk: &Walk<'_>,
    after: i64,
) -> Result<Recovery, OpenError> {
    let disk = folder.disk();
    let names = disk.list().map_err(failed("list", &disk.path("")))?;
    if names.iter().any(|name| name == TEMPORARY) {
        disk.remove(TEMPORARY).map_err(failed("remove", &disk.path(TEMPORARY)))?;
    }
    let reads = &walk.segments;
    let used = reads.iter().rposition(Read::is_used);
    let wiped_bytes = used.map_or(Ok(0), |used| wipe(folder, &reads[used]))?;
    // Where a write was torn the log goes on in another segment, away from blocks that the disk
    // may have failed with.
    let current = match used {
        Some(used) if wiped_bytes == 0 => used,
        _ => used.map_or(0, |used| used + 1),
    };
    let current = reads.get(current);
    let kept = current.or(used.map(|used| &reads[used])).map(|read| read.header.id);
    for &id in ids.iter().rev().filter(|id| kept.is_some_and(|kept| **id > kept)) {
        // Prepared and never entered. From the end, so that a crash leaves no hole.
        disk.remove(&file_name(id)).map_err(failed("remove", &disk.path(&file_name(id))))?;
    }
    disk.sync_dir().map_err(failed("sync", &disk.path("")))?;
    let chain = walk.chain.unwrap_or(Chain::beginning_after(after));
    let chain = Chain { zxid: chain.zxid.max(after), ..chain };
    Ok(Recovery {
        zxid: chain.zxid,
        entries: walk.entries,
        wiped_bytes,
        folder: folder.clone(),
        chain,
        sealed: sealed(ids, walk, current),
        current: current.map(|read| open(folder, read)).transpose()?,
        next_id: kept.map_or(1, |id| id + 1),
    })
}

/// Overwrites a torn end with zeros, and makes the whole segment durable.
///
/// Also with nothing to wipe: what was read may be in memory only, if the process that wrote it
/// was killed before its sync, and what is shown to clients must not be lost with the power.
fn wipe(folder: &Folder, read: &Read) -> Result<u64, OpenError> {
    let name = file_name(read.header.id);
    let path = folder.disk().path(&name);
    let file = folder.disk().open(&name).map_err(failed("open", &path))?;
    let length = match read.rest {
        Rest::Torn { end } => end.saturating_sub(usize::try_from(read.end).unwrap_or(end)),
        Rest::Zeros | Rest::Followed => 0,
    };
    if length > 0 {
        let zeros = vec![0; length];
        write_all_at(file.as_ref(), &zeros, read.end).map_err(failed("wipe the end of", &path))?;
    }
    file.sync_data().map_err(failed("sync", &path))?;
    Ok(length as u64)
}

/// All segments before the current one, or all where there is none.
fn sealed(ids: &[u64], walk: &Walk<'_>, current: Option<&Read>) -> Vec<Sealed> {
    // Those that were not read end before the first one that was, so that its end will do.
    let bound = walk.segments.first().map_or(0, |read| read.last_zxid);
    let read = |id: u64| walk.segments.iter().find(|read| read.header.id == id);
    let sealed = ids.iter().map(|&id| match read(id) {
        Some(read) => Sealed { id, last_zxid: read.last_zxid, bytes: read.header.capacity },
        // Its length does not matter, as a snapshot has all that is in it.
        None => Sealed { id, last_zxid: bound, bytes: 0 },
    });
    sealed.filter(|sealed| current.is_none_or(|current| sealed.id < current.header.id)).collect()
}

fn open(folder: &Folder, read: &Read) -> Result<Segment, OpenError> {
    let name = file_name(read.header.id);
    let file = folder.disk().open(&name).map_err(failed("open", &folder.disk().path(&name)))?;
    Ok(Segment { header: read.header, file, at: read.end })
}

impl Recovery {
    /// The segment to write to: the one found, or a new one.
    pub(super) fn segment(&mut self, options: &LogOptions) -> Result<Segment, OpenError> {
        if let Some(current) = self.current.take() {
            return Ok(current);
        }
        let (nonce, capacity) = (options.nonce, options.first_segment_bytes);
        let header = SegmentHeader { id: self.next_id, nonce, capacity };
        Segment::prepare(self.folder.disk(), header)
            .map_err(|Failure { doing, path, source }| OpenError::Io { doing, path, source })
    }
}
