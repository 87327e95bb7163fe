//! From a folder to a state: the newest snapshot that can be read, and the log after it.

use std::path::PathBuf;

use super::decode::BadSnapshot;
use super::image::Image;
use super::snapshots::{Loaded, Snapshots, TEMPORARY};
use crate::log::{Folder, Log, OpenError, Recovery, ReplayError, failed};

/// A state that can be made of an image and entries of the log, and made into an image again.
///
/// The server has one to begin with, and a [`Compactor`](super::Compactor) one of its own.
pub trait Replica: Sized {
    /// The state in `image`; without one, that of a new folder that begins at zxid `floor`.
    ///
    /// # Errors
    ///
    /// When the image cannot be one of such a state.
    fn restore(image: Option<Image>, floor: i64) -> Result<Self, ReplayError>;

    /// Applies an entry of the log.
    ///
    /// # Errors
    ///
    /// When it is no entry that such a state could have written.
    fn replay(&mut self, zxid: i64, payload: &[u8]) -> Result<(), ReplayError>;

    /// All of the state, with its nodes in order. The zxid is filled in by the caller.
    fn into_image(self) -> Image;
}

/// What a folder had.
#[derive(Debug)]
pub struct Restored<R> {
    /// The state after the last entry.
    pub replica: R,
    /// The log, ready to go on.
    pub recovery: Recovery,
    /// Snapshots that could not be read and were not needed, newest first.
    pub damaged: Vec<(PathBuf, BadSnapshot)>,
}

/// Reads a folder. A snapshot that is damaged does no harm as long as the log still has all that
/// came after the one before.
///
/// # Errors
///
/// Any [`OpenError`] but those about the folder. What was read is changed only once all of it has
/// been found good.
pub fn restore<R: Replica>(folder: &Folder) -> Result<Restored<R>, OpenError> {
    let snapshots = Snapshots::new(folder.disk().as_ref());
    let Loaded { image, mut damaged } = snapshots.load_newest()?;
    let zxid = image.as_ref().map(|image| image.zxid);
    let at = zxid.unwrap_or(folder.floor());
    let mut replica = R::restore(image, folder.floor())
        .map_err(|source| OpenError::Replay { zxid: at, source })?;
    let replayed = Log::recover(folder, zxid, |zxid, payload| replica.replay(zxid, payload));
    match replayed {
        Ok(recovery) => {
            let path = folder.disk().path(TEMPORARY);
            snapshots.remove_unfinished().map_err(failed("remove", &path))?;
            Ok(Restored { replica, recovery, damaged })
        }
        // The gap is where the snapshot that cannot be read should be.
        Err(OpenError::Gap { .. }) if !damaged.is_empty() => {
            let (path, bad) = damaged.swap_remove(0);
            Err(OpenError::NoSnapshot { path, source: bad.into() })
        }
        Err(error) => Err(error),
    }
}
