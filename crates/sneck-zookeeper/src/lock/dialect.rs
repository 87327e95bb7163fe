//! Which node names share a line.

use sneck_core::{ClaimId, Mode};
use std::collections::BTreeSet;

/// Which node names share a line.
///
/// Clients exclude each other only if they agree on the names of their nodes and on their order. A
/// line of one dialect that somebody of another dialect enters would silently let both in, which is
/// what [`ForeignPolicy`] is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dialect {
    /// `_c_<uuid>-lock-<number>`: the mutex of Apache Curator, which go-zookeeper and the crate
    /// `zookeeper-client` queue up with too.
    #[default]
    Curator,
    /// `_c_<uuid>-latch-<number>`: the leader latch of Apache Curator. The lines of elections are such,
    /// whatever the dialect of the locks beside them.
    CuratorLatch,
}

/// What to do about children of a lock's node that are nobody's place in its line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForeignPolicy {
    /// Nobody is let in; the error names the child.
    #[default]
    Refuse,
    /// They are not there.
    Ignore,
    /// They count as having come first: everybody waits until they are gone.
    Block,
}

/// The number a server has given a place. It orders the line, and only that: it runs out, and begins
/// again when the lock's node has been deleted in between, so it is no fencing token.
///
/// Negative numbers come first, although the server gave them last: the other clients of the dialect
/// order them so, and whoever has one believes to hold the lock. None of our own claims keeps one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sequence(i32);

impl Sequence {
    fn parse(number: &str) -> Option<Self> {
        // Servers pad to ten characters, the sign included.
        let (digits, width) = match number.strip_prefix('-') {
            Some(digits) => (digits, 9..=10),
            None => (number, 10..=10),
        };
        let is_number =
            width.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| number.parse().ok().map(Sequence)).flatten()
    }

    /// Whether the server's counter is used up. From 3.6 on it sticks at its largest value for creates
    /// that come one by one, and wraps for those that are on the way together; before, it always wraps.
    /// Whoever gets such a number must not rely on it.
    pub(crate) fn is_exhausted(self) -> bool {
        self.0 < 0 || self.0 == i32::MAX
    }
}

/// A line that excludes. Places of different kinds below one node do not see each other in the other
/// clients of a dialect, so each kind is foreign to the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Everybody is alone.
    Mutex,
    /// Readers and writers.
    ReadWrite,
}

impl Kind {
    /// The line in which a place of this mode stands. The waiting line of a semaphore is a mutex.
    pub(crate) fn of(mode: Mode) -> Self {
        match mode {
            Mode::Shared | Mode::Write => Kind::ReadWrite,
            _ => Kind::Mutex,
        }
    }
}

/// What the name of a node says about its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) sequence: Sequence,
    pub(crate) mode: Mode,
}

/// What stands before the number of a reader, a writer, and a permit that is held.
const READ: &str = "__READ__";
const WRITE: &str = "__WRIT__";
const LEASE: &str = "lease-";

impl Dialect {
    /// What the names of all nodes of a claim begin with, and of nobody else's.
    pub(crate) fn mark(self, id: ClaimId) -> String {
        format!("_c_{id}-")
    }

    /// The name of a claim's node up to the server's number, for a place of this mode.
    pub(crate) fn entry(self, mode: Mode, id: ClaimId) -> String {
        match mode {
            Mode::Shared => self.mark(id) + READ,
            Mode::Write => self.mark(id) + WRITE,
            _ => self.prefix(id),
        }
    }

    /// The name of the node of a permit up to the server's number.
    pub(crate) fn lease(self, id: ClaimId) -> String {
        self.mark(id) + LEASE
    }

    /// The name that a writer's node has once its holder is a reader in the same place: with the same
    /// number, so that later writers stay behind (CURATOR-621).
    pub(crate) fn as_reader(self, writer: &str) -> Option<String> {
        let (mark, number) = writer.rsplit_once(WRITE)?;
        Some(format!("{mark}{READ}{number}"))
    }

    /// The place in a line of this kind that a node with this name is.
    pub(crate) fn place(self, kind: Kind, child: &str) -> Option<Place> {
        let after = |what| child.rsplit_once(what).and_then(|(_, number)| Sequence::parse(number));
        match kind {
            Kind::Mutex => {
                self.sequence(child).map(|sequence| Place { sequence, mode: Mode::Exclusive })
            }
            Kind::ReadWrite => {
                let read = || after(READ).map(|sequence| Place { sequence, mode: Mode::Shared });
                let write = after(WRITE).map(|sequence| Place { sequence, mode: Mode::Write });
                write.or_else(read)
            }
        }
    }

    /// The place in a line of whichever kind.
    pub(crate) fn any_place(self, child: &str) -> Option<Place> {
        self.place(Kind::Mutex, child).or_else(|| self.place(Kind::ReadWrite, child))
    }

    /// What orders the permits that are held; `None` for what is no permit.
    pub(crate) fn lease_sequence(self, child: &str) -> Option<Sequence> {
        child.rsplit_once(LEASE).and_then(|(_, number)| Sequence::parse(number))
    }

    /// Of the permits that are held, the first of each claim, in order.
    pub(crate) fn lease_holders(self, children: &[String]) -> Vec<&String> {
        let mut leases: Vec<(Sequence, &String)> = children
            .iter()
            .filter_map(|child| self.lease_sequence(child).map(|sequence| (sequence, child)))
            .collect();
        leases.sort();
        let mut claims = BTreeSet::new();
        let is_first = |lease: &&String| {
            lease.rsplit_once(LEASE).is_some_and(|(claim, _)| claims.insert(claim.to_owned()))
        };
        leases.into_iter().map(|(_, lease)| lease).filter(is_first).collect()
    }

    /// The dialect of the elections beside locks of this one.
    pub(crate) fn of_elections(self) -> Self {
        Dialect::CuratorLatch
    }

    /// The name of a claim's node up to the server's number.
    pub(crate) fn prefix(self, id: ClaimId) -> String {
        match self {
            Dialect::Curator => format!("_c_{id}-lock-"),
            Dialect::CuratorLatch => format!("_c_{id}-latch-"),
        }
    }

    /// The number in the name of a place; `None` for what is nobody's place in this dialect.
    pub(crate) fn sequence(self, child: &str) -> Option<Sequence> {
        let (_, number) = match self {
            Dialect::Curator => child.rsplit_once("lock-")?,
            Dialect::CuratorLatch => child.rsplit_once("latch-")?,
        };
        Sequence::parse(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(child: &str) -> Option<Sequence> {
        Dialect::Curator.sequence(child)
    }

    #[test]
    fn places_of_every_client_of_the_dialect_are_known() {
        for (child, number) in [
            ("_c_11111111-2222-4333-8444-555555555555-lock-0000000007", 7),
            ("_c_0123456789abcdef0123456789abcdef-lock-0000000000", 0),
            ("lock-2147483647", i32::MAX),
            ("_c_x-lock--2147483648", i32::MIN),
            ("block-lock-lock--0000000001", -1),
            ("lock--000000001", -1),
        ] {
            assert_eq!(sequence(child), Some(Sequence(number)), "{child}");
        }
    }

    #[test]
    fn everything_else_is_foreign() {
        for child in [
            "",
            "0",
            "lock-",
            "lock-1",
            "lock-00000000001",
            "lock-000000001",
            "lock--00000001",
            "lock-000000000x",
            "lock-+000000001",
            "lock-9999999999",
            "0123456789abcdef0123456789abcdef__lock__0000000001",
            "_c_x-latch-0000000001",
        ] {
            assert_eq!(sequence(child), None, "{child}");
        }
    }

    #[test]
    fn elections_and_locks_are_foreign_to_each_other() {
        let id = ClaimId::from_u128(1);
        let latch = Dialect::Curator.of_elections();
        let [place, candidate] = [Dialect::Curator, latch].map(|of| of.prefix(id) + "0000000007");
        assert_eq!(candidate, "_c_00000000-0000-0000-0000-000000000001-latch-0000000007");
        assert_eq!(latch.sequence(&candidate), Some(Sequence(7)));
        assert_eq!((latch.sequence(&place), sequence(&candidate)), (None, None));
    }

    #[test]
    fn readers_and_writers_share_a_line_and_no_mutex_does() {
        let (id, curator) = (ClaimId::from_u128(1), Dialect::Curator);
        let [reader, writer, mutex] = [Mode::Shared, Mode::Write, Mode::Exclusive]
            .map(|mode| curator.entry(mode, id) + "0000000007");
        assert_eq!(reader, "_c_00000000-0000-0000-0000-000000000001-__READ__0000000007");
        assert_eq!(writer, "_c_00000000-0000-0000-0000-000000000001-__WRIT__0000000007");
        let place = |kind, child: &str| curator.place(kind, child).map(|place| place.mode);
        assert_eq!(place(Kind::ReadWrite, &reader), Some(Mode::Shared));
        assert_eq!(place(Kind::ReadWrite, &writer), Some(Mode::Write));
        assert_eq!(place(Kind::ReadWrite, &mutex), None);
        assert_eq!(place(Kind::Mutex, &mutex), Some(Mode::Exclusive));
        assert_eq!((place(Kind::Mutex, &reader), place(Kind::Mutex, &writer)), (None, None));
        assert_eq!(curator.as_reader(&writer), Some(reader));
        assert_eq!(curator.as_reader(&mutex), None);
        let lease = curator.lease(id) + "0000000007";
        assert!(curator.lease_sequence(&lease).is_some());
        assert_eq!(curator.lease_sequence(&mutex), None);
        assert_eq!(curator.any_place(&lease), None);
        for node in [reader_of(7), writer, mutex, lease] {
            assert!(node.starts_with(&curator.mark(id)), "{node}");
        }
    }

    fn reader_of(number: i32) -> String {
        Dialect::Curator.entry(Mode::Shared, ClaimId::from_u128(1)) + &format!("{number:010}")
    }

    #[test]
    fn a_counter_that_wrapped_comes_first_and_is_used_up() {
        assert!(Sequence(i32::MIN) < Sequence(-1) && Sequence(-1) < Sequence(0));
        assert!(Sequence(i32::MIN).is_exhausted() && Sequence(-1).is_exhausted());
        assert!(!Sequence(0).is_exhausted() && !Sequence(i32::MAX - 1).is_exhausted());
        assert!(Sequence(i32::MAX).is_exhausted());
    }

    #[test]
    fn our_own_names_are_places() {
        let prefix = Dialect::Curator.prefix(ClaimId::from_u128(1));
        assert_eq!(prefix, "_c_00000000-0000-0000-0000-000000000001-lock-");
        assert!(sequence(&format!("{prefix}0000000001")).is_some());
    }
}
