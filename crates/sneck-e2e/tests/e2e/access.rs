//! Who may do what: access control lists and TLS.

use crate::support::{observer_of, places};
use sneck::ErrorKind;
use sneck::zookeeper::wire::{Acl, ErrorCode, Id, Permissions};
use sneck::zookeeper::{CreateMode, Credentials, Session};
use sneck_testkit::or_skip;
use sneck_testkit::zookeeper::{Builder, Certificate, Version};

async fn refused(session: &Session, path: &str) {
    let read = session.get_data(path).await.expect_err("it is ours").code();
    let deleted = session.delete(path, None).await.expect_err("it is ours").code();
    assert_eq!((read, deleted), (Some(ErrorCode::NO_AUTH), Some(ErrorCode::NO_AUTH)));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_creator_may_read_or_delete_a_place() {
    let server = or_skip!(Builder::new(Version::V3_9).start().await);
    let servers = server.connect_string();
    let url = format!("zk://alice:s3cret@{servers}/private?acl=creator");
    let locks = sneck::connect(&url).await.expect("the server serves");
    let guard = locks.mutex("l").lock().await.expect("nobody else has it");

    let alice = observer_of(&server).await;
    alice.authenticate(Credentials::digest("alice", "s3cret"));
    let place = format!("/private/l/{}", places(&alice, "/private/l").await[0]);
    assert!(alice.get_data(&place).await.is_ok());
    let anyone = observer_of(&server).await;
    refused(&anyone, &place).await;
    let mallory = observer_of(&server).await;
    mallory.authenticate(Credentials::digest("alice", "guess"));
    refused(&mallory, &place).await;
    // Nor can anybody else get into the line, or make nodes beside it.
    for path in ["/private/l/x", "/private/x"] {
        let made = anyone.create(path, "", CreateMode::Ephemeral, Acl::open()).await;
        assert_eq!(made.expect_err("it is ours").code(), Some(ErrorCode::NO_AUTH));
    }
    for user in ["", "bob:other@"] {
        let others = format!("zk://{user}{servers}/private");
        let others = sneck::connect(&others).await.expect("the server serves");
        let error = others.mutex("l").lock().await.expect_err("it is ours");
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        let error = others.line("l").await.expect_err("it is ours");
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    }
    guard.unlock().await.expect("held");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protected_parent_is_a_typed_error_at_once() {
    let server = or_skip!(Builder::new(Version::V3_9).start().await);
    let observer = observer_of(&server).await;
    let read_only = vec![Acl::new(Permissions::READ, Id::anyone())];
    observer.create("/guarded", "", CreateMode::Persistent, read_only).await.expect("it is new");
    let url = format!("zk://{}/guarded", server.connect_string());
    let locks = sneck::connect(&url).await.expect("the server serves");
    for name in ["l", "deep/l"] {
        let error = locks.mutex(name).lock().await.expect_err("it may not be written to");
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert_eq!(error.lock().map(sneck::Name::as_str), Some(name));
        assert!(error.hint().is_some());
    }
    assert!(observer.get_children("/guarded").await.expect("it is there").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_without_a_scheme_the_server_knows_are_refused() {
    let server = or_skip!(Builder::new(Version::V3_9).start().await);
    let url = format!("zk://{}/x?acl=creator", server.connect_string());
    let error = sneck::connect(&url).await.expect_err("creator needs credentials");
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_over_tls_trusts_only_the_right_authority_and_host() {
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
async fn a_read_only_server_gives_no_session_and_says_what_may_be_wrong() {
    let builder = Builder::new(Version::V3_9).nodes(3).links(true);
    let ensemble = or_skip!(builder.property("readonlymode.enabled", "true").start().await);
    let follower = ensemble.followers().await[0];
    ensemble.isolate(follower).await;
    crate::support::until("the server has become read-only", async || {
        ensemble.four_letter(follower, "isro").await.trim() == "ro"
    })
    .await;
    let url = format!("zk://{}/ro?connect-timeout=2s", ensemble.addr(follower));
    let error = sneck::connect(&url).await.expect_err("locks need a server that writes");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("read-only"), "{error}");
}
