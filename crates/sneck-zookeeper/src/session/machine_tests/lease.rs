//! The lease: what extends it, and from when it counts.

use super::*;
use sneck_wire::{Acl, CreateMode, NewNode};

#[test]
fn the_lease_counts_from_the_instant_a_write_was_sent() {
    let mut scene = Scene::open();
    let begin = scene.now;
    scene.pass(secs(1));
    let _read = scene.submit(&get("/a"));
    scene.pass(secs(1));
    let _write = scene.submit(&delete("/a"));
    scene.pass(secs(3));
    scene.answer(1, Ok(&data())).unwrap();
    scene.answer(xid::PING, Ok(&Reply::Ping)).unwrap();
    assert_eq!(scene.machine.lease().until(), begin + secs(15), "reads and pings prove nothing");
    scene.answer(2, Ok(&Reply::Delete)).unwrap();
    assert_eq!(scene.machine.lease().until(), begin + secs(2 + 15));
}

#[test]
fn each_write_the_leader_decided_extends_the_lease_and_no_other_answer_does() {
    let multi = Request::Multi(vec![]);
    let node =
        NewNode { path: "/a".into(), data: None, acl: Acl::open(), mode: CreateMode::Persistent };
    let created = Reply::Create { path: "/a".into() };
    let results = Reply::Multi(vec![MultiResult::Error(ErrorCode::NO_NODE)]);
    let sync = Request::Sync { path: "/".into() };
    let synced = Reply::Sync { path: "/".into() };
    let cases: [(Request, Result<&Reply, ErrorCode>, bool); 11] = [
        (Request::Create(node.clone()), Ok(&created), true),
        (Request::Create(node), Err(ErrorCode::NODE_EXISTS), true),
        (delete("/a"), Ok(&Reply::Delete), true),
        (delete("/a"), Err(ErrorCode::NO_NODE), true),
        (delete("/a"), Err(ErrorCode::NOT_EMPTY), true),
        (set_data("/a", 1), Err(ErrorCode::BAD_VERSION), true),
        (multi.clone(), Ok(&results), true),
        // Followers can refuse these by themselves.
        (delete("/a"), Err(ErrorCode::NO_AUTH), false),
        (multi, Err(ErrorCode::THROTTLED), false),
        (get("/a"), Err(ErrorCode::NO_NODE), false),
        (sync, Ok(&synced), false),
    ];
    for (request, result, proves) in cases {
        let mut scene = Scene::open();
        let before = scene.machine.lease().until();
        scene.pass(secs(3));
        let _answer = scene.submit(&request);
        scene.answer(1, result).unwrap();
        let extended = scene.machine.lease().until() > before;
        assert_eq!(extended, proves, "{request:?} {result:?}");
    }
}

#[test]
fn refusals_without_end_do_not_starve_the_lease() {
    let mut scene = Scene::open();
    let begin = scene.now;
    while scene.now < begin + TIMEOUT * 3 {
        let _answer = scene.submit(&delete("/not-ours"));
        scene.on_time().unwrap();
        for (xid, request) in scene.sent() {
            let checked = Reply::Multi(vec![MultiResult::Check]);
            let refused = Err(ErrorCode::NO_AUTH);
            let result = if request == proof_request() { Ok(&checked) } else { refused };
            scene.answer(xid, result).unwrap();
        }
        scene.pass(Duration::from_millis(500));
        assert!(scene.holds(), "lost after {:?}", scene.now.since(begin));
    }
}

#[test]
fn a_lease_that_has_ended_is_not_revived_and_a_new_one_begins() {
    let mut scene = Scene::open();
    let old = scene.machine.lease().clone();
    let mut late = scene.submit(&delete("/late"));
    scene.pass(secs(15));
    // Nobody has looked at the old lease before the answer, which is itself too old to prove anything.
    scene.answer(1, Ok(&Reply::Delete)).unwrap();
    assert_eq!(late.try_recv(), Ok(Ok(Reply::Delete)));
    assert_eq!(old.loss(scene.now), Some(Loss::DeadlinePassed));
    assert!(!scene.holds());
    let _write = scene.submit(&delete("/a"));
    scene.answer(2, Ok(&Reply::Delete)).unwrap();
    assert!(scene.holds());
    assert_eq!(scene.machine.lease().until(), scene.now + secs(15));
    assert_eq!(old.loss(scene.now), Some(Loss::DeadlinePassed), "its holders have been told");
}

#[test]
fn a_resumed_session_is_believed_in_only_after_a_proof() {
    let mut scene = Scene::open();
    let begin = scene.now;
    scene.pass(secs(8));
    scene.disconnect();
    let mut waiting = scene.submit(&get("/a"));
    scene.connect();
    scene.pass(secs(1));
    scene.greet(OURS).unwrap();
    assert_eq!(scene.machine.lease().until(), begin + secs(15), "a leader alone may resume it");
    let sent = scene.sent();
    assert_eq!(sent[0].1, proof_request(), "ahead of what waited, so that it is proven by then");
    scene.pass(secs(1));
    scene.answer(sent[0].0, Ok(&Reply::Multi(vec![MultiResult::Check]))).unwrap();
    assert_eq!(scene.machine.lease().until(), begin + secs(9 + 15));
    scene.answer(sent[1].0, Ok(&data())).unwrap();
    assert_eq!(waiting.try_recv(), Ok(Ok(data())));
}

#[test]
fn a_slow_greeting_shortens_the_lease() {
    let mut scene = Scene::open();
    scene.pass(secs(10));
    scene.disconnect();
    let greeted = scene.now;
    scene.connect();
    scene.pass(secs(5));
    scene.greet(OURS).unwrap();
    scene.pass(secs(5));
    let proof = scene.sent()[0].0;
    // Sent 5 s after a greeting, from which on alone the leader is known to know us.
    scene.answer(proof, Ok(&Reply::Multi(vec![MultiResult::Check]))).unwrap();
    assert_eq!(scene.machine.lease().until(), greeted + secs(5 + 15));
    let _write = scene.submit(&delete("/a"));
    let xid = scene.sent_xids()[0];
    scene.answer(xid, Ok(&Reply::Delete)).unwrap();
    assert_eq!(scene.machine.lease().until(), greeted + secs(23), "not 10 + 15");
}

#[test]
fn an_outage_alone_does_not_end_a_session() {
    let mut scene = Scene::open();
    let lease = scene.machine.lease().clone();
    scene.disconnect();
    scene.pass(TIMEOUT * 5);
    scene.disconnect();
    assert_eq!((scene.end(), lease.loss(scene.now)), (None, Some(Loss::DeadlinePassed)));
    scene.resume();
    assert!(scene.holds());
    assert!(scene.machine.is_connected());
}
