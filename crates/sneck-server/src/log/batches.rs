//! The batches of one segment, one after the other, and what lies behind the last.

use super::batch::Found;
use super::segment_header::{BLOCK, SegmentHeader};

/// Walks over the batches of a segment until the first place where there is none.
#[derive(Debug)]
pub(super) struct Batches<'a> {
    bytes: &'a [u8],
    segment: SegmentHeader,
    at: usize,
}

/// What lies behind the last batch of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// Nothing: the segment is as it was made.
    Zeros,
    /// Bytes that are no batch, up to here: a write that was torn, if it was the last one.
    Torn {
        /// The offset behind the last byte that is not zero.
        end: usize,
    },
    /// Bytes that are no batch, and a whole batch behind them: no torn write looks like that.
    Followed,
}

impl<'a> Batches<'a> {
    /// Walks over the segment in `bytes`, whose header is known.
    pub(super) fn new(bytes: &'a [u8], segment: SegmentHeader) -> Batches<'a> {
        Batches { bytes, segment, at: BLOCK }
    }

    /// Where the next batch begins, or would.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// What is there, looked at from the first place without a batch.
    pub(super) fn rest(&self) -> Rest {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(end) = end_of_data(rest) else { return Rest::Zeros };
        let mut starts = (0..end).step_by(BLOCK).map(|at| &rest[at..]);
        match starts.any(|start| Found::decode(start, &self.segment).is_some()) {
            true => Rest::Followed,
            false => Rest::Torn { end: self.at + end },
        }
    }
}

/// The offset behind the last byte that is not zero. Whole blocks are compared at once, for most
/// of a segment is zeros.
fn end_of_data(bytes: &[u8]) -> Option<usize> {
    const ZEROS: [u8; BLOCK] = [0; BLOCK];
    let mut end = bytes.len();
    for block in bytes.rchunks(BLOCK) {
        if block != &ZEROS[..block.len()] {
            let last = block.iter().rposition(|byte| *byte != 0)?;
            return Some(end - block.len() + last + 1);
        }
        end -= block.len();
    }
    None
}

impl<'a> Iterator for Batches<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        let found = Found::decode(self.bytes.get(self.at..)?, &self.segment)?;
        self.at += found.blocks_length();
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::batch::Batch;
    use super::super::chain::Chain;
    use super::*;

    const SEGMENT: SegmentHeader = SegmentHeader { id: 1, nonce: 77, capacity: 16 * BLOCK as u64 };

    /// A segment with batches of these payloads' lengths, and where each begins.
    fn segment(lengths: &[usize]) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = SEGMENT.encode().to_vec();
        let mut starts = Vec::new();
        let mut chain = Chain::beginning_after(0);
        for length in lengths {
            let mut batch = Batch::new();
            batch.push(chain.zxid + 1, &vec![0xab; *length]);
            let (written, next) = batch.finish(&SEGMENT, &chain);
            starts.push(bytes.len());
            bytes.extend(written);
            chain = next;
        }
        bytes.resize(SEGMENT.capacity as usize, 0);
        (bytes, starts)
    }

    #[test]
    fn damage_before_a_batch_is_told_from_a_torn_end() {
        let (whole, starts) = segment(&[10, 9_000, 10, 5_000]);
        let mut batches = Batches::new(&whole, SEGMENT);
        assert_eq!(batches.by_ref().count(), 4);
        assert_eq!((batches.at(), batches.rest()), (starts[3] + 2 * BLOCK, Rest::Zeros));
        for (index, start) in starts.iter().enumerate() {
            let mut bytes = whole.clone();
            bytes[start + 70] ^= 1;
            let mut batches = Batches::new(&bytes, SEGMENT);
            assert_eq!(batches.by_ref().count(), index);
            let end = starts[3] + 64 + 12 + 5_000;
            let expected = if index == 3 { Rest::Torn { end } } else { Rest::Followed };
            assert_eq!(batches.rest(), expected);
        }
    }

    #[test]
    fn what_a_client_stored_is_no_batch() {
        // The payload holds, at the start of a block, a batch of a segment with another nonce.
        let mut forged = Batch::new();
        forged.push(9, b"forged");
        let alike = SegmentHeader { nonce: 78, ..SEGMENT };
        let (forged, _) = forged.finish(&alike, &Chain { batch: 1, crc: 0, zxid: 1 });
        let mut payload = vec![0; BLOCK - 64 - 12];
        payload.extend(forged);
        let mut batch = Batch::new();
        batch.push(1, &payload);
        let mut bytes = SEGMENT.encode().to_vec();
        bytes.extend(batch.finish(&SEGMENT, &Chain::beginning_after(0)).0);
        bytes[BLOCK] ^= 1;
        let batches = Batches::new(&bytes, SEGMENT);
        assert!(matches!(batches.rest(), Rest::Torn { .. }));
    }

    proptest! {
        #[test]
        fn random_segments_never_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..20_000),
            (at, lengths) in (0..60_000_usize, prop::collection::vec(0..9_000_usize, 1..5)),
        ) {
            let mut batches = Batches::new(&bytes, SEGMENT);
            prop_assert_eq!(batches.by_ref().count(), 0);
            batches.rest();
            // And whole ones with a random stretch in them.
            let (mut damaged, _) = segment(&lengths);
            let end = damaged.len().min(at + bytes.len());
            if at < end {
                damaged[at..end].copy_from_slice(&bytes[..end - at]);
            }
            let mut batches = Batches::new(&damaged, SEGMENT);
            prop_assert!(batches.by_ref().count() <= lengths.len());
            batches.rest();
        }
    }
}
