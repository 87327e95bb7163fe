//! Readers, writers, permits, several locks and intervals from the command line.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod stage;

use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;
use stage::{Done, Running, done, line, sneck, until_in_line};

/// Nothing listens there, so an exit code of 64 shows that nothing was sent.
const NOWHERE: &str = "zk://127.0.0.1:1?connect-timeout=200ms";

/// Makes each of these functions, which take the URL of a store, a test on ZooKeeper, on what `serve` serves,
/// and on what `local:` starts.
macro_rules! on_each_store {
    ($($test:ident),* $(,)?) => {
        mod zookeeper {
            use crate::stage::url;
            use sneck_testkit::or_skip;
            use sneck_testkit::zookeeper::{Version, shared};

            $(
                #[tokio::test]
                async fn $test() {
                    super::$test(&url(or_skip!(shared(Version::V3_9).await)));
                }
            )*
        }

        mod served {
            use crate::stage::{Running, bare, url_at};

            $(
                #[test]
                fn $test() {
                    let mut server = Running::start(bare(["serve", "--listen", "127.0.0.1:0"]));
                    super::$test(&url_at(&server.line("zk://")));
                }
            )*
        }

        mod local {
            use crate::stage::folder::Folder;

            $(
                #[test]
                fn $test() {
                    let folder = Folder::new();
                    super::$test(&folder.url());
                }
            )*
        }
    };
}

on_each_store!(
    readers_share_and_writers_do_not,
    permits_are_counted,
    several_locks_are_had_together_or_not_at_all,
    the_command_sees_what_it_was_given,
    a_job_runs_once_in_an_interval,
    a_job_that_is_due_is_skipped_while_somebody_is_at_it,
);

fn hold(url: &str, args: &[&str]) -> Running {
    let mut hold = Running::start(sneck(url, [&["hold"], args].concat()));
    hold.line("");
    hold
}

/// Asks without waiting for a lock that is used in some way already.
#[track_caller]
fn try_run(url: &str, args: &[&str]) -> Done {
    done(sneck(url, [&["run", "-n"], args, &["--", "echo", "in"]].concat()))
}

fn readers_share_and_writers_do_not(url: &str) {
    let reader = hold(url, &["-s", "catalogue"]);
    assert_eq!(try_run(url, &["--shared", "catalogue"]).code, Some(0));
    let writer = try_run(url, &["--write", "catalogue"]);
    assert_eq!((writer.code, writer.stdout.as_str()), (Some(75), ""), "{writer:?}");
    assert!(writer.stderr.contains("\"catalogue\" is held by tester at"), "{writer:?}");
    // A mutex is another kind of lock, whose other clients would not see a reader.
    let mutex = try_run(url, &["catalogue"]);
    assert_eq!((mutex.code, mutex.stdout.as_str()), (Some(65), ""), "{mutex:?}");
    assert!(mutex.stderr.contains("\nhint: the name is in use as a read-write lock"), "{mutex:?}");
    assert_eq!(line(url, "catalogue").len(), 1, "who was refused has left nothing");
    reader.signal(Signal::TERM);
    assert_eq!(reader.wait().code, Some(0));

    let writer = hold(url, &["--write", "rates"]);
    assert_eq!(try_run(url, &["-s", "rates"]).code, Some(75));
    writer.signal(Signal::TERM);
    assert_eq!(writer.wait().code, Some(0));
    assert_eq!(try_run(url, &["-s", "rates"]).stdout, "in\n");
}

fn permits_are_counted(url: &str) {
    let two = hold(url, &["--permits", "2/3", "importers"]);
    let too_many = try_run(url, &["--permits", "2/3", "importers"]);
    assert_eq!((too_many.code, too_many.stdout.as_str()), (Some(75), ""), "{too_many:?}");
    assert!(too_many.stderr.contains("2 of the 3 permits of \"importers\""), "{too_many:?}");
    assert_eq!(try_run(url, &["--permits", "1/3", "importers"]).stdout, "in\n");
    let other = try_run(url, &["--permits", "1/4", "importers"]);
    assert_eq!((other.code, other.stdout.as_str()), (Some(65), ""), "{other:?}");
    assert!(other.stderr.contains("3 permits") && other.stderr.contains("hint: "), "{other:?}");
    two.signal(Signal::TERM);
    assert_eq!(two.wait().code, Some(0));
    assert_eq!(try_run(url, &["--permits", "3/3", "importers"]).stdout, "in\n");
}

fn several_locks_are_had_together_or_not_at_all(url: &str) {
    let b = hold(url, &["b"]);
    let refused = try_run(url, &["a", "b"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(75), ""), "{refused:?}");
    assert!(refused.stderr.contains("lock \"b\" is held by tester"), "{refused:?}");
    let late = done(sneck(url, ["run", "-w", "300ms", "a", "b", "--", "echo", "in"]));
    assert_eq!((late.code, late.stdout.as_str()), (Some(75), ""), "{late:?}");
    assert!(late.stderr.contains("lock \"b\" is held by tester"), "{late:?}");
    assert!(line(url, "a").is_empty(), "all or none");

    let command = sneck(url, ["hold", "--json", "c", "a", "b"]);
    let mut all = Running::start(command);
    until_in_line(url, "b", 2);
    b.signal(Signal::TERM);
    let first = all.line("{\"name\":\"c\"");
    assert!(first.contains("\"mode\":\"exclusive\""), "{first}");
    all.line("{\"name\":\"b\"");
    let tokens: Vec<Value> = all
        .stdout()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|held| {
            assert_eq!(line(url, held["name"].as_str().unwrap())[0]["token"], held["token"]);
            held["token"].clone()
        })
        .collect();
    assert_eq!(tokens.len(), 3);
    all.signal(Signal::TERM);
    assert_eq!(all.wait().code, Some(0));
}

fn the_command_sees_what_it_was_given(url: &str) {
    let script = "echo \"$SNECK_NAME:$SNECK_MODE:${SNECK_PERMITS-none}\"; \
                  echo \"$SNECK_TOKEN\" | grep -c '^[0-9][0-9]*$'";
    for (args, says) in [
        (&["m"][..], "m:exclusive:none\n1\n"),
        (&["-s", "r"], "r:shared:none\n1\n"),
        (&["--write", "w"], "w:write:none\n1\n"),
        (&["--permits", "2/5", "p"], "p:permits:2/5\n1\n"),
        (&["z", "y"], "z\ny:exclusive:none\n2\n"),
        (&["-s", "z1", "y1"], "z1\ny1:shared:none\n2\n"),
    ] {
        let done = done(sneck(url, [&["run"], args, &["--", "sh", "-c", script]].concat()));
        assert_eq!((done.code, done.stdout.as_str()), (Some(0), says), "{args:?} {done:?}");
    }
}

fn a_job_runs_once_in_an_interval(url: &str) {
    let run = |args: &[&str], script: &str| {
        let start = ["run", "--every", "1h"];
        done(sneck(url, [&start, args, &["report", "--", "sh", "-c", script]].concat()))
    };
    let first = run(&["--note", "nightly"], "echo ran; exit 3");
    assert_eq!((first.code, first.stdout.as_str()), (Some(3), "ran\n"), "{first:?}");
    let skipped = run(&[], "echo never");
    assert_eq!((skipped.code, skipped.stdout.as_str()), (Some(0), ""), "{skipped:?}");
    for says in ["skipped \"report\", which is not due before 20", "by tester at ", "failed at 20"]
    {
        assert!(skipped.stderr.contains(says), "{says} in {skipped:?}");
    }
    let json = run(&["--json", "-q", "-E", "9"], "echo never");
    assert_eq!((json.code, json.stderr.as_str()), (Some(9), ""), "{json:?}");
    let value: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((&value["ran"], &value["running"]), (&Value::Bool(false), &Value::Null));
    assert_eq!(value["last"]["result"], "failed");
    assert_eq!(value["last"]["by"]["note"], "nightly");
    // What failed may be tried again by those who say so; what is done may not.
    assert_eq!(run(&["--retry-failed"], "echo again").stdout, "again\n");
    assert_eq!(run(&["--retry-failed"], "echo never").stdout, "");
}

fn a_job_that_is_due_is_skipped_while_somebody_is_at_it(url: &str) {
    let script = "echo ready; read line";
    let mut command = sneck(url, ["run", "--every", "1ms", "report", "--", "sh", "-c", script]);
    command.stdin(Stdio::piped());
    let mut running = Running::start(command);
    running.line("ready");
    let skipped =
        done(sneck(url, ["run", "--every", "1ms", "--json", "report", "--", "echo", "no"]));
    assert_eq!(skipped.code, Some(0), "{skipped:?}");
    assert!(skipped.stderr.contains("at which is tester at"), "{skipped:?}");
    let value: Value = serde_json::from_str(&skipped.stdout).unwrap();
    assert_eq!(value["running"]["command"], "sh");
    assert_eq!(value["last"]["result"], Value::Null);
    running.end_input();
    running.wait();
    let next = done(sneck(url, ["run", "--every", "1ms", "report", "--", "echo", "in"]));
    assert_eq!((next.code, next.stdout.as_str()), (Some(0), "in\n"), "{next:?}");
}

#[test]
fn what_can_never_be_had_is_refused_before_anything_is_sent() {
    for (args, says) in [
        (&["--permits", "0/3", "a"][..], "at least one permit has to be taken"),
        (&["--permits", "1/0", "a"], "at least one permit"),
        (&["--permits", "4/3", "a"], "only 3"),
        (&["--permits", "3", "a"], "how many of how many"),
        (&["--permits", "1/2", "a", "b"], "together with other locks"),
        (&["a", "b", "a"], "named twice"),
        (&["-s", "--write", "a"], "cannot be used with"),
        (&["-s", "--permits", "1/2", "a"], "cannot be used with"),
        (&["--every", "0", "a"], "an interval of zero"),
        (&["--every", "1h", "a", "b"], "--every is for one lock"),
        (&["--every", "1h", "-n", "a"], "cannot be used with"),
        (&["--every", "1h", "-s", "a"], "cannot be used with"),
        (&["--json", "a"], "--every"),
        (&["--on-revoke", "KILL", "a"], "TERM, INT"),
    ] {
        let done = done(sneck(NOWHERE, [&["run"], args, &["--", "true"]].concat()));
        assert_eq!((done.code, done.stdout.as_str()), (Some(64), ""), "{args:?} {done:?}");
        assert!(done.stderr.contains(says), "{says} in {done:?}");
    }
}
