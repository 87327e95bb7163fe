//! `deadlocks` and `--refuse-deadlock`: commands under locks that wait for each other.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod stage;

use serde_json::Value;
use sneck_testkit::or_skip;
use sneck_testkit::zookeeper::{self, Version};
use stage::{Done, Running, bare, done, sneck, until, url, url_at};
use std::path::Path;

/// A server of sneck, for one test.
fn serve() -> (Running, String) {
    let mut server = Running::start(bare(["serve", "--listen", "127.0.0.1:0", "--tick", "200ms"]));
    let url = server.line("zk://");
    (server, url_at(&url))
}

/// Holds one lock, and asks for the other as soon as everybody holds what he came for.
fn holding(url: &str, folder: &Path, [holds, wants]: [&str; 2], options: &[&str]) -> Running {
    let script = "touch \"$1/$2\"; until [ -e \"$1/all\" ]; do sleep 0.01; done; \
                  shift 2; exec \"$@\"";
    let folder = folder.to_str().unwrap();
    let outer = ["run", holds, "--", "sh", "-c", script, "sh", folder, holds];
    let inner = [&[env!("CARGO_BIN_EXE_sneck"), "run"], options, &[wants, "--", "true"]].concat();
    Running::start(sneck(url, outer.iter().chain(&inner)))
}

/// Everybody holds one lock and wants that of the next.
fn circle(url: &str, folder: &Path, names: &[&str], options: &[&str]) -> Vec<Running> {
    let wants = names.iter().cycle().skip(1);
    let pairs = names.iter().zip(wants);
    let all = pairs.map(|(holds, wants)| holding(url, folder, [*holds, *wants], options)).collect();
    until("all hold one", || names.iter().all(|name| folder.join(name).exists()));
    std::fs::write(folder.join("all"), "").unwrap();
    all
}

fn report(url: &str) -> (Option<i32>, Value) {
    let Done { code, stdout, stderr } = done(sneck(url, ["deadlocks", "--json"]));
    (code, serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stderr}")))
}

fn a_circle_of_processes_is_found(url: &str) {
    let (code, nothing) = report(url);
    assert_eq!((code, &nothing["deadlocks"]), (Some(0), &serde_json::json!([])));
    let folder = tempfile::tempdir().unwrap();
    let all = circle(url, folder.path(), &["a", "b"], &[]);
    let mut found = Value::Null;
    until("the circle is found", || {
        let (code, report) = report(url);
        found = report;
        code == Some(1)
    });
    let circle = found["deadlocks"][0]["circle"].as_array().unwrap();
    let mut edges: Vec<_> = circle
        .iter()
        .map(|edge| (edge["holds"]["name"].as_str(), edge["waits"]["name"].as_str()))
        .collect();
    edges.sort_unstable();
    assert_eq!(edges, [(Some("a"), Some("b")), (Some("b"), Some("a"))]);
    for edge in circle {
        assert!(edge["who"]["pid"].is_u64() && edge["who"]["host"].is_string(), "{edge}");
        assert!(edge["holds"]["since"].is_string() && edge["waits"]["since"].is_string(), "{edge}");
        assert_eq!(edge["waits"]["mode"], "exclusive");
    }
    assert_ne!(circle[0]["who"]["pid"], circle[1]["who"]["pid"]);
    let told = done(sneck(url, ["deadlocks"]));
    assert_eq!(told.code, Some(1));
    assert!(told.stdout.starts_with("2 wait for each other:\n  tester at"), "{told:?}");
    assert_eq!(told.stdout.lines().count(), 3, "{told:?}");

    // One of them ends, and the other goes on.
    all[0].signal(rustix::process::Signal::TERM);
    let codes: Vec<_> = all.into_iter().map(|run| run.wait().code).collect();
    assert_eq!(codes, [Some(143), Some(0)]);
    assert_eq!(report(url).0, Some(0));
}

fn of_a_circle_of_processes_one_gives_up(url: &str) {
    let folder = tempfile::tempdir().unwrap();
    let all = circle(url, folder.path(), &["a", "b", "c"], &["--refuse-deadlock"]);
    let mut all: Vec<Done> = all.into_iter().map(Running::wait).collect();
    all.sort_by_key(|done| done.code);
    let codes: Vec<_> = all.iter().map(|done| done.code).collect();
    assert_eq!(codes, [Some(0), Some(0), Some(75)], "{all:?}");
    assert!(all[2].stderr.contains("is one of a circle"), "{all:?}");
}

fn who_waits_for_what_is_held_above_is_told(url: &str) {
    let sneck_path = env!("CARGO_BIN_EXE_sneck");
    let nested = ["run", "a", "--", sneck_path, "run", "--refuse-deadlock", "-E", "9", "a", "--"];
    let done = done(sneck(url, nested.iter().chain(&["true"])));
    assert_eq!(done.code, Some(9), "{done:?}");
}

#[test]
fn circles_on_our_own_server() {
    let (_server, url) = serve();
    a_circle_of_processes_is_found(&url);
    of_a_circle_of_processes_one_gives_up(&url);
    who_waits_for_what_is_held_above_is_told(&url);
}

#[tokio::test]
async fn circles_on_zookeeper() {
    let server = or_skip!(zookeeper::shared(Version::V3_9).await);
    a_circle_of_processes_is_found(&url(server));
    of_a_circle_of_processes_one_gives_up(&url(server));
    who_waits_for_what_is_held_above_is_told(&url(server));
}

/// A client that does not say what it holds keeps one of ours waiting.
#[tokio::test]
async fn other_clients_are_said_to_be_unknown() {
    use sneck::zookeeper::wire::Acl;
    use sneck::zookeeper::{CreateMode, Session, ZooKeeperUrl};
    let (_server, url) = serve();
    let parsed = ZooKeeperUrl::parse(&url).unwrap();
    let stranger = Session::connect(parsed.session).await.unwrap();
    // The chroot and the lock's node are made by whoever comes first.
    assert_eq!(done(sneck(&url, ["run", "a/b", "--", "true"])).code, Some(0));
    stranger.create("/a", "", CreateMode::Persistent, Acl::open()).await.ok();
    stranger.create("/a/c", "", CreateMode::Persistent, Acl::open()).await.unwrap();
    let place = "/a/c/_c_11111111-2222-4333-8444-555555555555-lock-";
    let mode = CreateMode::EphemeralSequential;
    stranger.create(place, "10.0.0.1", mode, Acl::open()).await.unwrap();
    let waiter = Running::start(sneck(&url, ["run", "a/c", "--", "true"]));
    stage::until_in_line(&url, "a/c", 2);
    let (code, report) = report(&url);
    assert_eq!(code, Some(0));
    assert_eq!(report["unknown"][0]["name"], "a/c");
    assert_eq!(report["unknown"][0]["holder"]["text"], "10.0.0.1");
    stranger.close().await;
    assert_eq!(waiter.wait().code, Some(0));
}
