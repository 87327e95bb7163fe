//! Tests of the operations, one table or story each.

use std::time::Duration;

use bytes::Bytes;
use sneck_wire::{
    Acl, AddWatchMode, ConnectRequest, CreateMode, DecodeError, ErrorCode, EventKind, Id, MultiOp,
    MultiResult, Permissions, Reply, Request, RequestHeader, Secret, WatcherKind, xid,
};

use super::fixture::{Client, TICK_MS, World, node, settings};
use super::words::Word;
use super::{Frame, Input, Peer};

use CreateMode::{Ephemeral, EphemeralSequential, Persistent, PersistentSequential};

fn get(path: &str, watch: bool) -> Request {
    Request::GetData { path: path.into(), watch }
}

fn set(path: &str, version: i32) -> Request {
    Request::SetData { path: path.into(), data: None, version }
}

fn delete(path: &str, version: i32) -> Request {
    Request::Delete { path: path.into(), version }
}

fn create(path: &str, mode: CreateMode) -> Request {
    Request::Create(node(path, mode))
}

fn private() -> Vec<Acl> {
    vec![Acl::new(Permissions::ALL, Id::new("digest", super::access::digest(b"owner:secret")))]
}

/// A world with a persistent and an ephemeral node, and a client.
fn furnished() -> (World, Client) {
    let mut world = World::new();
    let client = world.connect();
    world.create(client, "/p", Persistent);
    world.create(client, "/p/child", Persistent);
    world.create(client, "/e", Ephemeral);
    let mut hidden = node("/hidden", Persistent);
    hidden.acl = private();
    assert!(world.ask(client, Request::Create(hidden)).is_ok());
    (world, client)
}

#[test]
fn errors_come_in_apaches_order() {
    let empty_acl = |path: &str| {
        let mut node = node(path, Persistent);
        node.acl = Vec::new();
        Request::Create(node)
    };
    let ttl = |ttl_ms, mode| Request::CreateTtl { node: node("/ttl", mode), ttl_ms };
    let cases = [
        (create("wp", Persistent), ErrorCode::BAD_ARGUMENTS),
        (create("", Persistent), ErrorCode::BAD_ARGUMENTS),
        (create("/", Persistent), ErrorCode::NODE_EXISTS),
        (create("/p/", Persistent), ErrorCode::BAD_ARGUMENTS),
        (create("/p", Persistent), ErrorCode::NODE_EXISTS),
        (create("/q/a", Persistent), ErrorCode::NO_NODE),
        (create("/e/a", Persistent), ErrorCode::NO_CHILDREN_FOR_EPHEMERALS),
        (create("/hidden/a", Persistent), ErrorCode::NO_AUTH),
        (create("/hidden/a/", Persistent), ErrorCode::NO_NODE),
        (create("/hidden/", Persistent), ErrorCode::NO_AUTH),
        (empty_acl("/q/a"), ErrorCode::INVALID_ACL),
        (empty_acl("wp"), ErrorCode::BAD_ARGUMENTS),
        (create("/ttl", CreateMode::PersistentWithTtl), ErrorCode::BAD_ARGUMENTS),
        (ttl(0, CreateMode::PersistentWithTtl), ErrorCode::BAD_ARGUMENTS),
        (ttl(5, Persistent), ErrorCode::BAD_ARGUMENTS),
        (delete("/", -1), ErrorCode::BAD_ARGUMENTS),
        (delete("/zookeeper/quota", -1), ErrorCode::BAD_ARGUMENTS),
        (delete("p", -1), ErrorCode::BAD_ARGUMENTS),
        (delete("/q", -1), ErrorCode::NO_NODE),
        (delete("/q/a", -1), ErrorCode::NO_NODE),
        (delete("/p", 3), ErrorCode::BAD_VERSION),
        (delete("/p", -1), ErrorCode::NOT_EMPTY),
        (set("p", -1), ErrorCode::BAD_ARGUMENTS),
        (set("/p/", -1), ErrorCode::BAD_ARGUMENTS),
        (set("/q", -1), ErrorCode::NO_NODE),
        (set("/hidden", 5), ErrorCode::NO_AUTH),
        (set("/p", 5), ErrorCode::BAD_VERSION),
        (get("/q", true), ErrorCode::NO_NODE),
        (get("/hidden", true), ErrorCode::NO_AUTH),
        (Request::Exists { path: "/hidden".into(), watch: true }, ErrorCode::NO_AUTH),
        (Request::Exists { path: "/p/".into(), watch: false }, ErrorCode::NO_NODE),
        (Request::GetChildren { path: "/hidden".into(), watch: false }, ErrorCode::NO_AUTH),
        (Request::GetAcl { path: "/hidden".into() }, ErrorCode::NO_AUTH),
        (Request::GetAllChildrenNumber { path: "/hidden".into() }, ErrorCode::NO_AUTH),
        (
            Request::SetAcl { path: "/q".into(), acl: Vec::new(), version: 0 },
            ErrorCode::INVALID_ACL,
        ),
        (Request::SetAcl { path: "/q".into(), acl: Acl::open(), version: 0 }, ErrorCode::NO_NODE),
        (
            Request::SetAcl { path: "/p".into(), acl: Acl::open(), version: 9 },
            ErrorCode::BAD_VERSION,
        ),
        (
            Request::RemoveWatches { path: "/p".into(), kind: WatcherKind::Any },
            ErrorCode::NO_WATCHER,
        ),
        (Request::Reconfig(Bytes::new()), ErrorCode::RECONFIG_DISABLED),
    ];
    for (request, expected) in cases {
        let (mut world, client) = furnished();
        let zxid = world.core.zxid();
        assert_eq!(world.ask(client, request.clone()), Err(expected), "{request:?}");
        assert_eq!(world.core.zxid(), zxid, "a failure changes nothing: {request:?}");
    }
}

#[test]
fn sequential_names_count_every_creation_below_the_parent() {
    let (mut world, client) = furnished();
    let mut name = |path: &str, mode| match world.ask(client, create(path, mode)) {
        Ok(Reply::Create { path }) => path,
        other => panic!("{other:?}"),
    };
    assert_eq!(name("/p/n-", PersistentSequential), "/p/n-0000000001");
    assert_eq!(name("/p/", EphemeralSequential), "/p/0000000002");
    assert_eq!(name("/p/plain", Persistent), "/p/plain");
    assert_eq!(name("/p/n-", PersistentSequential), "/p/n-0000000004");
    world.input(Input::SetCounter { path: "/p".into(), creates: i32::MAX });
    let last = create("/p/n-", PersistentSequential);
    let made = Reply::Create { path: "/p/n-2147483647".into() };
    assert_eq!(world.ask(client, last.clone()), Ok(made));
    assert_eq!(world.ask(client, last), Err(ErrorCode::NODE_EXISTS));
}

#[test]
fn a_multi_is_all_or_nothing() {
    let (mut world, client) = furnished();
    let (before, zxid) = (world.stat(client, "/p"), world.core.zxid());
    let watcher = world.connect();
    assert!(world.ask(watcher, get("/p", true)).is_ok());
    let ops = vec![
        MultiOp::Create(node("/p/new", Persistent)),
        MultiOp::SetData { path: "/p".into(), data: None, version: 0 },
        MultiOp::Check { path: "/p".into(), version: 0 },
        MultiOp::Delete { path: "/p/new".into(), version: -1 },
    ];
    let failed = Reply::Multi(vec![
        MultiResult::Error(ErrorCode::OK),
        MultiResult::Error(ErrorCode::OK),
        MultiResult::Error(ErrorCode::BAD_VERSION),
        MultiResult::Error(ErrorCode::RUNTIME_INCONSISTENCY),
    ]);
    assert_eq!(world.ask(client, Request::Multi(ops.clone())), Ok(failed));
    assert_eq!((world.stat(client, "/p"), world.core.zxid()), (before, zxid + 1));
    assert!(world.events(watcher).is_empty());

    let good = [&ops[..2], &ops[3..]].concat();
    let Ok(Reply::Multi(results)) = world.ask(client, Request::Multi(good)) else { panic!() };
    assert!(matches!(
        &results[..],
        [MultiResult::Create { stat: None, .. }, MultiResult::SetData(stat), MultiResult::Delete]
            if stat.mzxid == zxid + 2 && stat.num_children == 2
    ));
    assert_eq!(world.events(watcher), [(EventKind::DataChanged, "/p".into())]);
}

#[test]
fn a_multi_that_only_checks_takes_no_transaction() {
    let (mut world, client) = furnished();
    let zxid = world.core.zxid();
    let ops = vec![MultiOp::Check { path: "/p".into(), version: -1 }];
    let passed = Reply::Multi(vec![MultiResult::Check]);
    assert_eq!(world.ask(client, Request::Multi(ops)), Ok(passed));
    assert_eq!(world.ask(client, Request::Multi(Vec::new())), Ok(Reply::Multi(Vec::new())));
    assert_eq!(world.core.zxid(), zxid);
}

#[test]
fn events_go_before_the_reply_that_shows_them() {
    let (mut world, client) = furnished();
    assert!(world.ask(client, get("/p", true)).is_ok());
    world.send(client, set("/p", -1));
    let frames = world.frames(client.connection);
    assert!(
        matches!(&frames[..], [Frame::Event { zxid, .. }, Frame::Reply(header, Some(_))]
            if *zxid == header.zxid),
        "{frames:?}"
    );
}

#[test]
fn which_change_fires_which_watch() {
    let (mut world, writer) = furnished();
    let watcher = world.connect();
    let exists = |path: &str| Request::Exists { path: path.into(), watch: true };
    let children = |path: &str| Request::GetChildren { path: path.into(), watch: true };
    let event = |kind, path: &str| (kind, path.to_owned());

    assert_eq!(world.ask(watcher, exists("/new")), Err(ErrorCode::NO_NODE));
    assert_eq!(world.ask(watcher, get("/newer", true)), Err(ErrorCode::NO_NODE));
    assert!(world.ask(watcher, children("/")).is_ok());
    world.create(writer, "/new", Persistent);
    world.create(writer, "/newer", Persistent);
    let told = [event(EventKind::Created, "/new"), event(EventKind::ChildrenChanged, "/")];
    assert_eq!(world.events(watcher), told);

    assert!(world.ask(watcher, get("/new", true)).is_ok());
    assert!(world.ask(watcher, children("/new")).is_ok());
    assert!(world.ask(watcher, children("/")).is_ok());
    world.delete(writer, "/new");
    let told = [event(EventKind::Deleted, "/new"), event(EventKind::ChildrenChanged, "/")];
    assert_eq!(world.events(watcher), told);

    let mode = AddWatchMode::PersistentRecursive;
    let add = Request::AddWatch { path: "/p".into(), mode };
    assert_eq!(world.ask(watcher, add), Ok(Reply::AddWatch));
    world.create(writer, "/p/a", Persistent);
    world.create(writer, "/p/a/b", Persistent);
    assert!(world.ask(writer, set("/p/a/b", -1)).is_ok());
    world.delete(writer, "/p/a/b");
    let told = [
        event(EventKind::Created, "/p/a"),
        event(EventKind::Created, "/p/a/b"),
        event(EventKind::DataChanged, "/p/a/b"),
        event(EventKind::Deleted, "/p/a/b"),
    ];
    assert_eq!(world.events(watcher), told);
}

#[test]
fn watches_set_again_catch_up_first() {
    let (mut world, writer) = furnished();
    let seen = world.core.zxid();
    world.create(writer, "/p/late", Persistent);
    assert!(world.ask(writer, set("/p/child", -1)).is_ok());
    world.delete(writer, "/e");
    let watcher = world.connect();
    let again = Request::SetWatches {
        relative_zxid: seen,
        data: vec!["/p".into(), "/p/child".into(), "/e".into()],
        exist: vec!["/p/late".into(), "/never".into()],
        child: vec!["/p".into(), "/p/child".into(), "/e".into()],
    };
    assert_eq!(world.ask(watcher, again), Ok(Reply::SetWatches));
    let told = [
        (EventKind::DataChanged, "/p/child"),
        (EventKind::Deleted, "/e"),
        (EventKind::Created, "/p/late"),
        (EventKind::ChildrenChanged, "/p"),
        (EventKind::Deleted, "/e"),
    ];
    assert_eq!(world.events(watcher), told.map(|(kind, path)| (kind, path.to_owned())));
    // Where nothing had happened the watch is there again.
    assert!(world.ask(writer, set("/p", -1)).is_ok());
    world.create(writer, "/p/child/x", Persistent);
    world.create(writer, "/never", Persistent);
    assert_eq!(world.events(watcher).len(), 3);
}

#[test]
fn who_may_not_read_is_not_told() {
    let (mut world, stranger) = furnished();
    let owner = world.connect();
    world.authenticate(owner, "owner:secret");
    for client in [stranger, owner] {
        let mode = AddWatchMode::PersistentRecursive;
        assert!(world.ask(client, Request::AddWatch { path: "/".into(), mode }).is_ok());
    }
    let set = set("/hidden", -1);
    assert!(world.ask(owner, set).is_ok());
    world.delete(owner, "/hidden");
    assert!(world.events(stranger).is_empty());
    let told = [EventKind::DataChanged, EventKind::Deleted];
    assert_eq!(world.events(owner).into_iter().map(|(kind, _)| kind).collect::<Vec<_>>(), told);
}

#[test]
fn hashes_show_only_to_those_who_may_set_them() {
    let (mut world, owner) = furnished();
    world.authenticate(owner, "owner:secret");
    let stranger = world.connect();
    let mut list = private();
    list.extend(Acl::read_only());
    let set = Request::SetAcl { path: "/hidden".into(), acl: list.clone(), version: 0 };
    assert!(world.ask(owner, set).is_ok());
    let get = Request::GetAcl { path: "/hidden".into() };
    let acl = |reply| match reply {
        Ok(Reply::GetAcl { acl, stat }) if stat.aversion == 1 => acl,
        other => panic!("{other:?}"),
    };
    assert_eq!(acl(world.ask(owner, get.clone())), list);
    assert_eq!(acl(world.ask(stranger, get))[0].id, Id::new("digest", "owner:x"));
}

#[test]
fn the_super_user_may_everything() {
    let (mut world, client) = furnished();
    world.authenticate(client, "super:test");
    assert!(world.ask(client, get("/hidden", false)).is_ok());
    let Ok(Reply::WhoAmI(who)) = world.ask(client, Request::WhoAmI) else { panic!() };
    let who: Vec<_> = who.iter().map(|info| (&*info.scheme, &*info.user)).collect();
    assert_eq!(who, [("ip", "127.0.0.1"), ("super", ""), ("digest", "super")]);
}

#[test]
fn a_credential_that_proves_nothing_ends_the_connection() {
    let (mut world, client) = furnished();
    let credential = Secret::from(*b"x");
    world.send(client, Request::Auth { scheme: "kerberos".into(), credential });
    let frames = world.frames(client.connection);
    assert!(
        matches!(&frames[..], [Frame::Reply(header, None), Frame::Close]
            if header.error == ErrorCode::AUTH_FAILED && header.zxid == 0),
        "{frames:?}"
    );
}

#[test]
fn an_unknown_operation_ends_the_connection_and_not_the_session() {
    let (mut world, client) = furnished();
    let header = RequestHeader { xid: 3, op: 999 };
    let body = Err(DecodeError::UnknownOp(999));
    world.input(Input::Request { connection: client.connection, header, body });
    let frames = world.frames(client.connection);
    assert!(
        matches!(&frames[..], [Frame::Reply(header, None), Frame::Close]
            if header.error == ErrorCode::UNIMPLEMENTED && header.zxid == -1 && header.xid == 3),
        "{frames:?}"
    );
    assert!(world.core.sessions.get(client.session).is_some());
}

#[test]
fn a_malformed_request_is_answered_and_the_next_one_too() {
    let (mut world, client) = furnished();
    let header = RequestHeader { xid: 3, op: 4 };
    let body = Err(DecodeError::NotUtf8 { what: "path", at: 0 });
    world.input(Input::Request { connection: client.connection, header, body });
    let frames = world.frames(client.connection);
    assert!(
        matches!(&frames[..], [Frame::Reply(header, None)]
            if header.error == ErrorCode::MARSHALLING_ERROR),
        "{frames:?}"
    );
    assert_eq!(world.ask(client, Request::Ping), Ok(Reply::Ping));
}

#[test]
fn a_session_moves_to_whoever_has_its_password() {
    let (mut world, client) = furnished();
    assert!(world.ask(client, get("/p", true)).is_ok());
    let thief = world.open(Peer::Local);
    let refused = world.greet(thief, client.session, &[0; 16]).unwrap();
    assert!(refused.is_expired());
    assert!(world.frames(client.connection).is_empty(), "a guess disturbs nobody");
    assert_eq!(world.ask(client, Request::Ping), Ok(Reply::Ping));

    let password = super::password::password(client.session);
    let new = world.open(Peer::Local);
    assert_eq!(world.greet(new, client.session, &password).unwrap().session_id, client.session);
    assert_eq!(world.frames(client.connection), [Frame::Close]);
    // The end of the old connection, which the front end reports, is not the end of the new one.
    world.input(Input::Closed { connection: client.connection });
    let moved = Client { connection: new, ..client };
    assert!(world.ask(moved, set("/p", -1)).is_ok());
    assert!(world.events(moved).is_empty(), "watches do not move with the session");
}

#[test]
fn a_client_that_is_ahead_is_hung_up_on() {
    let mut world = World::new();
    let connection = world.open(Peer::Local);
    let request = ConnectRequest { last_zxid_seen: 1, ..ConnectRequest::new_session(4_000) };
    world.input(Input::Greeting { connection, request });
    assert_eq!(world.frames(connection), [Frame::Close]);
}

#[test]
fn timeouts_are_clamped_and_the_read_only_flag_is_optional() {
    for (asked, given) in [(0, 1_000), (4_000, 4_000), (1_000_000, 10_000)] {
        let mut world = World::new();
        let connection = world.open(Peer::Local);
        let request = ConnectRequest::new_session(asked);
        world.input(Input::Greeting { connection, request });
        let frames = world.frames(connection);
        assert!(
            matches!(&frames[..], [Frame::Greeting(reply)]
                if reply.timeout_ms == given && reply.read_only.is_none()),
            "{frames:?}"
        );
    }
}

#[test]
fn a_session_ends_with_all_its_nodes_in_one_transaction() {
    for closes in [true, false] {
        let (mut world, client) = furnished();
        world.create(client, "/p/e1", Ephemeral);
        world.create(client, "/p/e2", Ephemeral);
        let other = world.connect();
        let children = Request::GetChildren { path: "/p".into(), watch: true };
        assert!(world.ask(other, children).is_ok());
        let zxid = world.core.zxid();
        match closes {
            true => {
                assert_eq!(world.ask(client, Request::CloseSession), Ok(Reply::CloseSession));
            }
            false => {
                for _ in 0..10 {
                    world.pass(TICK_MS);
                    assert!(world.ask(other, Request::Ping).is_ok());
                }
            }
        }
        assert_eq!(world.core.zxid(), zxid + 1);
        assert_eq!(world.frames(client.connection).last(), Some(&Frame::Close));
        assert_eq!(world.events(other), [(EventKind::ChildrenChanged, "/p".into())]);
        assert_eq!(world.stat(other, "/e"), None);
        assert_eq!(world.stat(other, "/p").unwrap().pzxid, zxid + 1);
        assert_eq!(world.stat(other, "/p").unwrap().num_children, 1);
    }
}

#[test]
fn a_server_that_stood_still_expires_nobody_when_it_wakes() {
    let (mut world, client) = furnished();
    world.pass(TICK_MS);
    world.stand_still(30_000);
    world.input(Input::Tick);
    world.pass(2_000);
    assert_eq!(world.ask(client, Request::Ping), Ok(Reply::Ping));
    world.pass(5_000);
    assert_eq!(world.frames(client.connection).last(), Some(&Frame::Close));
}

#[test]
fn containers_and_old_nodes_are_reaped() {
    let (mut world, client) = furnished();
    let container = |path: &str| Request::CreateContainer(node(path, CreateMode::Container));
    let ttl = |path: &str, ttl_ms| Request::CreateTtl {
        node: node(path, CreateMode::PersistentWithTtl),
        ttl_ms,
    };
    for request in [container("/used"), container("/unused"), ttl("/old", 50_000)] {
        assert!(world.ask(client, request).is_ok());
    }
    assert!(world.ask(client, ttl("/older", 500_000)).is_ok());
    world.create(client, "/used/x", Persistent);
    world.create(client, "/old/x", Persistent);
    assert_eq!(world.stat(client, "/used").unwrap().ephemeral_owner, 0);

    let later = |world: &mut World, client, seconds: u64| {
        for _ in 0..seconds {
            world.pass(1_000);
            assert!(world.ask(client, Request::Ping).is_ok());
        }
    };
    later(&mut world, client, 70);
    assert!(world.stat(client, "/used").is_some() && world.stat(client, "/old").is_some());
    world.delete(client, "/used/x");
    world.delete(client, "/old/x");
    later(&mut world, client, 70);
    assert!(world.stat(client, "/used").is_none() && world.stat(client, "/old").is_none());
    assert!(world.stat(client, "/unused").is_some() && world.stat(client, "/older").is_some());
    later(&mut world, client, 240);
    assert!(world.stat(client, "/unused").is_none() && world.stat(client, "/older").is_some());
}

#[test]
fn limits_hold() {
    let mut settings = settings();
    settings.limits.nodes_max = 6;
    settings.limits.sessions_max = 1;
    settings.limits.watches_per_connection_max = 2;
    settings.limits.tree_bytes_max = 10_000;
    settings.limits.acl_entries_max = 1;
    settings.limits.identities_max = 2;
    let mut world = World::with(settings);
    let client = world.connect();
    let refused = world.open(Peer::Local);
    assert_eq!(world.greet(refused, 0, &[]), None);

    world.create(client, "/1", Persistent);
    let large = Bytes::from(vec![0; 20_000]);
    let set = Request::SetData { path: "/1".into(), data: Some(large), version: -1 };
    assert_eq!(world.ask(client, set), Err(ErrorCode::QUOTA_EXCEEDED));
    world.create(client, "/2", Persistent);
    let third = create("/3", Persistent);
    assert_eq!(world.ask(client, third), Err(ErrorCode::QUOTA_EXCEEDED));

    assert!(world.ask(client, get("/1", true)).is_ok());
    assert!(world.ask(client, get("/2", true)).is_ok());
    assert_eq!(world.ask(client, get("/", true)), Err(ErrorCode::THROTTLED));
    assert!(world.ask(client, get("/", false)).is_ok());

    let acl = [Acl::open(), Acl::read_only()].concat();
    let set = Request::SetAcl { path: "/1".into(), acl, version: -1 };
    assert_eq!(world.ask(client, set), Err(ErrorCode::INVALID_ACL));

    world.authenticate(client, "a:a");
    let credential = Secret::from(*b"b:b");
    world.send(client, Request::Auth { scheme: "digest".into(), credential });
    assert_eq!(world.frames(client.connection).last(), Some(&Frame::Close));
}

#[test]
fn words_are_answered_to_whom_they_may_be() {
    let (mut world, client) = furnished();
    let far = Peer::Tcp(([203, 0, 113, 5], 4711).into());
    for (peer, word, starts_with) in [
        (Peer::Local, Word::Ruok, "imok"),
        (far, Word::Srvr, "Zookeeper version: 3.9."),
        (far, Word::Isro, "rw"),
        (far, Word::Mntr, "zk_version\t3.9."),
        (far, Word::Envi, "Environment:\nzookeeper.version=3.9."),
        (far, Word::Wchs, "0 connections watching 0 paths\nTotal watches:0\n"),
        (far, Word::Dump, "dump is not executed"),
        (Peer::Local, Word::Dump, "SessionTracker dump:"),
        (Peer::Local, Word::Cons, " local[1](sid=0x1"),
        (Peer::Local, Word::Wchc, ""),
    ] {
        let connection = world.open(peer);
        world.input(Input::Word { connection, word });
        let frames = world.frames(connection);
        assert!(
            matches!(&frames[..], [Frame::Text(text), Frame::Close]
                if text.starts_with(starts_with)),
            "{word:?}: {frames:?}"
        );
    }
    assert_eq!(world.ask(client, Request::Ping), Ok(Reply::Ping));
}

#[test]
fn words_about_very_much_are_cut_off_and_say_so() {
    let mut settings = settings();
    settings.limits.reply_bytes_max = 300;
    let mut world = World::with(settings);
    let clients: Vec<_> = (0..20).map(|_| world.connect()).collect();
    for (number, client) in clients.iter().enumerate() {
        let path = format!("/a-rather-long-name-{number}");
        world.create(*client, &path, Ephemeral);
        assert!(world.ask(*client, get(&path, true)).is_ok());
    }
    for word in Word::ALL {
        let connection = world.open(Peer::Local);
        world.input(Input::Word { connection, word: *word });
        let frames = world.frames(connection);
        let [Frame::Text(text), Frame::Close] = &frames[..] else { panic!("{frames:?}") };
        let is_cut = text.ends_with("there is more than an answer may have)\n");
        let is_long = matches!(word, Word::Cons | Word::Dump | Word::Wchc | Word::Wchp);
        assert_eq!(is_cut, is_long, "{word:?}: {text}");
        assert!(!is_cut || (100..400).contains(&text.len()), "{word:?}: {text}");
    }
}

#[test]
fn reserved_xids_are_echoed() {
    let (mut world, client) = furnished();
    let header = RequestHeader { xid: xid::PING, op: 11 };
    let body = Ok(Request::Ping);
    world.input(Input::Request { connection: client.connection, header, body });
    let frames = world.frames(client.connection);
    assert!(matches!(&frames[..], [Frame::Reply(header, _)] if header.xid == xid::PING));
}

#[test]
fn a_restart_keeps_nodes_and_sessions() {
    let (mut world, client) = furnished();
    let zxid = world.core.zxid();
    world.restart();
    let connection = world.open(Peer::Local);
    let password = super::password::password(client.session);
    assert!(!world.greet(connection, client.session, &password).unwrap().is_expired());
    let client = Client { connection, ..client };
    assert_eq!(world.stat(client, "/e").unwrap().ephemeral_owner, client.session);
    assert_eq!(world.core.zxid(), zxid);
    assert!(world.connect().session > client.session);
    world.pass(Duration::from_secs(11).as_millis().try_into().unwrap());
    let other = world.connect();
    assert_eq!(world.stat(other, "/e"), None);
}
