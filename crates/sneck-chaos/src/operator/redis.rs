//! What an operator does to a Redis with locks in it: each a command that manuals recommend for something else.

use std::net::SocketAddr;
use std::time::Duration;

use sneck_testkit::redis::{self, Reply};

use super::ANSWER_MAX;

/// The keys of one lock: who is in line, until when, and what is known of each.
const KEYS: [&str; 3] = ["line", "term", "place"];

/// Deletes all keys.
///
/// # Errors
/// As of all commands here: when the server does not do as it is told in time.
pub async fn flush(addr: SocketAddr) -> Result<(), String> {
    ask(addr, &["FLUSHALL"]).await.map(drop)
}

/// Forgets the scripts that clients call by their hashes.
///
/// # Errors
/// See [`flush`].
pub async fn forget_scripts(addr: SocketAddr) -> Result<(), String> {
    ask(addr, &["SCRIPT", "FLUSH"]).await.map(drop)
}

/// Ends all connections, those that commands come by as well as those that wait to be woken.
///
/// # Errors
/// See [`flush`].
pub async fn end_connections(addr: SocketAddr) -> Result<(), String> {
    for kind in ["normal", "pubsub"] {
        ask(addr, &["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"]).await?;
    }
    Ok(())
}

/// Has every command of a client wait for so long.
///
/// # Errors
/// See [`flush`].
pub async fn hold_up(addr: SocketAddr, length: Duration) -> Result<(), String> {
    ask(addr, &["CLIENT", "PAUSE", &length.as_millis().to_string(), "ALL"]).await.map(drop)
}

/// Deletes the keys of a lock: all of them, or the one that is counted round to, as an eviction does.
///
/// # Errors
/// See [`flush`].
pub async fn remove(addr: SocketAddr, lock: &str, which: Option<usize>) -> Result<(), String> {
    let chosen = |at: usize| which.is_none_or(|which| which % KEYS.len() == at);
    for (_, kind) in KEYS.into_iter().enumerate().filter(|(at, _)| chosen(*at)) {
        // Between braces stands the bucket of the lock, which only the library has to know.
        let keys = ask(addr, &["KEYS", &format!("*:{{*}}:{kind}:{lock}")]).await?;
        for key in keys.list() {
            delete(addr, key.text()).await?;
        }
    }
    Ok(())
}

/// Deletes a key.
///
/// # Errors
/// See [`flush`].
pub async fn delete(addr: SocketAddr, key: &str) -> Result<(), String> {
    ask(addr, &["DEL", key]).await.map(drop)
}

async fn ask(addr: SocketAddr, command: &[&str]) -> Result<Reply, String> {
    match tokio::time::timeout(ANSWER_MAX, redis::ask(addr, command)).await {
        Ok(Ok(Reply::Error(error))) => Err(format!("{command:?}: {error}")),
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(error)) => Err(format!("{command:?}: {error}")),
        Err(_) => Err(format!("{command:?}: no answer in {ANSWER_MAX:?}")),
    }
}
