//! Readers, writers and permits on one partition.

use crate::support::{Client, NOBODY, Store, ask, cql, held, leave, operator, permits, waits};
use scylla::statement::Consistency;
use sneck_core::{Backend, ErrorKind, Loss, Mode, Name, Patience, Standing};
use sneck_testkit::{cassandra, dropped_after, or_skip, within};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

const OPTIONS: &str = "ttl=20s&skew=0s&poll=50ms&connect-timeout=60s";

async fn clients(node: &cassandra::Cluster) -> (Client, Client) {
    let store = Store::on_node(node).await;
    (store.client(OPTIONS).await, store.client(OPTIONS).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_share_and_a_writer_is_alone() {
    let node = or_skip!(cassandra::shared().await);
    let (one, other) = clients(node).await;
    let mut readers = [one.claim("rw", Mode::Shared), other.claim("rw", Mode::Shared)];
    let mut tokens = Vec::new();
    for reader in &mut readers {
        tokens.push(held(reader).await.token.get());
    }
    assert!(tokens[0] < tokens[1]);
    assert_eq!(one.holders("rw").await, tokens);
    let mut writer = one.claim("rw", Mode::Write);
    waits(&mut writer).await;
    waits(&mut other.claim("rw", Mode::Exclusive)).await;
    // A reader that stays is renewed although others have come and gone since.
    leave(&mut readers[1]).await;
    let mut late = other.claim("rw", Mode::Shared);
    held(&mut late).await;
    assert_eq!(held(&mut readers[0]).await.token.get(), tokens[0]);
    leave(&mut late).await;
    waits(&mut writer).await;
    leave(&mut readers[0]).await;
    assert!(held(&mut writer).await.token.get() > tokens[1]);
    waits(&mut other.claim("rw", Mode::Shared)).await;
    waits(&mut other.claim("rw", Mode::Write)).await;
    leave(&mut writer).await;
    assert_eq!(one.holders("rw").await, NOBODY);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_downgrade_lets_readers_in_and_keeps_writers_out() {
    let node = or_skip!(cassandra::shared().await);
    let (one, other) = clients(node).await;
    for interrupted in 0..3 {
        let mut writer = one.claim("down", Mode::Write);
        let token = held(&mut writer).await.token;
        let (mut reader, mut next) =
            (other.claim("down", Mode::Shared), other.claim("down", Mode::Write));
        waits(&mut reader).await;
        let _ = within("polls", dropped_after(interrupted, writer.downgrade())).await;
        for _ in 0..2 {
            within("a downgrade", writer.downgrade()).await.unwrap();
        }
        assert_eq!(held(&mut writer).await.token, token);
        held(&mut reader).await;
        waits(&mut next).await;
        leave(&mut reader).await;
        waits(&mut next).await;
        leave(&mut writer).await;
        held(&mut next).await;
        leave(&mut next).await;
    }
    let mut mutex = one.claim("down", Mode::Exclusive);
    held(&mut mutex).await;
    assert_eq!(mutex.downgrade().await.unwrap_err().kind(), ErrorKind::Refused);
    leave(&mut mutex).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn permits_are_never_more_than_there_are() {
    const PERMITS: u32 = 4;
    let node = or_skip!(cassandra::shared().await);
    let (one, other) = clients(node).await;
    let taken = Arc::new(AtomicI64::new(0));
    let tasks = (0..6_u32).map(|task| {
        let (client, taken) = ([&one, &other][task as usize % 2].clone(), taken.clone());
        tokio::spawn(async move {
            for round in 0..5 {
                let take = 1 + (task + round) % PERMITS;
                let request = client.request("sem", permits(take, PERMITS));
                let guard = client.locker.acquire(request, Patience::Forever);
                let guard = within("permits", guard).await.unwrap().unwrap();
                let take = i64::from(take);
                let now = taken.fetch_add(take, Ordering::SeqCst) + take;
                assert!(now <= i64::from(PERMITS), "{now} of {PERMITS} are taken");
                tokio::task::yield_now().await;
                taken.fetch_sub(take, Ordering::SeqCst);
                within("unlock", guard.unlock()).await.unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(one.holders("sem").await, NOBODY);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_semaphore_has_one_number_which_can_be_changed() {
    let node = or_skip!(cassandra::shared().await);
    let (one, other) = clients(node).await;
    let name = Name::new("size").unwrap();
    let capacity = other.backend.capacity().unwrap();
    assert_eq!(capacity.permits(&name).await.unwrap(), None);
    let mut holder = one.claim("size", permits(2, 2));
    held(&mut holder).await;
    assert_eq!(capacity.permits(&name).await.unwrap().map(NonZeroU32::get), Some(2));
    let mut stranger = other.claim("size", permits(1, 3));
    let error = within("an answer", stranger.ask()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disagreement);
    assert!(error.to_string().contains('2') && error.to_string().contains('3'), "{error}");
    let (mut one_more, mut large) =
        (other.claim("size", permits(1, 2)), one.claim("size", permits(2, 2)));
    waits(&mut one_more).await;
    waits(&mut large).await;
    capacity.set_permits(&name, NonZeroU32::new(3).unwrap()).await.unwrap();
    held(&mut one_more).await;
    // The renewal of those from before goes on.
    held(&mut holder).await;
    capacity.set_permits(&name, NonZeroU32::new(1).unwrap()).await.unwrap();
    held(&mut holder).await;
    let told = within("an answer", large.ask()).await;
    assert_eq!(told.unwrap_err().kind(), ErrorKind::Disagreement);
    for claim in [&mut holder, &mut one_more, &mut large, &mut stranger] {
        leave(claim).await;
    }
    let fresh = Name::new("fresh").unwrap();
    capacity.set_permits(&fresh, NonZeroU32::new(9).unwrap()).await.unwrap();
    assert_eq!(capacity.permits(&fresh).await.unwrap().map(NonZeroU32::get), Some(9));
}

/// A row that had ended by one node's clock and not by another's is there again when the second one is asked. It
/// is not renewed once somebody was let in who does not sit beside it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_from_before_is_not_renewed_beside_the_next_one() {
    let node = or_skip!(cassandra::shared().await);
    let store = Store::on_node(node).await;
    let client = store.client(OPTIONS).await;
    let mut holder = client.claim("epoch", Mode::Shared);
    let token = held(&mut holder).await.token.get();
    // As whoever found the lock free and took it would have written.
    let operator = operator(node.addr(0)).await;
    let next = format!(
        "UPDATE {}.sneck_locks SET epoch = {} WHERE ns = '' AND name = 'epoch' IF fence = {token}",
        store.keyspace,
        token + 1
    );
    cql(&operator, Consistency::Quorum, &next).await;
    let standing = ask(&mut holder).await;
    assert!(matches!(standing, Standing::Gone(Loss::Usurped)), "{standing:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kinds_of_locks_under_one_name_exclude_each_other() {
    let node = or_skip!(cassandra::shared().await);
    let (one, other) = clients(node).await;
    let kinds = [Mode::Exclusive, Mode::Shared, Mode::Write, permits(1, 2)];
    for (at, mine) in kinds.into_iter().enumerate() {
        let mut holder = one.claim("mixed", mine);
        held(&mut holder).await;
        for (_, theirs) in kinds.into_iter().enumerate().filter(|(theirs, _)| *theirs != at) {
            let mut claim = other.claim("mixed", theirs);
            let standing = ask(&mut claim).await;
            assert!(matches!(standing, Standing::Waiting(_)), "{mine} {theirs} {standing:?}");
        }
        leave(&mut holder).await;
    }
}
