//! What an operator does to locks behind the backs of those who hold them.

#[cfg(feature = "cassandra")]
pub mod cassandra;
pub mod redis;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use sneck::zookeeper::{RequestError, Server, Session, SessionOptions};
use sneck_wire::{ConnectRequest, FrameDecoder, OpCode, Secret, encode_frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What a server is given to do as it is told.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Opens a session past all proxies.
///
/// # Errors
/// When no server opens one.
pub async fn session(addrs: &[SocketAddr]) -> Result<Session, String> {
    let server = |addr: &SocketAddr| Server::new(addr.ip().to_string(), addr.port());
    let mut options = SessionOptions::new(addrs.iter().map(server).collect());
    options.retry_refused = true;
    Session::connect(options).await.map_err(|error| format!("no session to look with: {error}"))
}

/// Deletes a node and all below it. What is gone already, or comes back meanwhile, is let be.
///
/// # Errors
/// When a server does not do as it is told.
pub async fn delete(session: &Session, path: &str) -> Result<(), RequestError> {
    let children = match session.get_children(path).await {
        Ok(children) => children,
        Err(error) if is_about_nodes(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    for child in children {
        Box::pin(delete(session, &format!("{path}/{child}"))).await?;
    }
    match session.delete(path, None).await {
        Err(error) if !is_about_nodes(&error) => Err(error),
        _ => Ok(()),
    }
}

/// Whether a request failed for what nodes there are, and not for want of a server.
fn is_about_nodes(error: &RequestError) -> bool {
    error.code().is_some() && !error.may_have_been_applied()
}

/// Closes somebody's session: connects as its owner, and says farewell.
///
/// # Errors
/// When the server does not answer, or knows of no such session.
pub async fn close_session(
    server: SocketAddr,
    session_id: i64,
    password: Secret,
) -> io::Result<()> {
    let closing = async {
        let mut stream = TcpStream::connect(server).await?;
        let request = ConnectRequest {
            protocol: 0,
            last_zxid_seen: 0,
            timeout_ms: 10_000,
            session_id,
            password,
            read_only: Some(false),
        };
        let mut out = BytesMut::new();
        encode_frame(&mut out, |out| request.encode(out));
        stream.write_all(&out).await?;
        next_frame(&mut stream).await?;
        let mut out = BytesMut::new();
        encode_frame(&mut out, |out| {
            out.extend_from_slice(&1_i32.to_be_bytes());
            out.extend_from_slice(&OpCode::CloseSession.code().to_be_bytes());
        });
        stream.write_all(&out).await?;
        // Its answer, or the end of the connection: both come after it was done.
        let _ = next_frame(&mut stream).await;
        Ok(())
    };
    let late = || Err(io::ErrorKind::TimedOut.into());
    tokio::time::timeout(ANSWER_MAX, closing).await.unwrap_or_else(|_| late())
}

async fn next_frame(stream: &mut TcpStream) -> io::Result<()> {
    const FRAME_BYTES_MAX: usize = 1 << 20;
    let decoder = FrameDecoder::new(FRAME_BYTES_MAX);
    let mut buffer = BytesMut::new();
    loop {
        let next = decoder.next(&mut buffer);
        if next.map_err(|error| io::Error::other(error.to_string()))?.is_some() {
            return Ok(());
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
