//! The server's four-letter words: a question on a connection of its own, answered until it closes.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A paused server accepts and never answers.
const ANSWER_MAX: Duration = Duration::from_secs(2);

pub(super) async fn ask(addr: SocketAddr, word: &str) -> io::Result<String> {
    let exchange = async {
        let mut stream = TcpStream::connect(addr).await?;
        stream.write_all(word.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    timeout(ANSWER_MAX, exchange).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// What a server is at the moment, if it serves at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Standalone,
    Leader,
    Follower,
}

pub(crate) async fn mode(addr: SocketAddr) -> Option<Mode> {
    let answer = ask(addr, "srvr").await.ok()?;
    let mode = answer.lines().find_map(|line| line.strip_prefix("Mode: "))?;
    match mode.trim() {
        "standalone" => Some(Mode::Standalone),
        "leader" => Some(Mode::Leader),
        "follower" => Some(Mode::Follower),
        _ => None,
    }
}

/// The value of one line of `mntr`.
pub(super) fn metric(mntr: &str, name: &str) -> Option<f64> {
    let value = mntr.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('\t'))?;
    value.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metric_is_found_by_its_whole_name() {
        let mntr = "zk_watch_count_max\t9\nzk_watch_count\t7\nzk_avg_latency\t0.25\n";
        assert_eq!(metric(mntr, "zk_watch_count"), Some(7.0));
        assert_eq!(metric(mntr, "zk_avg_latency"), Some(0.25));
        assert_eq!(metric(mntr, "zk_watch"), None);
    }
}
