//! A segment that is written to: a file of zeros made beforehand, filled from the front.

use std::io;
use std::sync::Arc;

use super::batch::Batch;
use super::chain::Chain;
use super::disk::{Disk, DiskFile, write_all_at};
use super::error::Failure;
use super::options::Durability;
use super::segment_header::{BLOCK, SegmentHeader, file_name};

/// The name of a segment in the making.
pub(super) const TEMPORARY: &str = "log.tmp";
/// How much is filled with zeros at a time.
const FILL_BYTES: usize = 256 << 10;

/// A segment open for writing.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) header: SegmentHeader,
    pub(super) file: Box<dyn DiskFile>,
    /// Where the next batch goes.
    pub(super) at: u64,
}

impl Segment {
    /// Makes the file of a new segment and fills it with zeros, so that a batch needs no new block
    /// and no new length: with nothing but data to sync, a sync takes about half the time.
    pub(super) fn prepare(disk: &Arc<dyn Disk>, header: SegmentHeader) -> Result<Segment, Failure> {
        let made = fill(disk.as_ref(), &header);
        let file = made.map_err(|(doing, source)| {
            // What fills a disk to the brim should not stay there. If it cannot be removed, the
            // next start does.
            let _ = disk.remove(TEMPORARY);
            Failure { doing, path: disk.path(TEMPORARY), source }
        })?;
        Ok(Segment { header, file, at: BLOCK as u64 })
    }

    /// Whether the batch fits, and behind it the mark of a closed log.
    pub(super) fn has_room_for(&self, batch: &Batch) -> bool {
        self.at + batch.blocks_length() + BLOCK as u64 <= self.header.capacity
    }

    /// Whether nothing has been written to it.
    pub(super) fn is_unused(&self) -> bool {
        self.at == BLOCK as u64
    }

    /// Whether it is time to prepare the next.
    pub(super) fn is_half_full(&self) -> bool {
        self.at >= self.header.capacity / 2
    }

    /// Writes and syncs a batch, and gives the chain behind it. After a failure nothing is known
    /// of what is on the disk.
    pub(super) fn write(
        &mut self,
        batch: &mut Batch,
        chain: &Chain,
        durability: Durability,
    ) -> Result<Chain, (&'static str, io::Error)> {
        let (bytes, chain) = batch.finish(&self.header, chain);
        write_all_at(self.file.as_ref(), bytes, self.at).map_err(|error| ("write to", error))?;
        self.at += bytes.len() as u64;
        if durability == Durability::Synced {
            self.file.sync_data().map_err(|error| ("sync", error))?;
        }
        Ok(chain)
    }
}

fn fill(
    disk: &dyn Disk,
    header: &SegmentHeader,
) -> Result<Box<dyn DiskFile>, (&'static str, io::Error)> {
    let file = disk.create(TEMPORARY).map_err(|error| ("create", error))?;
    let zeros = vec![0; FILL_BYTES];
    let mut at = BLOCK as u64;
    while at < header.capacity {
        let left = usize::try_from(header.capacity - at).unwrap_or(usize::MAX);
        let chunk = &zeros[..left.min(FILL_BYTES)];
        write_all_at(file.as_ref(), chunk, at).map_err(|error| ("write to", error))?;
        at += chunk.len() as u64;
    }
    write_all_at(file.as_ref(), &header.encode(), 0).map_err(|error| ("write to", error))?;
    file.sync_data().map_err(|error| ("sync", error))?;
    // Only whole segments get a name that counts.
    disk.rename(TEMPORARY, &file_name(header.id)).map_err(|error| ("rename", error))?;
    disk.sync_dir().map_err(|error| ("sync the folder of", error))?;
    Ok(file)
}
