//! What happened in a run: as one number to compare two runs by, and as lines to read.

use std::fmt;

/// A trace of a run.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    hash: Hash,
    lines: Option<Vec<String>>,
}

impl Trace {
    /// A trace that keeps lines, or only the number.
    pub(crate) fn new(readable: bool) -> Self {
        Trace { hash: Hash::default(), lines: readable.then(Vec::new) }
    }

    /// Notes something, as numbers and bytes that tell it from everything else, and in words.
    pub(crate) fn note(
        &mut self,
        at_ms: u64,
        numbers: &[u64],
        bytes: &[u8],
        words: impl FnOnce() -> String,
    ) {
        self.hash.add(&at_ms.to_le_bytes());
        numbers.iter().for_each(|number| self.hash.add(&number.to_le_bytes()));
        self.hash.add(bytes);
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{:>8}.{:03} {}", at_ms / 1_000, at_ms % 1_000, words()));
        }
    }

    pub(crate) fn conclude(self) -> (u64, Vec<String>) {
        (self.hash.0, self.lines.unwrap_or_default())
    }
}

/// The hash of Fowler, Noll and Vo, 64 bits, eight bytes at a time.
struct Hash(u64);

impl Default for Hash {
    fn default() -> Self {
        Hash(0xcbf2_9ce4_8422_2325)
    }
}

impl Hash {
    fn add(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = (self.0 ^ u64::from_le_bytes(word)).wrapping_mul(0x0000_0100_0000_01b3);
            self.0 ^= self.0 >> 29;
        }
        self.0 = (self.0 ^ bytes.len() as u64).wrapping_mul(0x0000_0100_0000_01b3);
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
