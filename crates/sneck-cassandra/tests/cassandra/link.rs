//! A line to a node that can be cut, and that can change what is said on it.

use std::net::{Ipv4Addr, SocketAddr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What becomes of the bytes on the line. Nobody is told: no reset, no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Traffic {
    /// They pass.
    Flows,
    /// Requests reach the node, and its answers are lost for good.
    LosesAnswers,
    /// Nothing passes; what was said meanwhile is lost for good.
    Dead,
}

/// A listener that leads to a node.
pub(crate) struct Link {
    pub(crate) addr: SocketAddr,
    traffic: watch::Sender<Traffic>,
    _tasks: JoinSet<()>,
}

/// Bytes to be replaced by as many others in what the node says.
type Edit = Option<(&'static [u8], &'static [u8])>;

impl Link {
    pub(crate) async fn to(node: SocketAddr) -> Link {
        Link::editing(node, None).await
    }

    /// Lets the node say `instead` wherever it says `word`, which must be as long.
    pub(crate) async fn editing(node: SocketAddr, edit: Edit) -> Link {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let traffic = watch::Sender::new(Traffic::Flows);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, node, traffic.subscribe(), edit));
        Link { addr, traffic, _tasks: tasks }
    }

    pub(crate) fn set(&self, traffic: Traffic) {
        self.traffic.send_replace(traffic);
    }
}

async fn accept(
    listener: TcpListener,
    node: SocketAddr,
    traffic: watch::Receiver<Traffic>,
    edit: Edit,
) {
    let mut pumps = JoinSet::new();
    loop {
        let Ok((near, _)) = listener.accept().await else { continue };
        let Ok(far) = TcpStream::connect(node).await else { continue };
        let (near_read, near_write) = near.into_split();
        let (far_read, far_write) = far.into_split();
        let passes = |now: Traffic| now != Traffic::Dead;
        pumps.spawn(pump(near_read, far_write, traffic.clone(), passes, None));
        let passes = |now: Traffic| now == Traffic::Flows;
        pumps.spawn(pump(far_read, near_write, traffic.clone(), passes, edit));
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    traffic: watch::Receiver<Traffic>,
    passes: fn(Traffic) -> bool,
    edit: Edit,
) {
    let mut buffer = vec![0; 64 * 1024];
    // Once something was lost the rest makes no sense to whoever reads it.
    let mut broken = false;
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let bytes = &mut buffer[..length];
        broken |= !passes(*traffic.borrow());
        if broken {
            continue;
        }
        if let Some((word, instead)) = edit {
            for at in 0..=length.saturating_sub(word.len()) {
                if bytes[at..].starts_with(word) {
                    bytes[at..at + word.len()].copy_from_slice(instead);
                }
            }
        }
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}
