//! What a cluster is like, for whoever entrusts locks to it.

use crate::fields::Fields;
use crate::store::Store;
use scylla::cluster::Node;
use scylla::cluster::metadata::Strategy;
use scylla::policies::load_balancing::{NodeIdentifier, SingleTargetLoadBalancingPolicy};
use scylla::statement::Consistency;
use scylla::statement::unprepared::Statement;
use sneck_core::Clock;
use std::sync::Arc;
use std::time::Duration;

/// What a cluster is like, as far as locks depend on it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClusterFacts {
    /// Its nodes.
    pub nodes: Vec<NodeFacts>,
    /// How many replicas the keyspace has in each data centre; one entry with an empty name where it does
    /// not tell them apart. Empty when its way of placing replicas is not known.
    pub replicas: Vec<(String, usize)>,
    /// The variant of Paxos that the nodes use, where they tell: `v1`, or `v2`, which needs fewer round trips.
    pub paxos: Option<String>,
    /// For how long a holder believes in a grant that is not renewed.
    pub term: Duration,
    /// By how much the clocks of the nodes differ, where two of them could be asked.
    pub difference: Option<Difference>,
}

/// One node.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeFacts {
    /// Where it is.
    pub address: String,
    /// Its data centre.
    pub datacenter: Option<String>,
    /// The release of Cassandra that it runs; `None` for a node that does not answer.
    pub release: Option<String>,
}

/// By how much clocks differ. They are read over the network, so that there are only bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Two clocks differ by so much, or more.
    pub at_least: Duration,
    /// No two clocks differ by more.
    pub at_most: Duration,
}

/// How often each clock is read. The reading that took the shortest counts.
const READINGS: usize = 3;

/// A server's clock less ours, in nanoseconds, which is somewhere between the two.
#[derive(Clone, Copy, Debug)]
struct Offset {
    low: i128,
    high: i128,
}

impl Offset {
    /// From the milliseconds that a server read at some moment between two of ours.
    fn new(server_ms: i64, asked_ns: u64, answered_ns: u64) -> Offset {
        const MS: i128 = 1_000_000;
        let server = i128::from(server_ms) * MS;
        Offset { low: server - i128::from(answered_ns), high: server + MS - i128::from(asked_ns) }
    }

    fn width(self) -> i128 {
        self.high - self.low
    }
}

/// What the offsets say about each other; `None` for fewer than two.
fn difference(offsets: &[Offset]) -> Option<Difference> {
    if offsets.len() < 2 {
        return None;
    }
    let (mut at_least, mut at_most) = (0, 0);
    for (at, one) in offsets.iter().enumerate() {
        for (_, other) in offsets.iter().enumerate().filter(|(other, _)| *other != at) {
            at_least = at_least.max(one.low - other.high);
            at_most = at_most.max(one.high - other.low);
        }
    }
    let length = |ns: i128| Duration::from_nanos(u64::try_from(ns).unwrap_or(0));
    Some(Difference { at_least: length(at_least), at_most: length(at_most) })
}

impl Store {
    /// Asks every node about itself.
    pub(crate) async fn facts(&self, clock: &dyn Clock) -> ClusterFacts {
        let state = self.session().get_cluster_state();
        let (mut nodes, mut offsets) = (Vec::new(), Vec::new());
        for node in state.get_nodes_info() {
            let (facts, offset) = self.ask_node(node, clock).await;
            nodes.push(facts);
            offsets.extend(offset);
        }
        let keyspace = state.get_keyspace(self.keyspace());
        ClusterFacts {
            nodes,
            replicas: keyspace.map(|keyspace| replicas(&keyspace.strategy)).unwrap_or_default(),
            paxos: self.paxos().await,
            term: self.rule().term(),
            difference: difference(&offsets),
        }
    }

    async fn ask_node(&self, node: &Arc<Node>, clock: &dyn Clock) -> (NodeFacts, Option<Offset>) {
        const ASK: &str =
            "SELECT release_version, toUnixTimestamp(now()) AS clock FROM system.local";
        let (mut release, mut best) = (None, None::<Offset>);
        for _ in 0..READINGS {
            let asked = clock.now();
            let rows = self.ask(ASK, Some(node.clone())).await.unwrap_or_default();
            let answered = clock.now();
            let Some(row) = rows.first() else { break };
            release = row.text("release_version").map(str::to_owned);
            let Some(read) = row.timestamp("clock") else { break };
            let offset = Offset::new(read, asked.as_nanos(), answered.as_nanos());
            if best.is_none_or(|best| offset.width() < best.width()) {
                best = Some(offset);
            }
        }
        let address = format!("{}:{}", node.address.ip(), node.address.port());
        (NodeFacts { address, datacenter: node.datacenter.clone(), release }, best)
    }

    /// Since Cassandra 4.0 nodes show their settings in a table, to those who may read it.
    async fn paxos(&self) -> Option<String> {
        const ASK: &str = "SELECT value FROM system_views.settings WHERE name = 'paxos_variant'";
        Some(self.ask(ASK, None).await?.first()?.text("value")?.to_owned())
    }

    async fn ask(&self, cql: &str, node: Option<Arc<Node>>) -> Option<Vec<Fields>> {
        let mut statement = Statement::new(cql);
        statement.set_consistency(Consistency::One);
        statement.set_request_timeout(Some(self.rule().answer_within()));
        statement.set_load_balancing_policy(
            node.map(|node| SingleTargetLoadBalancingPolicy::new(NodeIdentifier::Node(node), None)),
        );
        Fields::of(self.session().query_unpaged(statement, ()).await.ok()?)
    }
}

fn replicas(strategy: &Strategy) -> Vec<(String, usize)> {
    match strategy {
        Strategy::SimpleStrategy { replication_factor } => {
            vec![(String::new(), *replication_factor)]
        }
        Strategy::NetworkTopologyStrategy { datacenter_repfactors } => {
            let mut replicas: Vec<_> = datacenter_repfactors
                .iter()
                .map(|(name, number)| (name.clone(), *number))
                .collect();
            replicas.sort();
            replicas
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_difference_is_known_up_to_the_time_that_answers_took() {
        // Read within 10 ms each; the second clock is an hour ahead.
        let one = Offset::new(1_000, 0, 10 * MS);
        let other = Offset::new(3_601_000, 0, 10 * MS);
        assert_eq!(difference(&[one]), None);
        let known = difference(&[one, other]).unwrap();
        let hour = Duration::from_secs(3_600);
        assert_eq!(known.at_least, hour - Duration::from_millis(11));
        assert_eq!(known.at_most, hour + Duration::from_millis(11));
        assert_eq!(difference(&[other, one]), Some(known));
    }

    #[test]
    fn clocks_that_may_agree_differ_by_nothing_for_certain() {
        let slow = Offset::new(1_000, 0, 500 * MS);
        let quick = Offset::new(1_200, 490 * MS, 500 * MS);
        let known = difference(&[slow, quick]).unwrap();
        assert_eq!(known.at_least, Duration::ZERO);
        assert!(known.at_most > Duration::from_millis(200));
    }
}
