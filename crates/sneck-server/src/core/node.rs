//! One node of the tree.

use std::collections::BTreeSet;

use bytes::Bytes;
use sneck_wire::Stat;

use super::access::AccessList;

/// How long a node lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum Owner {
    /// Until it is deleted.
    #[default]
    Nobody,
    /// As long as this session.
    Session(i64),
    /// Until some time after its last child is gone.
    Container,
    /// Until it is childless and has been unchanged for so many milliseconds.
    Ttl(i64),
}

impl Owner {
    /// The longest time to live, in milliseconds: it shares 64 bits with its mark.
    pub(crate) const TTL_MS_MAX: i64 = 0xff_ffff_ffff;

    const CONTAINER: i64 = i64::MIN;
    /// In the upper byte of the number of a time to live; no session id has it there.
    const TTL_MARK: i64 = 0xff << 56;

    /// The number that Apache's snapshots have for it.
    pub(crate) fn number(self) -> i64 {
        match self {
            Self::Nobody => 0,
            Self::Session(id) => id,
            Self::Container => Self::CONTAINER,
            Self::Ttl(ms) => Self::TTL_MARK | ms,
        }
    }

    /// What a number in a snapshot means.
    pub(crate) fn from_number(number: i64) -> Self {
        match number {
            0 => Self::Nobody,
            Self::CONTAINER => Self::Container,
            ttl if ttl & Self::TTL_MARK == Self::TTL_MARK => Self::Ttl(ttl & Self::TTL_MS_MAX),
            id => Self::Session(id),
        }
    }

    /// The session to which the node belongs, if it is ephemeral.
    pub(crate) fn session(self) -> Option<i64> {
        match self {
            Self::Session(id) => Some(id),
            _ => None,
        }
    }
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    pub(crate) data: Option<Bytes>,
    pub(crate) acl: AccessList,
    pub(crate) owner: Owner,
    pub(crate) czxid: i64,
    pub(crate) mzxid: i64,
    pub(crate) pzxid: i64,
    pub(crate) ctime: i64,
    pub(crate) mtime: i64,
    pub(crate) version: i32,
    pub(crate) aversion: i32,
    /// How many children were ever created. The next sequential one gets this number.
    pub(crate) creates: i32,
    pub(crate) children: BTreeSet<Box<str>>,
}

impl Node {
    /// A node created by this transaction.
    pub(crate) fn new(data: Option<Bytes>, acl: AccessList, owner: Owner, at: At) -> Self {
        Self {
            data,
            acl,
            owner,
            czxid: at.zxid,
            mzxid: at.zxid,
            pzxid: at.zxid,
            ctime: at.time_ms,
            mtime: at.time_ms,
            version: 0,
            aversion: 0,
            creates: 0,
            children: BTreeSet::new(),
        }
    }

    /// What clients are told. The `cversion` counts creations and deletions, and follows from the
    /// two numbers that are kept. A server's own nodes were never created in this sense, which is
    /// how it can be negative.
    pub(crate) fn stat(&self) -> Stat {
        let children = wire_count(self.children.len());
        Stat {
            czxid: self.czxid,
            mzxid: self.mzxid,
            ctime: self.ctime,
            mtime: self.mtime,
            version: self.version,
            cversion: self.creates.wrapping_mul(2).wrapping_sub(children),
            aversion: self.aversion,
            ephemeral_owner: self.owner.session().unwrap_or(0),
            data_length: wire_count(self.data.as_ref().map_or(0, Bytes::len)),
            num_children: children,
            pzxid: self.pzxid,
        }
    }

    /// Counts the creation of a child. The counter sticks at its end rather than going round to
    /// negative numbers, and then the change of the list leaves no trace here either.
    pub(crate) fn count_creation(&mut self, zxid: i64) {
        if let Some(next) = self.creates.checked_add(1) {
            self.creates = next;
            self.pzxid = zxid;
        }
    }
}

/// Which transaction, and when by the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) zxid: i64,
    pub(crate) time_ms: i64,
}

/// The version after this one. -1 is left out, because it means "any" in requests.
pub(crate) fn next_version(version: i32) -> i32 {
    match version.wrapping_add(1) {
        -1 => 0,
        next => next,
    }
}

/// A count as records have it; what does not fit is as good as endless.
pub(crate) fn wire_count(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_survive_as_numbers() {
        let owners = [
            Owner::Nobody,
            Owner::Container,
            Owner::Session(1 << 56),
            Owner::Ttl(1),
            Owner::Ttl(Owner::TTL_MS_MAX),
        ];
        for owner in owners {
            assert_eq!(Owner::from_number(owner.number()), owner);
        }
    }

    #[test]
    fn versions_leave_out_minus_one() {
        assert_eq!(next_version(0), 1);
        assert_eq!(next_version(i32::MAX), i32::MIN);
        assert_eq!(next_version(-2), 0);
    }

    #[test]
    fn the_counter_sticks_at_its_end() {
        let at = At { zxid: 1, time_ms: 0 };
        let mut node = Node::new(None, Vec::new().into(), Owner::Nobody, at);
        node.creates = i32::MAX - 1;
        node.count_creation(2);
        node.count_creation(3);
        assert_eq!((node.creates, node.pzxid), (i32::MAX, 2));
    }
}
