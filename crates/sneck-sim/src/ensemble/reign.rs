//! What a leader knows while it leads: what was decided, who follows, and which session is where.

use std::collections::BTreeMap;

use sneck_server::simulation::Leader;

use super::member::Return;

/// What a leader knows.
pub(super) struct Reign {
    pub(super) epoch: u32,
    pub(super) since_ms: u64,
    /// Who decides, once a majority has the leader's history.
    pub(super) decider: Option<Leader>,
    pub(super) followers: BTreeMap<usize, Follower>,
    /// How much of the log is committed.
    pub(super) committed: usize,
    /// The member on which a session was heard of last. Others may not write for it.
    pub(super) owners: BTreeMap<i64, usize>,
    /// Who waits for all transactions up to one to be committed.
    pub(super) syncs: Vec<(i64, Return)>,
    /// How often time was looked at.
    pub(super) ticks: u64,
}

/// Somebody who follows.
pub(super) struct Follower {
    pub(super) term: u64,
    pub(super) heard_ms: u64,
    /// Up to where its disk has the leader's log.
    pub(super) acked: i64,
    /// Whether it has the leader's history.
    pub(super) has_history: bool,
    /// Whether it was told to serve.
    pub(super) serves: bool,
}

impl Reign {
    pub(super) fn new(epoch: u32, since_ms: u64) -> Self {
        Reign {
            epoch,
            since_ms,
            decider: None,
            followers: BTreeMap::new(),
            committed: 0,
            owners: BTreeMap::new(),
            syncs: Vec::new(),
            ticks: 0,
        }
    }

    /// The follower that speaks under this term, which has been heard of now.
    pub(super) fn heard(&mut self, from: usize, term: u64, at_ms: u64) -> Option<&mut Follower> {
        let follower = self.followers.get_mut(&from).filter(|one| one.term == term)?;
        follower.heard_ms = at_ms;
        Some(follower)
    }

    /// How many followers have the leader's log up to here.
    pub(super) fn acks(&self, zxid: i64) -> usize {
        self.followers.values().filter(|one| one.has_history && one.acked >= zxid).count()
    }

    /// Whether a member may write for a session. The first one that does is the one that may.
    pub(super) fn is_owner(&mut self, session: i64, member: usize) -> bool {
        *self.owners.entry(session).or_insert(member) == member
    }
}
