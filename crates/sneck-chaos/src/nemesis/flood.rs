//! Connections that are too many, and bytes that are no protocol.

use std::time::Duration;

use fastrand::Rng;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::servers::Servers;

/// How many connections come at once, to each server.
const CONNECTIONS: usize = 300;
/// How many of those who send nonsense.
const SENDERS: u64 = 24;

/// Opens many connections, says nothing on them, and closes them after a while.
pub(super) async fn storm(servers: &Servers, length: Duration) {
    let mut open = Vec::new();
    for number in 0..CONNECTIONS * servers.count() {
        // One that is refused is the server's way to live through this.
        open.extend(TcpStream::connect(servers.addr(number % servers.count())).await.ok());
    }
    tokio::time::sleep(length).await;
}

/// Sends nonsense: random bytes, frames that announce far too much, half a word.
pub(super) async fn garbage(servers: &Servers, seed: u64) {
    let mut random = Rng::with_seed(seed);
    for number in 0..SENDERS {
        let server = usize::try_from(number).unwrap_or_default() % servers.count();
        let Ok(mut stream) = TcpStream::connect(servers.addr(server)).await else { continue };
        let mut bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(200).collect();
        match number % 4 {
            0 => {}
            1 => bytes[..4].copy_from_slice(&i32::MAX.to_be_bytes()),
            2 => bytes[..4].copy_from_slice(&(-1_i32).to_be_bytes()),
            _ => bytes = b"du".to_vec(),
        }
        // The server may hang up in the middle, and should.
        let _ = stream.write_all(&bytes).await;
    }
}
