//! Slots that move.

use crate::stage::Client;
use sneck_testkit::redis::Builder;
use sneck_testkit::{or_skip, until_renewed, within};
use std::time::Duration;

/// The bucket of the lock that the scenarios are about, as its keys show it.
const KEY: &str = "slots:{158}:line:jobs/nightly";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_moves_while_its_lock_is_held_and_waited_for() {
    let servers = or_skip!(Builder::new().cluster().primaries(3).start().await);
    let term = Duration::from_secs(20);
    let (one, other) = (
        Client::new(&servers.url(), "slots", term).await,
        Client::new(&servers.url(), "slots", term).await,
    );
    let guard = one.hold().await;
    let waiting = tokio::spawn({
        let other = other.clone();
        async move { other.hold().await }
    });
    one.until_in_line(2).await;
    let from = servers.owner(KEY).await;
    servers.move_slot(KEY, (from + 1) % 3).await;
    assert_ne!(servers.owner(KEY).await, from);
    // It is renewed where it is now; twice, as one renewal may have been on its way.
    until_renewed(&guard).await;
    until_renewed(&guard).await;
    assert!(!waiting.is_finished());
    let token = guard.token();
    guard.unlock().await.unwrap();
    let next = within("the waiter", waiting).await.unwrap();
    assert!(next.token() > token);
}
