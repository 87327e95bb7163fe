//! A batch: the entries that one write and one sync make durable, as they lie in a segment.

use bytes::{Buf, BufMut};

use super::chain::Chain;
use super::segment_header::{BLOCK, SegmentHeader};

const MAGIC: u32 = u32::from_be_bytes(*b"SNKB");
/// What precedes the entries.
pub(super) const HEADER_BYTES: usize = 64;
/// What precedes the payload of an entry: its zxid and its length.
pub(super) const ENTRY_HEADER_BYTES: usize = 12;
/// The checksum covers everything behind itself.
const CRC_END: usize = 8;

/// Entries in the making.
///
/// ```text
/// 0 magic "SNKB" | 4 crc32c of all that follows | 8 segment | 16 nonce | 24 number of the batch
/// 32 zxid before | 40 first zxid | 48 crc of the batch before | 52 entries | 56 length | 60 zero
/// 64 entries, each {zxid: i64, length: u32, payload} | zeros up to a whole block
/// ```
#[derive(Debug)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    count: u32,
    first_zxid: i64,
    last_zxid: i64,
}

impl Batch {
    /// A batch without entries. Written as it is, it marks the end of a log that was closed.
    pub(super) fn new() -> Batch {
        Batch { bytes: vec![0; HEADER_BYTES], count: 0, first_zxid: 0, last_zxid: 0 }
    }

    /// Makes it a new one that keeps up to `keep` bytes of memory.
    pub(super) fn clear(&mut self, keep: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(keep);
        self.bytes.resize(HEADER_BYTES, 0);
        self.count = 0;
    }

    pub(super) fn push(&mut self, zxid: i64, payload: &[u8]) {
        if self.count == 0 {
            self.first_zxid = zxid;
        }
        self.count += 1;
        self.last_zxid = zxid;
        let length = u32::try_from(payload.len()).expect("entries are shorter than a segment");
        self.bytes.put_i64(zxid);
        self.bytes.put_u32(length);
        self.bytes.put_slice(payload);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How much it holds, without what rounds it up.
    pub(super) fn length(&self) -> usize {
        self.bytes.len()
    }

    /// What it takes in a segment.
    pub(super) fn blocks_length(&self) -> u64 {
        rounded_up(self.bytes.len()) as u64
    }

    /// Completes it as the next batch of the chain, in this segment. Gives the bytes to write and
    /// the chain behind it.
    pub(super) fn finish(&mut self, segment: &SegmentHeader, chain: &Chain) -> (&[u8], Chain) {
        let empty = self.count == 0;
        let length = u32::try_from(self.bytes.len() - HEADER_BYTES).expect("it fits a segment");
        self.bytes.resize(rounded_up(self.bytes.len()), 0);
        let mut out = &mut self.bytes[..HEADER_BYTES];
        out.put_u32(MAGIC);
        out.put_u32(0);
        out.put_u64(segment.id);
        out.put_u64(segment.nonce);
        out.put_u64(chain.batch);
        out.put_i64(chain.zxid);
        out.put_i64(if empty { chain.zxid } else { self.first_zxid });
        out.put_u32(chain.crc);
        out.put_u32(self.count);
        out.put_u32(length);
        out.put_u32(0);
        let crc = crc32c::crc32c(&self.bytes[CRC_END..HEADER_BYTES + length as usize]);
        self.bytes[CRC_END - 4..CRC_END].copy_from_slice(&crc.to_be_bytes());
        let zxid = if empty { chain.zxid } else { self.last_zxid };
        (&self.bytes, Chain { batch: chain.batch + 1, crc, zxid })
    }
}

fn rounded_up(length: usize) -> usize {
    length.next_multiple_of(BLOCK)
}

/// A batch found in a segment, whole and with the right checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found<'a> {
    /// What it says it follows.
    pub(super) follows: Chain,
    /// How many entries it has; 0 marks the end of a log that was closed.
    pub(super) count: u32,
    crc: u32,
    entries: &'a [u8],
}

/// What a batch's header says of its place, before any checksum is known to be right.
struct Fixed {
    crc: u32,
    follows: Chain,
    first_zxid: i64,
    count: u32,
    length: usize,
}

/// Reads a header, if it is one of this segment's.
fn fixed(bytes: &[u8], segment: &SegmentHeader) -> Option<Fixed> {
    let mut header = &bytes.first_chunk::<HEADER_BYTES>()?[..];
    let magic = header.get_u32();
    let crc = header.get_u32();
    let own = header.get_u64() == segment.id && header.get_u64() == segment.nonce;
    let batch = header.get_u64();
    let previous_zxid = header.get_i64();
    let first_zxid = header.get_i64();
    let previous_crc = header.get_u32();
    let follows = Chain { batch, crc: previous_crc, zxid: previous_zxid };
    let count = header.get_u32();
    let length = usize::try_from(header.get_u32()).ok()?;
    let zero = header.get_u32();
    let ours = magic == MAGIC && own && zero == 0;
    ours.then_some(Fixed { crc, follows, first_zxid, count, length })
}

/// What the batch at the start of `bytes` says it follows, unproven: for finding where to begin.
pub(super) fn peek(bytes: &[u8], segment: &SegmentHeader) -> Option<Chain> {
    fixed(bytes, segment).map(|fixed| fixed.follows)
}

impl<'a> Found<'a> {
    /// The batch at the start of `bytes`, if there is a whole one of this segment's.
    ///
    /// The checksum is computed only if the segment's nonce is right, so that what clients stored
    /// cannot make the search for batches slow.
    pub(super) fn decode(bytes: &'a [u8], segment: &SegmentHeader) -> Option<Found<'a>> {
        let Fixed { crc, follows, first_zxid, count, length } = fixed(bytes, segment)?;
        let covered = bytes.get(CRC_END..HEADER_BYTES.checked_add(length)?)?;
        if crc32c::crc32c(covered) != crc {
            return None;
        }
        let entries = &bytes[HEADER_BYTES..HEADER_BYTES + length];
        let found = Found { follows, count, crc, entries };
        found.is_consistent(first_zxid).then_some(found)
    }

    /// The entries with their zxids, in order.
    pub(super) fn entries(&self) -> impl Iterator<Item = (i64, &'a [u8])> {
        let mut rest = self.entries;
        std::iter::from_fn(move || {
            if rest.len() < ENTRY_HEADER_BYTES {
                return None;
            }
            let zxid = rest.get_i64();
            let length = usize::try_from(rest.get_u32()).ok()?;
            let (payload, behind) = rest.split_at_checked(length)?;
            rest = behind;
            Some((zxid, payload))
        })
    }

    /// What the batch behind it follows.
    pub(super) fn chain(&self) -> Chain {
        let zxid = self.entries().last().map_or(self.follows.zxid, |(zxid, _)| zxid);
        Chain { batch: self.follows.batch.wrapping_add(1), crc: self.crc, zxid }
    }

    /// What it takes in its segment.
    pub(super) fn blocks_length(&self) -> usize {
        rounded_up(HEADER_BYTES + self.entries.len())
    }

    /// A right checksum over entries that contradict the header is a defect of whoever wrote them.
    fn is_consistent(&self, first_zxid: i64) -> bool {
        let mut previous = self.follows.zxid;
        let mut length = 0;
        let mut count = 0;
        for (zxid, payload) in self.entries() {
            let expected = if count == 0 { zxid == first_zxid } else { true };
            if zxid <= previous || !expected {
                return false;
            }
            previous = zxid;
            count += 1;
            length += ENTRY_HEADER_BYTES + payload.len();
        }
        count == self.count && length == self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SEGMENT: SegmentHeader = SegmentHeader { id: 3, nonce: 0xdead_beef, capacity: 1 << 20 };
    const CHAIN: Chain = Chain { batch: 9, crc: 0x1234, zxid: 100 };

    fn batch(entries: &[(i64, Vec<u8>)]) -> Batch {
        let mut batch = Batch::new();
        for (zxid, payload) in entries {
            batch.push(*zxid, payload);
        }
        batch
    }

    #[test]
    fn an_empty_batch_keeps_the_zxid() {
        let mut batch = Batch::new();
        let (bytes, chain) = batch.finish(&SEGMENT, &CHAIN);
        let found = Found::decode(bytes, &SEGMENT).unwrap();
        assert_eq!((found.count, found.follows, found.chain()), (0, CHAIN, chain));
        assert_eq!((chain.batch, chain.zxid), (10, 100));
        assert_eq!(found.blocks_length(), BLOCK);
    }

    #[test]
    fn each_flipped_or_missing_byte_is_noticed() {
        let mut batch = batch(&[(101, b"one".to_vec()), (102, Vec::new()), (105, b"x".to_vec())]);
        let covered = batch.length();
        let (bytes, _) = batch.finish(&SEGMENT, &CHAIN);
        for at in 0..covered {
            let mut flipped = bytes.to_vec();
            flipped[at] ^= 1;
            assert_eq!(Found::decode(&flipped, &SEGMENT), None, "byte {at}");
            assert_eq!(Found::decode(&bytes[..at], &SEGMENT), None, "cut at {at}");
        }
        assert!(Found::decode(&bytes[..covered], &SEGMENT).is_some());
    }

    #[test]
    fn a_batch_of_another_segment_is_none() {
        let mut batch = batch(&[(101, b"one".to_vec())]);
        let (bytes, _) = batch.finish(&SEGMENT, &CHAIN);
        let recycled = SegmentHeader { id: 4, ..SEGMENT };
        let forged = SegmentHeader { nonce: 1, ..SEGMENT };
        assert_eq!(Found::decode(bytes, &recycled), None);
        assert_eq!(Found::decode(bytes, &forged), None);
    }

    #[test]
    fn zxids_must_ascend() {
        for entries in
            [[(100, Vec::new()), (101, Vec::new())], [(102, Vec::new()), (102, Vec::new())]]
        {
            let mut batch = batch(&entries);
            let (bytes, _) = batch.finish(&SEGMENT, &CHAIN);
            assert_eq!(Found::decode(bytes, &SEGMENT), None);
        }
    }

    proptest! {
        #[test]
        fn entries_are_read_back(
            steps in prop::collection::vec((1..1_000_i64, prop::collection::vec(any::<u8>(), 0..300)), 0..40)
        ) {
            let mut zxid = CHAIN.zxid;
            let entries: Vec<(i64, Vec<u8>)> = steps
                .into_iter()
                .map(|(step, payload)| { zxid += step; (zxid, payload) })
                .collect();
            let mut batch = batch(&entries);
            let length = batch.blocks_length();
            let (bytes, chain) = batch.finish(&SEGMENT, &CHAIN);
            prop_assert_eq!(bytes.len() as u64, length);
            let found = Found::decode(bytes, &SEGMENT).unwrap();
            let read: Vec<(i64, Vec<u8>)> =
                found.entries().map(|(zxid, payload)| (zxid, payload.to_vec())).collect();
            prop_assert_eq!(read, entries);
            prop_assert_eq!(found.chain(), chain);
            prop_assert_eq!(peek(bytes, &SEGMENT), Some(CHAIN));
        }

        #[test]
        fn random_bytes_are_no_batch(mut bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(Found::decode(&bytes, &SEGMENT), None);
            // Also not with everything right that can be right without a checksum.
            let (mut batch, length) = (Batch::new(), bytes.len().min(HEADER_BYTES));
            let (header, _) = batch.finish(&SEGMENT, &CHAIN);
            bytes[..length.min(24)].copy_from_slice(&header[..length.min(24)]);
            prop_assert_eq!(Found::decode(&bytes, &SEGMENT), None);
        }
    }
}
