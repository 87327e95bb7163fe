//! The snapshots in a data folder: written whole or not at all, and the last two kept.

use std::io::{self, Read as _, Write};
use std::path::PathBuf;

use super::decode::{self, BadSnapshot};
use super::encode::{self, WriteError};
use super::image::Image;
use crate::log::{Disk, DiskFile, OpenError, failed};

/// What a snapshot is called until it is whole.
pub(super) const TEMPORARY: &str = "snapshot.tmp";

/// The name of the snapshot at this zxid, which is Apache's.
pub(super) fn file_name(zxid: i64) -> String {
    format!("snapshot.{zxid:x}")
}

/// The zxid of the snapshot in a file of this name.
fn zxid_in(name: &str) -> Option<i64> {
    let zxid = i64::from_str_radix(name.strip_prefix("snapshot.")?, 16).ok()?;
    (zxid >= 0 && file_name(zxid) == name).then_some(zxid)
}

/// The snapshots of one folder.
#[derive(Debug, Clone, Copy)]
pub struct Snapshots<'a> {
    disk: &'a dyn Disk,
}

/// The newest snapshot that can be read.
#[derive(Debug)]
pub struct Loaded {
    /// What is in it; `None` where there is no snapshot, or none that can be read.
    pub image: Option<Image>,
    /// The newer ones that cannot be read, newest first.
    pub damaged: Vec<(PathBuf, BadSnapshot)>,
}

impl<'a> Snapshots<'a> {
    /// Those on this disk.
    pub fn new(disk: &'a dyn Disk) -> Snapshots<'a> {
        Snapshots { disk }
    }

    /// Reads the newest one that is whole.
    ///
    /// # Errors
    ///
    /// [`OpenError::Io`], also when a file that is there cannot be read: that it could be read
    /// later would lead to a second history.
    pub fn load_newest(&self) -> Result<Loaded, OpenError> {
        let mut zxids = self.zxids().map_err(failed("list", &self.disk.path("")))?;
        zxids.sort_unstable();
        let mut damaged = Vec::new();
        for &zxid in zxids.iter().rev() {
            match self.load(zxid) {
                Ok(image) => return Ok(Loaded { image: Some(image), damaged }),
                Err(BadSnapshot::Io(source)) => {
                    let path = self.disk.path(&file_name(zxid));
                    return Err(OpenError::Io { doing: "read", path, source });
                }
                Err(bad) => damaged.push((self.disk.path(&file_name(zxid)), bad)),
            }
        }
        Ok(Loaded { image: None, damaged })
    }

    fn load(&self, zxid: i64) -> Result<Image, BadSnapshot> {
        let (file, length) = self.disk.read(&file_name(zxid))?;
        let image = decode::read(zxid, file.take(length))?;
        let newest = |node: &super::NodeRecord| node.czxid.max(node.mzxid).max(node.pzxid);
        match image.nodes.iter().map(newest).max() {
            // Ours are taken between two writes, so that the name bounds all that is in them.
            Some(newest) if newest > zxid => Err(BadSnapshot::Invalid { what: "name: too low" }),
            _ => Ok(image),
        }
    }

    /// Writes a snapshot under its final name once it is whole and durable; gives its length.
    ///
    /// # Errors
    ///
    /// [`WriteError`]; there is no such snapshot then.
    pub fn save(&self, image: &Image) -> Result<u64, WriteError> {
        let written = self.write_temporary(image);
        if written.is_err() {
            // What fills a disk to the brim should not stay there; the next save replaces it
            // in any case.
            let _ = self.disk.remove(TEMPORARY);
        }
        let length = written?;
        self.disk.rename(TEMPORARY, &file_name(image.zxid))?;
        self.disk.sync_dir()?;
        Ok(length)
    }

    fn write_temporary(&self, image: &Image) -> Result<u64, WriteError> {
        let file = self.disk.create(TEMPORARY)?;
        let mut out = Sequential { file: file.as_ref(), at: 0 };
        encode::write(image, &mut out)?;
        let length = out.at;
        file.sync_data()?;
        Ok(length)
    }

    /// Removes what was to become a snapshot when a server ended.
    ///
    /// # Errors
    ///
    /// Of the file system.
    pub fn remove_unfinished(&self) -> io::Result<()> {
        match self.disk.list()?.iter().any(|name| name == TEMPORARY) {
            true => self.disk.remove(TEMPORARY),
            false => Ok(()),
        }
    }

    /// Removes all snapshots but those at these zxids.
    ///
    /// # Errors
    ///
    /// Of the file system.
    pub fn keep_only(&self, kept: &[i64]) -> io::Result<()> {
        for zxid in self.zxids()?.iter().filter(|zxid| !kept.contains(zxid)) {
            self.disk.remove(&file_name(*zxid))?;
        }
        self.disk.sync_dir()
    }

    fn zxids(&self) -> io::Result<Vec<i64>> {
        Ok(self.disk.list()?.iter().filter_map(|name| zxid_in(name)).collect())
    }
}

/// Writes a file from the front.
struct Sequential<'a> {
    file: &'a dyn DiskFile,
    at: u64,
}

impl Write for Sequential<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write_at(bytes, self.at)?;
        self.at += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(zxid_in(&file_name(0x12_0000_0003)), Some(0x12_0000_0003));
        for other in
            ["snapshot.tmp", "snapshot.0a", "snapshot.A", "snapshot.-1", "snapshot.", "log.1"]
        {
            assert_eq!(zxid_in(other), None, "{other}");
        }
    }
}
