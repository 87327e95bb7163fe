//! What can be wrong from the outside.

use crate::stage::{Client, name, prefix, request};
use sneck_core::{
    Backend, Change, ClaimId, Error, ErrorKind, Mode, Patience, RecordKey, RecordKind,
};
use sneck_redis::{Redis, RedisOptions};
use sneck_testkit::redis::{Builder, shared};
use sneck_testkit::{or_skip, within};
use std::num::NonZeroU32;
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

/// The permissions that the documentation asks for are enough for everything, and no more than these are
/// given.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_permissions_in_the_documentation_are_enough() {
    const DOCS: &str = include_str!("../../../../docs/backends/redis.md");
    let rule = DOCS.split("```text\n").find(|block| block.starts_with("ACL SETUSER")).unwrap();
    let rule = rule.split("```").next().unwrap().replace("PASSWORD", "hunter2");
    let servers = or_skip!(Builder::new().start().await);
    let rule: Vec<&str> = rule.split_whitespace().collect();
    assert_eq!(servers.ask(0, &rule).await.text(), "OK");
    let url = format!("redis://sneck:hunter2@{}", servers.addr(0));
    let (one, other) = (
        Client::with(RedisOptions::parse(&url).unwrap()).await,
        Client::with(RedisOptions::parse(&url).unwrap()).await,
    );
    // A line, a wake-up, a downgrade, and those who look at it.
    let writer = one.locker.acquire(request(Mode::Write), Patience::Forever);
    let writer = within("the lock", writer).await.unwrap().unwrap();
    let waiting = tokio::spawn({
        let other = other.clone();
        async move { other.hold().await }
    });
    one.until_in_line(2).await;
    assert_eq!(one.redis.survey().unwrap().names().await.unwrap(), [name()]);
    assert_eq!(one.redis.revoke(&name()).await.unwrap().len(), 1);
    writer.downgrade().await.unwrap().unlock().await.unwrap();
    within("the waiter", waiting).await.unwrap().unlock().await.unwrap();
    // Permits, and their number.
    let capacity = one.redis.capacity().unwrap();
    capacity.set_permits(&name(), NonZeroU32::new(3).unwrap()).await.unwrap();
    assert_eq!(capacity.permits(&name()).await.unwrap().map(NonZeroU32::get), Some(3));
    // What outlives a process.
    let (records, id) = (one.redis.records().unwrap(), ClaimId::random());
    let key = RecordKey { kind: RecordKind::Once, name: name() };
    let written = records.write(&key, None, id, b"data").await.unwrap();
    assert!(matches!(written, Change::Done(_)), "{written:?}");
    assert_eq!(records.names(key.kind).await.unwrap(), [name()]);
    assert!(records.read(&key).await.unwrap().is_some() && records.now().await.is_ok());
    assert_eq!(records.delete(&key, id).await.unwrap(), Change::Done(()));
    assert_eq!(records.names(key.kind).await.unwrap(), []);
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
