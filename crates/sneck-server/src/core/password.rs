//! The password of a session, which follows from its id.
//!
//! The rule is Apache ZooKeeper's, so that a session can be resumed on a server that has only read
//! its id from a snapshot. It keeps clients from taking each other's sessions by mistake; it keeps
//! nobody out who knows the rule. That is the work of access lists and of where a server listens.

/// The password by which to resume the session `id`.
pub(crate) fn password(id: i64) -> [u8; 16] {
    let mut random = JavaRandom::new(id ^ SALT);
    let mut password = [0; 16];
    for chunk in password.chunks_exact_mut(4) {
        chunk.copy_from_slice(&random.next_int().to_le_bytes());
    }
    password
}

/// Whether `offered` is the password of the session `id`. Takes as long for a wrong one.
pub(crate) fn is_right(id: i64, offered: &[u8]) -> bool {
    same(&password(id), offered)
}

/// Compares without giving away, by how long it takes, where the difference is.
pub(crate) fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |all, (l, r)| all | (l ^ r)) == 0
}

const SALT: i64 = 0xb341_5c00;

/// `java.util.Random`, whose documentation fixes the algorithm for good.
struct JavaRandom(i64);

impl JavaRandom {
    const MULTIPLIER: i64 = 0x5_deec_e66d;
    const MASK: i64 = (1 << 48) - 1;

    fn new(seed: i64) -> Self {
        Self((seed ^ Self::MULTIPLIER) & Self::MASK)
    }

    fn next_int(&mut self) -> i32 {
        self.0 = self.0.wrapping_mul(Self::MULTIPLIER).wrapping_add(0xb) & Self::MASK;
        // The upper 32 of the 48 bits.
        (self.0 >> 16) as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_javas() {
        // `new Random(42).nextInt()` and the one after it.
        let mut random = JavaRandom::new(42);
        assert_eq!((random.next_int(), random.next_int()), (-1_170_105_035, 234_785_527));
    }

    #[test]
    fn only_the_right_one_is_right() {
        let id = 0x0100_0000_1234_5678;
        assert!(is_right(id, &password(id)));
        assert!(!is_right(id, &password(id + 1)));
        assert!(!is_right(id, &[]));
        assert!(!is_right(id, &password(id)[..15]));
    }
}
