//! How a log is kept.

use std::hash::{BuildHasher, Hasher, RandomState};

use super::batch::{ENTRY_HEADER_BYTES, HEADER_BYTES};
use super::segment_header::{BLOCK, SEGMENT_BYTES_MAX};

/// The least that the proportions below leave enough room in.
const SEGMENT_BYTES_MIN: u64 = 256 << 10;
const FIRST_SEGMENT_BYTES_MIN: u64 = 4 * BLOCK as u64;

/// When an entry counts as durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// When the disk has it: it outlives a power failure.
    #[default]
    Synced,
    /// When the operating system has it: it outlives the process, not the machine. After a power
    /// failure the folder may even be refused as damaged, for nothing says in which order the
    /// system has written.
    Written,
}

/// Options of a log.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// When an entry counts as durable.
    pub durability: Durability,
    /// The length of the first segment of a new folder, small so that it is made in a millisecond
    /// or two. Later ones grow up to [`segment_bytes`](LogOptions::segment_bytes).
    pub first_segment_bytes: u64,
    /// The length of segments in the long run, between 256 KiB and 64 MiB. An entry may take an
    /// eighth of it.
    pub segment_bytes: u64,
    /// A random number that no client can know.
    pub nonce: u64,
}

impl Default for LogOptions {
    fn default() -> LogOptions {
        LogOptions {
            durability: Durability::default(),
            first_segment_bytes: 1 << 20,
            segment_bytes: 16 << 20,
            // The keys of a new hasher come from the system's random source.
            nonce: RandomState::new().build_hasher().finish(),
        }
    }
}

impl LogOptions {
    /// With lengths that are possible.
    pub(super) fn bounded(&self) -> LogOptions {
        let whole = |bytes: u64| bytes - bytes % BLOCK as u64;
        let segment_bytes = whole(self.segment_bytes.clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX));
        let first = self.first_segment_bytes.clamp(FIRST_SEGMENT_BYTES_MIN, segment_bytes);
        LogOptions { segment_bytes, first_segment_bytes: whole(first), ..self.clone() }
    }

    /// The length of the segment after one of this length. Each but the first has room for the
    /// largest batch, which is an entry more than [`LogOptions::open_bytes_max`].
    pub(super) fn next_capacity(&self, capacity: u64) -> u64 {
        let grown = capacity.saturating_mul(4).clamp(self.segment_bytes / 4, self.segment_bytes);
        grown - grown % BLOCK as u64
    }

    /// Above this the batch in the making takes nothing more until it is on its way to the disk.
    pub(super) fn open_bytes_max(&self) -> usize {
        usize::try_from(self.segment_bytes / 16).expect("a segment fits into memory")
    }

    /// The largest payload of an entry.
    pub(super) fn payload_bytes_max(&self) -> usize {
        let entry = usize::try_from(self.segment_bytes / 8).expect("a segment fits into memory");
        entry - HEADER_BYTES - ENTRY_HEADER_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_batch_fits_into_every_segment_but_the_first() {
        for segment_bytes in [0, 256 << 10, 300_001, 1 << 20, 16 << 20, u64::MAX] {
            for first_segment_bytes in [0, 70_000, u64::MAX] {
                let given =
                    LogOptions { segment_bytes, first_segment_bytes, ..LogOptions::default() };
                let options = given.bounded();
                let batch = options.open_bytes_max() - 1 + options.payload_bytes_max() + 12;
                let second = options.next_capacity(options.first_segment_bytes);
                // The header's block, and one for the mark of a closed log.
                assert!(batch.next_multiple_of(BLOCK) + 2 * BLOCK <= second as usize);
                assert_eq!(options.next_capacity(SEGMENT_BYTES_MAX), options.segment_bytes);
            }
        }
    }

    #[test]
    fn nonces_differ() {
        assert_ne!(LogOptions::default().nonce, LogOptions::default().nonce);
    }
}
