//! What must hold of the log's decoders whatever bytes they are given.

use super::batch::{Found, HEADER_BYTES};
use super::batches::{Batches, Rest};
use super::segment_header::{BLOCK, SegmentHeader};

const SEGMENT: SegmentHeader = SegmentHeader { id: 1, nonce: 77, capacity: 1 << 20 };
/// Where a block's header has the checksum of what precedes it.
const HEADER_CRC_AT: usize = 32;
/// How many batches of an input get a checksum that is right.
const BATCHES_MAX: usize = 4;

/// Reads a segment's header: as it is, and with a checksum that is right.
pub(crate) fn segment_header(bytes: &[u8]) {
    let mut block = [0; BLOCK];
    let length = bytes.len().min(BLOCK);
    block[..length].copy_from_slice(&bytes[..length]);
    assert!(length == BLOCK || SegmentHeader::decode(&bytes[..length]).is_err());
    let _ = SegmentHeader::decode(&block);
    let crc = crc32c::crc32c(&block[..HEADER_CRC_AT]);
    block[HEADER_CRC_AT..HEADER_CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
    if let Ok(header) = SegmentHeader::decode(&block) {
        assert_eq!(SegmentHeader::decode(&header.encode()), Ok(header));
    }
}

/// Walks over the batches of a segment: of the bytes as they are, and of the bytes with headers
/// that a checksum vouches for.
pub(crate) fn batches(bytes: &[u8]) {
    let mut segment = SEGMENT.encode().to_vec();
    segment.extend_from_slice(bytes);
    segment.truncate(usize::try_from(SEGMENT.capacity).unwrap_or(usize::MAX));
    walk(&segment);
    let mut at = BLOCK;
    for _ in 0..BATCHES_MAX {
        let Some(length) = vouch_for(&mut segment, at) else { break };
        at += length.next_multiple_of(BLOCK);
    }
    walk(&segment);
}

fn walk(segment: &[u8]) {
    let mut batches = Batches::new(segment, SEGMENT);
    let mut before = batches.at();
    while let Some(found) = batches.next() {
        assert!(batches.at() > before, "each batch takes some room");
        before = batches.at();
        let entries: Vec<(i64, &[u8])> = found.entries().collect();
        assert_eq!(entries.len(), usize::try_from(found.count).expect("few entries"));
        let zxids: Vec<i64> = entries.iter().map(|(zxid, _)| *zxid).collect();
        assert!(zxids.is_sorted_by(|a, b| a < b));
        let last = zxids.last().copied().unwrap_or(found.follows.zxid);
        assert_eq!(found.chain().zxid, last);
    }
    if let Rest::Torn { end } = batches.rest() {
        assert!(batches.at() < end && end <= segment.len());
    }
}

/// Makes the batch at `at` one of this segment, with the checksum it should have; gives its length.
fn vouch_for(segment: &mut [u8], at: usize) -> Option<usize> {
    let batch = segment.get_mut(at..)?;
    let header = batch.first_chunk_mut::<HEADER_BYTES>()?;
    header[..4].copy_from_slice(b"SNKB");
    header[8..16].copy_from_slice(&SEGMENT.id.to_be_bytes());
    header[16..24].copy_from_slice(&SEGMENT.nonce.to_be_bytes());
    header[60..].fill(0);
    let length = u32::from_be_bytes([header[56], header[57], header[58], header[59]]);
    let end = HEADER_BYTES.checked_add(usize::try_from(length).ok()?)?;
    let crc = crc32c::crc32c(batch.get(8..end)?);
    batch[4..8].copy_from_slice(&crc.to_be_bytes());
    let found = Found::decode(batch, &SEGMENT)?;
    Some(found.blocks_length())
}
