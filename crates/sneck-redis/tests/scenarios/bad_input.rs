//! What can be wrong from the outside.

use crate::stage::{Client, prefix, within};
use sneck_core::{Error, ErrorKind};
use sneck_redis::{Redis, RedisOptions};
use sneck_testkit::or_skip;
use sneck_testkit::redis::{Builder, shared};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

async fn refused(url: &str) -> Error {
    let options = RedisOptions::parse(url).unwrap();
    let error = within("an answer", Redis::connect(options)).await.unwrap_err();
    let shown = format!("{error} {error:?} {:?}", std::error::Error::source(&error));
    assert!(!shown.contains("hunter2"), "{shown}");
    error
}

#[tokio::test]
async fn credentials_that_are_wrong_or_missing_are_denied() {
    let servers = or_skip!(Builder::new().setting("requirepass", "right").start().await);
    let addr = servers.addr(0);
    for user_info in ["", ":hunter2@", "alice:hunter2@"] {
        let error = refused(&format!("redis://{user_info}{addr}")).await;
        assert_eq!(error.kind(), ErrorKind::Denied, "{user_info}: {error:?}");
    }
    let good = RedisOptions::parse(&format!("redis://:right@{addr}")).unwrap();
    assert!(Redis::connect(good).await.is_ok());
}

#[tokio::test]
async fn a_user_and_a_database_that_are_none() {
    let servers = or_skip!(shared().await);
    let addr = servers.addr(0);
    let error = refused(&format!("redis://alice:hunter2@{addr}")).await;
    assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
    let error = refused(&format!("redis://{addr}/9999")).await;
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error:?}");
}

#[tokio::test]
async fn a_user_without_permission_is_denied() {
    let servers = or_skip!(Builder::new().start().await);
    servers
        .ask(
            0,
            &["ACL", "SETUSER", "weak", "on", ">hunter2", "~*", "&*", "+@all", "-eval", "-evalsha"],
        )
        .await;
    let options =
        RedisOptions::parse(&format!("redis://weak:hunter2@{}", servers.addr(0))).unwrap();
    let client = Client::with(options).await;
    let error = client.try_hold().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
    assert_eq!(error.lock().map(ToString::to_string).as_deref(), Some("jobs/nightly"));
}

#[tokio::test]
async fn a_replica_and_a_server_that_is_not_there_are_unavailable() {
    let servers = or_skip!(Builder::new().replicas(1).start().await);
    let error = refused(&format!("redis://{}", servers.addr(1))).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(error.to_string().contains("read-only replica"), "{error}");
    servers.kill(0);
    let error = refused(&format!("redis://{}", servers.addr(0))).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
}

#[tokio::test]
async fn keys_of_somebody_else_are_refused_and_left_alone() {
    let servers = or_skip!(shared().await);
    let prefix = prefix();
    let key = format!("{prefix}:home");
    servers.ask(0, &["SET", &key, "theirs"]).await;
    let client = Client::new(&servers.url(), &prefix, Duration::from_secs(10)).await;
    let error = client.try_hold().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
    assert_eq!(servers.ask(0, &["GET", &key]).await.text(), "theirs");
}

/// A peer that answers everything it is asked with this.
async fn stranger(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://:hunter2@{}?connect-timeout=2s", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                    // One answer for each command, as commands come several at a time.
                    let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                    let commands = text.lines().filter(|line| line.starts_with('*')).count();
                    if stream.write_all(answer.repeat(commands).as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    url
}

#[tokio::test]
async fn peers_that_are_no_redis_are_a_matter_of_the_protocol() {
    for answer in [
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        // As servers before Redis 6 answer, which repeat what they were told.
        "-ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `default`, `hunter2`, \r\n",
        "-NOPROTO unsupported protocol version\r\n",
    ] {
        let error = refused(&stranger(answer).await).await;
        assert_eq!(error.kind(), ErrorKind::Protocol, "{answer}: {error:?}");
    }
}
