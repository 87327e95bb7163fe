//! The checksum of RFC 1950, with which Apache ends a snapshot.

/// A running checksum.
#[derive(Debug, Clone, Copy)]
pub(super) struct Adler32 {
    a: u32,
    b: u32,
}

const MODULUS: u32 = 65_521;
/// So many bytes can be summed up before the sums could overflow.
const DEFERRED_BYTES: usize = 5_552;

impl Adler32 {
    pub(super) fn new() -> Adler32 {
        Adler32 { a: 1, b: 0 }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(DEFERRED_BYTES) {
            for byte in chunk {
                self.a += u32::from(*byte);
                self.b += self.a;
            }
            self.a %= MODULUS;
            self.b %= MODULUS;
        }
    }

    pub(super) fn value(&self) -> u32 {
        self.b << 16 | self.a
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> u32 {
        let mut sum = Adler32::new();
        sum.update(bytes);
        sum.value()
    }

    #[test]
    fn known_values() {
        assert_eq!(of(b""), 1);
        assert_eq!(of(b"Wikipedia"), 0x11e6_0398);
    }

    #[test]
    fn large_sums_do_not_overflow() {
        let bytes = vec![0xff; 3 * DEFERRED_BYTES + 7];
        let mut sum = Adler32::new();
        for byte in &bytes {
            sum.update(&[*byte]);
        }
        assert_eq!(of(&bytes), sum.value());
    }
}
