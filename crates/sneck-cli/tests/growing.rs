//! From `serve` to Apache's servers, as docs/growing.md has it: with processes that hold and wait.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod stage;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use sneck_testkit::or_skip;
use sneck_testkit::proxy::Proxy;
use sneck_testkit::zookeeper::{Builder, Ensemble, Version};
use stage::{Running, bare, done, line, sneck, until_in_line};

/// The server to leave, what it keeps, and the address that clients know.
struct Old {
    server: Running,
    data: PathBuf,
    proxy: Proxy,
}

impl Old {
    fn start(folder: &Path) -> Self {
        let data = folder.join("data");
        // A tick that allows sessions of two minutes: a JVM may take its time.
        let mut command = bare(["serve", "--listen", "127.0.0.1:0", "--tick", "6s", "--data"]);
        command.arg(&data);
        let mut server = Running::start(command);
        let address: SocketAddr = server.line("zk://").parse().unwrap();
        // Clients keep their URL, as if it named the servers before and after.
        Self { server, data, proxy: Proxy::start(address).unwrap() }
    }

    fn url(&self, timeout: &str) -> String {
        format!("zk://{}/apps?timeout={timeout}", self.proxy.addr())
    }

    /// Stops the server, and exports what it had.
    fn leave(self, to: &Path) -> Proxy {
        self.server.signal(Signal::TERM);
        assert_eq!(self.server.wait().code, Some(0));
        let mut export = bare(["export", "--json", "--data"]);
        export.arg(&self.data).arg(to);
        let done = done(export);
        assert_eq!(done.code, Some(0), "{done:?}");
        let exported: Value = serde_json::from_str(&done.stdout).unwrap();
        assert!(exported["sessions"].as_u64().unwrap() >= 3, "{exported}");
        self.proxy
    }
}

fn apache(nodes: usize, data: &Path) -> Builder {
    Builder::new(Version::V3_9)
        .nodes(nodes)
        .session_timeout_max(Duration::from_secs(120))
        .preload(data)
}

/// Gets in line, says the token once the lock is held, and holds it until there is a line of input.
fn contender(url: &str) -> Running {
    let mut command = sneck(url, ["run", "a", "--", "sh", "-c", "echo $SNECK_TOKEN; read line"]);
    command.stdin(Stdio::piped());
    Running::start(command)
}

/// Each place in the line, with the token it has or will have.
fn places(url: &str) -> Vec<(Value, Value)> {
    line(url, "a").iter().map(|place| (place["node"].clone(), place["token"].clone())).collect()
}

fn token(contender: &mut Running) -> u64 {
    contender.line("").parse().unwrap()
}

/// Lets a holder go, and sees that it had held its lock to the end.
fn release(mut holder: Running) {
    assert!(!holder.has_ended());
    holder.write("\n");
    let done = holder.wait();
    assert_eq!(done.code, Some(0), "{done:?}");
}

/// A holder and two waiters go on where they were, and the next token is larger.
async fn a_held_lock_moves(nodes: usize) {
    let folder = tempfile::tempdir().unwrap();
    let old = Old::start(folder.path());
    let url = old.url("2m");
    let mut holder = contender(&url);
    let held = token(&mut holder);
    let mut waiters = Vec::new();
    for count in 2..4 {
        waiters.push(contender(&url));
        until_in_line(&url, "a", count);
    }
    let before = places(&url);

    let exported = folder.path().join("apache");
    let proxy = old.leave(&exported);
    let ensemble: Ensemble = or_skip!(apache(nodes, &exported).start().await);
    proxy.retarget(ensemble.addr(0));

    assert_eq!(places(&url), before, "nobody lost a place, and nobody was let ahead");
    let mut late = contender(&url);
    until_in_line(&url, "a", 4);
    assert!(!holder.has_ended());
    let mut last = held;
    release(holder);
    for mut waiter in waiters {
        assert_eq!(late.stdout(), "", "who came last is not let ahead");
        let next = token(&mut waiter);
        assert!(next > last, "{next} after {last}");
        last = next;
        release(waiter);
    }
    let next = token(&mut late);
    assert!(next > last, "{next} after {last}: the ensemble goes on above the server before");
    release(late);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_lock_moves_to_a_standalone_server() {
    a_held_lock_moves(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_lock_moves_to_three_servers() {
    a_held_lock_moves(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_that_is_too_long_ends_the_holder_and_keeps_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let old = Old::start(folder.path());
    // The least that a tick of six seconds allows.
    let url = old.url("12s");
    let mut holder = contender(&url);
    let held = token(&mut holder);
    let mut waiters = Vec::new();
    for count in 2..4 {
        waiters.push(contender(&url));
        until_in_line(&url, "a", count);
    }

    let exported = folder.path().join("apache");
    let proxy = old.leave(&exported);
    let done = holder.wait();
    assert_eq!(done.code, Some(76), "it is told, while there is no server: {done:?}");
    assert!(waiters.iter().all(|waiter| waiter.stdout().is_empty()), "nobody was let in");

    let ensemble = or_skip!(apache(1, &exported).start().await);
    proxy.retarget(ensemble.addr(0));
    let mut last = held;
    for mut waiter in waiters {
        let next = token(&mut waiter);
        assert!(next > last, "{next} after {last}");
        last = next;
        release(waiter);
    }
}
