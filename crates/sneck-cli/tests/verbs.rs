//! `durable`, `elect`, `revoke` and `watch`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod stage;

use rustix::process::Signal;
use serde_json::Value;
use sneck::zookeeper::{Session, ZooKeeperUrl};
use sneck_testkit::or_skip;
use sneck_testkit::zookeeper::{self, Version};
use stage::{Done, Running, done, line, sneck, until, until_in_line, url};

const V: Version = Version::V3_9;

/// Nothing listens there, so an exit code of 64 shows that nothing was sent.
const NOWHERE: &str = "zk://127.0.0.1:1?connect-timeout=200ms";

fn ask(url: &str, args: &[&str]) -> Done {
    done(sneck(url, args))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn a_durable_lock_outlives_the_command_that_took_it() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    let take = |owner: &str, more: &[&str]| {
        let args = ["durable", "take", "--owner", owner, "--reason", "schema 12", "db"];
        ask(&url, &[&args, more].concat())
    };
    let first = take("deployer-7", &[]);
    assert_eq!(first.code, Some(0), "{first:?}");
    let token: u64 = first.stdout.trim().parse().unwrap();
    for wait in [&["-n"][..], &["-w", "100ms"]] {
        let other = take("deployer-8", wait);
        assert_eq!((other.code, other.stdout.as_str()), (Some(75), ""), "{other:?}");
        assert!(other.stderr.contains("deployer-7: schema 12"), "{other:?}");
    }
    let again = take("deployer-7", &["--json"]);
    assert!(json(&again.stdout)["token"].as_u64().unwrap() > token, "{again:?}");
    let stranger = ask(&url, &["durable", "free", "--owner", "deployer-8", "db"]);
    assert_eq!(stranger.code, Some(65), "{stranger:?}");
    let listed = json(&ask(&url, &["durable", "ls", "--json"]).stdout);
    assert_eq!(
        (&listed[0]["name"], &listed[0]["holder"]["owner"]),
        (&"db".into(), &"deployer-7".into())
    );
    let freed = ask(&url, &["durable", "free", "--owner", "deployer-7", "--json", "db"]);
    assert_eq!(json(&freed.stdout), serde_json::json!({"name": "db", "freed": true}));
    let shown = ask(&url, &["durable", "show", "db"]);
    assert_eq!(shown.stdout, "\"db\" is free\n");
    let none = ask(&url, &["durable", "free", "--owner", "deployer-7", "db"]);
    assert_eq!(none.code, Some(0), "{none:?}");
    assert!(none.stderr.contains("nobody had"), "{none:?}");
}

#[tokio::test]
async fn force_needs_the_hold_and_leaves_a_record() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    assert_eq!(ask(&url, &["durable", "take", "--owner", "lost", "db"]).code, Some(0));
    let shown = json(&ask(&url, &["durable", "show", "--json", "db"]).stdout);
    let hold = shown["holder"]["hold"].as_str().unwrap();
    let force = |hold: &str| {
        ask(&url, &["durable", "force", "--hold", hold, "--reason", "burnt down", "db"])
    };
    let other = force("00000000-0000-0000-0000-000000000001");
    assert_eq!(other.code, Some(65), "{other:?}");
    assert_eq!(force(hold).code, Some(0));
    let shown = json(&ask(&url, &["durable", "show", "--json", "db"]).stdout);
    assert_eq!(shown["held"], false);
    assert_eq!(shown["forced"][0]["reason"], "burnt down");
    assert_eq!(shown["forced"][0]["user"], "tester");
    assert_eq!(shown["forced"][0]["ended"]["owner"], "lost");
    let told = ask(&url, &["durable", "show", "db"]).stdout;
    assert!(told.contains("freed it by force from lost: burnt down"), "{told}");
}

#[tokio::test]
async fn the_next_leads_when_the_leader_ends() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    let mut observer = Running::start(sneck(&url, ["elect", "--observe", "--json", "boss"]));
    observer.line("{\"name\":\"boss\",\"token\":null,\"data\":null,\"leader\":null}");
    let script = "trap 'exit 4' TERM; echo $SNECK_MODE; while :; do sleep 0.05; done";
    let candidate = |data: &str| {
        let args = ["elect", "--data", data, "boss", "--", "sh", "-c", script];
        Running::start(sneck(&url, args))
    };
    let mut first = candidate("http://one");
    first.line("leader");
    let late = ask(&url, &["elect", "-n", "boss", "--", "echo", "no"]);
    assert_eq!((late.code, late.stdout.as_str()), (Some(75), ""), "{late:?}");
    assert!(late.stderr.contains("\"boss\" is led by tester"), "{late:?}");
    let mut second = candidate("http://two");
    first.signal(Signal::TERM);
    assert_eq!(first.wait().code, Some(4), "the exit code is the command's");
    second.line("leader");
    until("the observer has seen both", || {
        let seen = observer.stdout();
        seen.contains("\"data\":\"http://one\"") && seen.contains("\"data\":\"http://two\"")
    });
    second.signal(Signal::TERM);
    assert_eq!(second.wait().code, Some(4));
    observer.signal(Signal::TERM);
    assert_eq!(observer.wait().code, Some(0));
}

#[tokio::test]
async fn a_leader_that_was_deposed_stands_again_if_it_is_told_to() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    let operator = Session::connect(ZooKeeperUrl::parse(&url).unwrap().session).await.unwrap();
    for again in [true, false] {
        let options: &[&str] = if again { &["--again"] } else { &[] };
        let command = ["boss", "--", "sh", "-c", "echo led $SNECK_TOKEN; exec sleep 600"];
        let mut leader = Running::start(sneck(&url, [&["elect"], options, &command].concat()));
        let first: u64 = leader.line("led ").parse().unwrap();
        let node = operator.get_children("/boss").await.unwrap().remove(0);
        operator.delete(&format!("/boss/{node}"), None).await.unwrap();
        if !again {
            let deposed = leader.wait();
            assert_eq!(deposed.code, Some(76), "{deposed:?}");
            continue;
        }
        until("it leads again", || leader.stdout().matches('\n').count() == 2);
        let second = leader.stdout().lines().last().unwrap().to_owned();
        let second: u64 = second.strip_prefix("led ").unwrap().parse().unwrap();
        assert!(second > first);
        assert!(leader.stderr().contains("standing again"), "{}", leader.stderr());
        leader.signal(Signal::TERM);
        assert_eq!(leader.wait().code, Some(128 + 15), "the command's own");
    }
}

#[tokio::test]
async fn a_holder_that_is_asked_for_the_lock_lets_go() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    let nobody = ask(&url, &["revoke", "a"]);
    assert_eq!(nobody.code, Some(0), "{nobody:?}");
    assert!(nobody.stderr.contains("nobody holds \"a\""), "{nobody:?}");
    let mut hold = Running::start(sneck(&url, ["hold", "a"]));
    hold.line("");
    let asked = json(&ask(&url, &["revoke", "--json", "a"]).stdout);
    assert_eq!(asked["asked"][0]["user"], "tester");
    assert_eq!(hold.wait().code, Some(0));
    assert!(line(&url, "a").is_empty());

    let script = "trap 'exit 3' TERM; trap 'exit 5' USR1; echo in; while :; do sleep 0.05; done";
    for (args, code) in [(&[][..], 3), (&["--on-revoke", "SIGUSR1"], 5)] {
        let args = [&["run"], args, &["a", "--", "sh", "-c", script]].concat();
        let mut run = Running::start(sneck(&url, args));
        run.line("in");
        assert_eq!(ask(&url, &["revoke", "a"]).code, Some(0));
        assert_eq!(run.wait().code, Some(code));
    }
    let args = ["run", "--on-revoke", "none", "a", "--", "sh", "-c", script];
    let mut run = Running::start(sneck(&url, args));
    run.line("in");
    assert_eq!(ask(&url, &["revoke", "a"]).code, Some(0));
    until("it has heard", || run.stderr().contains("the command goes on"));
    run.signal(Signal::USR1);
    assert_eq!(run.wait().code, Some(5));
}

#[tokio::test]
async fn watch_tells_what_happens() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    let watch = Running::start(sneck(&url, ["watch", "--interval", "10ms", "--json", "a"]));
    let mut seen = 0;
    let mut next = |event: &str| {
        seen += 1;
        until(&format!("{event} is told"), || watch.stdout().lines().count() >= seen);
        let text = watch.stdout();
        let told = json(text.lines().nth(seen - 1).unwrap());
        assert_eq!((&told["event"], &told["name"]), (&event.into(), &"a".into()), "{text}");
        assert_eq!(told["who"]["user"], "tester");
    };
    let mut first = Running::start(sneck(&url, ["hold", "a"]));
    first.line("");
    next("held");
    let mut second = Running::start(sneck(&url, ["hold", "a"]));
    until_in_line(&url, "a", 2);
    next("joined");
    let third = Running::start(sneck(&url, ["hold", "a"]));
    until_in_line(&url, "a", 3);
    next("joined");
    third.signal(Signal::INT);
    third.wait();
    next("left");
    first.signal(Signal::TERM);
    second.line("");
    next("freed");
    next("held");
    second.signal(Signal::TERM);
    second.wait();
    next("freed");
    watch.signal(Signal::TERM);
    assert_eq!(watch.wait().code, Some(0));
}

#[test]
fn wrong_usage_is_refused_before_anything_is_sent() {
    let long = "x".repeat(2_000);
    for (args, says) in [
        (&["durable"][..], "Usage"),
        (&["durable", "take", "a"], "--owner"),
        (&["durable", "force", "--hold", "x", "--reason", "y", "a"], "is no id"),
        (&["durable", "show", "a//b"], "empty segment"),
        (&["elect", "a"], "required"),
        (&["elect", "--observe", "a", "--", "true"], "cannot be used with"),
        (&["elect", &long, "--", "true"], "2000 bytes"),
        (&["revoke", ".."], "segment"),
        (&["watch", "--interval", "0"], "an interval of zero"),
        (&["watch", "/a"], "empty segment"),
    ] {
        let done = ask(NOWHERE, args);
        assert_eq!((done.code, done.stdout.as_str()), (Some(64), ""), "{args:?} {done:?}");
        assert!(done.stderr.contains(says), "{says} in {done:?}");
    }
}

#[tokio::test]
async fn what_does_not_fit_is_refused() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    let long = "x".repeat(300);
    for args in [
        &["elect", "--data", &long, "a", "--", "echo", "no"][..],
        &["durable", "take", "--owner", "o", "--reason", &long, "a"],
        &["durable", "take", "--owner", "", "a"],
    ] {
        let done = ask(&url, args);
        assert_eq!((done.code, done.stdout.as_str()), (Some(64), ""), "{args:?} {done:?}");
    }
    assert_eq!(json(&ask(&url, &["durable", "ls", "--json"]).stdout), serde_json::json!([]));
}
