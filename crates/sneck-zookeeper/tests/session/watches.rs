//! Watches of every kind: what fires them, what removes them, and that they outlive a connection.

use crate::*;
use sneck_testkit::or_skip;
use sneck_testkit::proxy::Proxy;
use sneck_testkit::zookeeper::{Builder, Version};
use sneck_zookeeper::wire::{AddWatchMode, EventKind, OpCode};
use sneck_zookeeper::{WatchStream, wire::WatchedEvent};

on_each_version! {
    one_shot_watches
    a_missing_node_leaves_a_watch_only_if_asked_whether_it_exists
    persistent_watches
    thousands_of_watches_are_set_again_in_several_requests
    persistent_watches_are_set_again
}

fn is(event: Option<WatchedEvent>, kind: EventKind, path: &str) -> bool {
    event.is_some_and(|event| event.kind == kind && event.path == path)
}

async fn one_shot_watches(ensemble: &Ensemble) {
    let session = open_below(ensemble).await;
    let other = open(ensemble).await.chroot(&format!("/session-{:x}", session.id())).unwrap();
    let (none, created) = session.exists_watch("/a").await.unwrap();
    assert_eq!(none, None);
    let (_, parent) = session.get_children_watch("/").await.unwrap();
    persistent(&other, "/a").await;
    assert!(is(soon(created).await, EventKind::Created, "/a"));
    assert!(is(soon(parent).await, EventKind::ChildrenChanged, "/"));

    let (node, changed) = session.get_data_watch("/a").await.unwrap();
    assert_eq!(node.stat.version, 0);
    let (stat, also) = session.exists_watch("/a").await.unwrap();
    assert_eq!(stat, Some(node.stat));
    other.set_data("/a", "x", None).await.unwrap();
    assert!(is(soon(changed).await, EventKind::DataChanged, "/a"));
    assert!(is(soon(also).await, EventKind::DataChanged, "/a"));

    let (_, data) = session.get_data_watch("/a").await.unwrap();
    let (_, exist) = session.exists_watch("/a").await.unwrap();
    let (_, child) = session.get_children_watch("/a").await.unwrap();
    other.delete("/a", None).await.unwrap();
    for watch in [data, exist, child] {
        assert!(is(soon(watch).await, EventKind::Deleted, "/a"));
    }
}

async fn a_missing_node_leaves_a_watch_only_if_asked_whether_it_exists(ensemble: &Ensemble) {
    let session = open_below(ensemble).await;
    assert_refused(session.get_data_watch("/a").await, ErrorCode::NO_NODE);
    assert_refused(session.get_children_watch("/a").await, ErrorCode::NO_NODE);
    let (_, _watch) = session.exists_watch("/b").await.unwrap();
    assert_eq!(watched(ensemble, &session).await, ["/b"]);
}

/// The paths, below the session's root, whose data the server watches for the session.
async fn watched(ensemble: &Ensemble, session: &Session) -> Vec<String> {
    let (id, root) = (format!("0x{:x}", session.id()), format!("/session-{:x}", session.id()));
    let told = ensemble.four_letter(0, "wchc").await;
    let mut lines = told.lines().skip_while(|line| line.trim() != id).skip(1);
    let mut paths = Vec::new();
    while let Some(path) = lines.next().and_then(|line| line.strip_prefix('\t')) {
        paths.push(path.strip_prefix(&root).unwrap_or(path).to_owned());
    }
    paths.sort_unstable();
    paths.dedup();
    paths
}

async fn next(stream: &mut WatchStream) -> (EventKind, String) {
    let event = soon(stream.next()).await.unwrap();
    (event.kind, event.path)
}

async fn persistent_watches(ensemble: &Ensemble) {
    let session = open_below(ensemble).await;
    let (_, mut one) = session.add_watch("/a", AddWatchMode::Persistent).await.unwrap();
    let (_, mut all) = session.add_watch("/", AddWatchMode::PersistentRecursive).await.unwrap();
    persistent(&session, "/a").await;
    persistent(&session, "/a/b").await;
    session.set_data("/a", "x", None).await.unwrap();
    session.delete("/a/b", None).await.unwrap();
    session.delete("/a", None).await.unwrap();
    use EventKind::{ChildrenChanged, Created, DataChanged, Deleted};
    for kind in [Created, ChildrenChanged, DataChanged, ChildrenChanged, Deleted] {
        assert_eq!(next(&mut one).await, (kind, "/a".to_owned()));
    }
    for (kind, path) in [
        (Created, "/a"),
        (Created, "/a/b"),
        (DataChanged, "/a"),
        (Deleted, "/a/b"),
        (Deleted, "/a"),
    ] {
        assert_eq!(next(&mut all).await, (kind, path.to_owned()));
    }
    soon(session.close()).await;
    assert_eq!(soon(one.next()).await, None);
}

async fn dropped_watches(version: Version) {
    // A server of its own, because it counts the watches of all its sessions.
    let ensemble = or_skip!(Builder::new(version).start().await);
    let session = open_below(&ensemble).await;
    persistent(&session, "/a").await;
    let (_, data) = session.get_data_watch("/a").await.unwrap();
    let (_, same) = session.get_data_watch("/a").await.unwrap();
    let (_, child) = session.get_children_watch("/").await.unwrap();
    let (_, exist) = session.exists_watch("/b").await.unwrap();
    let (_, stream) = session.add_watch("/c", AddWatchMode::Persistent).await.unwrap();
    // One whose answer nobody has waited for.
    let unread = session.exists_watch("/d");
    let count = async |persistent: f64| {
        session.prove().await.unwrap();
        // A persistent watch counts twice: for data and for children.
        ensemble.metric(0, "zk_watch_count").await - persistent * 2.0
    };
    assert_eq!(count(1.0).await, 4.0);
    // The list has no watches on children.
    assert_eq!(watched(&ensemble, &session).await, ["/a", "/b", "/c", "/d"]);
    drop((data, child));
    assert_eq!(count(1.0).await, 3.0);
    drop((same, exist, unread));
    assert_eq!(count(1.0).await, 0.0);
    assert_eq!(watched(&ensemble, &session).await, ["/c"]);
    drop(stream);
    assert_eq!(count(0.0).await, 0.0);
    assert!(ensemble.wchs(0).await.contains("Total watches:0"));
}

#[tokio::test]
async fn dropped_watches_are_removed_from_the_server_on_3_8() {
    dropped_watches(Version::V3_8).await;
}

#[tokio::test]
async fn dropped_watches_are_removed_from_the_server_on_3_9() {
    dropped_watches(Version::V3_9).await;
}

async fn thousands_of_watches_are_set_again_in_several_requests(ensemble: &Ensemble) {
    let proxy = Proxy::start(ensemble.addr(0)).unwrap();
    let session = root(connect(options([proxy.addr()])).await).await;
    let root = format!("/session-{:x}", session.id());
    let other = open(ensemble).await.chroot(&root).unwrap();
    let path = |at: usize| format!("/{at:0100}");
    let calls: Vec<_> = (0..4_000).map(|at| session.exists_watch(&path(at))).collect();
    let mut watches = Vec::new();
    for call in calls {
        watches.push(soon(call).await.unwrap().1);
    }
    proxy.forget_traffic();
    proxy.refuse();
    proxy.reset_all();
    state(&session, SessionState::Suspended).await;
    // What happens meanwhile is told when the watch is set again.
    persistent(&other, &path(1_234)).await;
    proxy.heal();
    state(&session, SessionState::Connected).await;
    assert!(is(soon(&mut watches[1_234]).await, EventKind::Created, &path(1_234)));
    session.prove().await.unwrap();
    let set = proxy.counts().requests(OpCode::SetWatches);
    assert!((4..10).contains(&set), "{set} requests");
    assert_eq!(watched(ensemble, &session).await.len(), 3_999);
    for at in [0, 1_999, 3_999] {
        persistent(&other, &path(at)).await;
        assert!(is(soon(&mut watches[at]).await, EventKind::Created, &path(at)));
    }
}

async fn persistent_watches_are_set_again(ensemble: &Ensemble) {
    let proxy = Proxy::start(ensemble.addr(0)).unwrap();
    let session = root(connect(options([proxy.addr()])).await).await;
    let (_, mut one) = session.add_watch("/a", AddWatchMode::Persistent).await.unwrap();
    let (_, mut all) = session.add_watch("/r", AddWatchMode::PersistentRecursive).await.unwrap();
    let mut states = session.state();
    states.mark_unchanged();
    proxy.reset_all();
    for (stream, path) in [(&mut one, "/a"), (&mut all, "/r")] {
        assert_eq!(next(stream).await, (EventKind::None, path.to_owned()), "some may be missing");
    }
    soon(states.wait_for(|state| *state == SessionState::Connected)).await.unwrap();
    for path in ["/a", "/r", "/r/s"] {
        soon(session.create(path, "", CreateMode::Persistent, Acl::open())).await.unwrap();
    }
    assert_eq!(next(&mut one).await, (EventKind::Created, "/a".to_owned()));
    assert_eq!(next(&mut all).await, (EventKind::Created, "/r".to_owned()));
    assert_eq!(next(&mut all).await, (EventKind::Created, "/r/s".to_owned()));
    assert_eq!(proxy.counts().requests(OpCode::SetWatches2), 1);
}

/// A server hangs up on whoever sends it more than its limit, each time anew (ZOOKEEPER-706).
#[tokio::test]
async fn watches_are_set_again_also_where_the_servers_take_less_than_by_default() {
    const BYTES_MAX: usize = 8 << 10;
    let builder = Builder::new(Version::V3_9).property("jute.maxbuffer", &BYTES_MAX.to_string());
    let ensemble = or_skip!(builder.start().await);
    let proxy = Proxy::start(ensemble.addr(0)).unwrap();
    let mut options = options([proxy.addr()]);
    options.limits.request_bytes_max = BYTES_MAX;
    let session = connect(options).await;
    let path = |at: usize| format!("/{at:0100}");
    let mut watches = Vec::new();
    for at in 0..400 {
        watches.push(soon(session.exists_watch(&path(at))).await.unwrap().1);
    }
    proxy.forget_traffic();
    proxy.reset_all();
    let other = open(&ensemble).await;
    for at in [0, 200, 399] {
        persistent(&other, &path(at)).await;
        assert!(is(soon(&mut watches[at]).await, EventKind::Created, &path(at)));
    }
    session.prove().await.unwrap();
    assert_eq!(proxy.sessions().len(), 1, "the session was taken back at once");
    let set = proxy.counts().requests(OpCode::SetWatches);
    assert!((5..=8).contains(&set), "{set} requests");
}
