//! Which node is asked to run a statement.
//!
//! All clients ask the same replica about one lock, the first on the ring: two coordinators that run
//! rounds of Paxos for one partition at the same time outbid each other's ballots. Only one that has
//! said nothing is passed over for a while.

use scylla::client::session::Session;
use scylla::cluster::Node;
use sneck_core::{Clock, Instant};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// Chooses coordinators, and remembers who was silent.
pub(crate) struct Coordinators {
    clock: Arc<dyn Clock>,
    /// Asked first, where given.
    datacenter: Option<String>,
    /// For how long a node that was silent is asked only if there is no other.
    pardon: Duration,
    silent: Mutex<HashMap<Uuid, Instant>>,
}

impl Coordinators {
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        datacenter: Option<String>,
        pardon: Duration,
    ) -> Coordinators {
        Coordinators { clock, datacenter, pardon, silent: Mutex::default() }
    }

    /// The node to ask about this partition; `None` when the driver knows of none.
    pub(crate) fn choose(
        &self,
        session: &Session,
        table: (&str, &str),
        partition: (&str, &str),
    ) -> Option<Arc<Node>> {
        let cluster = session.get_cluster_state();
        let replicas = cluster.get_endpoints(table.0, table.1, &partition).unwrap_or_default();
        let mut nodes: Vec<Arc<Node>> = replicas.into_iter().map(|(node, _)| node).collect();
        // Any node can coordinate; one that is no replica only takes one hop more.
        let others = cluster.get_nodes_info().iter();
        let others: Vec<Arc<Node>> = others
            .filter(|node| nodes.iter().all(|known| known.host_id != node.host_id))
            .cloned()
            .collect();
        nodes.extend(others);
        let known = nodes.iter().map(|node| Known {
            connected: node.is_connected(),
            near: self.datacenter.is_none() || node.datacenter == self.datacenter,
            silent: self.was_silent(node.host_id),
        });
        best(&known.collect::<Vec<_>>()).map(|at| nodes.swap_remove(at))
    }

    /// Remembers that a node gave no answer.
    pub(crate) fn note_silence(&self, node: Uuid) {
        let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        silent.retain(|_, until| *until > now);
        silent.insert(node, now + self.pardon);
    }

    /// Forgets it.
    pub(crate) fn note_answer(&self, node: Uuid) {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner).remove(&node);
    }

    fn was_silent(&self, node: Uuid) -> bool {
        let silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        silent.get(&node).is_some_and(|until| *until > self.clock.now())
    }
}

impl fmt::Debug for Coordinators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coordinators").field("datacenter", &self.datacenter).finish_non_exhaustive()
    }
}

/// What is known of a node, in the order of the ring.
#[derive(Clone, Copy, Debug)]
struct Known {
    connected: bool,
    near: bool,
    silent: bool,
}

/// The first of the best. One that is not connected is asked in the end, so that somebody tries.
fn best(nodes: &[Known]) -> Option<usize> {
    let rank = |node: &Known| (!node.connected, node.silent, !node.near);
    (0..nodes.len()).min_by_key(|at| rank(&nodes[*at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Known = Known { connected: true, near: true, silent: false };

    #[test]
    fn the_first_good_one_is_asked() {
        assert_eq!(best(&[]), None);
        assert_eq!(best(&[GOOD, GOOD]), Some(0));
        let (silent, far) = (Known { silent: true, ..GOOD }, Known { near: false, ..GOOD });
        let down = Known { connected: false, ..GOOD };
        assert_eq!(best(&[silent, far, GOOD]), Some(2));
        assert_eq!(best(&[silent, far]), Some(1), "far away is better than silent");
        assert_eq!(best(&[down, silent]), Some(1));
        assert_eq!(best(&[down, down]), Some(0));
    }
}
