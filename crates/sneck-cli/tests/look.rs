//! `hold`, `ls` and `who`: what is held, by whom, and who waits.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod stage;

use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;
use sneck::zookeeper::wire::Acl;
use sneck::zookeeper::{CreateMode, Session, ZooKeeperUrl};
use sneck_testkit::or_skip;
use sneck_testkit::zookeeper::{self, Version};
use stage::{Running, done, line, sneck, until, until_in_line, url};

const V: Version = Version::V3_9;

fn json(text: &str) -> Value {
    assert_eq!(text.matches('\n').count(), 1, "one line: {text:?}");
    serde_json::from_str(text).unwrap()
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

const ENTRY_KEYS: [&str; 14] = [
    "age_seconds",
    "command",
    "host",
    "mode",
    "node",
    "note",
    "permits",
    "pid",
    "place",
    "role",
    "since",
    "text",
    "token",
    "user",
];

#[tokio::test]
async fn hold_prints_the_token_and_holds_until_a_signal() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    let mut last = 0;
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut hold = Running::start(sneck(&url, ["hold", "a"]));
        let token: u64 = hold.line("").parse().unwrap();
        assert!(token > last);
        last = token;
        assert_eq!(line(&url, "a")[0]["token"], token);
        hold.signal(signal);
        let done = hold.wait();
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
        assert_eq!(done.stdout, format!("{token}\n"));
        assert!(line(&url, "a").is_empty(), "free at once");
    }
}

#[tokio::test]
async fn hold_can_end_with_its_input() {
    let server = or_skip!(zookeeper::shared(V).await);
    let url = url(server);
    let mut command =
        sneck(&url.replace("zk://", "zk://u:hunter2-s@"), ["hold", "--until-eof", "--json", "a/b"]);
    command.stdin(Stdio::piped());
    let mut hold = Running::start(command);
    let held = json(&format!("{}\n", hold.line("")));
    assert_eq!(keys(&held), ["mode", "name", "permits", "server", "token"]);
    assert_eq!((&held["name"], &held["server"]), (&"a/b".into(), &url.as_str().into()));
    assert_eq!(line(&url, "a/b")[0]["token"], held["token"]);
    hold.write("input is not the end of input\n");
    assert_eq!(line(&url, "a/b").len(), 1);
    hold.end_input();
    assert_eq!(hold.wait().code, Some(0));
    assert!(line(&url, "a/b").is_empty());
}

#[tokio::test]
async fn hold_waits_as_run_does() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    let mut first = Running::start(sneck(&url, ["hold", "a"]));
    first.line("");
    for (args, code) in [(&["-n"][..], 75), (&["-w", "50ms"], 75), (&["-n", "-E", "3"], 3)] {
        let done = done(sneck(&url, [&["hold"], args, &["a"]].concat()));
        assert_eq!((done.code, done.stdout.as_str()), (Some(code), ""), "{done:?}");
        assert!(done.stderr.contains("is held by tester at"), "{done:?}");
    }
    let mut second = Running::start(sneck(&url, ["-v", "hold", "a"]));
    until("the waiter says so", || second.stderr().contains('\n'));
    first.signal(Signal::TERM);
    second.line("");
    second.signal(Signal::TERM);
    let done = second.wait();
    assert_eq!(done.code, Some(0));
    // Not on a terminal: one line, for those who want to know.
    assert_eq!(done.stderr.lines().count(), 1, "{done:?}");
    assert!(done.stderr.contains("waiting for \"a\", next in line, held by tester"), "{done:?}");
}

#[tokio::test]
async fn who_shows_the_line() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    let free = done(sneck(&url, ["who", "a"]));
    assert_eq!((free.code, free.stdout.as_str()), (Some(0), "\"a\" is free\n"));
    let free = done(sneck(&url, ["who", "--json", "a"]));
    assert_eq!(json(&free.stdout), serde_json::json!({"name": "a", "held": false, "line": []}));

    let mut holder = Running::start(sneck(&url, ["hold", "--note", "why not", "a"]));
    let token = holder.line("");
    let run = ["run", "--show-args", "a", "--", "/bin/echo", "x", "http://u:hunter2-s@h/"];
    let waiter = Running::start(sneck(&url, run));
    until_in_line(&url, "a", 2);
    let who = json(&done(sneck(&url, ["who", "--json", "a"])).stdout);
    assert_eq!(keys(&who), ["held", "line", "name"]);
    let line = who["line"].as_array().unwrap();
    for entry in line {
        assert_eq!(keys(entry), ENTRY_KEYS);
    }
    assert_eq!((&line[0]["role"], &line[1]["role"]), (&"holder".into(), &"waiter".into()));
    assert_eq!(line[0]["user"], "tester");
    assert_eq!(line[0]["pid"], holder.pid().as_raw_nonzero().get());
    assert_eq!(line[0]["command"], "sneck hold");
    assert_eq!(line[0]["note"], "why not");
    assert_eq!(line[1]["command"], "echo x http://***@h/");
    assert_eq!(line[0]["token"].to_string(), token);
    assert!(line[0]["since"].as_str().unwrap().ends_with('Z'));

    let table = done(sneck(&url, ["who", "a"]));
    let rows: Vec<&str> = table.stdout.lines().collect();
    assert!(rows[0].starts_with("PLACE") && rows.len() == 3, "{table:?}");
    assert!(
        rows[1].starts_with("holder  exclusive  tester") && rows[1].contains(&token),
        "{table:?}"
    );
    assert!(rows[2].starts_with("1 ") && rows[2].contains("echo x http://***@h/"), "{table:?}");
    holder.signal(Signal::TERM);
    assert_eq!(waiter.wait().code, Some(0));
}

#[tokio::test]
async fn ls_shows_what_is_held() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    let none = done(sneck(&url, ["ls"]));
    assert_eq!((none.code, none.stdout.as_str()), (Some(0), ""));
    assert_eq!(json(&done(sneck(&url, ["ls", "--json"])).stdout), serde_json::json!([]));
    let mut holders = Vec::new();
    for name in ["b", "a/x", "c"] {
        let mut holder = Running::start(sneck(&url, ["hold", name]));
        holder.line("");
        holders.push(holder);
    }
    let _waiter = Running::start(sneck(&url, ["hold", "b"]));
    until_in_line(&url, "b", 2);
    let listed = json(&done(sneck(&url, ["ls", "--json"])).stdout);
    let locks: Vec<(&str, u64)> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|lock| (lock["name"].as_str().unwrap(), lock["waiting"].as_u64().unwrap()))
        .collect();
    assert_eq!(locks, [("a/x", 0), ("b", 1), ("c", 0)]);
    assert_eq!(keys(&listed[0]), ["holder", "holding", "name", "waiting"]);
    assert_eq!(keys(&listed[0]["holder"]), ENTRY_KEYS);
    let table = done(sneck(&url, ["ls"])).stdout;
    let names: Vec<&str> = table.lines().map(|row| row.split(' ').next().unwrap()).collect();
    assert_eq!(names, ["NAME", "a/x", "b", "c"]);
}

#[tokio::test]
async fn readers_and_permits_are_several_holders() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    let hold = |args: &[&str]| {
        let mut holder = Running::start(sneck(&url, [&["hold"], args].concat()));
        holder.line("");
        holder
    };
    let _readers = [hold(&["-s", "book"]), hold(&["-s", "book"])];
    let _writer = Running::start(sneck(&url, ["hold", "--write", "book"]));
    let _permits = [hold(&["--permits", "2/3", "pool"]), hold(&["--permits", "1/3", "pool"])];
    let _more = Running::start(sneck(&url, ["hold", "--permits", "3/3", "pool"]));
    until_in_line(&url, "book", 3);
    until_in_line(&url, "pool", 3);
    let shown = |name: &str| -> Vec<String> {
        let line = line(&url, name);
        let words = |entry: &Value| {
            let word = |key: &str| entry[key].as_str().unwrap_or("-").to_owned();
            format!("{} {} {}", word("role"), word("mode"), word("permits"))
        };
        line.iter().map(words).collect()
    };
    assert_eq!(shown("book"), ["holder shared -", "holder shared -", "waiter write -"]);
    let permits = ["holder permits 2/3", "holder permits 1/3", "waiter permits 3/3"];
    assert_eq!(shown("pool"), permits);
    let listed = json(&done(sneck(&url, ["ls", "--json"])).stdout);
    for lock in listed.as_array().unwrap() {
        assert_eq!((&lock["holding"], &lock["waiting"]), (&2.into(), &1.into()), "{lock}");
    }
    let table = done(sneck(&url, ["who", "pool"])).stdout;
    assert!(table.lines().nth(3).unwrap().starts_with("1       3/3 permits  tester"), "{table}");
}

#[tokio::test]
async fn what_others_wrote_does_not_steer_the_terminal() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    assert_eq!(done(sneck(&url, ["run", "a", "--", "true"])).code, Some(0));
    let session = Session::connect(ZooKeeperUrl::parse(&url).unwrap().session).await.unwrap();
    let evil = "\x1b]0;owned\x07\x1b[2J\u{9b}31m\u{202e}\r\nhost=";
    let ours = format!("host=\"{evil}\" user=\"{evil}\" command=\"{evil}\" pid=1 by=sneck");
    for (at, data) in [("b", evil), ("c", ours.as_str())] {
        let node = format!("/a/_c_{at}-lock-");
        session
            .create(&node, data.to_owned(), CreateMode::EphemeralSequential, Acl::open())
            .await
            .unwrap();
    }
    for args in [
        &["who", "a"][..],
        &["who", "--json", "a"],
        &["ls"],
        &["ls", "--json"],
        &["run", "-n", "a", "--", "true"],
        &["-v", "run", "-w", "50ms", "a", "--", "true"],
    ] {
        let done = done(sneck(&url, args));
        for text in [done.stdout, done.stderr] {
            let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!text.chars().any(steers), "{args:?}: {text:?}");
            assert!(text.lines().all(|line| !line.starts_with("host=")), "{text:?}");
        }
    }
}
