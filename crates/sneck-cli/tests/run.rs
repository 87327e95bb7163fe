//! `sneck run`: what the command gets, what its caller gets, and that it excludes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod stage;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use rustix::process::Signal;
use sneck_testkit::or_skip;
use sneck_testkit::zookeeper::{self, Version};
use stage::{Running, done, is_stopped, line, lines, runs, sneck, until, until_in_line, url};

const V: Version = Version::V3_9;

#[tokio::test]
async fn the_exit_code_is_the_commands() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    for (script, code) in
        [("exit 0", 0), ("exit 3", 3), ("exit 255", 255), ("kill -9 $$", 137), ("kill $$", 143)]
    {
        let done = done(sneck(&url, ["run", "a", "--", "sh", "-c", script]));
        assert_eq!(done.code, Some(code), "{script}: {done:?}");
        assert_eq!(done.stderr, "", "{script}");
    }
}

#[tokio::test]
async fn a_command_that_cannot_be_run_is_told_as_by_a_shell() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plain");
    fs::write(&file, "no program").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    for (program, code) in
        [("no-such-command", 127), ("/no/such", 127), (file.to_str().unwrap(), 126)]
    {
        let done = done(sneck(&url, ["run", "a", "--", program]));
        assert_eq!(done.code, Some(code), "{done:?}");
        let lines: Vec<&str> = done.stderr.lines().collect();
        assert!(
            lines[0].starts_with("sneck: cannot run") && lines[0].contains(program),
            "{done:?}"
        );
        assert!(lines[1].starts_with("hint: ") && lines.len() == 2, "{done:?}");
        assert!(line(&url, "a").is_empty());
    }
}

#[tokio::test]
async fn no_shell_touches_the_arguments() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    let odd = ["$HOME", "`id`", "a b", "*", ";ls|&", "", "--help", "\\n", "'\""];
    let mut args = vec!["run", "a", "--", "printf", "<%s>"];
    args.extend(odd);
    let done = done(sneck(&url, args));
    let expected: String = odd.iter().map(|text| format!("<{text}>")).collect();
    assert_eq!((done.code, done.stdout), (Some(0), expected));
}

#[tokio::test]
async fn standard_input_reaches_the_command() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    let mut command = sneck(&url, ["run", "a", "--", "cat"]);
    command.stdin(Stdio::piped());
    let mut running = Running::start(command);
    running.write("one\ntwo\n");
    running.end_input();
    let done = running.wait();
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), "one\ntwo\n"));
}

#[tokio::test]
async fn the_command_sees_its_lock_and_no_password() {
    let server = or_skip!(zookeeper::shared(V).await);
    let url = url(server);
    let with_password = url.replace("zk://", "zk://alice:hunter2-s@");
    let script = "tr '\\0' '\\n' < /proc/self/environ; echo pid=$$";
    let first = done(sneck(&with_password, ["run", "job/1", "--", "sh", "-c", script]));
    assert_eq!(first.code, Some(0), "{first:?}");
    let get = |name: &str| {
        let prefix = format!("{name}=");
        let mut values = first.stdout.lines().filter_map(|line| line.strip_prefix(&prefix));
        values.next().unwrap_or_else(|| panic!("no {name} in {}", first.stdout)).to_owned()
    };
    assert_eq!(get("SNECK_NAME"), "job/1");
    assert_eq!(get("SNECK_MODE"), "exclusive");
    assert_eq!(get("SNECK_SERVER"), url);
    assert!(get("SNECK_OWNER").starts_with("tester@"));
    assert!(!first.stdout.contains("hunter2") && !first.stderr.contains("hunter2"));
    let token: u64 = get("SNECK_TOKEN").parse().unwrap();
    let second = done(sneck(&url, ["run", "job/1", "--", "sh", "-c", "echo $SNECK_TOKEN"]));
    assert!(second.stdout.trim().parse::<u64>().unwrap() > token, "{second:?}");
}

#[tokio::test]
async fn a_lock_that_is_taken_says_by_whom() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    let script = "echo ready; read line";
    let mut command =
        sneck(&url, ["run", "--note", "release 4.2", "a", "--", "/bin/sh", "-c", script]);
    command.stdin(Stdio::piped());
    let mut holder = Running::start(command);
    holder.line("ready");
    for (args, code) in [
        (&["-n"][..], 75),
        (&["-w", "0"], 75),
        (&["-w", "100ms"], 75),
        (&["-n", "-E", "7"], 7),
        (&["-w", "0.1", "-E", "0"], 0),
    ] {
        let args = [&["run"], args, &["a", "--", "echo", "never"]].concat();
        let done = done(sneck(&url, &args));
        assert_eq!((done.code, done.stdout.as_str()), (Some(code), ""), "{args:?} {done:?}");
        let pid = format!("pid {}", holder.pid().as_raw_nonzero());
        for says in
            ["\"a\" is held by tester at ", &pid, "running sh,", " since 20", "4.2", "hint: "]
        {
            assert!(done.stderr.contains(says), "{says} in {done:?}");
        }
        assert!(!done.stderr.contains("echo ready"), "arguments are private: {done:?}");
    }
    let quiet = done(sneck(&url, ["run", "-q", "-n", "a", "--", "true"]));
    assert_eq!((quiet.code, quiet.stderr.as_str()), (Some(75), ""));
    until_in_line(&url, "a", 1);
    holder.write("\n");
    assert_eq!(holder.wait().code, Some(0));
    assert!(line(&url, "a").is_empty(), "the lock is free as soon as sneck has ended");
}

#[tokio::test]
async fn the_lock_is_released_only_after_the_command_has_been_reaped() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    let folder = tempfile::tempdir().unwrap();
    let (log, go) = (folder.path().join("log"), folder.path().join("go"));
    // It takes TERM as a reason to tidy up, and that takes until the test says so.
    let script = format!(
        "trap 'while [ ! -e {go} ]; do sleep 0.01; done; echo first ends >> {log}; exit 5' TERM
         echo ready; while :; do sleep 0.01; done",
        go = go.display(),
        log = log.display()
    );
    let mut first = Running::start(sneck(&url, ["run", "a", "--", "sh", "-c", &script]));
    first.line("ready");
    let say = format!("echo second runs >> {}", log.display());
    let second = Running::start(sneck(&url, ["run", "a", "--", "sh", "-c", &say]));
    until_in_line(&url, "a", 2);
    first.signal(Signal::TERM);
    // Both are still there: the signal alone releases nothing.
    assert_eq!(line(&url, "a").len(), 2);
    assert_eq!(lines(&log), [""; 0]);
    fs::write(&go, "").unwrap();
    assert_eq!(first.wait().code, Some(5));
    assert_eq!(second.wait().code, Some(0));
    assert_eq!(lines(&log), ["first ends", "second runs"]);
}

#[tokio::test]
async fn eight_take_turns() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    let folder = tempfile::tempdir().unwrap();
    let (count, log) = (folder.path().join("count"), folder.path().join("log"));
    fs::write(&count, "0").unwrap();
    let script = format!(
        "n=$(cat {count}); echo $SNECK_TOKEN >> {log}; echo $((n + 1)) > {count}",
        count = count.display(),
        log = log.display()
    );
    let all: Vec<_> = (0..8)
        .map(|_| Running::start(sneck(&url, ["run", "a", "--", "sh", "-c", &script])))
        .collect();
    for running in all {
        assert_eq!(running.wait().code, Some(0));
    }
    assert_eq!(lines(&count), ["8"]);
    let tokens: Vec<u64> = lines(&log).iter().map(|line| line.parse().unwrap()).collect();
    assert!(tokens.is_sorted_by(|one, next| one < next), "{tokens:?}");
}

#[tokio::test]
async fn the_command_does_not_outlive_a_killed_sneck() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    let mut running =
        Running::start(sneck(&url, ["run", "a", "--", "sh", "-c", "echo pid $$; exec sleep 1000"]));
    let pid = running.line("pid ");
    running.signal(Signal::KILL);
    until("the command is dead", || !runs(&pid));
    // Nobody has released it, so it takes the end of the session.
    assert_eq!(done(sneck(&url, ["run", "a", "--", "true"])).code, Some(0));
}

#[tokio::test]
async fn what_the_command_leaves_in_the_background_stays() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    let script = "sleep 1000 >/dev/null 2>&1 & echo pid $!";
    let done = done(sneck(&url, ["run", "a", "--", "sh", "-c", script]));
    let pid = done.stdout.trim().strip_prefix("pid ").unwrap();
    assert!(runs(pid) && !is_stopped(pid), "{done:?}");
    let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_grace_that_would_end_healthy_commands_is_refused() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    let done = done(sneck(&url, ["run", "--grace", "1001ms", "a", "--", "echo", "never"]));
    assert_eq!((done.code, done.stdout.as_str()), (Some(64), ""));
    assert!(done.stderr.contains("--grace is longer than 1s"), "{done:?}");
    assert!(done.stderr.contains("hint: ") && done.stderr.contains("?timeout="), "{done:?}");
}
