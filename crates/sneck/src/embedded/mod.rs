//! The server within the process: `memory:` and `embedded:DIR`.
//!
//! It is the real server and the real client, with a pair of buffers between them instead of a socket:
//! what works here works on an ensemble, for it is the same code.

mod host;
mod hosts;
mod place;

pub use place::EmbeddedUrl;

use async_trait::async_trait;
use host::Host;
use sneck_core::Error;
use sneck_zookeeper::{Connector, Duplex, Server, ZooKeeper, ZooKeeperUrl};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// Starts the server, or joins the one that this process has at the same place already, and opens a
/// session with it.
///
/// The server ends when the last clone of the store, and the last claim and guard on it, is gone, or when
/// the stores that use it are closed; closing waits for that, so that another process can have the
/// folder.
///
/// # Errors
/// [`Unavailable`](sneck_core::ErrorKind::Unavailable) when another process has the folder, which the
/// text names if it is known; [`Denied`](sneck_core::ErrorKind::Denied) when it may not be written in;
/// [`Invalid`](sneck_core::ErrorKind::Invalid) when it holds something else;
/// [`Refused`](sneck_core::ErrorKind::Refused) when it is damaged, or of a newer release. Nothing in it
/// has been changed then.
///
/// # Cancel safety
/// Dropping the future stops what was started.
///
/// # Panics
/// Outside a tokio runtime.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
/// use sneck::embedded::{self, EmbeddedUrl};
/// use std::sync::Arc;
///
/// let store = embedded::open(EmbeddedUrl::parse("memory:")?).await?;
/// let locks = sneck::Locks::on(Arc::new(store.clone()));
/// let guard = locks.mutex("cache").lock().await?;
/// // Beside the locks there is the whole store, as on any ZooKeeper.
/// let session = store.session().await?;
/// assert_eq!(session.get_children("/").await.unwrap().len(), 2);
/// # Ok(()) }
/// ```
pub async fn open(url: EmbeddedUrl) -> Result<ZooKeeper, Error> {
    let EmbeddedUrl { place, options } = url;
    let (host, label) = hosts::get(place).await?;
    let ZooKeeperUrl { mut session, lock, .. } = options;
    session.label = Some(label.clone());
    session.connector = Arc::new(Entrance { host: Mutex::new(Some(host)), label });
    ZooKeeper::connect(session, lock).await
}

/// The way into the server; it keeps the server running until it is shut.
struct Entrance {
    host: Mutex<Option<Arc<Host>>>,
    label: Arc<str>,
}

impl Entrance {
    fn shut(&self) -> Option<Arc<Host>> {
        self.host.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[async_trait]
impl Connector for Entrance {
    async fn connect(&self, _: &Server) -> io::Result<Box<dyn Duplex>> {
        let host = self.host.lock().unwrap_or_else(PoisonError::into_inner);
        // Both are for good, so that trying again is of no use, which is what the kind says.
        let over = |why: String| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        match host.as_deref() {
            None => over("it has been closed".to_owned()),
            Some(host) => match host.failure() {
                Some(why) => over(format!("its server could not go on: {why}")),
                None => Ok(Box::new(host.enter())),
            },
        }
    }

    fn describe(&self, _: &Server) -> String {
        self.label.to_string()
    }

    fn is_single(&self) -> bool {
        true
    }

    async fn close(&self) {
        let Some(host) = self.shut() else { return };
        let ended = host.ended();
        if Arc::into_inner(host).is_some() {
            ended.await;
        }
    }
}

impl fmt::Debug for Entrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entrance({})", self.label)
    }
}
