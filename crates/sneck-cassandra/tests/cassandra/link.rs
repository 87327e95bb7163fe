//! A line to a node that can be cut, and that can change what is said on it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
    /// One connection is held back, the others flow.
    HoldsOneBack,
}

/// A listener that leads to a node.
pub(crate) struct Link {
    pub(crate) addr: SocketAddr,
    traffic: Arc<watch::Sender<Traffic>>,
    _tasks: JoinSet<()>,
}

/// What happens when a word is on the line.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trick {
    None,
    /// The node says the second instead of the first, which is as long.
    Edit(&'static [u8], &'static [u8]),
    /// The first time that a client says it, answers begin to be lost.
    LoseAnswersTo(&'static [u8]),
    /// The first time that a client says it, this and all that it says later on the same connection
    /// reaches the node only after [`Link::let_go`], even if the client is gone by then.
    HoldBack(&'static [u8]),
}

impl Link {
    pub(crate) async fn to(node: SocketAddr) -> Link {
        Link::with(node, Trick::None).await
    }

    pub(crate) async fn with(node: SocketAddr, trick: Trick) -> Link {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let traffic = Arc::new(watch::Sender::new(Traffic::Flows));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, node, traffic.clone(), trick));
        Link { addr, traffic, _tasks: tasks }
    }

    pub(crate) fn set(&self, traffic: Traffic) {
        self.traffic.send_replace(traffic);
    }

    /// Delivers what was held back.
    pub(crate) fn let_go(&self) {
        self.set(Traffic::Flows);
    }

    /// Returns when the trick was done.
    pub(crate) async fn until(&self, traffic: Traffic) {
        self.traffic.subscribe().wait_for(|now| *now == traffic).await.unwrap();
    }
}

async fn accept(
    listener: TcpListener,
    node: SocketAddr,
    traffic: Arc<watch::Sender<Traffic>>,
    trick: Trick,
) {
    let mut pumps = JoinSet::new();
    let done = Arc::new(AtomicBool::new(false));
    loop {
        let Ok((near, _)) = listener.accept().await else { continue };
        let Ok(far) = TcpStream::connect(node).await else { continue };
        let (near_read, near_write) = near.into_split();
        let (far_read, far_write) = far.into_split();
        pumps.spawn(requests(near_read, far_write, traffic.clone(), trick, done.clone()));
        pumps.spawn(answers(far_read, near_write, traffic.clone(), trick));
    }
}

async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    traffic: Arc<watch::Sender<Traffic>>,
    trick: Trick,
    done: Arc<AtomicBool>,
) {
    let mut buffer = vec![0; 64 * 1024];
    // Once something was lost the rest makes no sense to whoever reads it.
    let mut broken = false;
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let said = &buffer[..length];
        broken |= *traffic.borrow() == Traffic::Dead;
        if let Trick::LoseAnswersTo(word) = trick
            && said.windows(word.len()).any(|window| window == word)
            && !done.swap(true, Ordering::SeqCst)
        {
            traffic.send_replace(Traffic::LosesAnswers);
        }
        if let Trick::HoldBack(word) = trick
            && said.windows(word.len()).any(|window| window == word)
            && !done.swap(true, Ordering::SeqCst)
        {
            traffic.send_replace(Traffic::HoldsOneBack);
            let let_go = |now: &Traffic| *now == Traffic::Flows;
            let _ = traffic.subscribe().wait_for(let_go).await;
        }
        if !broken && to.write_all(said).await.is_err() {
            return;
        }
    }
    if matches!(trick, Trick::HoldBack(_)) {
        // The node does not learn that the client is gone before it has done what was asked.
        std::future::pending().await
    }
}

async fn answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    traffic: Arc<watch::Sender<Traffic>>,
    trick: Trick,
) {
    let mut buffer = vec![0; 64 * 1024];
    let mut broken = false;
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let said = &mut buffer[..length];
        broken |= matches!(*traffic.borrow(), Traffic::LosesAnswers | Traffic::Dead);
        if let Trick::Edit(word, instead) = trick {
            for at in 0..=length.saturating_sub(word.len()) {
                if said[at..].starts_with(word) {
                    said[at..at + word.len()].copy_from_slice(instead);
                }
            }
        }
        if !broken && to.write_all(said).await.is_err() {
            return;
        }
    }
}
