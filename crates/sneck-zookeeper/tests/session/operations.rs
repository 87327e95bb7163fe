//! Every operation, once as it should be and once refused.

use crate::*;
use sneck_core::Loss;
use sneck_testkit::or_skip;
use sneck_testkit::proxy::Proxy;
use sneck_testkit::zookeeper::{Builder, Version};
use sneck_zookeeper::Credentials;
use sneck_zookeeper::wire::{Id, MultiOp, MultiResult, NewNode, OpCode, Permissions, ReadOp};

on_each_version! {
    nodes_are_created_read_changed_and_deleted
    an_answer_that_is_too_long_is_an_error_of_its_own
    sequential_nodes_and_containers
    access_lists_and_identities
    transactions
    reads_together
    a_chroot_is_a_root
    bad_paths_are_not_sent
    requests_are_on_the_way_before_the_first_is_answered
    closing_ends_the_session_and_its_nodes
    the_last_clone_closes_the_session
    an_operation_the_server_does_not_allow
}

async fn nodes_are_created_read_changed_and_deleted(ensemble: &Ensemble) {
    let session = open_below(ensemble).await;
    let open = Acl::open;
    let path = session.create("/a", "one", CreateMode::Persistent, open()).await.unwrap();
    assert_eq!(path, "/a");
    let again = session.create("/a", "", CreateMode::Persistent, open());
    assert_refused(again.await, ErrorCode::NODE_EXISTS);
    let orphan = session.create2("/no/parent", "", CreateMode::Persistent, open());
    assert_refused(orphan.await, ErrorCode::NO_NODE);
    let created = session.create2("/a/b", "", CreateMode::Ephemeral, open()).await.unwrap();
    assert_eq!((&*created.path, created.stat.ephemeral_owner), ("/a/b", session.id()));
    assert!(created.stat.czxid <= session.zxid_seen());
    let child = session.create("/a/b/c", "", CreateMode::Persistent, open());
    assert_refused(child.await, ErrorCode::NO_CHILDREN_FOR_EPHEMERALS);

    assert_eq!(session.exists("/nothing").await, Ok(None));
    let stat = session.exists("/a").await.unwrap().unwrap();
    assert_eq!((stat.version, stat.num_children), (0, 1));
    assert_eq!(session.get_data("/a").await.unwrap().data, "one");
    assert_refused(session.get_data("/nothing").await, ErrorCode::NO_NODE);
    assert_eq!(session.set_data("/a", "two", Some(0)).await.unwrap().version, 1);
    assert_refused(session.set_data("/a", "three", Some(0)).await, ErrorCode::BAD_VERSION);
    assert_eq!(session.set_data("/a", "", None).await.unwrap().version, 2);
    let node = session.get_data("/a").await.unwrap();
    assert_eq!((&node.data[..], node.stat.version), (&b""[..], 2));

    assert_eq!(session.get_children("/a").await.unwrap(), ["b"]);
    let (children, stat) = session.get_children2("/a").await.unwrap();
    assert_eq!((children, stat.num_children), (vec!["b".to_owned()], 1));
    session.sync("/").await.unwrap();
    session.prove().await.unwrap();
    assert_refused(session.delete("/a", None).await, ErrorCode::NOT_EMPTY);
    assert_refused(session.delete("/a/b", Some(7)).await, ErrorCode::BAD_VERSION);
    session.delete("/a/b", Some(0)).await.unwrap();
    session.delete("/a", None).await.unwrap();
    assert_refused(session.delete("/a", None).await, ErrorCode::NO_NODE);

    // A large node, which comes in many pieces, and one that the servers would not accept.
    let large = vec![7; 900_000];
    session.create("/large", large.clone(), CreateMode::Persistent, open()).await.unwrap();
    assert!(session.get_data("/large").await.unwrap().data == large);
    session.delete("/large", None).await.unwrap();
    let larger = session.create("/l", vec![0; 1 << 20], CreateMode::Persistent, open()).await;
    assert!(matches!(larger, Err(RequestError::TooLarge { .. })), "{larger:?}");
    assert_eq!(session.exists("/l").await, Ok(None), "and the connection is still there");
}

/// Nobody else is interrupted by it.
async fn an_answer_that_is_too_long_is_an_error_of_its_own(ensemble: &Ensemble) {
    let session = open_below(ensemble).await;
    session.create("/large", vec![7; 900_000], CreateMode::Persistent, Acl::open()).await.unwrap();
    let mut options = options([ensemble.addr(0)]);
    options.chroot = format!("/session-{:x}", session.id());
    options.limits.reply_bytes_max = 10_000;
    let frugal = connect(options).await;
    let calls = [0; 3].map(|_| (frugal.get_data_watch("/large"), frugal.exists("/large")));
    for (large, stat) in calls {
        let error = soon(large).await.unwrap_err();
        let RequestError::ReplyTooLarge { bytes, bytes_max: 10_000 } = error else {
            panic!("{error:?}")
        };
        assert!((900_000..901_000).contains(&bytes), "{error}");
        assert_eq!(soon(stat).await.unwrap().unwrap().data_length, 900_000);
    }
}

async fn sequential_nodes_and_containers(ensemble: &Ensemble) {
    let session = open_below(ensemble).await;
    let container = session.create2("/c", "", CreateMode::Container, Acl::open()).await.unwrap();
    assert_eq!((&*container.path, container.stat.ephemeral_owner), ("/c", 0));
    for (at, mode) in
        [CreateMode::EphemeralSequential, CreateMode::PersistentSequential].into_iter().enumerate()
    {
        let path = session.create("/c/n-", "", mode, Acl::open()).await.unwrap();
        assert_eq!(path, format!("/c/n-000000000{at}"));
    }
    // Also without a name before the number.
    let mode = CreateMode::EphemeralSequential;
    let created = session.create2("/c/", "", mode, Acl::open()).await.unwrap();
    assert_eq!(created.path, "/c/0000000002");
}

async fn access_lists_and_identities(ensemble: &Ensemble) {
    let mut with_password = options([ensemble.addr(0)]);
    with_password.credentials.push(Credentials::digest("ada", "lovelace"));
    let ours = root(connect(with_password).await).await;
    let stranger = open(ensemble).await;
    let below = format!("/session-{:x}", ours.id());

    let who = ours.who_am_i().await.unwrap();
    assert!(who.iter().any(|info| (&*info.scheme, &*info.user) == ("digest", "ada")), "{who:?}");
    let who = stranger.who_am_i().await.unwrap();
    assert!(who.iter().all(|info| info.scheme == "ip"), "{who:?}");

    let creator = Acl::creator_all();
    ours.create("/mine", "secret", CreateMode::Persistent, creator.clone()).await.unwrap();
    let (acl, stat) = ours.get_acl("/mine").await.unwrap();
    assert_eq!((acl.len(), stat.aversion), (1, 0));
    assert!(acl[0].id.scheme == "digest" && acl[0].id.id.starts_with("ada:"), "{acl:?}");
    let mine = format!("{below}/mine");
    assert_refused(stranger.get_data(&mine).await, ErrorCode::NO_AUTH);
    let theirs = stranger.create(&format!("{below}/b"), "", CreateMode::Persistent, creator);
    assert_refused(theirs.await, ErrorCode::INVALID_ACL);

    // Credentials that are added later do the same.
    stranger.authenticate(Credentials::digest("ada", "lovelace"));
    assert_eq!(stranger.get_data(&mine).await.unwrap().data, "secret");

    let reader = Acl::new(Permissions::READ | Permissions::ADMIN, Id::anyone());
    assert_refused(
        ours.set_acl("/mine", vec![reader.clone()], Some(4)).await,
        ErrorCode::BAD_VERSION,
    );
    let stat = ours.set_acl("/mine", vec![reader.clone()], Some(0)).await.unwrap();
    assert_eq!(stat.aversion, 1);
    assert_eq!(ours.get_acl("/mine").await.unwrap().0, [reader]);
    assert_refused(ours.set_data("/mine", "", None).await, ErrorCode::NO_AUTH);
    assert_refused(ours.set_acl("/mine", Vec::new(), None).await, ErrorCode::INVALID_ACL);
}

fn node(path: &str, mode: CreateMode) -> NewNode {
    NewNode { path: path.into(), data: Some("x".into()), acl: Acl::open(), mode }
}

async fn transactions(ensemble: &Ensemble) {
    let session = open_below(ensemble).await;
    let check = |path: &str| MultiOp::Check { path: path.into(), version: -1 };
    let delete = |path: &str| MultiOp::Delete { path: path.into(), version: -1 };
    let results = session
        .multi(vec![
            check("/"),
            MultiOp::Create(node("/a", CreateMode::Persistent)),
            MultiOp::Create2(node("/a/s-", CreateMode::EphemeralSequential)),
            MultiOp::CreateContainer(node("/c", CreateMode::Container)),
            MultiOp::SetData { path: "/a".into(), data: Some("y".into()), version: 0 },
            delete("/a/s-0000000000"),
        ])
        .await
        .unwrap();
    let paths: Vec<_> = results
        .iter()
        .filter_map(|result| match result {
            MultiResult::Create { path, .. } => Some(path.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(paths, ["/a", "/a/s-0000000000", "/c"]);
    // Both releases under test send the stat of a create2; older ones of 3.8 do not.
    let MultiResult::Create { stat: Some(stat), .. } = &results[2] else { panic!("{results:?}") };
    assert_eq!(stat.ephemeral_owner, session.id());
    assert!(matches!(results[4], MultiResult::SetData(stat) if stat.version == 1));
    assert_eq!((&results[0], &results[5]), (&MultiResult::Check, &MultiResult::Delete));

    // All or nothing; what failed is told for each.
    let results = session.multi(vec![
        MultiOp::Create(node("/b", CreateMode::Persistent)),
        check("/nothing"),
        delete("/a"),
    ]);
    let error = MultiResult::Error;
    assert_eq!(
        results.await.unwrap(),
        [error(ErrorCode::OK), error(ErrorCode::NO_NODE), error(ErrorCode::RUNTIME_INCONSISTENCY)]
    );
    assert_eq!(session.exists("/b").await, Ok(None));
    assert!(session.exists("/a").await.unwrap().is_some());
    assert_eq!(session.multi(Vec::new()).await, Ok(Vec::new()));
}

async fn reads_together(ensemble: &Ensemble) {
    let session = open_below(ensemble).await;
    session.create("/a", "one", CreateMode::Persistent, Acl::open()).await.unwrap();
    let results = session
        .multi_read(vec![
            ReadOp::GetData { path: "/a".into() },
            ReadOp::GetData { path: "/nothing".into() },
            ReadOp::GetChildren { path: "/".into() },
        ])
        .await
        .unwrap();
    assert!(matches!(&results[0], MultiResult::Data { data: Some(data), .. } if data == "one"));
    assert_eq!(
        results[1..],
        [MultiResult::Error(ErrorCode::NO_NODE), MultiResult::Children(vec!["a".into()])]
    );
}

async fn a_chroot_is_a_root(ensemble: &Ensemble) {
    let whole = open(ensemble).await;
    let top = format!("/session-{:x}", whole.id());
    persistent(&whole, &top).await;
    persistent(&whole, &format!("{top}/in")).await;
    let inner = whole.chroot(&top).unwrap().chroot("/in").unwrap();
    let (_, watch) = inner.get_children_watch("/").await.unwrap();
    assert_eq!(inner.create("/x", "", CreateMode::Persistent, Acl::open()).await.unwrap(), "/x");
    assert_eq!(soon(watch).await.unwrap().path, "/");
    assert!(whole.exists(&format!("{top}/in/x")).await.unwrap().is_some());
    assert_eq!(inner.chroot("/").unwrap().get_children("/").await.unwrap(), ["x"]);
    let refused = inner.chroot("x");
    assert!(matches!(refused, Err(RequestError::BadPath(_))), "{refused:?}");

    // As an option, where "/" is none.
    for (chroot, path) in
        [("/".to_owned(), format!("{top}/in/x")), (format!("{top}/in"), "/x".into())]
    {
        let mut options = options([ensemble.addr(0)]);
        options.chroot = chroot;
        assert!(connect(options).await.exists(&path).await.unwrap().is_some());
    }
}

async fn bad_paths_are_not_sent(ensemble: &Ensemble) {
    let session = open(ensemble).await;
    for path in ["", "a", "/a/", "//", "/a/../b", "/.", "/a\0b"] {
        let refused = session.get_data(path).await;
        assert!(matches!(refused, Err(RequestError::BadPath(_))), "{path:?}: {refused:?}");
        let refused = session.create(path, "", CreateMode::Persistent, Acl::open()).await;
        assert!(matches!(refused, Err(RequestError::BadPath(_))), "{path:?}: {refused:?}");
        let op = MultiOp::Check { path: path.into(), version: -1 };
        let refused = session.multi(vec![op]).await;
        assert!(matches!(refused, Err(RequestError::BadPath(_))), "{path:?}: {refused:?}");
        let refused = session.exists_watch(path).await.map(drop);
        assert!(matches!(refused, Err(RequestError::BadPath(_))), "{path:?}: {refused:?}");
    }
    session.prove().await.unwrap();
}

async fn requests_are_on_the_way_before_the_first_is_answered(ensemble: &Ensemble) {
    let proxy = Proxy::start(ensemble.addr(0)).unwrap();
    let session = root(connect(options([proxy.addr()])).await).await;
    proxy.forget_traffic();
    proxy.blackhole_replies();
    let created = session.create2("/a", "", CreateMode::Persistent, Acl::open());
    let children = session.get_children("/");
    until("both are on the way", async || {
        let counts = proxy.counts();
        counts.requests(OpCode::Create2) == 1 && counts.requests(OpCode::GetChildren) == 1
    })
    .await;
    proxy.heal();
    // The second sees what the first did.
    assert_eq!(soon(children).await.unwrap(), ["a"]);
    assert_eq!(soon(created).await.unwrap().path, "/a");
    let seen: Vec<_> = proxy.requests().into_iter().filter_map(|seen| seen.op).collect();
    let at = |op| seen.iter().position(|seen| *seen == op);
    assert!(at(OpCode::Create2) < at(OpCode::GetChildren), "{seen:?}");
}

async fn closing_ends_the_session_and_its_nodes(ensemble: &Ensemble) {
    let observer = open_below(ensemble).await;
    let root = format!("/session-{:x}", observer.id());
    let session = open(ensemble).await;
    let (lease, other) = (session.lease(), session.clone());
    ephemeral(&session, &format!("{root}/e")).await;
    let (_, watch) = other.exists_watch(&format!("{root}/nothing")).await.unwrap();
    // Asked for before, and so carried out before.
    let last = session.create(&format!("{root}/p"), "", CreateMode::Persistent, Acl::open());
    soon(session.close()).await;
    assert_eq!(soon(last).await.unwrap(), format!("{root}/p"));
    assert_eq!(ended(&other).await, End::Closed);
    observer.sync("/").await.unwrap();
    assert_eq!(observer.get_children("/").await.unwrap(), ["p"]);
    assert_eq!(lease.loss(other.clock().now()), Some(Loss::SessionEnded));
    assert_eq!(soon(watch).await, None, "there will be no event");
    let over = RequestError::Over { end: End::Closed, sent: false };
    assert_eq!(other.get_data("/").await.unwrap_err(), over);
    soon(other.close()).await;
}

async fn the_last_clone_closes_the_session(ensemble: &Ensemble) {
    let observer = open_below(ensemble).await;
    let root = format!("/session-{:x}", observer.id());
    let session = open(ensemble).await;
    ephemeral(&session, &format!("{root}/e")).await;
    let (stat, watch) = observer.exists_watch("/e").await.unwrap();
    assert!(stat.is_some());
    let (clone, timeout) = (session.chroot(&root).unwrap(), session.timeout());
    drop(session);
    assert!(clone.exists("/e").await.unwrap().is_some());
    let dropped = std::time::Instant::now();
    drop(clone);
    soon(watch).await.unwrap();
    assert!(dropped.elapsed() < timeout, "it was closed and has not expired");
}

async fn an_operation_the_server_does_not_allow(ensemble: &Ensemble) {
    let session = open_below(ensemble).await;
    let (mode, ttl) = (CreateMode::PersistentWithTtl, Duration::from_secs(60));
    let refused = session.create_ttl("/t", "", mode, Acl::open(), ttl).await;
    assert_refused(refused, ErrorCode::UNIMPLEMENTED);
    // The server may hang up after that; the session survives it.
    let mut answer = session.exists("/t").await;
    if answer == Err(RequestError::Interrupted) {
        answer = soon(session.exists("/t")).await;
    }
    assert_eq!(answer, Ok(None));
}

async fn ttl_and_capped_timeout(version: Version) {
    let server = or_skip!(
        Builder::new(version)
            .session_timeout_max(Duration::from_secs(4))
            .property("zookeeper.extendedTypesEnabled", "true")
            .container_check_interval(Duration::from_millis(200))
            .start()
            .await
    );
    let mut greedy = options([server.addr(0)]);
    greedy.timeout = Duration::from_secs(40);
    let before = greedy.clock.now();
    let session = connect(greedy).await;
    assert_eq!(session.timeout(), Duration::from_secs(4));
    let term = Duration::from_millis(2_500);
    let deadline = session.lease().until();
    assert!(deadline >= before + term, "{deadline:?}");
    assert!(deadline <= session.clock().now() + term, "{deadline:?}");

    let (mode, ttl) = (CreateMode::PersistentWithTtl, Duration::from_millis(300));
    let created = session.create_ttl("/t", "", mode, Acl::open(), ttl).await.unwrap();
    assert_eq!((&*created.path, created.stat.ephemeral_owner), ("/t", 0));
    until("the server has deleted it", async || session.exists("/t").await == Ok(None)).await;
    let mode = CreateMode::PersistentSequentialWithTtl;
    let created = session.create_ttl("/t-", "", mode, Acl::open(), ttl).await.unwrap();
    assert_eq!(created.path, "/t-0000000001");
}

#[tokio::test]
async fn time_to_live_and_a_timeout_the_server_caps_on_3_8() {
    ttl_and_capped_timeout(Version::V3_8).await;
}

#[tokio::test]
async fn time_to_live_and_a_timeout_the_server_caps_on_3_9() {
    ttl_and_capped_timeout(Version::V3_9).await;
}
