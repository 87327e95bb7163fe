//! One page over HTTP: `GET /metrics`.

use super::exposition::{CONTENT_TYPE, exposition};
use crate::exit;
use crate::failure::Failure;
use sneck_server::InProcess;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// The most that a request may be long; what Prometheus asks is a tenth of it.
const REQUEST_MAX: usize = 8 * 1024;
/// The most headers that a request may have.
const HEADERS_MAX: usize = 64;
/// The most that the server's figures may be long.
const FIGURES_MAX: u64 = 64 * 1024;
/// The longest that one request may take, from its first byte to the last of the answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Requests that are answered at the same time. More wait in the queue of the system.
const CONNECTIONS_MAX: usize = 8;
/// How long to wait when the system has no room for a connection.
const RETRY: Duration = Duration::from_millis(100);

/// The address at which the figures can be read.
pub(crate) struct Metrics {
    listener: TcpListener,
    address: SocketAddr,
}

impl Metrics {
    /// Listens there.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub(crate) async fn listen(address: SocketAddr) -> Result<Self, Failure> {
        let bound = async {
            let listener = TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            Ok(Metrics { listener, address })
        };
        bound.await.map_err(|error: io::Error| {
            let text = format!("cannot listen on {address} for --metrics: {error}");
            Failure::new(exit::CANNOT_HAVE, text).with_hint("port 0 is one that is free")
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers with the figures of this server, for as long as it is polled.
    pub(crate) async fn serve(&self, server: InProcess) -> Infallible {
        let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            // Nobody closes the semaphore.
            let slot = slots.clone().acquire_owned().await;
            let Ok((stream, _)) = self.listener.accept().await else {
                tokio::time::sleep(RETRY).await;
                continue;
            };
            let server = server.clone();
            tokio::spawn(async move {
                // Whoever hangs up or takes too long gets nothing, and that is all.
                let _ = timeout(ANSWER_MAX, converse(stream, &server)).await;
                drop(slot);
            });
        }
    }
}

/// Answers one request, and hangs up: figures are asked for once in a while.
async fn converse(mut stream: TcpStream, server: &InProcess) -> io::Result<()> {
    let mut request = Vec::new();
    let asked = loop {
        match judge(&request) {
            Some(asked) => break asked,
            None if request.len() >= REQUEST_MAX => break Asked::TooMuch,
            None => {}
        }
        let room = (REQUEST_MAX - request.len()) as u64;
        if (&mut stream).take(room).read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    };
    let (status, body) = match asked {
        Asked::Figures | Asked::Head => match figures(server).await {
            Ok(mntr) => ("200 OK", exposition(&mntr)),
            Err(_) => ("503 Service Unavailable", "the server does not answer\n".to_owned()),
        },
        Asked::Elsewhere => ("404 Not Found", "the figures are at /metrics\n".to_owned()),
        Asked::Otherwise => ("405 Method Not Allowed", "the figures can be read only\n".to_owned()),
        Asked::Nonsense => ("400 Bad Request", "that is no HTTP\n".to_owned()),
        Asked::TooMuch => {
            ("431 Request Header Fields Too Large", "that is too much to ask\n".to_owned())
        }
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {}\r\n\
         Allow: GET, HEAD\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    if !matches!(asked, Asked::Head) {
        stream.write_all(body.as_bytes()).await?;
    }
    stream.shutdown().await
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Figures,
    /// The same without the figures themselves.
    Head,
    Elsewhere,
    Otherwise,
    Nonsense,
    TooMuch,
}

/// Reads a request; `None` for one that goes on. A body that follows is not looked at.
fn judge(request: &[u8]) -> Option<Asked> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(request) {
        Ok(httparse::Status::Partial) => None,
        Ok(httparse::Status::Complete(_)) => {
            let path = parsed.path.unwrap_or_default();
            let path = path.split_once('?').map_or(path, |(path, _)| path);
            Some(match (parsed.method, path) {
                (Some("GET"), "/metrics") => Asked::Figures,
                (Some("HEAD"), "/metrics") => Asked::Head,
                (Some("GET" | "HEAD"), _) => Asked::Elsewhere,
                _ => Asked::Otherwise,
            })
        }
        Err(httparse::Error::TooManyHeaders) => Some(Asked::TooMuch),
        Err(_) => Some(Asked::Nonsense),
    }
}

/// The figures as the server tells everybody, by the word `mntr`.
async fn figures(server: &InProcess) -> io::Result<String> {
    let mut connection = server.connect();
    connection.write_all(b"mntr").await?;
    let mut text = String::new();
    connection.take(FIGURES_MAX).read_to_string(&mut text).await?;
    if text.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart() {
        let end = "Host: x\r\n\r\n";
        for (line, asked) in [
            ("GET /metrics HTTP/1.1\r\n", Some(Asked::Figures)),
            ("GET /metrics?a=b HTTP/1.0\r\n", Some(Asked::Figures)),
            ("HEAD /metrics HTTP/1.1\r\n", Some(Asked::Head)),
            ("GET / HTTP/1.1\r\n", Some(Asked::Elsewhere)),
            ("GET /metrics/x HTTP/1.1\r\n", Some(Asked::Elsewhere)),
            ("POST /metrics HTTP/1.1\r\n", Some(Asked::Otherwise)),
            ("\0\0\0\x2d\0\0\0\0", Some(Asked::Nonsense)),
        ] {
            assert_eq!(judge(format!("{line}{end}").as_bytes()), asked, "{line}");
        }
        for part in ["", "GET", "GET /metrics HTTP/1.1\r\n", "GET /metrics HTTP/1.1\r\nHost: x\r\n"]
        {
            assert_eq!(judge(part.as_bytes()), None, "{part}");
        }
        let many = "a: b\r\n".repeat(HEADERS_MAX + 1);
        let many = format!("GET /metrics HTTP/1.1\r\n{many}\r\n");
        assert_eq!(judge(many.as_bytes()), Some(Asked::TooMuch));
    }
}
