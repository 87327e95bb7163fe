//! TLS connections take no more time and no more places than others.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::SocketAddr;
use std::time::Duration;

use sneck_server::{Limits, Running, Server, Tls, TlsFiles};
use sneck_testkit::tls::Material;
use sneck_zookeeper::{ConnectError, Session, SessionOptions, Tcp, TlsOptions};
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(20);

async fn start(material: &Material, limits: Limits) -> Running {
    let store = material.server_key_store.clone();
    let files = TlsFiles { certificates: store.clone(), key: store, client_authorities: None };
    let tls = Tls::read(&files).unwrap();
    assert!(!format!("{tls:?}").contains("key"), "{tls:?}");
    Server::builder()
        .listen(([127, 0, 0, 1], 0).into())
        .limits(limits)
        .tls(tls)
        .start()
        .await
        .unwrap()
}

fn options(address: SocketAddr, material: &Material) -> SessionOptions {
    let server = sneck_zookeeper::Server { host: address.ip().to_string(), port: address.port() };
    let mut options = SessionOptions::new(vec![server]);
    let tls = TlsOptions { ca: Some(material.ca.clone()), identity: None };
    options.connector = Arc::new(sneck_zookeeper::Tls::new(&tls).unwrap());
    options.connect_timeout = SOON;
    options
}

/// Returns when the server has hung up.
async fn hung_up(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    // With or without a reset: it is over.
    let _ = timeout(SOON, stream.read_to_end(&mut rest)).await.expect("the server never hangs up");
}

#[tokio::test]
async fn who_does_not_begin_the_handshake_is_hung_up_on() {
    let folder = tempfile::tempdir().unwrap();
    let material = Material::generate(folder.path()).unwrap();
    let mut limits = Limits::default();
    limits.handshake_timeout = Duration::from_millis(300);
    let server = start(&material, limits).await;
    let mut silent = TcpStream::connect(server.addresses()[0]).await.unwrap();
    hung_up(&mut silent).await;
}

#[tokio::test]
async fn a_handshake_takes_a_place_and_gives_it_back() {
    let folder = tempfile::tempdir().unwrap();
    let material = Material::generate(folder.path()).unwrap();
    let mut limits = Limits::default();
    limits.connections_max = 1;
    let server = start(&material, limits).await;
    let address = server.addresses()[0];
    let silent = TcpStream::connect(address).await.unwrap();
    let mut second = TcpStream::connect(address).await.unwrap();
    hung_up(&mut second).await;
    drop(silent);
    let session = Session::connect(options(address, &material)).await.expect("a place is free");
    session.get_children("/").await.unwrap();
    session.close().await;
}

#[tokio::test]
async fn the_wrong_kind_of_connection_is_named_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let material = Material::generate(folder.path()).unwrap();
    let refusal = async |mut options: SessionOptions| {
        // Who waited for this would not be done in time for the test.
        options.connect_timeout = Duration::from_secs(3_600);
        timeout(SOON, Session::connect(options)).await.expect("at once").expect_err("no session")
    };
    let secure = start(&material, Limits::default()).await;
    let mut plain = options(secure.addresses()[0], &material);
    plain.connector = Arc::new(Tcp);
    let error = refusal(plain).await;
    let ConnectError::NotZooKeeper(why) = &error else { panic!("{error:?}") };
    assert!(why.contains("speaks TLS"), "{why}");

    let open = Server::builder().listen(([127, 0, 0, 1], 0).into()).start().await.unwrap();
    let error = refusal(options(open.addresses()[0], &material)).await;
    let ConnectError::Tls(why) = &error else { panic!("{error:?}") };
    assert!(why.contains("is this its TLS port?"), "{why}");
}
