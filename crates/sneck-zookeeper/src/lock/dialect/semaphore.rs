//! How the nodes of a semaphore are laid out, for each dialect that has semaphores.
//!
//! | | Apache Curator's `InterProcessSemaphoreV2` | kazoo's `Semaphore` |
//! |---|---|---|
//! | how many permits there are | text in the semaphore's own node | the same |
//! | the line of those who wait | mutexes below `<semaphore>/locks` | locks below `<semaphore>-__lock__` |
//! | a permit that is held | `<semaphore>/leases/_c_<uuid>-lease-<number>` | `<semaphore>/<32 hex>` |
//!
//! In both, whoever is first in the line is the only one to take permits, and counts all that are held.
//! kazoo takes one at a time, so it has no name for several of one claim: ours are `<32 hex>-2` and so
//! on, which kazoo counts like any other child.

use super::{Dialect, Sequence};
use sneck_core::{ClaimId, Name};
use sneck_wire::CreateMode;
use std::collections::BTreeMap;

/// The nodes of one semaphore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rooms {
    /// The node whose children are the line of those who wait.
    pub(crate) line: String,
    /// The node whose children are the permits that are held.
    pub(crate) permits: String,
}

/// The children of Curator's semaphores.
pub(crate) const LOCKS: &str = "locks";
const LEASES: &str = "leases";
/// What stands before the number of a permit of Curator's.
const LEASE: &str = "lease-";
/// What kazoo appends to the path of a semaphore for its line.
const BESIDE: &str = "-__lock__";

impl Dialect {
    /// The nodes of the semaphore whose own node this is.
    pub(crate) fn rooms(&self, dir: &str) -> Rooms {
        match self {
            Dialect::Kazoo => Rooms { line: format!("{dir}{BESIDE}"), permits: dir.to_owned() },
            _ => Rooms { line: format!("{dir}/{LOCKS}"), permits: format!("{dir}/{LEASES}") },
        }
    }

    /// How permits are created.
    pub(crate) fn permit_mode(&self) -> CreateMode {
        match self {
            Dialect::Kazoo => CreateMode::Ephemeral,
            _ => CreateMode::EphemeralSequential,
        }
    }

    /// The name of the node of a claim's permit, up to the server's number where it has one; permits are
    /// counted from zero.
    pub(crate) fn permit(&self, id: ClaimId, at: usize) -> String {
        match (self, at) {
            (Dialect::Kazoo, 0) => self.mark(id),
            (Dialect::Kazoo, at) => format!("{}-{}", self.mark(id), at + 1),
            _ => self.mark(id) + LEASE,
        }
    }

    /// Whether a node is a permit that is held.
    pub(crate) fn is_permit(&self, child: &str) -> bool {
        match self {
            Dialect::Kazoo => kazoo_claim(child).is_some(),
            _ => lease_sequence(child).is_some(),
        }
    }

    /// Whether a node may be below the semaphore's own.
    pub(crate) fn is_of_semaphore(&self, child: &str) -> bool {
        match self {
            Dialect::Kazoo => self.is_permit(child),
            _ => child == LOCKS || child == LEASES,
        }
    }

    /// Whether a node with these children can be a semaphore's own, or be the one beside its line.
    pub(crate) fn may_be_semaphore(&self, children: &[String]) -> bool {
        match self {
            Dialect::Kazoo => children.iter().all(|child| self.is_permit(child)),
            _ => children.iter().any(|child| self.is_of_semaphore(child)),
        }
    }

    /// Of the permits that are held, the first of each claim, and how many it has; in order, where there
    /// is one.
    pub(crate) fn permit_holders<'a>(&self, children: &'a [String]) -> Vec<(&'a String, u32)> {
        let mut permits: Vec<(Option<Sequence>, &str, &String)> = children
            .iter()
            .filter_map(|child| match self {
                Dialect::Kazoo => Some((None, kazoo_claim(child)?, child)),
                _ => {
                    let (claim, _) = child.rsplit_once(LEASE)?;
                    Some((Some(lease_sequence(child)?), claim, child))
                }
            })
            .collect();
        permits.sort();
        let mut taken: BTreeMap<&str, u32> = BTreeMap::new();
        for (_, claim, _) in &permits {
            *taken.entry(*claim).or_default() += 1;
        }
        let firsts = permits.into_iter().filter_map(|(_, claim, permit)| {
            let taken = taken.remove(claim)?;
            Some((permit, taken))
        });
        firsts.collect()
    }

    /// The semaphore whose line of those who wait a node with places is; `beside` are the nodes at its
    /// side.
    pub(crate) fn semaphore_of_line(&self, at: &str, beside: &[String]) -> Option<Name> {
        let semaphore = match self {
            Dialect::Kazoo => at.strip_suffix(BESIDE),
            _ => at.strip_suffix(LOCKS).filter(|_| beside.iter().any(|node| node == LEASES)),
        };
        semaphore.and_then(|name| Name::new(name.trim_end_matches('/')).ok())
    }

    /// The semaphore whose permits are below a node.
    pub(crate) fn semaphore_of_permits(&self, at: &str) -> Option<Name> {
        let semaphore = match self {
            Dialect::Kazoo => Some(at),
            _ => at.strip_suffix(LEASES),
        };
        semaphore.and_then(|name| Name::new(name.trim_end_matches('/')).ok())
    }

    /// Whether the last segment of a name makes it the line of a semaphore.
    pub(crate) fn is_line_of_semaphore(&self, segment: &str) -> bool {
        matches!(self, Dialect::Kazoo) && segment.ends_with(BESIDE)
    }

    /// The dialect whose semaphores have such a child, for a person.
    pub(crate) fn semaphore_spoken_by(child: &str) -> Option<&'static str> {
        let known = [(Dialect::Curator, "dialect=curator"), (Dialect::Kazoo, "dialect=kazoo")];
        let speaks = |(dialect, _): &&(Dialect, _)| dialect.is_of_semaphore(child);
        known.iter().find(speaks).map(|(_, option)| *option)
    }
}

/// What orders the permits of Curator's that are held; `None` for what is none.
fn lease_sequence(child: &str) -> Option<Sequence> {
    child.rsplit_once(LEASE).and_then(|(_, number)| Sequence::parse(number))
}

/// The claim to which a permit of kazoo's belongs.
fn kazoo_claim(child: &str) -> Option<&str> {
    let (claim, rest) = child.split_at_checked(32)?;
    let is_hex = claim.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_whole = rest.is_empty() || rest.strip_prefix('-')?.parse::<u32>().is_ok();
    (is_hex && is_whole).then_some(claim)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "00000000000000000000000000000abc";

    fn id() -> ClaimId {
        ClaimId::from_u128(0xabc)
    }

    #[test]
    fn a_claim_knows_its_permits_by_its_mark() {
        for dialect in [Dialect::Curator, Dialect::Kazoo] {
            let number = match dialect.permit_mode() {
                CreateMode::EphemeralSequential => "0000000007",
                _ => "",
            };
            for at in 0..3 {
                let permit = dialect.permit(id(), at) + number;
                assert!(permit.starts_with(&dialect.mark(id())), "{permit}");
                assert!(dialect.is_permit(&permit), "{permit}");
                assert_eq!(dialect.any_place(&permit), None, "{permit}");
            }
        }
        assert_eq!(Dialect::Kazoo.permit(id(), 0), HEX);
        assert_eq!(Dialect::Kazoo.permit(id(), 1), format!("{HEX}-2"));
    }

    #[test]
    fn what_is_no_permit() {
        let mutex = Dialect::Curator.entry(sneck_core::Mode::Exclusive, id()) + "0000000007";
        assert!(!Dialect::Curator.is_permit(&mutex) && !Dialect::Curator.is_permit(HEX));
        let long = format!("{HEX}0");
        let upper = HEX.to_uppercase();
        for child in ["", &HEX[1..], &long, &upper, &format!("{HEX}-"), &format!("{HEX}-x"), "é"] {
            assert!(!Dialect::Kazoo.is_permit(child), "{child}");
        }
        assert!(!Dialect::Kazoo.is_permit(&format!("{HEX}__lock__0000000007")));
    }

    #[test]
    fn each_claim_holds_once() {
        let names =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let curator = names(&[
            "_c_b-lease-0000000003",
            "locks",
            "_c_b-lease-0000000002",
            "_c_a-lease-0000000004",
        ]);
        assert_eq!(Dialect::Curator.permit_holders(&curator), [(&curator[2], 2), (&curator[3], 1)]);
        let other = HEX.replace('a', "f");
        let second = format!("{HEX}-2");
        let kazoo = names(&[&other, &second, HEX, "x"]);
        assert_eq!(Dialect::Kazoo.permit_holders(&kazoo), [(&kazoo[2], 2), (&kazoo[0], 1)]);
    }

    #[test]
    fn rooms_lead_back_to_the_semaphore() {
        for dialect in [Dialect::Curator, Dialect::Kazoo] {
            let rooms = dialect.rooms("a/s");
            let beside = [LOCKS.to_owned(), LEASES.to_owned()];
            let name = Name::new("a/s").ok();
            assert_eq!(dialect.semaphore_of_line(&rooms.line, &beside), name, "{dialect:?}");
            assert_eq!(dialect.semaphore_of_permits(&rooms.permits), name, "{dialect:?}");
        }
        assert_eq!(Dialect::Curator.semaphore_of_line("a/locks", &[]), None, "a lock of that name");
        assert_eq!(Dialect::semaphore_spoken_by(LEASES), Some("dialect=curator"));
        assert_eq!(Dialect::semaphore_spoken_by(HEX), Some("dialect=kazoo"));
        assert_eq!(Dialect::semaphore_spoken_by("x"), None);
    }
}
