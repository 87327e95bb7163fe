//! Where the jitter of pauses begins.

use crate::claim::ClaimId;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A source of seeds, one for each series of pauses: those of the operating system, or those that follow
/// from one seed. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seeds(Option<Arc<AtomicU64>>);

impl Seeds {
    pub(crate) fn from(seed: u64) -> Self {
        Seeds(Some(Arc::new(AtomicU64::new(seed))))
    }

    /// A seed for a series of pauses.
    pub(crate) fn next(&self) -> u64 {
        self.next_of(ClaimId::random)
    }

    /// The same for a claim, whose random id is as good a seed as any.
    pub(crate) fn next_of(&self, id: impl FnOnce() -> ClaimId) -> u64 {
        match &self.0 {
            // An odd number far from any multiple of a small one, so that neighbours have little in common.
            Some(seeds) => seeds.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed),
            None => id().as_u128() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_says_all_that_follow() {
        let [one, same, other] = [Seeds::from(7), Seeds::from(7), Seeds::from(8)];
        let clone = one.clone();
        let first: Vec<u64> = vec![one.next(), clone.next(), one.next_of(ClaimId::random)];
        let again: Vec<u64> = (0..3).map(|_| same.next()).collect();
        assert_eq!(first, again);
        assert!(first[0] != first[1] && first[1] != first[2] && other.next() != first[0]);
        assert_ne!(Seeds::default().next(), Seeds::default().next());
    }
}
