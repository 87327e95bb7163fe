//! A Cassandra cluster, as a lock would use it.

use super::check::{Check, Verdict};
use super::server::{median, shown};
use sneck::cassandra::{
    Cassandra, CassandraOptions, ClusterFacts, Create, Difference, NodeFacts, Scope,
};
use sneck::{Backend, Name};
use std::time::{Duration, Instant};

/// Examines each node, and the cluster. Nothing is written or made.
pub(crate) async fn examine(mut options: CassandraOptions) -> (Vec<Check>, Vec<Check>) {
    let began = Instant::now();
    options.create = Create::Nothing;
    let cassandra = match Cassandra::connect(options.clone()).await {
        Ok(cassandra) => cassandra,
        Err(error) => {
            let check = Check::new("connection", Verdict::Failure, error.to_string());
            let hint = error.hint().unwrap_or("check that the nodes run, and the port");
            return (Vec::new(), vec![check.with_hint(hint)]);
        }
    };
    let says = format!("reached in {}; a majority decides", shown(began.elapsed()));
    let mut checks = vec![Check::new("connection", Verdict::Ok, says)];
    let facts = cassandra.facts().await;
    checks.push(replication(&facts));
    checks.push(consistency(&options));
    checks.push(serial(&cassandra, &options).await);
    checks.extend(paxos(&facts));
    checks.push(term(&options, &facts));
    checks.push(clock(&options, facts.difference));
    checks.push(order());
    checks.push(transport(&options));
    cassandra.close().await;
    (facts.nodes.iter().flat_map(node).collect(), checks)
}

fn node(node: &NodeFacts) -> Vec<Check> {
    let release = match &node.release {
        Some(release) => Check::new("release", Verdict::Ok, format!("Cassandra {release}")),
        None => Check::new("release", Verdict::Failure, "the node does not answer")
            .with_hint("locks go on without a minority of the nodes, and end with a majority"),
    };
    let datacenter = node.datacenter.as_deref().unwrap_or("none that is known");
    let datacenter = Check::new("datacenter", Verdict::Ok, datacenter);
    vec![release.at(&node.address), datacenter.at(&node.address)]
}

fn replication(facts: &ClusterFacts) -> Check {
    if facts.replicas.is_empty() {
        return Check::new("replication", Verdict::Unknown, "could not be learnt");
    }
    let number = |(place, number): &(String, usize)| match place.as_str() {
        "" => number.to_string(),
        place => format!("{number} in {place}"),
    };
    let says: Vec<String> = facts.replicas.iter().map(number).collect();
    let says = format!("replicas: {}", says.join(", "));
    match facts.replicas.iter().map(|(_, number)| number).sum::<usize>() {
        3.. => Check::new("replication", Verdict::Ok, says),
        _ => Check::new("replication", Verdict::Warning, format!("{says}: no node may be down"))
            .with_hint("alter the keyspace to three replicas, and repair it"),
    }
}

fn consistency(options: &CassandraOptions) -> Check {
    match options.scope {
        Scope::Cluster => {
            let says = "SERIAL and QUORUM: a lock excludes in the whole cluster";
            Check::new("consistency", Verdict::Ok, says)
        }
        Scope::Datacenter => {
            let says = "LOCAL_SERIAL and LOCAL_QUORUM: each data centre has locks of its own";
            Check::new("consistency", Verdict::Warning, says)
                .with_hint("every client of the table must say scope=datacenter, or none")
        }
    }
}

/// A serial read of a lock that is not there brings every round of Paxos to its end, and changes nothing.
async fn serial(cassandra: &Cassandra, options: &CassandraOptions) -> Check {
    let (Some(survey), Ok(name)) = (cassandra.survey(), Name::new("doctor")) else {
        return Check::new("quorum", Verdict::Unknown, "cannot be tried");
    };
    match median(options.connect_timeout, || survey.line(&name)).await {
        Some(took) => {
            Check::new("quorum", Verdict::Ok, format!("a serial read takes {}", shown(took)))
        }
        None => Check::new("quorum", Verdict::Failure, "a serial read gets no answer"),
    }
}

fn paxos(facts: &ClusterFacts) -> Option<Check> {
    let variant = facts.paxos.as_deref()?;
    let says = format!("paxos_variant is {variant}");
    Some(match variant {
        "v1" | "v1_without_linearizable_reads_or_rejected_writes" => {
            Check::new("paxos", Verdict::Ok, says)
                .with_hint("v2 saves round trips, for all tables of the cluster")
        }
        _ => Check::new("paxos", Verdict::Ok, says),
    })
}

fn term(options: &CassandraOptions, facts: &ClusterFacts) -> Check {
    let text = |length: Duration| humantime::format_duration(length).to_string();
    let says = format!(
        "{}: so long at most does a dead holder's lock stay taken; a holder believes in it for {}",
        text(options.ttl),
        text(facts.term)
    );
    Check::new("term", Verdict::Ok, says)
}

fn clock(options: &CassandraOptions, difference: Option<Difference>) -> Check {
    let skew = humantime::format_duration(options.skew);
    let Some(Difference { at_least, at_most }) = difference else {
        let says = format!("the nodes' may differ by {skew}; those of clients do not count");
        return Check::new("clock", Verdict::Ok, says);
    };
    let says = format!(
        "the nodes' differ by {} to {}, and may by {skew}; those of clients do not count",
        shown(at_least),
        shown(at_most)
    );
    match at_least > options.skew {
        false => Check::new("clock", Verdict::Ok, says),
        true => Check::new("clock", Verdict::Failure, says).with_hint(
            "two may hold one lock: set the nodes' clocks right, or say the truth in skew=",
        ),
    }
}

fn order() -> Check {
    let says = "nobody knows who is next, and a waiter looks again and again";
    Check::new("order", Verdict::Ok, says)
}

fn transport(options: &CassandraOptions) -> Check {
    match options.credentials.is_some() {
        true => Check::new("transport", Verdict::Warning, "the password is sent in the clear")
            .with_hint("keep the nodes on a network that is trusted"),
        false => {
            Check::new("access", Verdict::Warning, "everybody who reaches the nodes may write")
                .with_hint("give them a user and a password, unless the network is trusted")
        }
    }
}
