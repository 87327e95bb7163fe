//! Waiting longer after each failure, and never all at once.

use std::time::Duration;

/// A sequence of pauses that grow twofold from `first` to `max`, each with a random half.
///
/// The randomness is seeded by the caller, so that a simulated run can be repeated, and so that
/// clients that fail together do not come back together.
///
/// ```
/// use sneck_core::Backoff;
/// use std::time::Duration;
/// let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2), 42);
/// let pause = backoff.pause();
/// assert!(pause >= Duration::from_millis(50) && pause <= Duration::from_millis(100));
/// ```
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    next: Duration,
    random: u64,
}

impl Backoff {
    /// Pauses between half of `first` and `max`.
    pub fn new(first: Duration, max: Duration, seed: u64) -> Self {
        Backoff { first, max, next: first, random: seed }
    }

    /// The next pause: between half and all of the current length.
    pub fn pause(&mut self) -> Duration {
        let length = self.next.min(self.max);
        self.next = length.saturating_mul(2).min(self.max);
        self.jitter(length)
    }

    /// Begins again at the first length.
    pub fn reset(&mut self) {
        self.next = self.first;
    }

    /// A random length between half of `length` and all of it.
    pub fn jitter(&mut self, length: Duration) -> Duration {
        // 53 bits are what an f64 holds exactly.
        let share = (self.random_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        length.mul_f64(0.5 + share / 2.0)
    }

    /// A random index below `length`, which must not be zero.
    pub fn pick(&mut self, length: usize) -> usize {
        // The bias of the remainder is immaterial for choosing among a few servers.
        usize::try_from(self.random_u64() % length as u64).unwrap_or(0)
    }

    /// SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
    fn random_u64(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_stay_bounded_and_begin_again() {
        let (first, max) = (Duration::from_millis(100), Duration::from_secs(2));
        let mut backoff = Backoff::new(first, max, 1);
        for length in [100, 200, 400, 800, 1600, 2000, 2000] {
            let length = Duration::from_millis(length);
            let pause = backoff.pause();
            assert!(pause >= length / 2 && pause <= length, "{pause:?} of {length:?}");
        }
        backoff.reset();
        assert!(backoff.pause() <= first);
    }

    #[test]
    fn the_same_seed_gives_the_same_pauses() {
        let new = || Backoff::new(Duration::from_secs(1), Duration::from_secs(9), 7);
        let (mut a, mut b) = (new(), new());
        assert_eq!(a.pause(), b.pause());
        assert_ne!(a.pause(), a.jitter(Duration::from_secs(1)));
    }
}
