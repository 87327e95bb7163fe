//! A request that was made, and what it will come to.

use super::machine::Answer;
use super::shared::Shared;
use super::watches::WatchKey;
use crate::error::{End, RequestError};
use sneck_wire::{ErrorCode, Reply, WatchedEvent};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::{mpsc, oneshot};

/// A request that was made, and what it will come to.
///
/// The request was put in line for the wire when the method that returned this was *called*; awaiting
/// it only waits for the answer. So requests go out in the order of the calls, several can be on the
/// way at once, and dropping a `Call` does not take its request back.
#[must_use = "the request has been made; its answer is still to be read"]
pub struct Call<T> {
    source: Source,
    chroot: Arc<str>,
    read: fn(Reply, &str) -> Option<T>,
    /// What it means that there is no node, if that is an answer rather than an error.
    absent: Option<fn() -> T>,
}

enum Source {
    Failed(Option<RequestError>),
    Sent(oneshot::Receiver<Answer>),
}

impl<T> Call<T> {
    pub(crate) fn new(
        submitted: Result<oneshot::Receiver<Answer>, RequestError>,
        chroot: Arc<str>,
        read: fn(Reply, &str) -> Option<T>,
    ) -> Self {
        let source = match submitted {
            Ok(answer) => Source::Sent(answer),
            Err(error) => Source::Failed(Some(error)),
        };
        Call { source, chroot, read, absent: None }
    }

    /// Takes the absence of the node for this answer.
    pub(crate) fn or_absent(mut self, absent: fn() -> T) -> Self {
        self.absent = Some(absent);
        self
    }
}

impl<T> Future for Call<T> {
    type Output = Result<T, RequestError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = match &mut self.source {
            Source::Sent(answer) => ready!(Pin::new(answer).poll(cx)),
            // Polled again after it was done, it says that there is no more.
            Source::Failed(error) => Ok(Err(error.take().unwrap_or(RequestError::Interrupted))),
        };
        self.source = Source::Failed(None);
        // The driver is gone without a word only when its runtime was shut down.
        let reply = answer.unwrap_or(Err(RequestError::Over { end: End::Closed, sent: true }));
        if let (Err(RequestError::Refused(ErrorCode::NO_NODE)), Some(absent)) =
            (&reply, self.absent)
        {
            return Poll::Ready(Ok(absent()));
        }
        Poll::Ready(reply.map(|reply| match (self.read)(reply, &self.chroot) {
            Some(value) => value,
            None => unreachable!("a reply is decoded by the operation of its request"),
        }))
    }
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Call")
    }
}

/// A [`Call`] that leaves a watch: its answer comes with the [`Watch`].
///
/// Dropping it, or the watch, takes the watch back.
#[must_use = "the request has been made; its answer is still to be read"]
#[derive(Debug)]
pub struct WatchCall<T, W = Watch> {
    call: Call<T>,
    watch: Option<W>,
}

impl<T, W> WatchCall<T, W> {
    pub(crate) fn new(call: Call<T>, watch: Option<W>) -> Self {
        WatchCall { call, watch }
    }

    pub(crate) fn or_absent(self, absent: fn() -> T) -> Self {
        WatchCall { call: self.call.or_absent(absent), ..self }
    }
}

impl<T, W: Unpin> Future for WatchCall<T, W> {
    type Output = Result<(T, W), RequestError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let value = ready!(Pin::new(&mut self.call).poll(cx))?;
        match self.watch.take() {
            Some(watch) => Poll::Ready(Ok((value, watch))),
            None => Poll::Ready(Err(RequestError::Interrupted)),
        }
    }
}

/// A one-shot watch: resolves with the event it was set for, or `None` when the session is over.
///
/// An event is a hint that something has changed. It may be late, and may come although nothing
/// relevant has changed. Watches are set again by themselves on another server. Dropping a watch takes
/// it back.
#[derive(Debug)]
pub struct Watch {
    pub(crate) events: oneshot::Receiver<WatchedEvent>,
    pub(crate) registration: Registration,
    /// What came of it, if somebody has looked before whoever waits.
    pub(crate) seen: Option<Option<WatchedEvent>>,
}

impl Watch {
    /// Whether it has neither fired nor ended with its session. What it tells is kept for whoever waits.
    pub(crate) fn is_set(&mut self) -> bool {
        use oneshot::error::TryRecvError::{Closed, Empty};
        if self.seen.is_none() {
            self.seen = match self.events.try_recv() {
                Ok(event) => Some(Some(event)),
                Err(Empty) => None,
                Err(Closed) => Some(None),
            };
        }
        self.seen.is_none()
    }
}

impl Future for Watch {
    type Output = Option<WatchedEvent>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let event = match self.seen.take() {
            Some(seen) => seen,
            None => ready!(Pin::new(&mut self.events).poll(cx)).ok(),
        };
        Poll::Ready(event.map(|event| self.registration.local(event)))
    }
}

/// A persistent watch: a stream of events until the session is over or the reader falls
/// [too far behind](crate::SessionLimits::events_max).
#[derive(Debug)]
pub struct WatchStream {
    pub(crate) events: mpsc::Receiver<WatchedEvent>,
    pub(crate) registration: Registration,
}

impl WatchStream {
    /// The next event; `None` when there will be no more. An event of kind
    /// [`None`](sneck_wire::EventKind::None) says that events may have been missed while no server
    /// answered.
    ///
    /// # Cancel safety
    /// Cancel safe: no event is lost.
    pub async fn next(&mut self) -> Option<WatchedEvent> {
        let event = self.events.recv().await?;
        Some(self.registration.local(event))
    }
}

/// Takes a watch back when it goes out of scope.
pub(crate) struct Registration {
    pub(crate) shared: Arc<Shared>,
    pub(crate) key: WatchKey,
    pub(crate) chroot: Arc<str>,
}

impl Registration {
    fn local(&self, mut event: WatchedEvent) -> WatchedEvent {
        event.path = super::local_path(&self.chroot, event.path);
        event
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let now = self.shared.now();
        self.shared.lock().unwatch(now, &self.key);
        self.shared.wake.notify_one();
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.key)
    }
}
