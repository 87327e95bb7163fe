//! TLS to real servers: what is trusted, what is not, and no way back to plain text.

use crate::stage::{Client, prefix};
use sneck_core::{Error, ErrorKind};
use sneck_redis::{Redis, RedisOptions, Redlock};
use sneck_testkit::redis::{Builder, Clients, Servers};
use sneck_testkit::{or_skip, within};
use std::path::{Path, PathBuf};

/// A URL of a server at `addr`, with a password that no error may show.
fn url(scheme: &str, addr: impl std::fmt::Display, options: &str) -> String {
    format!("{scheme}://:hunter2@{addr}?connect-timeout=5s&prefix={}{options}", prefix())
}

fn ca(file: &Path) -> String {
    format!("&ca={}", file.display())
}

async fn refused(url: &str) -> Error {
    let options = RedisOptions::parse(url).unwrap();
    let error = within("an answer", Redis::connect(options)).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    error
}

async fn works(url: &str) {
    let client = Client::with(RedisOptions::parse(url).unwrap()).await;
    let (first, other) = (client.hold().await, client.try_hold().await.unwrap());
    assert!(first.is_held() && other.is_none());
    let token = first.token();
    first.unlock().await.unwrap();
    assert!(client.hold().await.token() > token);
}

fn builder(clients: Clients) -> Builder {
    Builder::new().setting("requirepass", "hunter2").tls(clients)
}

/// Names of files that are there, but hold something else.
fn other_files(servers: &Servers) -> (PathBuf, PathBuf) {
    let (empty, missing) = (servers.folder().join("empty.pem"), servers.folder().join("missing"));
    std::fs::write(&empty, "").unwrap();
    (empty, missing)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_right_authority_is_trusted() {
    let servers = or_skip!(builder(Clients::All).start().await);
    let material = servers.tls().unwrap();
    let port = servers.secure_addr(0).port();
    for host in ["127.0.0.1", "localhost"] {
        works(&url("rediss", format!("{host}:{port}"), &ca(&material.ca))).await;
    }
    let error = refused(&url("rediss", servers.secure_addr(0), &ca(&material.other_ca))).await;
    assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("ca=")), "{error:?}");
    let (empty, missing) = other_files(&servers);
    for (file, says) in [(&empty, "certificate"), (&missing, "missing")] {
        let error = refused(&url("rediss", servers.secure_addr(0), &ca(file))).await;
        assert_eq!(error.kind(), ErrorKind::Invalid, "{file:?}: {error:?}");
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_and_plain_text_do_not_meet() {
    let servers = or_skip!(builder(Clients::All).start().await);
    let material = servers.tls().unwrap();
    let error = refused(&url("redis", servers.secure_addr(0), "")).await;
    println!("plain text to the port of TLS: {error:?}");
    assert!(matches!(error.kind(), ErrorKind::Protocol | ErrorKind::Unavailable), "{error:?}");
    assert!(error.hint().is_some_and(|hint| hint.contains("rediss://")), "{error:?}");
    let error = refused(&url("rediss", servers.addr(0), &ca(&material.ca))).await;
    println!("TLS to the port of plain text: {error:?}");
    assert!(matches!(error.kind(), ErrorKind::Protocol | ErrorKind::Unavailable), "{error:?}");
    assert!(error.hint().is_some_and(|hint| hint.contains("TLS")), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_asks_for_a_certificate_gets_one() {
    let servers = or_skip!(builder(Clients::Certified).start().await);
    let material = servers.tls().unwrap();
    let show = |key_store: &Path| {
        let key_store = key_store.display();
        let options = format!("{}&cert={key_store}&key={key_store}", ca(&material.ca));
        url("rediss", servers.secure_addr(0), &options)
    };
    works(&show(&material.client_key_store)).await;
    for url in [
        url("rediss", servers.secure_addr(0), &ca(&material.ca)),
        show(&material.other_client_key_store),
    ] {
        let error = refused(&url).await;
        assert!(matches!(error.kind(), ErrorKind::Denied | ErrorKind::Unavailable), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_majority_is_reached_over_tls() {
    let servers = or_skip!(builder(Clients::All).primaries(3).start().await);
    let nodes: Vec<String> = (0..3).map(|at| servers.secure_addr(at).to_string()).collect();
    let url = url("redlocks", nodes.join(","), &ca(&servers.tls().unwrap().ca));
    let redlock = Redlock::connect(RedisOptions::parse(&url).unwrap()).await.unwrap();
    for (_, facts) in redlock.facts().await {
        facts.unwrap();
    }
}
