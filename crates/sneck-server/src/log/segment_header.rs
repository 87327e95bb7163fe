//! The first block of a segment: what the file is.

use bytes::{Buf, BufMut};

/// Headers and batches begin at multiples of this.
///
/// It is the largest unit in which disks and page caches write, so a write that is torn never
/// touches an acknowledged batch, and a scan for later batches need look at few places. It costs
/// room but no time: measured side by side, a sync takes as long when batches are packed, for a
/// block is written either way.
pub(super) const BLOCK: usize = 4096;

/// The largest segment that is written or read.
pub(super) const SEGMENT_BYTES_MAX: u64 = 64 << 20;

const MAGIC: [u8; 4] = *b"SNKL";
const VERSION: u32 = 1;
const ENCODED_BYTES: usize = 36;

/// What the first block of a segment says.
///
/// ```text
/// 0 magic "SNKL" | 4 version | 8 id | 16 nonce | 24 capacity | 32 crc32c of bytes 0..32 | zeros
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    /// Segments are counted up, and each file is named by its number.
    pub(super) id: u64,
    /// A random number, repeated in each batch. No client knows it, so none can store bytes that
    /// would be taken for a batch where a real one is torn.
    pub(super) nonce: u64,
    /// The length of the file. A segment is never shorter than it was made, unless by accident.
    pub(super) capacity: u64,
}

/// Why a block is no header of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadHeader {
    /// Written by a newer release.
    Newer(u32),
    /// Anything else.
    Damaged,
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        let mut out = &mut block[..];
        out.put_slice(&MAGIC);
        out.put_u32(VERSION);
        out.put_u64(self.id);
        out.put_u64(self.nonce);
        out.put_u64(self.capacity);
        let crc = crc32c::crc32c(&block[..ENCODED_BYTES - 4]);
        block[ENCODED_BYTES - 4..ENCODED_BYTES].copy_from_slice(&crc.to_be_bytes());
        block
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<SegmentHeader, BadHeader> {
        let block = bytes.first_chunk::<BLOCK>().ok_or(BadHeader::Damaged)?;
        let (fields, mut crc) = block[..ENCODED_BYTES].split_at(ENCODED_BYTES - 4);
        let mut rest = fields;
        let magic = rest.get_u32().to_be_bytes();
        let version = rest.get_u32();
        if magic != MAGIC || crc.get_u32() != crc32c::crc32c(fields) {
            return Err(BadHeader::Damaged);
        }
        if version > VERSION {
            return Err(BadHeader::Newer(version));
        }
        let header =
            SegmentHeader { id: rest.get_u64(), nonce: rest.get_u64(), capacity: rest.get_u64() };
        let fits = (BLOCK as u64..=SEGMENT_BYTES_MAX).contains(&header.capacity);
        if version != VERSION || !fits {
            return Err(BadHeader::Damaged);
        }
        Ok(header)
    }
}

/// The file of segment `id`.
pub(super) fn file_name(id: u64) -> String {
    format!("log.{id:016x}")
}

/// The segment that a file of this name holds.
pub(super) fn id_in(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("log.")?;
    let id = u64::from_str_radix(digits, 16).ok()?;
    // One spelling only: any other file is not ours.
    (file_name(id) == name).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: SegmentHeader = SegmentHeader { id: 7, nonce: 0xfeed, capacity: 1 << 20 };

    #[test]
    fn a_header_is_read_back() {
        assert_eq!(SegmentHeader::decode(&HEADER.encode()), Ok(HEADER));
    }

    #[test]
    fn each_flipped_or_missing_byte_is_noticed() {
        let block = HEADER.encode();
        for at in 0..ENCODED_BYTES {
            let mut flipped = block;
            flipped[at] ^= 0x10;
            assert_eq!(SegmentHeader::decode(&flipped), Err(BadHeader::Damaged), "byte {at}");
        }
        for length in 0..BLOCK {
            assert_eq!(SegmentHeader::decode(&block[..length]), Err(BadHeader::Damaged));
        }
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let mut block = HEADER.encode();
        block[7] = 2;
        let crc = crc32c::crc32c(&block[..32]);
        block[32..36].copy_from_slice(&crc.to_be_bytes());
        assert_eq!(SegmentHeader::decode(&block), Err(BadHeader::Newer(2)));
    }

    #[test]
    fn names() {
        assert_eq!(id_in(&file_name(0x2a)), Some(42));
        for other in
            ["log.tmp", "log.2a", "log.000000000000002A", "log", "lock", "log.+00000000000002a"]
        {
            assert_eq!(id_in(other), None, "{other}");
        }
    }
}
