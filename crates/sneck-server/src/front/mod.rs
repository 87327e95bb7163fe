//! How clients come in. All ways lead to the same bytes and the same core.

pub(crate) mod connection;
mod places;
mod processes;
mod tcp;
mod unix;

pub(crate) use tcp::{Transport, listen as listen_tcp};
pub(crate) use unix::{Socket, listen as listen_unix};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, mpsc};

use crate::core::{ConnectionId, Input, Peer};
use crate::engine::Message;
use crate::limits::Limits;
use crate::outbox::Backlog;
use crate::refusals::Refused;
use places::{Place, Places};
use processes::{Origin, Processes};

/// Messages that may wait for being forwarded to the core.
pub(crate) const QUEUE_MAX: usize = 1_024;

/// Takes what connections have to say to the core, and forwards it until the core has ended.
///
/// Connections could say it themselves, but would wake the core's thread for each request, which has
/// answered it before the next one is read. This task runs after those that had something to read
/// at the same time, so that the core is woken for all of them once, and their writes share a sync.
pub(crate) async fn forward(mut queued: mpsc::Receiver<Message>, inbox: mpsc::Sender<Message>) {
    let mut group = Vec::new();
    loop {
        tokio::select! {
            biased;
            count = queued.recv_many(&mut group, QUEUE_MAX) => if count == 0 { return },
            () = inbox.closed() => return,
        }
        for message in group.drain(..) {
            if inbox.send(message).await.is_err() {
                return;
            }
        }
    }
}

/// What every front end needs.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    /// To the task that forwards it to the inbox.
    queue: mpsc::Sender<Message>,
    inbox: mpsc::Sender<Message>,
    limits: Arc<Limits>,
    backlog: Arc<Backlog>,
    /// What long requests may take, in bytes.
    long: Arc<Semaphore>,
    refused: Refused,
    places: Arc<Places>,
    processes: Arc<Processes>,
    last_id: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Door {
    pub(crate) fn new(
        queue: mpsc::Sender<Message>,
        inbox: mpsc::Sender<Message>,
        limits: Limits,
        stop: Arc<AtomicBool>,
    ) -> Self {
        Self {
            queue,
            inbox,
            places: Arc::new(Places::new(&limits)),
            backlog: Arc::new(Backlog::new(&limits)),
            long: Arc::new(Semaphore::new(limits.request_bytes_max.min(Semaphore::MAX_PERMITS))),
            refused: Refused::default(),
            limits: Arc::new(limits),
            processes: Arc::default(),
            last_id: Arc::default(),
            stop,
        }
    }

    /// Serves a connection, unless there are too many. Its task ends with it, or with the core.
    pub(crate) fn enter<S>(&self, stream: S, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        self.serve(stream, peer, None);
    }

    /// The same for a connection that has to be agreed upon before it can be spoken on. It takes its
    /// place at once, and gives it up when it takes longer over that than over its first frame.
    #[cfg(feature = "tls")]
    pub(crate) fn enter_after<S, F>(&self, handshake: F, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
        F: Future<Output = std::io::Result<S>> + Send + 'static,
    {
        let Some(place) = self.place(peer) else { return };
        let door = self.clone();
        tokio::spawn(async move {
            // Who does not come through is hung up on. There is nobody to tell, and no way to: what
            // the handshake itself has to say about it has been sent.
            let handshake = tokio::time::timeout(door.limits.handshake_timeout, handshake);
            if let Ok(Ok(stream)) = handshake.await {
                connection::serve(stream, peer, None, &door).await;
            }
            drop(place);
        });
    }

    /// The same for a connection on the Unix socket.
    pub(crate) fn enter_local(&self, stream: UnixStream) {
        let origin = self.processes.origin(&stream, self);
        let peer = origin.as_ref().map_or(Peer::Local, |origin| Peer::Process(origin.id()));
        self.serve(stream, peer, origin);
    }

    fn serve<S>(&self, stream: S, peer: Peer, origin: Option<Origin>)
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let Some(place) = self.place(peer) else { return };
        let door = self.clone();
        tokio::spawn(async move {
            connection::serve(stream, peer, origin, &door).await;
            drop(place);
        });
    }

    fn place(&self, peer: Peer) -> Option<Place> {
        let place = self.places.take(peer);
        place.map_err(|limit| self.refused.note(limit)).ok()
    }

    /// Where it is noted what is refused.
    pub(crate) fn refused(&self) -> &Refused {
        &self.refused
    }

    /// Says something to the core; says whether there still is one.
    pub(crate) async fn say(&self, message: Message) -> bool {
        self.queue.send(message).await.is_ok()
    }

    pub(crate) async fn input(&self, input: Input) -> bool {
        self.say(Message::Input(input)).await
    }

    /// Ends the core without waiting for it.
    pub(crate) fn stop_soon(&self) {
        self.stop.store(true, Ordering::Relaxed);
        // A full inbox wakes the core just as well.
        let _ = self.inbox.try_send(Message::Stop);
    }

    fn next_id(&self) -> ConnectionId {
        ConnectionId(self.last_id.fetch_add(1, Ordering::Relaxed) + 1)
    }
}
