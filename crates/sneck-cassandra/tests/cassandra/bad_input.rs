//! What users get wrong: each is an error of the right kind, leaves nothing behind, and shows no secret.

use crate::link::{Link, Trick};
use crate::support::{Store, cql, operator};
use futures_util::future::join_all;
use scylla::statement::Consistency;
use sneck_cassandra::{Cassandra, CassandraUrl};
use sneck_core::{Backend, ClaimId, Error, ErrorKind};
use sneck_testkit::cassandra::{RELEASE, SUPERUSER};
use sneck_testkit::{cassandra, or_skip, within};
use std::net::{Ipv4Addr, SocketAddr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Tables that are made while others connect, and how many connect. With five times as many tables, and
/// no patience, a client was refused.
const TABLES: usize = 8;
const CLIENTS: usize = 8;

async fn refused(url: &str, secret: &str) -> Error {
    let options = CassandraUrl::parse(url).unwrap().options;
    let error = within("an error", Cassandra::connect(options)).await.unwrap_err();
    let told = format!("{error:?} {error} {:?}", std::error::Error::source(&error));
    assert!(secret.is_empty() || !told.contains(secret), "the secret is shown");
    assert!(error.backend().is_some_and(|label| label.starts_with("cassandra://127.0.0.1")));
    error
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_password() {
    let node = or_skip!(cassandra::shared().await);
    let addr = node.addr(0);
    let url = format!("cassandra://cassandra:sesame4711@{addr}/k?connect-timeout=60s");
    let error = refused(&url, "sesame4711").await;
    assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
    assert!(error.hint().is_some_and(|hint| hint.contains("password")), "{error:?}");
    let error = refused(&format!("cassandra://{addr}/k?connect-timeout=60s"), "").await;
    assert_eq!(error.kind(), ErrorKind::Denied, "none was given: {error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keyspace_or_table_missing() {
    let node = or_skip!(cassandra::shared().await);
    let (user, password) = SUPERUSER;
    let url = format!("cassandra://{user}:{password}@{}", node.addr(0));
    let error = refused(&format!("{url}/nowhere?connect-timeout=60s&create=table"), "").await;
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error:?}");
    assert!(error.to_string().contains("\"nowhere\"") && error.hint().is_some(), "{error:?}");
    let store = Store::on_node(node).await;
    let error = store.try_connect("table=other&connect-timeout=60s").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error:?}");
    assert!(error.to_string().contains("\"other\"") && error.hint().is_some(), "{error:?}");
    let operator = operator(node.addr(0)).await;
    let tables = format!(
        "SELECT table_name FROM system_schema.tables WHERE keyspace_name = '{}'",
        store.keyspace
    );
    assert_eq!(
        cql(&operator, Consistency::One, &tables).await.len(),
        1,
        "only the one from before"
    );
    store.connect("table=other&create=table&connect-timeout=60s").await;
    assert_eq!(cql(&operator, Consistency::One, &tables).await.len(), 2);
}

/// Between the moment a node knows a table and the moment it has a place for its data, statements on it
/// are internal errors. Who connects while another makes the table meets them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_many_make_at_once_is_there_for_all() {
    let node = or_skip!(cassandra::shared().await);
    let store = Store::on_node(node).await;
    for table in 0..TABLES {
        let options = format!("table=t{table}&create=table&connect-timeout=60s");
        let connecting = (0..CLIENTS).map(|_| store.connect(&options));
        let connected = within("all are connected", join_all(connecting)).await;
        for client in connected {
            client.close().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keyspace_without_permission() {
    let node = or_skip!(cassandra::shared().await);
    let store = Store::on_node(node).await;
    let operator = operator(node.addr(0)).await;
    let role = format!("r{:x}", ClaimId::random().as_u128());
    let create = format!("CREATE ROLE {role} WITH PASSWORD = 'sesame4711' AND LOGIN = true");
    cql(&operator, Consistency::Quorum, &create).await;
    let url = format!(
        "cassandra://{role}:sesame4711@{}/{}?connect-timeout=60s",
        node.addr(0),
        store.keyspace
    );
    let grant = async |what: &str| {
        let grant = format!("GRANT {what} ON TABLE {}.sneck_locks TO {role}", store.keyspace);
        cql(&operator, Consistency::Quorum, &grant).await;
    };
    for missing in ["SELECT", "MODIFY"] {
        let error = refused(&url, "sesame4711").await;
        assert_eq!(error.kind(), ErrorKind::Denied, "{missing}: {error:?}");
        assert!(error.hint().is_some_and(|hint| hint.contains("grant")), "{error:?}");
        grant(missing).await;
    }
    let options = CassandraUrl::parse(&url).unwrap().options;
    within("a connection", Cassandra::connect(options)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_too_old() {
    let node = or_skip!(cassandra::shared().await);
    assert_eq!(RELEASE.len(), "4.1.5".len());
    let link = Link::with(node.addr(0), Trick::Edit(RELEASE.as_bytes(), b"4.1.5")).await;
    let store = Store::on_node(node).await.through(link.addr);
    let error = within("an error", store.try_connect("connect-timeout=60s")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
    assert!(error.to_string().contains("4.1.5") && error.hint().is_some(), "{error:?}");
}

#[tokio::test]
async fn ttl_below_the_drift_allowance() {
    let nobody = "cassandra://127.0.0.1:1/k?connect-timeout=60s";
    for options in ["ttl=3s", "ttl=10s&skew=5s", "ttl=2500ms", "ttl=2days"] {
        let error = refused(&format!("{nobody}&{options}"), "").await;
        assert_eq!(error.kind(), ErrorKind::Invalid, "{options}: {error:?}");
        assert!(error.to_string().contains("TTL"), "{error:?}");
    }
}

#[tokio::test]
async fn nobody_there() {
    let error = refused("cassandra://127.0.0.1:1/k?connect-timeout=2s", "").await;
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
}

/// Answers every connection with this, whatever it says.
async fn impostor(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut heard = [0; 1024];
                while let Ok(1..) = stream.read(&mut heard).await {
                    let _ = stream.write_all(answer).await;
                }
            });
        }
    });
    addr
}

#[tokio::test]
async fn another_protocol_answers() {
    let web = impostor(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
    let error = refused(&format!("cassandra://{web}/k?connect-timeout=3s"), "").await;
    let kinds = [ErrorKind::Protocol, ErrorKind::Unavailable];
    assert!(kinds.contains(&error.kind()), "{error:?}");
}

/// Cassandra 2.1 speaks version 3 at most, and says so.
#[tokio::test]
async fn an_older_version_of_the_protocol_answers() {
    // A frame of version 3, ERROR, 0x000A: protocol error.
    const ERROR: &[u8] = b"\x83\x00\x00\x00\x00\x00\x00\x00\x28\x00\x00\x00\x0a\x00\x22\
        Invalid or unsupported version (4)";
    assert_eq!(ERROR.len(), 9 + 0x28);
    let old = impostor(ERROR).await;
    let error = refused(&format!("cassandra://{old}/k?connect-timeout=3s"), "").await;
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error:?}");
    assert!(error.hint().is_some_and(|hint| hint.contains("version 4")), "{error:?}");
}
