//! Watches: set, told, set again and taken back.

use super::*;
use sneck_wire::WatcherKind;
use tokio::sync::oneshot::error::TryRecvError;

#[test]
fn an_event_that_overtakes_the_answer_is_not_lost() {
    let mut scene = Scene::open();
    let mut watching = scene.watch("/a", WatchKind::Data);
    scene.event(EventKind::DataChanged, "/a");
    scene.answer(1, Ok(&data())).unwrap();
    assert_eq!(watching.events.try_recv().map(|e| e.kind), Ok(EventKind::DataChanged));
    assert_eq!(watching.answer.try_recv(), Ok(Ok(data())));
    assert!(scene.machine.watches.is_empty());
}

#[test]
fn an_error_leaves_no_watch_except_that_a_missing_node_can_be_awaited() {
    let no_node = Err(ErrorCode::NO_NODE);
    for kind in [WatchKind::Data, WatchKind::Child] {
        let mut scene = Scene::open();
        let mut watching = scene.watched("/a", kind, no_node);
        assert_eq!(watching.events.try_recv(), Err(TryRecvError::Closed), "{kind:?}");
        scene.sent();
        scene.unwatch(&watching.key);
        assert_eq!(scene.sent_requests(), [], "there is nothing to be removed");
    }
    let mut scene = Scene::open();
    let mut refused = scene.watched("/a", WatchKind::Exist, Err(ErrorCode::NO_AUTH));
    assert_eq!(refused.events.try_recv(), Err(TryRecvError::Closed));

    let mut scene = Scene::open();
    let mut watching = scene.watched("/a", WatchKind::Exist, no_node);
    assert_eq!(watching.events.try_recv(), Err(TryRecvError::Empty));
    scene.event(EventKind::Created, "/a");
    assert_eq!(watching.events.try_recv().map(|e| e.kind), Ok(EventKind::Created));
}

fn set_watches(data: &[&str], exist: &[&str], child: &[&str]) -> Request {
    let all = |paths: &[&str]| paths.iter().map(|&path| path.to_owned()).collect();
    let (data, exist, child) = (all(data), all(exist), all(child));
    Request::SetWatches { relative_zxid: 100, data, exist, child }
}

#[test]
fn watches_are_set_again_as_what_they_were() {
    let mut scene = Scene::open();
    let exists = Reply::Exists(stat());
    let children = Reply::GetChildren(Vec::new());
    let _a = scene.watched("/data", WatchKind::Data, Ok(&data()));
    let _b = scene.watched("/there", WatchKind::Exist, Ok(&exists));
    let _c = scene.watched("/not-there", WatchKind::Exist, Err(ErrorCode::NO_NODE));
    let _d = scene.watched("/parent", WatchKind::Child, Ok(&children));
    let mut on_the_way = scene.watch("/on-the-way", WatchKind::Data);
    scene.disconnect();
    assert_eq!(on_the_way.answer.try_recv(), Ok(Err(RequestError::Interrupted)));
    let waiting = scene.watch("/waiting", WatchKind::Data);
    let sent = scene.resume();
    let again = set_watches(&["/data", "/there"], &["/not-there"], &["/parent"]);
    assert_eq!(sent[0], (xid::SET_WATCHES, again));
    assert_eq!(sent[1].1, read("/waiting", WatchKind::Data), "which sets its own watch");
    scene.answer(xid::SET_WATCHES, Ok(&Reply::SetWatches)).unwrap();
    drop(waiting);
}

#[test]
fn persistent_watches_are_set_again_and_told_that_they_may_have_missed_something() {
    let mut scene = Scene::open();
    let mut streams = Vec::new();
    for (path, mode) in
        [("/a", AddWatchMode::Persistent), ("/b", AddWatchMode::PersistentRecursive)]
    {
        streams.push(scene.machine.submit_streaming(scene.now, path, mode).unwrap());
        let xid = scene.sent_xids()[0];
        scene.answer(xid, Ok(&Reply::AddWatch)).unwrap();
    }
    scene.disconnect();
    let sent = scene.resume();
    let Request::SetWatches2 { persistent, persistent_recursive, .. } = &sent[0].1 else {
        panic!("{sent:?}")
    };
    assert_eq!(
        (&persistent[..], &persistent_recursive[..]),
        (&["/a".into()][..], &["/b".into()][..])
    );
    scene.event(EventKind::Created, "/b/c");
    let kinds = |stream: &mut Watching<mpsc::Receiver<WatchedEvent>>| {
        std::iter::from_fn(|| stream.events.try_recv().ok()).map(|e| e.kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&mut streams[0]), [EventKind::None]);
    assert_eq!(kinds(&mut streams[1]), [EventKind::None, EventKind::Created]);
}

#[test]
fn a_server_is_told_of_a_dropped_watch_once_nobody_wants_it() {
    let mut scene = Scene::open();
    let first = scene.watched("/a", WatchKind::Data, Ok(&data()));
    let second = scene.watched("/a", WatchKind::Data, Ok(&data()));
    scene.unwatch(&first.key);
    assert_eq!(scene.sent_requests(), []);
    scene.unwatch(&second.key);
    let (path, kind) = ("/a".to_owned(), WatcherKind::Data);
    let removal = Request::RemoveWatches { path, kind };
    let sent = scene.sent();
    assert_eq!(sent[0].1, removal);
    // Whether there was anything to be removed does not matter.
    scene.answer(sent[0].0, Err(ErrorCode::NO_WATCHER)).unwrap();
    scene.unwatch(&second.key);
    assert_eq!(scene.sent_requests(), []);

    // One that has fired is gone already.
    let fired = scene.watched("/a", WatchKind::Data, Ok(&data()));
    scene.event(EventKind::Deleted, "/a");
    scene.unwatch(&fired.key);
    assert_eq!(scene.sent_requests(), []);
}

#[test]
fn a_watch_dropped_while_there_is_no_server_is_not_set_again() {
    let mut scene = Scene::open();
    let set = scene.watched("/a", WatchKind::Data, Ok(&data()));
    scene.disconnect();
    let waiting = scene.watch("/b", WatchKind::Child);
    scene.unwatch(&set.key);
    scene.unwatch(&waiting.key);
    let requests: Vec<_> = scene.resume().into_iter().map(|(_, request)| request).collect();
    // Its request cannot be taken back any more, so the watch it leaves is.
    let removal = Request::RemoveWatches { path: "/b".into(), kind: WatcherKind::Children };
    assert_eq!(requests, [read("/b", WatchKind::Child), removal]);
}

#[test]
fn a_watch_that_fires_twice_or_for_nobody_harms_nobody() {
    let mut scene = Scene::open();
    for path in ["/a", "", "a", "/", "//"] {
        scene.event(EventKind::Deleted, path);
        scene.event(EventKind::Other(99), path);
    }
    assert!(scene.machine.is_connected());
}
