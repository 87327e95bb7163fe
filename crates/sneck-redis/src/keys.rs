//! Where a lock lives: its bucket and its keys.

use sneck_core::{Name, RecordKind};

/// How many buckets the locks of one prefix fall into.
///
/// Each bucket has one counter of tokens, so that there are never more counters than this: one for each
/// lock could not be deleted without letting its tokens begin again.
pub(crate) const BUCKETS: u16 = 256;

/// One of [`BUCKETS`]: what its locks share, and with them the slot of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Bucket(u16);

impl Bucket {
    /// The bucket of a lock; every version of sneck must come to the same one. FNV-1a, whose bits are
    /// then mixed as MurmurHash3 does, because those of short names hardly differ in most places.
    pub(crate) fn of(name: &Name) -> Self {
        let hash = name.as_str().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let mixed = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        Bucket(u16::from((mixed ^ (mixed >> 33)).to_le_bytes()[0]))
    }

    pub(crate) fn all() -> impl Iterator<Item = Bucket> {
        (0..BUCKETS).map(Bucket)
    }

    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The keys of one bucket. What is in braces decides the slot, so that a script may touch all of them.
#[derive(Clone, Debug)]
pub(crate) struct BucketKeys {
    /// The counter of tokens: a hash.
    pub(crate) bucket: String,
    /// The numbers of permits of semaphores: a hash.
    pub(crate) sizes: String,
    /// What is known about the server: a hash. One for all buckets, but for a cluster, where each bucket
    /// may be on a server of its own.
    pub(crate) home: String,
    /// The names of locks with somebody in line: a sorted set.
    pub(crate) names: String,
}

impl BucketKeys {
    pub(crate) fn new(prefix: &str, bucket: Bucket, in_cluster: bool) -> Self {
        let key = |what: &str| format!("{prefix}:{{{}}}:{what}", bucket.0);
        let home = if in_cluster { key("home") } else { format!("{prefix}:home") };
        BucketKeys { bucket: key("bucket"), sizes: key("sizes"), names: key("names"), home }
    }
}

/// The channel that a client is woken on, but for the client's own name at its end.
pub(crate) fn channel(prefix: &str, bucket: Bucket) -> String {
    format!("{prefix}:{{{}}}:wake:", bucket.0)
}

/// The keys of the records of one kind in one bucket.
#[derive(Clone, Debug)]
pub(crate) struct RecordKeys {
    stem: String,
    /// The names of the records that there are: a set.
    pub(crate) names: String,
}

impl RecordKeys {
    pub(crate) fn new(prefix: &str, kind: RecordKind, bucket: Bucket) -> Self {
        let stem = format!("{prefix}:{{{}}}:record:{}", bucket.0, kind.as_str());
        RecordKeys { names: format!("{prefix}:{{{}}}:records:{}", bucket.0, kind.as_str()), stem }
    }

    /// One record: a hash.
    pub(crate) fn of(&self, name: &Name) -> String {
        format!("{}:{name}", self.stem)
    }
}

/// The keys of one lock.
#[derive(Clone, Debug)]
pub(crate) struct LineKeys {
    /// Who is in line, by the order of arrival: a sorted set.
    pub(crate) line: String,
    /// Until when each place lasts: a sorted set.
    pub(crate) term: String,
    /// What is known about each place: a hash.
    pub(crate) place: String,
}

impl LineKeys {
    pub(crate) fn new(prefix: &str, bucket: Bucket, name: &Name) -> Self {
        let key = |what: &str| format!("{prefix}:{{{}}}:{what}:{name}", bucket.0);
        LineKeys { line: key("line"), term: key("term"), place: key("place") }
    }
}

/// The key that a claim leaves behind for a moment, so that its own late questions find it gone.
pub(crate) fn left(prefix: &str, bucket: Bucket, member: &str) -> String {
    format!("{prefix}:{{{}}}:left:{member}", bucket.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_lock_stays_in_its_bucket() {
        let bucket = |name: &str| Bucket::of(&Name::new(name).unwrap()).0;
        // As versions before wrote them.
        assert_eq!([bucket("a"), bucket("invoice/42"), bucket("jobs/nightly")], [77, 206, 158]);
    }

    #[test]
    fn locks_are_spread_over_the_buckets() {
        let names = (0..5_000).map(|at| Name::new(&format!("job/{at}")).unwrap());
        let buckets: BTreeSet<Bucket> = names.map(|name| Bucket::of(&name)).collect();
        assert_eq!(buckets.len(), usize::from(BUCKETS));
    }

    #[test]
    fn names_with_braces_stay_in_the_slot_of_their_bucket() {
        let name = Name::new("a{b}c").unwrap();
        let keys = LineKeys::new("sneck", Bucket(7), &name);
        assert_eq!(keys.line, "sneck:{7}:line:a{b}c");
    }
}
