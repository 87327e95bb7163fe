//! `sneck doctor` on stores that are well and on some that are not.

use sneck_testkit::or_skip;
use sneck_testkit::redis::Builder;

use crate::servers;
use crate::stage::{Done, done, sneck};

/// A check that must be there: its name, its verdict, and what it says.
type Expected = (&'static str, &'static str, &'static str);

fn examine(url: &str) -> (Done, serde_json::Value) {
    let examined = done(sneck(url, ["doctor", "--json"]));
    let report = serde_json::from_str(&examined.stdout).unwrap_or_else(|_| panic!("{examined:?}"));
    (examined, report)
}

fn assert_found(report: &serde_json::Value, expected: &[Expected]) {
    let checks = report["checks"].as_array().unwrap();
    for (name, verdict, says) in expected {
        let is_it = |check: &&serde_json::Value| {
            check["check"] == *name
                && check["verdict"] == *verdict
                && check["says"].as_str().unwrap().contains(says)
        };
        assert!(checks.iter().any(|check| is_it(&check)), "{name}, {verdict}, {says}: {report:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_redis_is_examined() {
    let settings = Builder::new()
        .setting("maxmemory", "100mb")
        .setting("maxmemory-policy", "volatile-lru")
        .setting("requirepass", "hunter2");
    let servers = or_skip!(settings.start().await);
    let url = format!("redis://:hunter2@{}?term=20s", servers.addr(0));
    let (examined, report) = examine(&url);
    assert_eq!((examined.code, examined.stderr.as_str()), (Some(0), ""), "{examined:?}");
    assert!(!examined.stdout.contains("hunter2"));
    assert_eq!(report["ok"], true);
    assert_found(
        &report,
        &[
            ("connection", "ok", "reached in"),
            ("version", "ok", "Redis "),
            ("role", "ok", "primary, with 0 replicas"),
            ("eviction", "warning", "volatile-lru"),
            ("persistence", "warning", "appendonly is off"),
            ("scripts", "ok", "round trip"),
            ("failover", "ok", "one server"),
            ("term", "ok", "20s"),
            ("clock", "ok", "must not leap"),
            ("access", "ok", "password"),
            ("transport", "warning", "in the clear"),
        ],
    );
    let people = done(sneck(&url, ["doctor"]));
    assert!(people.stdout.starts_with("store\n  ok       connection"), "{people:?}");
    assert!(people.stdout.contains("hint: set maxmemory-policy to noeviction"), "{people:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_well_has_no_warning_about_itself() {
    let servers = or_skip!(Builder::new().setting("appendonly", "yes").start().await);
    let (_, report) = examine(&servers.url());
    assert_found(
        &report,
        &[
            ("persistence", "ok", "appendonly is on"),
            ("eviction", "ok", "throws nothing away"),
            ("access", "warning", "everybody"),
        ],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_failover_may_forget_is_said() {
    for store in [servers::sentinels().await, servers::cluster().await] {
        let store = or_skip!(store);
        let (examined, report) = examine(&store.url);
        assert_eq!(examined.code, Some(0), "{examined:?}");
        assert_found(&report, &[("failover", "warning", "may forget the last grants")]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_server_of_a_majority_is_examined() {
    let servers = or_skip!(Builder::new().primaries(3).start().await);
    servers.kill(2);
    let (examined, report) = examine(&format!("{}?connect-timeout=2s", servers.url()));
    assert_eq!(examined.code, Some(0), "two of three decide: {examined:?}");
    assert_found(
        &report,
        &[("version", "ok", "Redis "), ("order", "warning", "nobody knows who is next")],
    );
    let checks = report["checks"].as_array().unwrap().iter();
    let down: Vec<_> = checks.filter(|check| check["verdict"] == "failure").collect();
    assert_eq!(down.len(), 1, "{report:#}");
    assert_eq!(down[0]["server"], servers.addr(2).to_string());
    servers.kill(1);
    let (examined, report) = examine(&format!("{}?connect-timeout=2s", servers.url()));
    assert_eq!((examined.code, &report["ok"]), (Some(69), &false.into()), "{examined:?}");
    assert_found(&report, &[("connection", "failure", "1 of 3 servers answer")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_is_no_store_for_locks() {
    let servers = or_skip!(Builder::new().replicas(1).start().await);
    let (examined, report) = examine(&format!("redis://{}", servers.addr(1)));
    assert_eq!((examined.code, &report["ok"]), (Some(69), &false.into()), "{examined:?}");
    assert_found(&report, &[("connection", "failure", "read-only replica")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cassandra_cluster_is_examined() {
    let store = or_skip!(servers::cassandra().await);
    // Nothing is made by looking, so that somebody has to have made it.
    let made = done(sneck(&store.url, ["who", "a"]));
    assert_eq!(made.code, Some(0), "{made:?}");
    let (examined, report) = examine(&store.url);
    assert_eq!((examined.code, examined.stderr.as_str()), (Some(0), ""), "{examined:?}");
    assert!(!examined.stdout.contains("cassandra:cassandra"));
    assert_found(
        &report,
        &[
            ("release", "ok", sneck_testkit::cassandra::RELEASE),
            ("connection", "ok", "a majority decides"),
            ("replication", "warning", "no node may be down"),
            ("consistency", "ok", "SERIAL and QUORUM"),
            ("quorum", "ok", "a serial read takes"),
            ("paxos", "ok", "paxos_variant is v1"),
            ("term", "ok", "20s: so long"),
            ("clock", "ok", "those of clients do not count"),
            ("transport", "warning", "in the clear"),
        ],
    );
    let nowhere = store.url.replace("/sneck_cli?", "/nowhere?");
    let (examined, report) = examine(&nowhere);
    assert_eq!((examined.code, &report["ok"]), (Some(69), &false.into()), "{examined:?}");
    assert_found(&report, &[("connection", "failure", "no keyspace \"nowhere\"")]);
}
