//! Which node names share a line.

mod pattern;
mod semaphore;

pub use pattern::Pattern;
pub(crate) use semaphore::{LOCKS, Rooms};

use sneck_core::{ClaimId, Mode};

/// Which node names share a line.
///
/// Clients exclude each other only if they agree on the names of their nodes and on their order. A
/// line of one dialect that somebody of another dialect enters would silently let both in, which is
/// what [`ForeignPolicy`] is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// `_c_<uuid>-lock-<number>`: the mutex of Apache Curator, which go-zookeeper and the crate
    /// `zookeeper-client` queue up with too.
    #[default]
    Curator,
    /// `<32 hex>__lock__<number>`, `<32 hex>__rlock__<number>` and `<32 hex>`: `Lock`, `ReadLock`,
    /// `WriteLock`, `Semaphore` and `Election` of kazoo. kazoo's `Lock` does not wait for a `ReadLock`, and has the same name as a
    /// `WriteLock`, so on a name with readers its clients have to take a `WriteLock`.
    Kazoo,
    /// `_c_<32 hex>-lock-<number>`: the lock of go-zookeeper, in one line with the mutex of
    /// [`Curator`](Dialect::Curator).
    Go,
    /// Whatever another program has: exclusive locks only.
    Custom(Pattern),
    /// `_c_<uuid>-latch-<number>`: the leader latch of Apache Curator. The lines of elections are such,
    /// whatever the dialect of the locks beside them.
    CuratorLatch,
}

/// What to do about children of a lock's node that are nobody's place in its line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
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

/// What stands before the number of a place, in the dialects of Curator and of kazoo.
const LOCK: &str = "lock-";
const LATCH: &str = "latch-";
const READ: &str = "__READ__";
const WRITE: &str = "__WRIT__";
const KAZOO_LOCK: &str = "__lock__";
const KAZOO_READ: &str = "__rlock__";

impl Dialect {
    /// What the names of all nodes of a claim begin with, and of nobody else's.
    pub(crate) fn mark(&self, id: ClaimId) -> String {
        let plain = format!("{:032x}", id.as_u128());
        match self {
            Dialect::Curator | Dialect::CuratorLatch => format!("_c_{id}-"),
            Dialect::Go => format!("_c_{plain}-"),
            Dialect::Kazoo => plain,
            Dialect::Custom(pattern) => format!("{}{plain}", pattern.before()),
        }
    }

    /// The identity in the name of a node, where there is one.
    pub(crate) fn claim(&self, child: &str) -> Option<ClaimId> {
        let plain = |text: &str| {
            let hex = text.get(..32).filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
            hex.and_then(|hex| u128::from_str_radix(hex, 16).ok()).map(ClaimId::from_u128)
        };
        match self {
            Dialect::Kazoo => plain(child),
            Dialect::Custom(pattern) => plain(child.strip_prefix(pattern.before())?),
            Dialect::Curator | Dialect::Go | Dialect::CuratorLatch => {
                let rest = child.strip_prefix("_c_")?;
                let dashed = rest.get(..36).and_then(|id| id.parse().ok());
                dashed.or_else(|| plain(rest))
            }
        }
    }

    /// The name of a claim's node up to the server's number, for a place of this mode.
    pub(crate) fn entry(&self, mode: Mode, id: ClaimId) -> String {
        self.mark(id) + self.word(mode)
    }

    /// What stands before the number of a place of this mode.
    fn word(&self, mode: Mode) -> &str {
        match (self, mode) {
            (Dialect::Kazoo, Mode::Shared) => KAZOO_READ,
            (Dialect::Kazoo, _) => KAZOO_LOCK,
            (Dialect::Custom(pattern), _) => pattern.between(),
            (_, Mode::Shared) => READ,
            (_, Mode::Write) => WRITE,
            (Dialect::CuratorLatch, _) => LATCH,
            (Dialect::Curator | Dialect::Go, _) => LOCK,
        }
    }

    /// Whether there is a place of this mode in lines of the dialect.
    pub(crate) fn has(&self, mode: Mode) -> bool {
        match self {
            Dialect::Curator | Dialect::Kazoo => true,
            // A line of elections is for candidates only.
            Dialect::CuratorLatch | Dialect::Go | Dialect::Custom(_) => mode == Mode::Exclusive,
        }
    }

    /// The dialect of which a child that is foreign here is a place, for a person.
    pub(crate) fn spoken_by(child: &str) -> Option<&'static str> {
        let known = [
            (Dialect::Curator, "dialect=curator"),
            (Dialect::Kazoo, "dialect=kazoo"),
            (Dialect::CuratorLatch, "an election with dialect=curator"),
        ];
        let speaks = |(dialect, _): &&(Dialect, _)| dialect.any_place(child).is_some();
        known.iter().find(speaks).map(|(_, option)| *option)
    }

    /// The name that a writer's node has once its holder is a reader in the same place: with the same
    /// number, so that later writers stay behind (CURATOR-621).
    pub(crate) fn as_reader(&self, writer: &str) -> Option<String> {
        let (mark, number) = writer.rsplit_once(self.word(Mode::Write))?;
        self.has(Mode::Shared).then(|| format!("{mark}{}{number}", self.word(Mode::Shared)))
    }

    /// The place in a line of this kind that a node with this name is.
    pub(crate) fn place(&self, kind: Kind, child: &str) -> Option<Place> {
        let numbered = |mode| {
            let sequence = self.number_behind(self.word(mode), child)?;
            Some(Place { sequence, mode })
        };
        match (kind, self) {
            // One line for all: whoever is alone in it waits for readers too.
            (Kind::Mutex, Dialect::Kazoo) => {
                numbered(Mode::Exclusive).or_else(|| numbered(Mode::Shared))
            }
            (Kind::Mutex, _) => numbered(Mode::Exclusive),
            (Kind::ReadWrite, Dialect::Custom(_)) => None,
            (Kind::ReadWrite, _) => numbered(Mode::Write).or_else(|| numbered(Mode::Shared)),
        }
    }

    fn number_behind(&self, word: &str, child: &str) -> Option<Sequence> {
        if let Dialect::Custom(pattern) = self {
            child.strip_prefix(pattern.before()).filter(|rest| !rest.starts_with(word))?;
        }
        child.rsplit_once(word).and_then(|(_, number)| Sequence::parse(number))
    }

    /// The place in a line of whichever kind.
    pub(crate) fn any_place(&self, child: &str) -> Option<Place> {
        self.place(Kind::Mutex, child).or_else(|| self.place(Kind::ReadWrite, child))
    }

    /// The dialect of the elections beside locks of this one. kazoo's are its locks; where there are
    /// none, they are Curator's.
    pub(crate) fn of_elections(self) -> Self {
        match self {
            Dialect::Kazoo | Dialect::Custom(_) => self,
            Dialect::Curator | Dialect::Go | Dialect::CuratorLatch => Dialect::CuratorLatch,
        }
    }

    /// The number in the name of whoever is in a mutex's line; `None` for what is nobody's place there.
    pub(crate) fn sequence(&self, child: &str) -> Option<Sequence> {
        self.place(Kind::Mutex, child).map(|place| place.sequence)
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
        let [place, candidate] =
            [Dialect::Curator, latch].map(|of| of.entry(Mode::Exclusive, id) + "0000000007");
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
        for node in [reader_of(7), writer, mutex] {
            assert!(node.starts_with(&curator.mark(id)), "{node}");
            assert_eq!(curator.claim(&node), Some(id), "{node}");
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
        let prefix = Dialect::Curator.entry(Mode::Exclusive, ClaimId::from_u128(1));
        assert_eq!(prefix, "_c_00000000-0000-0000-0000-000000000001-lock-");
        assert!(sequence(&format!("{prefix}0000000001")).is_some());
    }

    #[test]
    fn names_of_kazoo_are_one_line_for_readers_writers_and_mutexes() {
        let (id, kazoo) = (ClaimId::from_u128(0xabc), Dialect::Kazoo);
        let hex = "00000000000000000000000000000abc";
        let [mutex, writer, reader] = [Mode::Exclusive, Mode::Write, Mode::Shared]
            .map(|mode| kazoo.entry(mode, id) + "0000000007");
        assert_eq!(mutex, format!("{hex}__lock__0000000007"));
        assert_eq!(writer, mutex);
        assert_eq!(reader, format!("{hex}__rlock__0000000007"));
        let mode = |kind, child: &str| kazoo.place(kind, child).map(|place| place.mode);
        assert_eq!(mode(Kind::Mutex, &mutex), Some(Mode::Exclusive));
        assert_eq!(mode(Kind::Mutex, &reader), Some(Mode::Shared));
        assert_eq!(mode(Kind::ReadWrite, &writer), Some(Mode::Write));
        assert_eq!(mode(Kind::ReadWrite, &reader), Some(Mode::Shared));
        assert_eq!(kazoo.as_reader(&writer), Some(reader.clone()));
        assert!(reader.starts_with(&kazoo.mark(id)) && writer.starts_with(&kazoo.mark(id)));
        assert_eq!(kazoo.claim(&reader), Some(id));
        for foreign in [hex, "_c_x-lock-0000000007", "lease_holder", "x__party__"] {
            assert_eq!(kazoo.any_place(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn go_and_curator_know_each_other_and_nobody_knows_kazoo() {
        let id = ClaimId::from_u128(0xabc);
        let go = Dialect::Go.entry(Mode::Exclusive, id) + "0000000007";
        assert_eq!(go, "_c_00000000000000000000000000000abc-lock-0000000007");
        assert!(go.starts_with(&Dialect::Go.mark(id)));
        let curator = Dialect::Curator.entry(Mode::Exclusive, id) + "0000000007";
        let kazoo = Dialect::Kazoo.entry(Mode::Exclusive, id) + "0000000007";
        for (dialect, knows) in [
            (Dialect::Curator, [true, true, false]),
            (Dialect::Go, [true, true, false]),
            (Dialect::Kazoo, [false, false, true]),
            (Dialect::CuratorLatch, [false; 3]),
        ] {
            let known = [&curator, &go, &kazoo].map(|child| dialect.sequence(child).is_some());
            assert_eq!(known, knows, "{dialect:?}");
        }
        assert_eq!(Dialect::Curator.claim(&go), Some(id));
        assert_eq!(Dialect::Curator.claim("lock-0000000007"), None);
        assert_eq!(Dialect::spoken_by(&kazoo), Some("dialect=kazoo"));
        assert_eq!(Dialect::spoken_by(&go), Some("dialect=curator"));
        assert_eq!(Dialect::spoken_by("config"), None);
    }

    #[test]
    fn a_custom_line_is_its_own() {
        let custom = Dialect::Custom(Pattern::parse("job-*.at.").unwrap());
        let own = custom.entry(Mode::Exclusive, ClaimId::from_u128(0xabc)) + "0000000007";
        assert_eq!(own, "job-00000000000000000000000000000abc.at.0000000007");
        assert_eq!(custom.sequence(&own), Some(Sequence(7)));
        assert_eq!(custom.claim(&own), Some(ClaimId::from_u128(0xabc)));
        assert_eq!(custom.sequence("job-x.at.-2147483648"), Some(Sequence(i32::MIN)));
        for foreign in ["x.at.0000000007", "job-.at.0000000007", "job-x.at.7", "job-x-0000000007"] {
            assert_eq!(custom.any_place(foreign), None, "{foreign}");
        }
        assert_eq!(custom.as_reader(&own), None);
    }

    #[test]
    fn a_dialect_has_the_modes_that_its_other_clients_have() {
        let permits = Mode::Permits(sneck_core::Permits::new(1, 2).unwrap());
        let modes = [Mode::Exclusive, Mode::Shared, Mode::Write, permits];
        let custom = Dialect::Custom(Pattern::parse("*.at.").unwrap());
        for (dialect, has) in [
            (Dialect::Curator, [true; 4]),
            (Dialect::Kazoo, [true; 4]),
            (Dialect::Go, [true, false, false, false]),
            (custom, [true, false, false, false]),
            (Dialect::CuratorLatch, [true, false, false, false]),
        ] {
            assert_eq!(modes.map(|mode| dialect.has(mode)), has, "{dialect:?}");
        }
    }
}
