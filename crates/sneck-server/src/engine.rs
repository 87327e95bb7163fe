//! The thread that runs the core: the one place that has the time, and that knows what is durable.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as blocking;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};

use crate::core::contents::Contents;
use crate::core::{ConnectionId, Core, Effects, Frame, Input, Now, Output, Peer};
use crate::journal::Journal;
use crate::outbox::{Letter, Outbox, Overflow};
use crate::refusals::{Limit, Refused};

/// Messages that may wait for the core. Senders wait when it is full, and so do their clients.
pub(crate) const INBOX_MAX: usize = 4_096;
/// Messages that are taken before what they lead to is written down and sent. While the disk is
/// busy the next such group fills, so this does not decide how many share a sync.
const GROUP_MAX: usize = 256;
/// Bytes of answers with which such a group is full: others wait for theirs until it is.
const GROUP_BYTES_MAX: usize = 256 * 1_024;

/// What can be said to the core's thread.
#[derive(Debug)]
pub(crate) enum Message {
    /// A connection begins.
    Attach {
        connection: ConnectionId,
        peer: Peer,
        outbox: Outbox,
    },
    Input(Input),
    /// A long request, with its share of what long requests may take. The share ends once the core
    /// has seen to it.
    Long(Input, OwnedSemaphorePermit),
    /// More is durable than before.
    Durable,
    /// Answer when everything that was asked before is done and durable.
    Barrier(oneshot::Sender<()>),
    /// Stand still until the other end is dropped.
    Pause(blocking::Receiver<()>),
    Stop,
}

/// What leads into an engine and out of it.
#[derive(Debug)]
pub(crate) struct Ports {
    pub(crate) inbox: mpsc::Receiver<Message>,
    /// Says to stop, also where the inbox is too full for the message.
    pub(crate) stop: Arc<AtomicBool>,
    /// Where what is released at once goes together. Its bytes count for their connections.
    pub(crate) mailbags: mpsc::UnboundedSender<Vec<Letter>>,
    /// Where it is told how many sessions there are.
    pub(crate) sessions: watch::Sender<usize>,
    pub(crate) refused: Refused,
}

/// The core with its surroundings.
pub(crate) struct Engine {
    core: Core,
    journal: Journal,
    ports: Ports,
    clock: Clock,
    outboxes: HashMap<ConnectionId, Arc<Outbox>>,
    /// What must not be seen yet, in order of the zxids it waits for.
    pending: VecDeque<Pending>,
    /// Bytes of answers since the last release.
    group_bytes: usize,
    barriers: VecDeque<(i64, oneshot::Sender<()>)>,
}

#[derive(Debug)]
struct Pending {
    zxid: i64,
    frame: Frame,
    /// Kept by what waits for it, so that the bytes of a connection count until they are gone.
    outbox: Arc<Outbox>,
    asked_at_ms: u64,
}

impl Engine {
    pub(crate) fn new(core: Core, journal: Journal, ports: Ports, clock: Clock) -> Self {
        Self {
            core,
            journal,
            ports,
            clock,
            outboxes: HashMap::new(),
            pending: VecDeque::new(),
            group_bytes: 0,
            barriers: VecDeque::new(),
        }
    }

    /// Runs until told to stop, or until the journal can write no more: that is the error then.
    /// Whoever waits for an answer gets none, for nobody can say what the disk has.
    pub(crate) fn run(mut self) -> Result<Contents, String> {
        'life: while let Some(first) = self.ports.inbox.blocking_recv() {
            let mut next = Some(first);
            for _ in 0..GROUP_MAX {
                let Some(message) = next else { break };
                if !self.take(message) {
                    break 'life;
                }
                let is_full = self.group_bytes > GROUP_BYTES_MAX;
                next = if is_full { None } else { self.ports.inbox.try_recv().ok() };
            }
            // The last one of a full group has been received already.
            if let Some(message) = next
                && !self.take(message)
            {
                break 'life;
            }
            self.journal.write();
            self.release();
            let count = self.core.session_count();
            self.ports.sessions.send_if_modified(|told| std::mem::replace(told, count) != count);
            if self.journal.failure().is_some() {
                break;
            }
        }
        self.journal.close();
        self.release();
        match self.journal.failure() {
            Some(failure) => Err(failure),
            None => Ok(self.core.into_contents()),
        }
    }

    /// Takes a message; says whether to go on.
    fn take(&mut self, message: Message) -> bool {
        if self.ports.stop.load(Ordering::Relaxed) {
            return false;
        }
        match message {
            Message::Attach { connection, peer, outbox } => {
                self.outboxes.insert(connection, Arc::new(outbox));
                self.input(Input::Opened { connection, peer });
            }
            Message::Input(input) => self.input(input),
            Message::Long(input, _share) => self.input(input),
            Message::Durable => {}
            Message::Barrier(done) => self.barriers.push_back((self.core.zxid(), done)),
            Message::Pause(until_dropped) => {
                // Nothing is ever sent on it: it ends by the other end going away.
                let _ = until_dropped.recv();
            }
            Message::Stop => return false,
        }
        true
    }

    fn input(&mut self, input: Input) {
        if let Input::Closed { connection } = &input {
            self.outboxes.remove(connection);
        }
        self.core.traffic.outstanding = self.pending.len();
        if matches!(input, Input::Word { .. }) {
            let compactions = self.journal.compactions();
            let compactions = compactions.borrow();
            self.core.traffic.compactions = compactions.done;
            self.core.traffic.compactions_failed = compactions.failed;
            self.core.traffic.refusals = self.ports.refused.so_far();
        }
        let now = self.clock.now();
        let Effects { outputs, txns, refused, .. } = self.core.handle(input, now);
        refused.into_iter().for_each(|limit| self.ports.refused.note(limit));
        self.journal.add(&txns);
        outputs.into_iter().for_each(|output| self.hold_back(output, now.mono_ms));
    }

    /// Keeps what must not be seen before it is durable.
    fn hold_back(&mut self, Output { connection, zxid, frame }: Output, asked_at_ms: u64) {
        // Who was hung up on hears no more.
        let Some(outbox) = self.outboxes.get(&connection).map(Arc::clone) else { return };
        let (bytes, overflow) = outbox.charge(&frame);
        self.group_bytes += bytes;
        self.pending.push_back(Pending { zxid, frame, outbox, asked_at_ms });
        match overflow {
            None => {}
            Some(Overflow::Outbox) => {
                self.ports.refused.note(Limit::OutboxBytes);
                self.cut(connection);
            }
            Some(Overflow::Backlog) => {
                self.ports.refused.note(Limit::BacklogBytes);
                self.cut_longest();
            }
        }
    }

    /// Hangs up on the client for which most is waiting.
    fn cut_longest(&mut self) {
        let longest = self.outboxes.iter().max_by_key(|(id, outbox)| (outbox.bytes(), **id));
        if let Some(connection) = longest.map(|(id, _)| *id) {
            self.cut(connection);
        }
    }

    /// Hangs up on a client that does not read what it asks for. What it has asked besides is not
    /// answered any more, and what waits for it takes no memory from here on.
    fn cut(&mut self, connection: ConnectionId) {
        let Some(outbox) = self.outboxes.remove(&connection) else { return };
        self.pending.retain(|pending| !Arc::ptr_eq(&pending.outbox, &outbox));
        outbox.cut();
        self.core.handle(Input::Closed { connection }, self.clock.now());
    }

    /// Sends what may be seen by now.
    fn release(&mut self) {
        let durable = self.journal.durable();
        let now_ms = self.clock.now().mono_ms;
        let mut mailbag = Vec::new();
        while self.pending.front().is_some_and(|pending| pending.zxid <= durable) {
            let Some(Pending { frame, outbox, asked_at_ms, .. }) = self.pending.pop_front() else {
                break;
            };
            if matches!(frame, Frame::Reply(..)) {
                self.core.traffic.replied_after(now_ms.saturating_sub(asked_at_ms));
            }
            mailbag.push(Letter { frame, to: outbox });
        }
        if !mailbag.is_empty() {
            // Without a runtime there are no connections either.
            let _ = self.ports.mailbags.send(mailbag);
        }
        self.group_bytes = 0;
        while self.barriers.front().is_some_and(|(zxid, _)| *zxid <= durable) {
            if let Some((_, done)) = self.barriers.pop_front() {
                // Whoever asked may have stopped caring.
                let _ = done.send(());
            }
        }
    }
}

/// Both clocks of this machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    pub(crate) fn now(self) -> Now {
        let mono_ms = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        Now { mono_ms, wall_ms: wall_ms() }
    }
}

/// Milliseconds since 1970.
pub(crate) fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
