//! Servers that speak another protocol than ZooKeeper's: how they are started, and whether they serve.

use std::io;
use std::net::SocketAddr;

use sneck_testkit::{StartError, Unavailable, cassandra, redis};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::ANSWER_MAX;

/// The least that a frame of CQL can be: version 4, no flags, stream 0, `OPTIONS`, nothing behind it.
const OPTIONS: [u8; 9] = [4, 0, 0, 0, 5, 0, 0, 0, 0];

/// One server that has every command on its disk before it answers: what it forgets is another matter, and
/// is left to be told apart from everything else.
pub(super) async fn redis() -> Result<redis::Servers, StartError> {
    if !cfg!(feature = "redis") {
        return Err(without("redis"));
    }
    let builder = redis::Builder::new().setting("appendonly", "yes");
    builder.setting("appendfsync", "always").start().await
}

/// One node, with the same of its log.
pub(super) async fn cassandra() -> Result<cassandra::Cluster, StartError> {
    if !cfg!(feature = "cassandra") {
        return Err(without("cassandra"));
    }
    cassandra::Builder::new().sync_to_disk().start().await
}

fn without(feature: &'static str) -> StartError {
    let reason = format!("this build is without the feature `{feature}`");
    Unavailable { backend: feature, reason }.into()
}

/// Whether a Redis does more than to read its log.
pub(super) async fn redis_serves(addr: SocketAddr) -> bool {
    let asked = tokio::time::timeout(ANSWER_MAX, redis::ask(addr, &["PING"])).await;
    matches!(asked, Ok(Ok(redis::Reply::Text(text))) if text == "PONG")
}

/// Whether a node of Cassandra takes clients.
pub(super) async fn cassandra_serves(addr: SocketAddr) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(addr).await?;
        stream.write_all(&OPTIONS).await?;
        stream.read_u8().await
    };
    let asked: Result<io::Result<u8>, _> = tokio::time::timeout(ANSWER_MAX, asked).await;
    matches!(asked, Ok(Ok(_)))
}
