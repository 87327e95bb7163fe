//! Signals, while waiting and while the command runs.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod stage;

use std::process::{Command, Stdio};

use rustix::process::Signal;
use sneck_testkit::zookeeper::{self, Version};
use sneck_testkit::{StartError, Unavailable, or_skip};
use stage::{Running, bare, done, is_stopped, line, runs, sneck, until, until_in_line, url};

const V: Version = Version::V3_9;
const SNECK: &str = env!("CARGO_BIN_EXE_sneck");
/// Says its number and lives on. It starts nobody: a shell that is stopped while it starts a program
/// waits, and is not "stopped", for as long as that program, stopped before it began, does not begin.
const SCRIPT: &str = "echo pid $$; exec sleep 1000";

/// Holds the lock until its input ends.
fn holder(url: &str) -> Running {
    let mut command = sneck(url, ["run", "a", "--", "sh", "-c", "echo ready; read line"]);
    command.stdin(Stdio::piped());
    let mut holder = Running::start(command);
    holder.line("ready");
    holder
}

#[tokio::test]
async fn each_signal_reaches_the_whole_group() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    for (signal, name) in [
        (Signal::INT, "INT"),
        (Signal::TERM, "TERM"),
        (Signal::HUP, "HUP"),
        (Signal::QUIT, "QUIT"),
        (Signal::USR1, "USR1"),
        (Signal::USR2, "USR2"),
        (Signal::CONT, "CONT"),
    ] {
        // The shell's child is a shell of its own that outlives nothing: both must hear of it. A
        // child in the background has INT and QUIT ignored, so it is in the foreground here.
        let inner =
            format!("trap 'echo inner; exit 0' {name}; echo up; while :; do sleep 0.01; done");
        let outer = format!("trap 'echo outer; exit 9' {name}; sh -c \"{inner}\"; exit 1");
        let mut running = Running::start(sneck(&url, ["run", "a", "--", "sh", "-c", &outer]));
        running.line("up");
        running.signal(signal);
        let done = running.wait();
        assert_eq!(done.code, Some(9), "{name}: {done:?}");
        assert!(done.stdout.contains("inner") && done.stdout.contains("outer"), "{name}: {done:?}");
    }
}

#[tokio::test]
async fn a_command_that_dies_of_a_signal_is_told_by_the_exit_code() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let mut running =
            Running::start(sneck(&url, ["run", "a", "--", "sh", "-c", "echo up; exec sleep 1000"]));
        running.line("up");
        running.signal(signal);
        assert_eq!(running.wait().code, Some(code));
        assert!(line(&url, "a").is_empty());
    }
}

#[tokio::test]
async fn a_stopped_command_goes_on_when_it_is_told_to() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    let mut running = Running::start(sneck(&url, ["run", "a", "--", "sh", "-c", SCRIPT]));
    let pid = running.line("pid ");
    // Without a terminal, sneck itself goes on and keeps the lock.
    let number = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
    rustix::process::kill_process(number, Signal::STOP).unwrap();
    until("the command is stopped", || is_stopped(&pid));
    assert_eq!(line(&url, "a").len(), 1);
    running.signal(Signal::CONT);
    until("the command goes on", || !is_stopped(&pid));
    running.signal(Signal::TERM);
    assert_eq!(running.wait().code, Some(143));
}

#[tokio::test]
async fn a_suspended_sneck_suspends_its_command() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    let mut running = Running::start(sneck(&url, ["run", "a", "--", "sh", "-c", SCRIPT]));
    let pid = running.line("pid ");
    let own = running.pid().as_raw_nonzero().to_string();
    running.signal(Signal::TSTP);
    until("both are stopped", || is_stopped(&pid) && is_stopped(&own));
    running.signal(Signal::CONT);
    until("both go on", || !is_stopped(&pid) && !is_stopped(&own));
    running.signal(Signal::TERM);
    assert_eq!(running.wait().code, Some(143));
}

/// Where the leader of the session is outside the container, as after `nsenter` or for what a
/// container's first process starts, session and group have the number 0.
#[tokio::test]
async fn it_can_be_suspended_in_a_container_whose_session_is_outside() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    let mut command = or_skip!(in_a_container());
    let folder = tempfile::tempdir().unwrap();
    command.current_dir(folder.path()).env("SNECK_SERVER", &url);
    // The first process of a container cannot be stopped from inside, so sneck is the second.
    command.args(["sh", "-c"]).arg(format!(
        "{SNECK} run a -- sh -c 'kill -TSTP $PPID; until [ -e seen ]; do sleep 0.01; done; exit 7' &
         until grep -q 'State:.T' /proc/$!/status; do sleep 0.01; done
         echo stopped; touch seen; kill -CONT $!; wait $!; echo ended $?"
    ));
    let done = done(command);
    assert_eq!(done.stdout, "stopped\nended 7\n", "{done:?}");
}

/// The start of a command that runs as the first process of its own, and whose session it cannot see.
fn in_a_container() -> Result<Command, StartError> {
    let start = || {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--pid", "--fork", "--kill-child"]);
        command.arg("--mount-proc");
        command
    };
    match start().arg("true").output() {
        Ok(output) if output.status.success() => Ok(start()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(format!("unshare: {error}")),
    }
    .map_err(|reason| Unavailable { backend: "namespaces", reason }.into())
}

#[tokio::test]
async fn while_waiting_a_signal_leaves_the_line() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    let mut holder = holder(&url);
    for (signal, code) in
        [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129), (Signal::QUIT, 131)]
    {
        let waiter = Running::start(sneck(&url, ["run", "a", "--", "echo", "never"]));
        until_in_line(&url, "a", 2);
        // These are for the command, which is not there yet; they must not end the wait.
        waiter.signal(Signal::USR1);
        waiter.signal(Signal::USR2);
        waiter.signal(Signal::CONT);
        assert_eq!(line(&url, "a").len(), 2);
        waiter.signal(signal);
        let done = waiter.wait();
        assert_eq!((done.code, done.stdout.as_str()), (Some(code), ""), "{done:?}");
        assert_eq!(line(&url, "a").len(), 1, "the place is given up by the time sneck has ended");
    }
    holder.write("\n");
    assert_eq!(holder.wait().code, Some(0));
}

#[tokio::test]
async fn what_was_ignored_stays_ignored() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    let script = "echo pid $$; exec sleep 1000";
    let mut command = Command::new("nohup");
    command.args([SNECK, "run", "a", "--", "sh", "-c", script]);
    command.env("SNECK_SERVER", &url).stdin(Stdio::null());
    let mut running = Running::start(command);
    let pid = running.line("pid ");
    running.signal(Signal::HUP);
    // Signals arrive in order here: once USR1 has had its effect, HUP has had none.
    running.signal(Signal::USR1);
    assert_eq!(running.wait().code, Some(138));
    assert!(!runs(&pid));
}

#[tokio::test]
async fn a_wait_for_a_server_that_says_nothing_can_be_ended() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("zk://{}", silent.local_addr().unwrap());
    let running = Running::start(sneck(&url, ["run", "a", "--", "true"]));
    // The connection is there, so the signals have been taken over.
    let _connection = silent.accept().unwrap();
    running.signal(Signal::TERM);
    assert_eq!(running.wait().code, Some(143));
    assert_eq!(done(bare(["--version"])).code, Some(0));
}
