//! Line 28: who may do what, and on which servers. Access lists, TLS, servers that only read.

use crate::stage::server::{Kind, on_each_kind};
use crate::stage::{Site, connect, observer_of};
use sneck::ErrorKind;
use sneck::zookeeper::wire::{Acl, ErrorCode, Id, Permissions};
use sneck::zookeeper::{CreateMode, Credentials, Session};
use sneck_testkit::or_skip;
use sneck_testkit::zookeeper::{Builder, Certificate, Version};

on_each_kind!(
    l28_only_the_creator_may_read_or_delete_a_place,
    l28_a_protected_parent_is_a_typed_error_at_once,
    l28_names_stay_below_their_root,
    l28_credentials_are_asked_for_before_anything_is_tried,
);

async fn refused(session: &Session, path: &str) {
    let read = session.get_data(path).await.expect_err("it is ours").code();
    let deleted = session.delete(path, None).await.expect_err("it is ours").code();
    assert_eq!((read, deleted), (Some(ErrorCode::NO_AUTH), Some(ErrorCode::NO_AUTH)));
}

async fn l28_only_the_creator_may_read_or_delete_a_place(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let (servers, root) = (site.server.connect_string(), site.root());
    let locks = connect(&format!("zk://alice:s3cret@{servers}{root}?acl=creator")).await;
    let guard = locks.mutex("l").lock().await.expect("nobody else has it");

    let alice = observer_of(site.server).await;
    alice.authenticate(Credentials::digest("alice", "s3cret"));
    let children = alice.get_children(&site.dir("l")).await.expect("it is hers");
    let place = format!("{}/{}", site.dir("l"), children[0]);
    assert!(alice.get_data(&place).await.is_ok());
    let anyone = &site.observer;
    refused(anyone, &place).await;
    let mallory = observer_of(site.server).await;
    mallory.authenticate(Credentials::digest("alice", "guess"));
    refused(&mallory, &place).await;
    // Nor can anybody else get into the line, or make nodes beside it.
    for path in [site.dir("l/x"), site.dir("x")] {
        let made = anyone.create(&path, "", CreateMode::Ephemeral, Acl::open()).await;
        assert_eq!(made.expect_err("it is ours").code(), Some(ErrorCode::NO_AUTH));
    }
    for user in ["", "bob:other@"] {
        let others = connect(&format!("zk://{user}{servers}{root}")).await;
        let error = others.mutex("l").lock().await.expect_err("it is ours");
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        let error = others.line("l").await.expect_err("it is ours");
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    }
    guard.unlock().await.expect("held");
}

async fn l28_a_protected_parent_is_a_typed_error_at_once(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let read_only = vec![Acl::new(Permissions::READ, Id::anyone())];
    let made = site.observer.create(site.root(), "", CreateMode::Persistent, read_only).await;
    made.expect("it is new");
    let locks = site.locks().await;
    for name in ["l", "deep/l"] {
        let error = locks.mutex(name).lock().await.expect_err("it may not be written to");
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert_eq!(error.lock().map(sneck::Name::as_str), Some(name));
        assert!(error.hint().is_some());
    }
    assert!(site.observer.get_children(site.root()).await.expect("it is there").is_empty());
}

/// Two roots are two sets of locks, and no name reaches out of its own.
async fn l28_names_stay_below_their_root(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let inner = format!("zk://{}{}/inner?timeout=20s", site.server.connect_string(), site.root());
    let (outer, inner) = (site.locks().await, connect(&inner).await);
    let guard = inner.mutex("l").lock().await.expect("nobody else has it");
    assert!(outer.mutex("l").try_lock().await.expect("an answer").is_some(), "another lock");
    assert!(outer.mutex("inner/l").try_lock().await.expect("an answer").is_none(), "the same");
    assert_eq!(site.places("inner/l").await.len(), 1);
    for name in ["../l", "a/../b", ".", "/l", ""] {
        let error = inner.mutex(name).lock().await.expect_err("it is no name");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{name:?}: {error}");
    }
    let names = inner.names().await.expect("reads");
    assert_eq!(names.iter().map(sneck::Name::as_str).collect::<Vec<_>>(), ["l"]);
    guard.unlock().await.expect("held");
}

async fn l28_credentials_are_asked_for_before_anything_is_tried(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let url = format!("zk://{}{}?acl=creator", site.server.connect_string(), site.root());
    let error = sneck::connect(&url).await.expect_err("creator needs credentials");
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn l28_a_lock_over_tls_trusts_only_the_right_authority_and_host() {
    let good = or_skip!(Builder::new(Version::V3_9).tls(Certificate::Good).start().await);
    let material = good.tls().expect("it was asked for");
    let url = |servers: &str, ca: &std::path::Path| {
        format!("zks://{servers}/tls?connect-timeout=20s&ca={}", ca.display())
    };
    let secure = good.secure_connect_string();
    let locks = sneck::connect(&url(&secure, &material.ca)).await.expect("it is trusted");
    let guard = locks.mutex("l").lock().await.expect("nobody else has it");
    guard.unlock().await.expect("held");

    let kind = async |url: String| sneck::connect(&url).await.expect_err("not trusted").kind();
    assert_eq!(kind(url(&secure, &material.other_ca)).await, ErrorKind::Denied);
    assert_eq!(kind(url(&good.connect_string(), &material.ca)).await, ErrorKind::Denied);
    // A TLS port hangs up on plain text without a word, so there is nothing to be sure of.
    let plain = format!("zk://{secure}/tls?connect-timeout=1s");
    let error = sneck::connect(&plain).await.expect_err("it speaks TLS only");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("expect TLS"), "{error}");

    let wrong = Builder::new(Version::V3_9).tls(Certificate::WrongHostName);
    let wrong = or_skip!(wrong.start().await);
    let ca = &wrong.tls().expect("it was asked for").ca;
    assert_eq!(kind(url(&wrong.secure_connect_string(), ca)).await, ErrorKind::Denied);
}

#[tokio::test(flavor = "multi_thread")]
async fn l28_a_read_only_server_gives_no_session_and_says_what_may_be_wrong() {
    let builder = Builder::new(Version::V3_9).nodes(3).links(true);
    let ensemble = or_skip!(builder.property("readonlymode.enabled", "true").start().await);
    let follower = ensemble.followers().await[0];
    ensemble.isolate(follower).await;
    crate::stage::until("the server has become read-only", async || {
        ensemble.four_letter(follower, "isro").await.trim() == "ro"
    })
    .await;
    let url = format!("zk://{}/ro?connect-timeout=2s", ensemble.addr(follower));
    let error = sneck::connect(&url).await.expect_err("locks need a server that writes");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("read-only"), "{error}");
}
