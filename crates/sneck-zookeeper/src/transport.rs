//! How a server is reached.

use crate::server::Server;
use async_trait::async_trait;
use std::fmt;
use std::io;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A connection to a server: bytes both ways.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// How a server is reached. Passed in, so that the session itself knows no socket.
#[async_trait]
pub trait Connector: Send + Sync + fmt::Debug {
    /// Opens a connection. Bounded by the caller, which drops the future when it takes too long.
    ///
    /// # Errors
    /// What the system reports. [`io::ErrorKind::InvalidData`] says that the peer is not what it
    /// should be, and that trying again is of no use.
    async fn connect(&self, server: &Server) -> io::Result<Box<dyn Duplex>>;

    /// What messages call this server: its host and port, unless it is reached in another way.
    fn describe(&self, server: &Server) -> String {
        server.to_string()
    }

    /// Whether there is one server only, so that what it has is kept in one place. An ensemble is not
    /// told from a single server by how it is reached, and is taken for what it should be.
    fn is_single(&self) -> bool {
        false
    }

    /// Lets go of what the connector has for connecting. Called when a store is closed, after its
    /// session has ended.
    async fn close(&self) {}
}

/// Plain TCP, without delay for small packets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

impl Tcp {
    /// Opens a TCP connection to one of the addresses the host name stands for.
    pub(crate) async fn open(server: &Server) -> io::Result<TcpStream> {
        let stream = TcpStream::connect((server.host.as_str(), server.port)).await?;
        // A request is one small packet whose answer is waited for: holding it back to fill a
        // larger one (Nagle) would only add delay.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

#[async_trait]
impl Connector for Tcp {
    async fn connect(&self, server: &Server) -> io::Result<Box<dyn Duplex>> {
        Ok(Box::new(Tcp::open(server).await?))
    }
}
