//! What waits to be sent to one connection, and how much more may be asked on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use sneck_wire::{MultiResult, Reply, Stat, encode_event, encode_frame, encode_reply};
use tokio::sync::{Notify, mpsc};

use crate::core::Frame;
use crate::limits::Limits;

/// The core's end of a connection.
#[derive(Debug)]
pub(crate) struct Outbox {
    frames: mpsc::UnboundedSender<Frame>,
    flow: Arc<Flow>,
}

/// A frame on its way into an outbox.
#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) to: Arc<Outbox>,
    pub(crate) frame: Frame,
}

/// The front end's end.
#[derive(Debug)]
pub(crate) struct Outgoing {
    frames: mpsc::UnboundedReceiver<Frame>,
    flow: Arc<Flow>,
}

/// How much is under way on a connection.
#[derive(Debug)]
pub(crate) struct Flow {
    requests: AtomicUsize,
    /// Of frames that were made for the connection and are not written yet.
    bytes: AtomicUsize,
    requests_max: usize,
    bytes_max: usize,
    closing: AtomicBool,
    broken: AtomicBool,
    changed: Notify,
    backlog: Arc<Backlog>,
}

/// What waits to be read by all clients together.
#[derive(Debug)]
pub(crate) struct Backlog {
    bytes: AtomicUsize,
    bytes_max: usize,
}

impl Backlog {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { bytes: AtomicUsize::new(0), bytes_max: limits.backlog_bytes_max }
    }
}

/// An outbox with both its ends. The channel has no bound of its own: the bytes in it have one.
pub(crate) fn outbox(limits: &Limits, backlog: &Arc<Backlog>) -> (Outbox, Outgoing, Arc<Flow>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let flow = Arc::new(Flow {
        requests: AtomicUsize::new(0),
        bytes: AtomicUsize::new(0),
        requests_max: limits.requests_in_flight_max.max(1),
        bytes_max: limits.outbox_bytes_max,
        closing: AtomicBool::new(false),
        broken: AtomicBool::new(false),
        changed: Notify::new(),
        backlog: Arc::clone(backlog),
    });
    let outbox = Outbox { frames: sender, flow: Arc::clone(&flow) };
    let outgoing = Outgoing { frames: receiver, flow: Arc::clone(&flow) };
    (outbox, outgoing, flow)
}

/// Puts letters into their outboxes, a bag at a time, until nobody writes any more.
///
/// The core could do that itself, but whoever wakes a task from outside of its runtime pays a system
/// call for each. This wakes one, which wakes all others from within.
pub(crate) async fn deliver(mut mailbags: mpsc::UnboundedReceiver<Vec<Letter>>) {
    while let Some(mailbag) = mailbags.recv().await {
        for Letter { to, frame } in mailbag {
            to.push(frame);
        }
    }
}

/// Which bound a frame would go beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overflow {
    /// That of the connection itself.
    Outbox,
    /// That of all connections together.
    Backlog,
}

impl Outbox {
    /// Counts a frame that was made, long before it may be sent: while it waits for the disk it takes
    /// just as much memory. Gives the bytes it counts for, and the bound that it goes beyond.
    pub(crate) fn charge(&self, frame: &Frame) -> (usize, Option<Overflow>) {
        let weight = weight(frame);
        let bytes = self.flow.bytes.fetch_add(weight, Ordering::Relaxed) + weight;
        let backlog = &self.flow.backlog;
        let all = backlog.bytes.fetch_add(weight, Ordering::Relaxed) + weight;
        let overflow = if bytes > self.flow.bytes_max && *frame != Frame::Close {
            Some(Overflow::Outbox)
        } else if all > backlog.bytes_max {
            Some(Overflow::Backlog)
        } else {
            None
        };
        (weight, overflow)
    }

    /// Adds a frame that was counted.
    fn push(&self, frame: Frame) {
        let is_last = frame == Frame::Close;
        // A client that is gone has its end told by the one who has served it.
        let _ = self.frames.send(frame);
        if is_last {
            self.flow.raise(&self.flow.closing);
        }
    }

    /// Bytes that wait for this client.
    pub(crate) fn bytes(&self) -> usize {
        self.flow.bytes.load(Ordering::Relaxed)
    }

    /// Ends the connection without another word, because its client does not read what it asks for.
    /// What waits for it counts no longer.
    pub(crate) fn cut(&self) {
        let bytes = self.flow.bytes.swap(0, Ordering::Relaxed);
        self.flow.backlog.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.flow.raise(&self.flow.broken);
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.backlog.bytes.fetch_sub(*self.bytes.get_mut(), Ordering::Relaxed);
    }
}

impl Outgoing {
    /// Waits for frames and appends them, up to about `enough` bytes. `None` when there will be no
    /// more.
    pub(crate) async fn next(&mut self, out: &mut BytesMut, enough: usize) -> Option<Sent> {
        let mut sent = Sent::default();
        let mut frame = self.frames.recv().await?;
        loop {
            if frame == Frame::Close {
                sent.is_last = true;
                return Some(sent);
            }
            sent.requests += usize::from(matches!(frame, Frame::Reply(..)));
            sent.weight += weight(&frame);
            encode(&frame, out);
            match self.frames.try_recv() {
                Ok(next) if out.len() < enough || next == Frame::Close => frame = next,
                Ok(next) => {
                    // One too many is encoded all the same: there is no way to put it back.
                    sent.requests += usize::from(matches!(next, Frame::Reply(..)));
                    sent.weight += weight(&next);
                    encode(&next, out);
                    return Some(sent);
                }
                Err(_) => return Some(sent),
            }
        }
    }

    /// Notes that frames are written.
    pub(crate) fn written(&self, sent: &Sent) {
        self.flow.requests.fetch_sub(sent.requests, Ordering::Relaxed);
        let less = |bytes: usize| bytes.checked_sub(sent.weight);
        // After a cut nothing is left to be taken off.
        if self.flow.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok() {
            self.flow.backlog.bytes.fetch_sub(sent.weight, Ordering::Relaxed);
        }
        self.flow.changed.notify_waiters();
    }
}

/// What was taken out of an outbox in one go.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    requests: usize,
    weight: usize,
    /// Nothing comes after it.
    pub(crate) is_last: bool,
}

impl Flow {
    /// Notes that a request goes to the core, which will answer it.
    pub(crate) fn asked(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until one more request may be read.
    pub(crate) async fn room(&self) {
        self.until(|flow| {
            // Replies of requests under way come on top, so reading stops well before the end.
            flow.requests.load(Ordering::Relaxed) < flow.requests_max
                && flow.bytes.load(Ordering::Relaxed) <= flow.bytes_max / 8
        })
        .await;
    }

    /// Waits until the last frame is in the outbox.
    pub(crate) async fn closing(&self) {
        self.until(|flow| flow.closing.load(Ordering::Acquire)).await;
    }

    /// Waits until the connection has to go without another word.
    pub(crate) async fn broken(&self) {
        self.until(|flow| flow.broken.load(Ordering::Acquire)).await;
    }

    fn raise(&self, flag: &AtomicBool) {
        flag.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    async fn until(&self, reached: impl Fn(&Self) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Listening begins before looking, or a change in between would go unheard.
            changed.as_mut().enable();
            if reached(self) {
                return;
            }
            changed.await;
        }
    }
}

pub(crate) fn encode(frame: &Frame, out: &mut BytesMut) {
    match frame {
        Frame::Greeting(reply) => encode_frame(out, |out| reply.encode(out)),
        Frame::Reply(header, reply) => encode_reply(out, *header, reply.as_ref()),
        Frame::Event { zxid, event } => encode_event(out, *zxid, event),
        Frame::Text(text) => out.extend_from_slice(text.as_bytes()),
        Frame::Close => {}
    }
}

/// About how many bytes a frame takes. Exact numbers would cost as much as encoding it.
fn weight(frame: &Frame) -> usize {
    /// Headers, and what an element costs in memory beyond its text.
    const OVERHEAD: usize = 128;
    let bytes = |data: &Option<Bytes>| data.as_ref().map_or(0, Bytes::len);
    let strings = |list: &[String]| list.iter().map(|text| text.len() + 32).sum::<usize>();
    let results = |list: &[MultiResult]| {
        let one = |result: &MultiResult| match result {
            MultiResult::Children(names) => strings(names),
            MultiResult::Data { data, .. } => bytes(data) + Stat::WIRE_BYTES,
            MultiResult::Create { path, .. } => path.len() + Stat::WIRE_BYTES,
            _ => Stat::WIRE_BYTES,
        };
        list.iter().map(one).sum::<usize>()
    };
    OVERHEAD
        + match frame {
            Frame::Text(text) => text.len(),
            Frame::Event { event, .. } => event.path.len(),
            Frame::Reply(_, Some(reply)) => match reply {
                Reply::GetData { data, .. } => bytes(data),
                Reply::GetChildren(names) | Reply::GetEphemerals(names) => strings(names),
                Reply::GetChildren2 { children, .. } => strings(children),
                Reply::Multi(list) | Reply::MultiRead(list) => results(list),
                Reply::GetAcl { acl, .. } => {
                    acl.iter().map(|entry| OVERHEAD + entry.id.id.len()).sum()
                }
                Reply::WhoAmI(ids) => {
                    ids.iter().map(|id| OVERHEAD + id.scheme.len() + id.user.len()).sum()
                }
                Reply::Create { path } | Reply::Sync { path } => path.len(),
                _ => Stat::WIRE_BYTES,
            },
            Frame::Greeting(_) | Frame::Reply(..) | Frame::Close => 0,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(length: usize) -> Frame {
        Frame::Text("x".repeat(length))
    }

    fn limits() -> Limits {
        Limits { outbox_bytes_max: 1_000, backlog_bytes_max: 1_500, ..Limits::default() }
    }

    fn one() -> (Outbox, Outgoing, Arc<Flow>) {
        outbox(&limits(), &Arc::new(Backlog::new(&limits())))
    }

    #[tokio::test]
    async fn who_does_not_read_is_cut_off() {
        let (outbox, _outgoing, flow) = one();
        let first = text(500);
        assert_eq!(outbox.charge(&first).1, None);
        outbox.push(first);
        assert_eq!(outbox.charge(&text(500)).1, Some(Overflow::Outbox));
        outbox.cut();
        flow.broken().await;
    }

    #[tokio::test]
    async fn what_is_written_makes_room() {
        let (outbox, mut outgoing, flow) = one();
        for _ in 0..100 {
            flow.room().await;
            let frame = text(500);
            assert_eq!(outbox.charge(&frame).1, None);
            outbox.push(frame);
            let mut out = BytesMut::new();
            let sent = outgoing.next(&mut out, 1).await.unwrap();
            assert_eq!(out.len(), 500);
            outgoing.written(&sent);
        }
    }

    #[tokio::test]
    async fn what_waits_for_all_together_is_bounded_and_given_back() {
        let backlog = Arc::new(Backlog::new(&limits()));
        let (first, mut outgoing, _) = outbox(&limits(), &backlog);
        let (second, _, _) = outbox(&limits(), &backlog);
        let frame = text(600);
        assert_eq!(first.charge(&frame).1, None);
        first.push(frame);
        assert_eq!(second.charge(&text(600)), (728, None));
        assert_eq!(second.charge(&text(0)).1, Some(Overflow::Backlog));
        second.cut();
        assert_eq!((second.bytes(), backlog.bytes.load(Ordering::Relaxed)), (0, 728));
        // What was on its way when the connection was cut is not taken off twice.
        let mut out = BytesMut::new();
        let sent = outgoing.next(&mut out, 1).await.unwrap();
        first.cut();
        outgoing.written(&sent);
        assert_eq!(backlog.bytes.load(Ordering::Relaxed), 0);
        let (third, outgoing, flow) = outbox(&limits(), &backlog);
        assert_eq!(third.charge(&text(600)).1, None);
        drop((third, outgoing, flow));
        assert_eq!(backlog.bytes.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn the_last_frame_ends_it() {
        let (outbox, mut outgoing, flow) = one();
        outbox.push(text(5));
        outbox.push(Frame::Close);
        flow.closing().await;
        let mut out = BytesMut::new();
        assert!(outgoing.next(&mut out, 1_000).await.unwrap().is_last);
        assert_eq!(out.len(), 5);
    }
}
