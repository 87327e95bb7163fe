//! A sneck that is killed: what it held is free soon, and never while its command lives.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod stage;

use rustix::process::{Pid, Signal, kill_process};
use sneck_testkit::or_skip;
use sneck_testkit::zookeeper::{self, Ensemble, Version};
use stage::{Running, done, line, runs, sneck, until, until_in_line};
use std::fs;

const V: Version = Version::V3_9;
/// Far less than the session timeout, and far more than anything takes.
const SOON: &str = "30s";

/// A part of the server, with sessions that outlast every test here.
fn url(server: &Ensemble) -> String {
    stage::url(server).replace("timeout=4s", "timeout=60s")
}

fn kill(pid: &str) {
    kill_process(Pid::from_raw(pid.parse().unwrap()).unwrap(), Signal::KILL).unwrap();
}

/// The guardian of a `sneck`, once it has one.
fn guardian_of(running: &Running) -> String {
    let parent = running.pid().as_raw_nonzero().to_string();
    let mut guardian = None;
    until("it has a guardian", || {
        guardian =
            children(&parent).into_iter().find(|pid| command_line(pid).contains("__guardian"));
        guardian.is_some()
    });
    guardian.unwrap()
}

fn children(parent: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{parent}/task")).unwrap();
    let children = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("children")));
    let text: String = children.map(Result::unwrap_or_default).collect();
    text.split_whitespace().map(str::to_owned).collect()
}

fn command_line(pid: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().replace('\0', " ")
}

#[tokio::test]
async fn the_lock_of_a_killed_sneck_is_free_long_before_its_session_times_out() {
    let server = or_skip!(zookeeper::shared(V).await);
    for verb in [&["run", "a"][..], &["elect", "a"]] {
        let url = url(server);
        let script = ["--", "sh", "-c", "echo pid $$; exec sleep 1000"];
        let mut running = Running::start(sneck(&url, [verb, &script].concat()));
        let pid = running.line("pid ");
        let guardian = guardian_of(&running);
        running.signal(Signal::KILL);
        let next = [verb, &["-w", SOON, "--", "true"]].concat();
        let done = done(sneck(&url, next));
        assert_eq!(done.code, Some(0), "{done:?}");
        assert!(!runs(&pid), "the command is dead by then");
        until("the guardian has ended", || !runs(&guardian));
    }
    let url = url(server);
    let mut holding = Running::start(sneck(&url, ["hold", "a"]));
    until("it holds", || holding.stdout().ends_with('\n'));
    holding.signal(Signal::KILL);
    assert_eq!(done(sneck(&url, ["run", "-w", SOON, "a", "--", "true"])).code, Some(0));
    assert!(holding.has_ended());
}

#[tokio::test]
async fn a_killed_waiter_leaves_the_line() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    let mut holder =
        Running::start(sneck(&url, ["run", "a", "--", "sh", "-c", "echo up; exec sleep 1000"]));
    holder.line("up");
    let waiter = Running::start(sneck(&url, ["run", "a", "--", "true"]));
    until_in_line(&url, "a", 2);
    waiter.signal(Signal::KILL);
    until_in_line(&url, "a", 1);
    holder.signal(Signal::TERM);
    assert_eq!(holder.wait().code, Some(143));
}

/// The kernel kills the command itself; those it has started are its guardian's to kill.
#[tokio::test]
async fn nobody_of_the_commands_group_lives_when_the_lock_is_free() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    let script = "trap '' TERM HUP
        sh -c 'echo grandchild $$; exec sleep 1000' &
        echo child $$; wait";
    for _ in 0..3 {
        let mut running = Running::start(sneck(&url, ["run", "a", "--", "sh", "-c", script]));
        let pids = [running.line("child "), running.line("grandchild ")];
        assert!(pids.iter().all(|pid| runs(pid)));
        running.signal(Signal::KILL);
        // Its first look at the world under the lock.
        let look = format!(
            "for pid in {} {}; do grep -s '^State:' /proc/$pid/status; done; true",
            pids[0], pids[1]
        );
        let next = done(sneck(&url, ["run", "-w", SOON, "a", "--", "sh", "-c", &look]));
        assert_eq!(next.code, Some(0), "{next:?}");
        // Those who are dead may be seen for as long as nobody reaps them.
        let dead = next.stdout.lines().all(|line| line.contains("zombie") || line.contains("dead"));
        assert!(dead, "{next:?}");
        assert!(!pids.iter().any(|pid| runs(pid)));
    }
}

#[tokio::test]
async fn a_sneck_that_ends_takes_its_guardian_along() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    let mut running =
        Running::start(sneck(&url, ["run", "a", "--", "sh", "-c", "echo up; sleep 1; exit 7"]));
    running.line("up");
    let guardian = guardian_of(&running);
    assert_eq!(running.wait().code, Some(7));
    until("the guardian has ended", || !runs(&guardian));
    assert!(line(&url, "a").is_empty());
}

#[tokio::test]
async fn a_guardian_that_is_killed_is_not_missed() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    let script = "echo up; read line; exit 7";
    let mut command = sneck(&url, ["run", "a", "--", "sh", "-c", script]);
    command.stdin(std::process::Stdio::piped());
    let mut running = Running::start(command);
    running.line("up");
    kill(&guardian_of(&running));
    assert_eq!(line(&url, "a").len(), 1, "it holds its lock");
    running.end_input();
    assert_eq!(running.wait().code, Some(7));
    assert!(line(&url, "a").is_empty());
}

/// Signals for the whole terminal, or the whole group, are not for the guardian.
#[tokio::test]
async fn a_guardian_is_of_a_session_of_its_own_and_knows_no_secret_by_its_start() {
    let server = or_skip!(zookeeper::shared(V).await);
    let url = url(server).replace("zk://", "zk://tester:hunter2@");
    let mut running =
        Running::start(sneck(&url, ["run", "a", "--", "sh", "-c", "echo up; exec sleep 1000"]));
    running.line("up");
    let guardian = guardian_of(&running);
    let pid = Pid::from_raw(guardian.parse().unwrap()).unwrap();
    until("it is of its own session", || rustix::process::getsid(Some(pid)) == Ok(pid));
    assert_eq!(command_line(&guardian), "sneck __guardian ");
    let environment = fs::read(format!("/proc/{guardian}/environ")).unwrap();
    assert!(!String::from_utf8_lossy(&environment).contains("hunter2"));
    running.signal(Signal::TERM);
    assert_eq!(running.wait().code, Some(143));
    until("it has ended", || !runs(&guardian));
}

#[tokio::test]
async fn who_wants_no_guardian_has_none() {
    let server = or_skip!(zookeeper::shared(V).await);
    let url = stage::url(server);
    let script = "echo up; exec sleep 1000";
    let mut running =
        Running::start(sneck(&url, ["run", "--no-guardian", "a", "--", "sh", "-c", script]));
    running.line("up");
    let own = running.pid().as_raw_nonzero().to_string();
    assert!(!children(&own).iter().any(|pid| command_line(pid).contains("__guardian")));
    running.signal(Signal::TERM);
    assert_eq!(running.wait().code, Some(143));
}
