//! `serve` for clients that others wrote: they hold, wait and pass on in one line with sneck.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod stage;

use std::process::Stdio;
use std::time::Duration;

use sneck_testkit::peer::{Peer, Recipe};
use sneck_testkit::zookeeper::Shell;
use sneck_testkit::{curator, kazoo, or_skip};
use stage::{BOUND, Running, bare, done, line, sneck, until, until_in_line};

const TIMEOUT: Duration = Duration::from_secs(4);

/// A server, its address, and a URL below `/apps`.
fn serve() -> (Running, String, String) {
    let mut server = Running::start(bare(["serve", "--listen", "127.0.0.1:0"]));
    let address = server.line("zk://");
    let url = format!("zk://{address}/apps?timeout=4s");
    (server, address, url)
}

/// Gets in line, and once it holds the lock, holds it until there is a line of input.
fn contender(url: &str) -> Running {
    let mut command = sneck(url, ["run", "a", "--", "sh", "-c", "echo $SNECK_TOKEN; read line"]);
    command.stdin(Stdio::piped());
    Running::start(command)
}

fn token(contender: &mut Running) -> u64 {
    contender.line("").parse().unwrap()
}

fn release(mut holder: Running) {
    holder.write("\n");
    assert_eq!(holder.wait().code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn curator_waits_and_is_waited_for() {
    let (_server, address, url) = serve();
    let mut first = or_skip!(curator::start(&address, TIMEOUT).await);
    let mut third = or_skip!(curator::start(&address, TIMEOUT).await);
    first.acquire(Recipe::Lock, "/apps/a").await;
    let mut second = contender(&url);
    until_in_line(&url, "a", 2);
    third.begin(Recipe::Lock, "/apps/a");
    until_in_line(&url, "a", 3);
    let mut fourth = contender(&url);
    until_in_line(&url, "a", 4);
    let ours = line(&url, "a").into_iter().map(|place| place["node"].as_str().unwrap().to_owned());
    let theirs = first.queue("/apps/a").await;
    assert!(ours.zip(&theirs).all(|(ours, theirs)| ours.ends_with(theirs.as_str())), "{theirs:?}");

    assert_eq!(second.stdout(), "");
    first.release("/apps/a").await;
    let earlier = token(&mut second);
    assert!(!third.is_held("/apps/a"));
    release(second);
    third.held("/apps/a").await;
    assert_eq!(fourth.stdout(), "", "theirs is ahead");
    // A peer that dies is followed when its session ends.
    third.kill().await;
    assert!(token(&mut fourth) > earlier);
    release(fourth);
    first.exit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_with_zkcli_stands_in_line() {
    let (_server, address, url) = serve();
    let mut shell = or_skip!(Shell::start(&address).await);
    let mut first = contender(&url);
    let earlier = token(&mut first);
    shell.type_in("create -e -s /apps/a/_c_0f5f9d5e-7b0c-4a53-8f5a-6b7d4c3e2a10-lock- me");
    until_in_line(&url, "a", 2);
    let mut last = contender(&url);
    until_in_line(&url, "a", 3);
    assert_eq!(shell.ls("/apps/a").await.len(), 3);
    assert_eq!(line(&url, "a")[1]["text"], "me");

    release(first);
    until_in_line(&url, "a", 2);
    assert_eq!(last.stdout(), "", "the person has the lock now");
    shell.quit().await;
    assert!(token(&mut last) > earlier);
    release(last);
}

/// Waits until these are in line.
async fn contenders_are(peer: &mut Peer, expected: &[&str]) {
    let waiting = async { while peer.contenders("/k/lock").await != expected {} };
    assert!(tokio::time::timeout(BOUND, waiting).await.is_ok(), "never in line: {expected:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kazoo_passes_locks_on() {
    let (_server, address, _) = serve();
    let mut first = or_skip!(kazoo::start(&address, TIMEOUT, "first").await);
    let mut second = or_skip!(kazoo::start(&address, TIMEOUT, "second").await);
    let mut third = or_skip!(kazoo::start(&address, TIMEOUT, "third").await);
    first.acquire(Recipe::Lock, "/k/lock").await;
    assert!(!second.attempt(Recipe::Lock, "/k/lock").await);
    second.begin(Recipe::Lock, "/k/lock");
    contenders_are(&mut first, &["first", "second"]).await;
    third.begin(Recipe::Lock, "/k/lock");
    contenders_are(&mut first, &["first", "second", "third"]).await;
    first.release("/k/lock").await;
    second.held("/k/lock").await;
    assert!(!third.is_held("/k/lock"));
    // Whoever dies is followed when its session ends.
    second.kill().await;
    third.held("/k/lock").await;
    assert_eq!(third.contenders("/k/lock").await, ["third"]);

    first.acquire(Recipe::Read, "/k/shared").await;
    third.begin(Recipe::Write, "/k/shared");
    let queued = async { while first.queue("/k/shared").await.len() != 2 {} };
    tokio::time::timeout(BOUND, queued).await.expect("the writer gets in line");
    assert!(!third.is_held("/k/shared"));
    first.release("/k/shared").await;
    third.held("/k/shared").await;

    let only = Recipe::Permits { take: 1, of: 1 };
    first.acquire(only, "/k/permits").await;
    third.begin(only, "/k/permits");
    assert_eq!(first.holders("/k/permits", 1).await, ["first"]);
    assert!(!third.is_held("/k/permits"));
    first.release("/k/permits").await;
    third.held("/k/permits").await;
    first.exit().await;
    third.exit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_under_kazoos_rules_is_refused() {
    let (_server, address, url) = serve();
    let mut peer = or_skip!(kazoo::start(&address, TIMEOUT, "stranger").await);
    peer.acquire(Recipe::Lock, "/apps/a").await;
    let refused = done(sneck(&url, ["run", "a", "--", "true"]));
    assert_eq!(refused.code, Some(65), "{refused:?}");
    assert!(
        refused.stderr.contains("__lock__") && refused.stderr.contains("hint: "),
        "{refused:?}"
    );
    assert_eq!(peer.contenders("/apps/a").await, ["stranger"], "nothing of ours is left behind");
    peer.release("/apps/a").await;
    until("the line is good again", || {
        done(sneck(&url, ["run", "a", "--", "true"])).code == Some(0)
    });
}
