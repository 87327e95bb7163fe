//! A breakage: one place of a script or of a statement, changed on its way to a real server.
//!
//! What decides about a lock on Redis and on Cassandra is text that the server runs. A test that says it
//! would notice if that text were wrong has to be seen noticing it: `cargo xtask mutate` runs the tests
//! under one breakage after the other. The clients under test are those of every other day; the
//! servers of this kit stand behind a line that changes what is said on it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use tokio::io::copy;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::JoinHandle;

use crate::background;
use crate::port::Port;

/// Names the store whose text is changed: `redis` or `cassandra`.
pub const STORE: &str = "SNECK_MUTATE_STORE";
/// Names the place that is changed.
pub const FROM: &str = "SNECK_MUTATE_FROM";
/// Says what is there instead.
pub const TO: &str = "SNECK_MUTATE_TO";

/// What is said when a server does not take the broken text: then whatever fails shows nothing.
pub const SPOILT: &str = "the server does not take the broken text";

/// One place, and what is there instead.
#[derive(Debug, Clone)]
pub(crate) struct Mutation {
    from: String,
    to: String,
}

impl Mutation {
    /// The one that this process is run under, if it is about this store.
    pub(crate) fn of(store: &str) -> Option<Mutation> {
        let read = |name| std::env::var(name).ok();
        (read(STORE)? == store).then_some(Mutation { from: read(FROM)?, to: read(TO)? })
    }

    /// The text with the breakage, if it has that place.
    pub(crate) fn apply(&self, text: &[u8]) -> Option<Vec<u8>> {
        let text = std::str::from_utf8(text).ok()?;
        text.contains(&self.from).then(|| text.replace(&self.from, &self.to).into_bytes())
    }
}

/// How what a store's clients say is read, changed and passed on, until the line ends.
pub(crate) trait Rewrite: Send + Sync + 'static {
    /// What is known of one client's line.
    type Line: Default + Send + Sync + 'static;

    /// Passes on everything from one client.
    fn requests(
        &self,
        line: &Self::Line,
        from: OwnedReadHalf,
        to: OwnedWriteHalf,
    ) -> impl Future<Output = io::Result<()>> + Send;

    /// Passes on everything from the server.
    fn answers(
        &self,
        _: &Self::Line,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
    ) -> impl Future<Output = io::Result<()>> + Send {
        async move { copy(&mut from, &mut to).await.map(drop) }
    }
}

/// A server that understands its clients a little wrong.
#[derive(Debug)]
pub(crate) struct Mutant {
    port: Port,
    accepting: JoinHandle<()>,
}

impl Mutant {
    /// Opens the line to a server.
    pub(crate) fn start(target: SocketAddr, rewrite: impl Rewrite) -> io::Result<Mutant> {
        let port = Port::lease()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.number()))?;
        listener.set_nonblocking(true)?;
        let accepting = background::handle().spawn(accept(listener, target, Arc::new(rewrite)));
        Ok(Mutant { port, accepting })
    }

    /// Where clients find it.
    pub(crate) fn addr(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port.number()))
    }
}

impl Drop for Mutant {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, rewrite: Arc<impl Rewrite>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener of this process");
    while let Ok((client, _)) = listener.accept().await {
        let rewrite = rewrite.clone();
        tokio::spawn(async move {
            // A server that is down is one that ends the connection.
            let Ok(server) = TcpStream::connect(target).await else { return };
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            let line = Default::default();
            // Dropping its half ends the client's line, too.
            tokio::select! {
                _ = rewrite.requests(&line, from_client, to_server) => {}
                _ = rewrite.answers(&line, from_server, to_client) => {}
            }
        });
    }
}
