//! Clients over TCP.

use std::time::Duration;

use tokio::net::TcpListener;

use super::Door;
use crate::core::Peer;

/// What clients speak below the protocol.
#[derive(Clone)]
pub(crate) enum Transport {
    Plain,
    #[cfg(feature = "tls")]
    Tls(tokio_rustls::TlsAcceptor),
}

/// How long to wait when no connection can be accepted: the cause, such as too many open files,
/// does not go away by trying at once.
const PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections for as long as the task lives.
pub(crate) async fn listen(listener: TcpListener, transport: Transport, door: Door) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                // A reply is one small packet that is waited for: holding it back to fill a larger
                // one would only add delay. Where it cannot be set, that is all there is.
                let _ = stream.set_nodelay(true);
                match &transport {
                    Transport::Plain => door.enter(stream, Peer::Tcp(address)),
                    #[cfg(feature = "tls")]
                    Transport::Tls(acceptor) => {
                        door.enter_after(acceptor.accept(stream), Peer::Tcp(address));
                    }
                }
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
