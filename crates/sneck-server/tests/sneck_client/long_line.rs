//! A line of which a list is too long for one message.

use super::*;
use sneck_core::{ErrorKind, Name};
use sneck_wire::Acl;
use sneck_zookeeper::CreateMode;

/// Room for about thirty places.
const REPLY_BYTES_MAX: usize = 2_000;

/// Takes so many places in a line, the first of which holds the lock.
async fn places(on: &ZooKeeper, line: &Name, many: usize) -> Vec<String> {
    let (session, dir) = (on.session().await.expect("a session"), on.path(line).expect("a path"));
    let mut created = Vec::new();
    for at in 0..many {
        let path = format!("{dir}/_c_00000000-0000-4000-8000-{at:012}-lock-");
        let mode = CreateMode::EphemeralSequential;
        created.push(session.create(&path, "", mode, Acl::open()).await.expect("room"));
    }
    created
}

/// Whichever side has the limit, whoever asks is told what to do about it, leaves nothing behind, and keeps
/// its session with all else that it holds.
async fn is_refused_and_nothing_else_is(world: &World, client: ZooKeeper) {
    let line = Name::new("long").expect("a name");
    let others = world.backend(&Way::Tcp, Duration::from_secs(5)).await;
    let session = client.session().await.expect("a session");
    let locks = Locks::on(Arc::new(client.clone()));
    let kept = locks.mutex("kept").lock().await.expect("free");
    // The first one makes the nodes above.
    locks.mutex("long").lock().await.expect("free").unlock().await.expect("held");
    let created = places(&others, &line, 50).await;

    let error =
        timeout(SOON, locks.mutex("long").lock()).await.expect("soon").expect_err("too long");
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("jute.maxbuffer")), "{error:?}");
    assert!(kept.is_held());
    locks.mutex("another").lock().await.expect("free").unlock().await.expect("held");

    let theirs = others.session().await.expect("a session");
    for path in created {
        theirs.delete(&path, None).await.expect("there");
    }
    let guard =
        timeout(SOON, locks.mutex("long").lock()).await.expect("soon").expect("short by now");
    let line = theirs.get_children(&others.path(&line).expect("a path")).await.expect("a line");
    assert_eq!(line.len(), 1, "the refused one has left: {line:?}");
    guard.unlock().await.expect("held");
    kept.unlock().await.expect("held");
    assert_eq!(client.session().await.expect("a session").id(), session.id());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_longer_than_the_server_lists_is_refused_with_a_hint() {
    let world = World::with(|limits| limits.reply_bytes_max = REPLY_BYTES_MAX).await;
    let client = world.backend(&Way::Tcp, Duration::from_secs(5)).await;
    is_refused_and_nothing_else_is(&world, client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_longer_than_the_client_reads_is_refused_with_a_hint() {
    let world = World::start().await;
    let mut options = world.options("", &Way::Tcp, Duration::from_secs(5));
    options.limits.reply_bytes_max = REPLY_BYTES_MAX;
    let client = ZooKeeper::connect(options, LockOptions::default()).await.expect("a session");
    is_refused_and_nothing_else_is(&world, client).await;
}
