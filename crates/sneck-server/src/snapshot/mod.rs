//! Snapshots: the whole state of the server in one file, in the format of Apache ZooKeeper.
//!
//! The format is Apache's so that a server can grow into an ensemble by a copy of one file: see
//! [`export`]. A snapshot is never taken of the running state. A [`Compactor`] makes each new one
//! of the last one and the part of the log that is not written to any more, by the same replay
//! with which the server starts: nothing pauses, and recovery is tried out all day.

mod adler32;
mod compactor;
mod decode;
mod encode;
mod export;
mod image;
mod restore;
mod snapshots;

pub(crate) use compactor::Bell;
pub use compactor::{CompactError, Compacted, Compactor, Pace};
pub use decode::{BadSnapshot, read};
pub use encode::{InvalidImage, WriteError, write};
pub use export::{ExportError, Exported, export, seed};
pub use image::{CONTAINER_OWNER, Image, NodeRecord, SessionRecord, TTL_OWNER_BYTE};
pub use restore::{Replica, Restored, restore};
pub use snapshots::{Loaded, Snapshots};

/// The checksum that a snapshot of these bytes ends with.
#[cfg(feature = "fuzzing")]
pub(crate) fn adler32_of(bytes: &[u8]) -> u32 {
    let mut sum = adler32::Adler32::new();
    sum.update(bytes);
    sum.value()
}
