//! Many waiters.

use crate::stage::{Client, name, prefix, request};
use sneck_core::{Backend, Claim, Mode, Permits, Standing};
use sneck_testkit::redis::{Builder, Servers, shared};
use sneck_testkit::{or_skip, within};
use std::num::NonZeroU32;
use std::time::Duration;
use tokio::task::JoinSet;

const WAITERS: usize = 500;
/// So long that no renewal comes in between.
const TERM: Duration = Duration::from_secs(3600);

/// A7: one release wakes one waiter, and nobody else asks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a7_a_release_wakes_one_of_500_waiters() {
    let servers = or_skip!(Builder::new().start().await);
    let prefix = prefix();
    let holder = Client::new(&servers.url(), &prefix, TERM).await;
    let guard = holder.hold().await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(Client::new(&servers.url(), &prefix, TERM).await);
    }
    let mut woken = JoinSet::new();
    for at in 0..WAITERS {
        let mut claim: Box<dyn Claim> = clients[at % 10].redis.claim(request(Mode::Exclusive));
        let standing = within("a place", claim.ask()).await.unwrap();
        assert!(matches!(standing, Standing::Waiting(_)), "{standing:?}");
        woken.spawn(async move {
            claim.changed().await;
            (at, claim)
        });
    }
    assert_eq!(holder.in_line().await, WAITERS + 1);
    let asked = async || {
        let stats = servers.info(0, "cmdstat_evalsha").await;
        let calls = stats.split(',').next().and_then(|calls| calls.strip_prefix("calls="));
        calls.unwrap().parse::<u64>().unwrap()
    };
    let before = asked().await;
    guard.unlock().await.unwrap();
    let (first, mut claim) = within("the first", woken.join_next()).await.unwrap().unwrap();
    assert_eq!(first, 0, "first come, first served");
    assert!(matches!(within("the lock", claim.ask()).await.unwrap(), Standing::Held(_)));
    // Whoever else was woken by the same message would be here by now: it came on the same connections.
    for client in &clients {
        client.in_line().await;
    }
    let others = std::iter::from_fn(|| woken.try_join_next()).count();
    assert!(others <= 1, "{others} others were woken");
    // The release, the question of who was woken, and our own looks at the line.
    assert_eq!(asked().await - before, 2 + 10, "nobody else asked anything");
}

/// For whom a new number of permits is enough is told at once, and not at the next renewal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_number_of_permits_wakes_at_once() {
    let servers = or_skip!(shared().await);
    let client = Client::new(&servers.url(), &prefix(), TERM).await;
    let one_of_one = || request(Mode::Permits(Permits::new(1, 1).unwrap()));
    let [mut holder, mut waiter] = [(); 2].map(|()| client.redis.claim(one_of_one()));
    let standing = within("a permit", holder.ask()).await.unwrap();
    assert!(matches!(standing, Standing::Held(_)), "{standing:?}");
    let standing = within("a place", waiter.ask()).await.unwrap();
    assert!(matches!(standing, Standing::Waiting(_)), "{standing:?}");
    let capacity = client.redis.capacity().unwrap();
    let two = NonZeroU32::new(2).unwrap();
    within("two permits", capacity.set_permits(&name(), two)).await.unwrap();
    within("the news", waiter.changed()).await;
    let standing = within("the other permit", waiter.ask()).await.unwrap();
    assert!(matches!(standing, Standing::Held(_)), "{standing:?}");
}

/// Who may come in beside a writer that became a reader is told at once, and not at the end of a term.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_downgrade_wakes_the_reader_behind() {
    let servers = or_skip!(shared().await);
    let (url, prefix) = (servers.url(), prefix());
    let (one, other) =
        (Client::new(&url, &prefix, TERM).await, Client::new(&url, &prefix, TERM).await);
    let mut writer = one.redis.claim(request(Mode::Write));
    let standing = within("the lock", writer.ask()).await.unwrap();
    assert!(matches!(standing, Standing::Held(_)), "{standing:?}");
    let mut reader = other.redis.claim(request(Mode::Shared));
    let standing = within("a place", reader.ask()).await.unwrap();
    assert!(matches!(standing, Standing::Waiting(_)), "{standing:?}");
    within("a downgrade", writer.downgrade()).await.unwrap();
    within("the wake-up", reader.changed()).await;
    let standing = within("the lock", reader.ask()).await.unwrap();
    assert!(matches!(standing, Standing::Held(_)), "{standing:?}");
}

/// What a lock costs where nobody else wants it.
#[tokio::test]
async fn an_uncontended_lock_is_two_commands() {
    const LOCKS: u64 = 100;
    let servers = or_skip!(Builder::new().start().await);
    let client = Client::new(&servers.url(), &prefix(), TERM).await;
    // The first one teaches the server the scripts.
    client.hold().await.unlock().await.unwrap();
    let before = commands(&servers).await;
    for _ in 0..LOCKS {
        client.hold().await.unlock().await.unwrap();
    }
    let cost = commands(&servers).await - before;
    assert_eq!(cost, 2 * LOCKS, "commands for {LOCKS} locks");
}

/// How many commands clients have sent that a lock may cost. `INFO` is how this is asked, and what scripts
/// run is none of a client's.
async fn commands(servers: &Servers) -> u64 {
    let calls = async |command: &str| {
        let stats = servers.info(0, &format!("cmdstat_{command}")).await;
        let calls = stats.split(',').next().and_then(|calls| calls.strip_prefix("calls="));
        calls.and_then(|calls| calls.parse::<u64>().ok()).unwrap_or(0)
    };
    let mut sum = 0;
    for command in ["evalsha", "eval", "wait", "subscribe", "ping"] {
        sum += calls(command).await;
    }
    sum
}
