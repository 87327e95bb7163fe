//! The part of a log that is not written to any more, for those who make snapshots of it.

use std::io;
use std::sync::Arc;

use super::error::{Failure, Stopped};
use super::folder::Folder;
use super::sealed::Sealed;
use super::segment_header::file_name;
use super::shared::Shared;

/// All sealed segments of a log. Clones are alike, and keep the folder's lock but not the log.
#[derive(Debug, Clone)]
pub struct Archive {
    pub(super) shared: Arc<Shared>,
    pub(super) folder: Folder,
}

impl Archive {
    /// Lets everything appended so far be in segments that are not written to any more, and
    /// returns when it is: the zxid of the last entry in them. Others may go on appending.
    ///
    /// # Errors
    ///
    /// When the next segment cannot be made, after which the log goes on in the current one, or
    /// when the log has stopped.
    pub fn seal_and_rotate(&self) -> Result<i64, Arc<Failure>> {
        let mut state = self.shared.lock();
        state.rotations_wanted += 1;
        let mine = state.rotations_wanted;
        self.shared.work.notify_one();
        while state.rotations_done < mine {
            match &state.stopped {
                Some(Stopped::Failed(failure)) => return Err(Arc::clone(failure)),
                Some(Stopped::Closed) => return Err(self.closed()),
                None => {}
            }
            state = self.shared.wait(state);
        }
        match &state.rotation_failure {
            Some(failure) => Err(Arc::clone(failure)),
            None => Ok(state.sealed.last().map_or(self.folder.floor(), |sealed| sealed.last_zxid)),
        }
    }

    fn closed(&self) -> Arc<Failure> {
        let path = self.folder.disk().path("");
        Arc::new(Failure {
            doing: "rotate the closed log in",
            path,
            source: io::Error::other(Stopped::Closed),
        })
    }

    /// Removes the segments that have nothing above `zxid`, which a snapshot must have and the one
    /// before it should; says how many.
    ///
    /// # Errors
    ///
    /// Of the file system. What was removed by then is gone; the rest can be removed later.
    pub fn remove_segments_up_to(&self, zxid: i64) -> io::Result<usize> {
        let mut removed = 0;
        loop {
            // One at a time and from the oldest, each durably: a crash never leaves a hole.
            let oldest = self.shared.lock().sealed.first().copied();
            let Some(oldest) = oldest.filter(|sealed| sealed.last_zxid <= zxid) else {
                return Ok(removed);
            };
            let disk = self.folder.disk();
            match disk.remove(&file_name(oldest.id)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            disk.sync_dir()?;
            self.shared.lock().sealed.retain(|sealed| sealed.id != oldest.id);
            removed += 1;
        }
    }

    /// All segments that are not written to any more.
    pub(crate) fn sealed(&self) -> Vec<Sealed> {
        self.shared.lock().sealed.clone()
    }

    /// The zxid of the last entry in a sealed segment, or the one the folder began at.
    pub fn sealed_zxid(&self) -> i64 {
        self.sealed().last().map_or(self.folder.floor(), |sealed| sealed.last_zxid)
    }

    /// The length of all sealed segments that have something after `zxid`.
    pub fn sealed_bytes_after(&self, zxid: i64) -> u64 {
        let sealed = self.sealed();
        sealed.iter().filter(|sealed| sealed.last_zxid > zxid).map(|sealed| sealed.bytes).sum()
    }

    /// The folder it is in.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }
}
