//! TLS to real servers: what is trusted, what is not, and no way back to plain text.

use crate::strangers::{Manners, Stranger, refusal};
use crate::*;
use sneck_testkit::or_skip;
use sneck_testkit::zookeeper::{Builder, Certificate, Version};
use sneck_zookeeper::{ConnectError, Credentials, Tls, TlsOptions};
use std::path::Path;
use std::sync::Arc;

fn tls(ca: &Path) -> Arc<Tls> {
    let options = TlsOptions { ca: Some(ca.to_owned()), identity: None };
    Arc::new(Tls::new(&options).unwrap())
}

fn secure(ensemble: &Ensemble, ca: &Path) -> SessionOptions {
    let mut options = options([ensemble.secure_connect_string().parse().unwrap()]);
    options.connector = tls(ca);
    options.credentials.push(Credentials::digest("me", "hunter2"));
    options
}

async fn trust(version: Version) {
    let ensemble = or_skip!(Builder::new(version).tls(Certificate::Good).start().await);
    let material = ensemble.tls().unwrap();
    for host in ["127.0.0.1", "localhost"] {
        let mut options = secure(&ensemble, &material.ca);
        options.servers[0].host = host.to_owned();
        let session = connect(options).await;
        let path = session.create("/a", "x", CreateMode::Ephemeral, Acl::creator_all());
        assert_eq!(soon(path).await.unwrap(), "/a");
        soon(session.close()).await;
    }

    let error = refusal(secure(&ensemble, &material.other_ca)).await;
    let ConnectError::Tls(why) = &error else { panic!("{error:?}") };
    assert!(why.contains("UnknownIssuer"), "{why}");

    // The port that speaks no TLS.
    let mut wrong_port = secure(&ensemble, &material.ca);
    wrong_port.servers = vec![server(ensemble.addr(0))];
    let error = refusal(wrong_port).await;
    let ConnectError::Tls(why) = &error else { panic!("{error:?}") };
    assert!(why.contains("TLS"), "{why}");

    // And without TLS to the port that speaks it.
    let mut plain = options([ensemble.secure_connect_string().parse().unwrap()]);
    plain.connect_timeout = Duration::from_secs(2);
    let error = refusal(plain).await;
    println!("{version:?}, plain to the TLS port: {error}");
    assert!(
        matches!(&error, ConnectError::NotZooKeeper(why) if why.contains("TLS"))
            || matches!(&error, ConnectError::Unreachable(why) if why.contains("hung up")),
        "{error:?}"
    );
}

#[tokio::test]
async fn only_the_right_authority_is_trusted_on_3_8() {
    trust(Version::V3_8).await;
}

#[tokio::test]
async fn only_the_right_authority_is_trusted_on_3_9() {
    trust(Version::V3_9).await;
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused() {
    let builder = Builder::new(Version::V3_9).tls(Certificate::WrongHostName);
    let ensemble = or_skip!(builder.start().await);
    let error = refusal(secure(&ensemble, &ensemble.tls().unwrap().ca)).await;
    let ConnectError::Tls(why) = &error else { panic!("{error:?}") };
    assert!(why.contains("NotValidForName") || why.contains("not valid for name"), "{why}");
}

#[tokio::test]
async fn there_is_no_way_back_to_plain_text() {
    let ensemble = or_skip!(Builder::new(Version::V3_9).tls(Certificate::Good).start().await);
    for manners in [Manners::Silent, Manners::Says(b"ZooKeeper\r\n")] {
        let mut stranger = Stranger::new(manners).await;
        let mut options = secure(&ensemble, &ensemble.tls().unwrap().ca);
        options.servers = vec![server(stranger.addr)];
        options.connect_timeout = Duration::from_millis(1_500);
        let error = refusal(options).await;
        println!("{manners:?}: {error}");
        let heard = soon(stranger.heard.recv()).await.unwrap();
        assert_eq!(heard[0], 0x16, "nothing but a TLS handshake was said");
        assert!(!heard.windows(7).any(|bytes| bytes == b"hunter2"));
    }
}

#[test]
fn files_that_are_none_are_named() {
    let missing = Path::new("/nonexistent/ca.pem");
    let error = Tls::new(&TlsOptions { ca: Some(missing.to_owned()), identity: None }).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/ca.pem"), "{error}");
    let no_ca = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    let error = Tls::new(&TlsOptions { ca: Some(no_ca.to_owned()), identity: None }).unwrap_err();
    assert!(error.to_string().contains("no PEM certificate"), "{error}");
}
