//! `run`, `hold`, `who`, `ls`, `watch`, `elect` and `durable`, whatever the store.

use rustix::process::Signal;
use serde_json::Value;

use crate::servers::Store;
use crate::stage::{Done, Running, done, line, sneck, until, until_in_line};

fn ask(store: &Store, args: &[&str]) -> Done {
    let done = done(sneck(&store.url, args));
    let shown = format!("{}{}", done.stdout, done.stderr);
    assert!(!shown.contains("cassandra:cassandra"), "a password is shown: {shown}");
    done
}

fn json(done: &Done) -> Value {
    serde_json::from_str(&done.stdout).unwrap_or_else(|_| panic!("{done:?}"))
}

fn hold(store: &Store, name: &str) -> (Running, u64) {
    let mut hold = Running::start(sneck(&store.url, ["hold", name]));
    let token = hold.line("").parse().unwrap();
    (hold, token)
}

pub(crate) async fn run_passes_on_the_exit_code(store: &Store) {
    let run = |script: &str| ask(store, &["run", "jobs/a", "--", "sh", "-c", script]);
    let mut last = 0;
    for _ in 0..3 {
        let done = run("echo $SNECK_TOKEN $SNECK_NAME $SNECK_MODE; exit 7");
        assert_eq!((done.code, done.stderr.as_str()), (Some(7), ""), "{done:?}");
        let said: Vec<&str> = done.stdout.split_whitespace().collect();
        let token: u64 = said[0].parse().unwrap();
        assert!(token > last, "tokens rise: {done:?}");
        assert_eq!(said[1..], ["jobs/a", "exclusive"]);
        last = token;
    }
    let killed = run("kill -9 $$");
    assert_eq!(killed.code, Some(128 + 9), "{killed:?}");
    assert_eq!(run("true").code, Some(0), "the lock was given back");
}

pub(crate) async fn hold_ends_with_a_signal(store: &Store) {
    let mut last = 0;
    for signal in [Signal::INT, Signal::TERM] {
        let (hold, token) = hold(store, "a");
        assert!(token > last);
        last = token;
        hold.signal(signal);
        let done = hold.wait();
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
        assert!(line(&store.url, "a").is_empty(), "free at once");
    }
}

pub(crate) async fn who_and_ls_show_the_holder(store: &Store) {
    let free = ask(store, &["who", "a"]);
    assert_eq!((free.code, free.stdout.as_str()), (Some(0), "\"a\" is free\n"));
    assert_eq!(json(&ask(store, &["ls", "--json"])), serde_json::json!([]));
    let (hold, token) = hold(store, "a");
    let waiter = Running::start(sneck(&store.url, ["run", "a", "--", "true"]));
    if store.has_line {
        until_in_line(&store.url, "a", 2);
    }
    let who = json(&ask(store, &["who", "--json", "a"]));
    assert_eq!(who["held"], true);
    let first = &who["line"][0];
    assert_eq!((&first["role"], &first["token"]), (&"holder".into(), &token.into()));
    assert_eq!((&first["user"], &first["command"]), (&"tester".into(), &"sneck hold".into()));
    assert_eq!(first["pid"], hold.pid().as_raw_nonzero().get());
    let listed = json(&ask(store, &["ls", "--json"]));
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["name"]), (1, &"a".into()));
    assert_eq!(listed[0]["waiting"], u64::from(store.has_line));
    let table = ask(store, &["who", "a"]).stdout;
    assert!(table.contains("tester") && table.contains(&token.to_string()), "{table}");
    hold.signal(Signal::TERM);
    assert_eq!(hold.wait().code, Some(0));
    assert_eq!(waiter.wait().code, Some(0));
}

pub(crate) async fn watch_shows_what_happens(store: &Store) {
    let mut watch =
        Running::start(sneck(&store.url, ["watch", "--json", "--interval", "50ms", "a"]));
    let mut last = 0;
    for _ in 0..2 {
        let (hold, token) = hold(store, "a");
        let seen = |watch: &Running, event: &str| {
            let wanted = |line: &str| {
                let line: Value = serde_json::from_str(line).unwrap();
                line["event"] == event && line["name"] == "a" && line["who"]["token"] == token
            };
            watch.stdout().lines().any(wanted)
        };
        until("the watcher sees it held", || seen(&watch, "held"));
        hold.signal(Signal::TERM);
        assert_eq!(hold.wait().code, Some(0));
        until("the watcher sees it freed", || seen(&watch, "freed"));
        assert!(token > last);
        last = token;
    }
    assert!(!watch.has_ended());
    watch.signal(Signal::TERM);
    assert_eq!(watch.wait().code, Some(0));
}

pub(crate) async fn a_lock_is_not_had_in_time(store: &Store) {
    let (hold, _) = hold(store, "a");
    for (args, code) in [(&["-n"][..], 75), (&["-w", "300ms"], 75), (&["-n", "-E", "3"], 3)] {
        let done = ask(store, &[&["run"], args, &["a", "--", "echo", "no"]].concat());
        assert_eq!((done.code, done.stdout.as_str()), (Some(code), ""), "{done:?}");
        assert!(done.stderr.contains("is held by tester at"), "{done:?}");
    }
    hold.signal(Signal::TERM);
    assert_eq!(hold.wait().code, Some(0));
}

/// An operator deletes the lock: the command is ended, and the exit code says why.
pub(crate) async fn what_is_taken_away_ends_the_command(store: &Store) {
    let script = "echo runs; while :; do sleep 0.05; done";
    let mut run = Running::start(sneck(&store.url, ["run", "a", "--", "sh", "-c", script]));
    run.line("runs");
    if !store.wreck().await {
        run.signal(Signal::TERM);
        assert_eq!(run.wait().code, Some(128 + 15));
        return;
    }
    let done = run.wait();
    assert_eq!(done.code, Some(76), "{done:?}");
    assert!(done.stderr.contains("lost"), "{done:?}");
}

pub(crate) async fn an_election_has_a_leader_whom_all_see(store: &Store) {
    let candidate = |data: &str| {
        let script = "echo $SNECK_MODE; exec sleep 600";
        let args = ["elect", "--data", data, "boss", "--", "sh", "-c", script];
        Running::start(sneck(&store.url, args))
    };
    let mut first = candidate("http://one");
    first.line("leader");
    let late = ask(store, &["elect", "-n", "boss", "--", "echo", "no"]);
    assert_eq!((late.code, late.stdout.as_str()), (Some(75), ""), "{late:?}");
    assert!(late.stderr.contains("\"boss\" is led by tester"), "{late:?}");
    let observer = Running::start(sneck(&store.url, ["elect", "--observe", "--json", "boss"]));
    let sees = |data: &str| observer.stdout().contains(&format!("\"data\":\"{data}\""));
    until("the observer has seen the first", || sees("http://one"));
    let mut second = candidate("http://two");
    first.signal(Signal::TERM);
    assert_eq!(first.wait().code, Some(128 + 15), "the exit code is the command's");
    second.line("leader");
    until("the observer has seen the second", || sees("http://two"));
    for leaving in [second, observer] {
        leaving.signal(Signal::TERM);
        leaving.wait();
    }
}

pub(crate) async fn what_outlives_a_process_is_kept_or_refused(store: &Store) {
    let take = |owner: &str| ask(store, &["durable", "take", "--owner", owner, "-n", "db"]);
    let run = || ask(store, &["run", "--every", "1h", "report", "--", "echo", "ran"]);
    if !store.has_records {
        for refused in [take("deployer-7"), run()] {
            assert_eq!((refused.code, refused.stdout.as_str()), (Some(65), ""), "{refused:?}");
            assert!(refused.stderr.contains("outlives"), "{refused:?}");
        }
        return;
    }
    let token: u64 = take("deployer-7").stdout.trim().parse().unwrap();
    let other = take("deployer-8");
    assert_eq!((other.code, other.stdout.as_str()), (Some(75), ""), "{other:?}");
    assert!(other.stderr.contains("deployer-7"), "{other:?}");
    let again: u64 = take("deployer-7").stdout.trim().parse().unwrap();
    assert!(again > token);
    let listed = json(&ask(store, &["durable", "ls", "--json"]));
    assert_eq!(
        (&listed[0]["name"], &listed[0]["holder"]["owner"]),
        (&"db".into(), &"deployer-7".into())
    );
    let freed = ask(store, &["durable", "free", "--owner", "deployer-7", "db"]);
    assert_eq!(freed.code, Some(0), "{freed:?}");
    assert_eq!(take("deployer-8").code, Some(0));
    assert_eq!(run().stdout, "ran\n");
    let early = run();
    assert_eq!((early.code, early.stdout.as_str()), (Some(0), ""), "once an hour: {early:?}");
}
