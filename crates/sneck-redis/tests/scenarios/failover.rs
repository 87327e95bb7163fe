//! Servers that take over from others.

use crate::stage::{Client, Register, clock, name, options, prefix, request};
use sneck_core::{ErrorKind, Locker, Mode, Patience};
use sneck_redis::{RedisOptions, Redlock, Replicas};
use sneck_testkit::redis::{Builder, Relay, Servers};
use sneck_testkit::{or_skip, within};
use std::sync::Arc;
use std::time::Duration;

/// For those whose term is meant to end.
const TERM: Duration = Duration::from_secs(2);
/// For those that are renewed; servers that were just started grant nothing for as long.
const TERM_SLOW: Duration = Duration::from_secs(10);

/// Cuts the replica off from its primary: it stays a replica, of a server that is not there.
async fn cut_off(servers: &Servers) {
    servers.ask(1, &["REPLICAOF", "127.0.0.1", "1"]).await;
}

/// Waits until the replica has everything that was written.
async fn in_step(servers: &Servers) {
    servers
        .until("a replica in step", async || {
            let (primary, replica) = ("master_repl_offset", "slave_repl_offset");
            servers.info(0, primary).await == servers.info(1, replica).await
        })
        .await;
}

/// A2: a primary dies with a grant that its replica never saw.
#[tokio::test]
async fn a2_the_token_rises_over_a_failover_that_forgot_a_grant() {
    let servers = or_skip!(Builder::new().replicas(1).start().await);
    let (relay, prefix) = (Relay::start(servers.addr(0)).unwrap(), prefix());
    let url = format!("redis://{}", relay.addr());
    let (first, register) = (Client::new(&url, &prefix, TERM).await, Register::default());
    let warnings = first.redis.warnings().await.unwrap().join("\n");
    assert!(warnings.contains("asynchronous"), "what cannot be excluded is said: {warnings}");
    first.hold().await.unlock().await.unwrap();
    in_step(&servers).await;
    cut_off(&servers).await;
    let forgotten = first.hold().await;
    servers.kill(0);
    servers.ask(1, &["REPLICAOF", "NO", "ONE"]).await;
    relay.lead_to(servers.addr(1));
    // A client that knows nothing of what was before.
    let next = Client::new(&url, &prefix, TERM).await.hold().await;
    assert!(!forgotten.is_held(), "the server gave the first one time to learn that it is lost");
    assert!(next.token() > forgotten.token());
    assert!(register.write(next.token()) && !register.write(forgotten.token()));
}

/// A2: the same where a grant is believed in only when a replica has it.
#[tokio::test]
async fn a2_a_grant_that_no_replica_confirms_is_none() {
    let servers = or_skip!(Builder::new().replicas(1).start().await);
    let mut options = options(&servers.url(), &prefix(), TERM);
    options.replicas = Some(Replicas { number: 1, within: Duration::from_millis(300) });
    let client = Client::with(options).await;
    client.hold().await.unlock().await.unwrap();
    cut_off(&servers).await;
    let error = client.try_hold().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(error.to_string().contains("0 of 1 replicas"), "{error}");
    client.until_in_line(0).await;
}

#[tokio::test]
async fn sentinels_lead_to_the_new_primary() {
    let servers = or_skip!(Builder::new().replicas(1).sentinels(3).start().await);
    let client = Client::new(&servers.url(), &prefix(), TERM).await;
    let before = client.hold().await;
    in_step(&servers).await;
    servers.kill(0);
    within("the news, or the end of the hold", before.lost()).await;
    let after = client.hold().await;
    assert!(after.token() > before.token());
}

/// One of three servers restarts without its data while a lock is held: the other two still have it.
#[tokio::test]
async fn a_majority_outlives_the_restart_of_one_without_its_data() {
    let servers = or_skip!(Builder::new().primaries(3).start().await);
    let options = || -> RedisOptions { options(&servers.url(), "majority", TERM_SLOW) };
    let one = Redlock::connect(options()).await.unwrap();
    let one = Locker::new(Arc::new(one), clock());
    let guard = one.acquire(request(Mode::Exclusive), Patience::Forever);
    let guard = within("the lock", guard).await.unwrap().unwrap();
    servers.kill(0);
    servers.start_server(0);
    servers
        .until("server 0", async || {
            sneck_testkit::redis::ask(servers.addr(0), &["PING"]).await.is_ok()
        })
        .await;
    servers.kill(1);
    // Server 0 knows of no lock, server 2 does, and server 1 is down: no majority for anybody else.
    let other = Redlock::connect(options()).await.unwrap();
    let other = Locker::new(Arc::new(other), clock());
    let attempt =
        within("an answer", other.acquire(request(Mode::Exclusive), Patience::Once)).await;
    assert!(matches!(attempt, Ok(None)), "{attempt:?}");
    drop(guard);
    let until = sneck_core::Clock::now(&*clock()) + Duration::from_secs(60);
    let next = other.acquire(request(Mode::Exclusive), Patience::Until(until)).await.unwrap();
    assert!(next.unwrap().is_held(), "{} is free", name());
}

#[tokio::test]
async fn two_of_three_servers_down_are_an_error_that_says_so() {
    let servers = or_skip!(Builder::new().primaries(3).start().await);
    let options = options(&servers.url(), "majority", TERM);
    let locker = Redlock::connect(options).await.unwrap();
    servers.kill(0);
    servers.kill(1);
    let locker = Locker::new(Arc::new(locker), clock());
    let attempt = locker.acquire(request(Mode::Exclusive), Patience::Once);
    let error = within("an answer", attempt).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("1 of 3 servers answer, and 2 must"), "{error}");
}
