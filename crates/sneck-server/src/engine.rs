//! The thread that runs the core: the one place that has the time, and that knows what is durable.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as blocking;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, oneshot, watch};

use crate::core::contents::Contents;
use crate::core::{ConnectionId, Core, Effects, Frame, Input, Now, Output, Peer};
use crate::journal::Journal;
use crate::outbox::Outbox;

/// Messages that may wait for the core. Senders wait when it is full, and so do their clients.
pub(crate) const INBOX_MAX: usize = 4_096;
/// Messages that are taken before what they lead to is written down and sent. While the disk is
/// busy the next such group fills, so this does not decide how many share a sync.
const GROUP_MAX: usize = 1_024;

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
    /// More is durable than before.
    Durable,
    /// Answer when everything that was asked before is done and durable.
    Barrier(oneshot::Sender<()>),
    /// Stand still until the other end is dropped.
    Pause(blocking::Receiver<()>),
    Stop,
}

/// The core with its surroundings.
pub(crate) struct Engine {
    core: Core,
    journal: Journal,
    inbox: mpsc::Receiver<Message>,
    outboxes: HashMap<ConnectionId, Outbox>,
    /// What must not be seen yet, in order of the zxids it waits for.
    pending: VecDeque<Pending>,
    barriers: VecDeque<(i64, oneshot::Sender<()>)>,
    clock: Clock,
    /// Says to stop, also where the inbox is too full for the message.
    stop: Arc<AtomicBool>,
    /// Where it is told how many sessions there are.
    sessions: watch::Sender<usize>,
}

#[derive(Debug)]
struct Pending {
    output: Output,
    asked_at_ms: u64,
}

impl Engine {
    pub(crate) fn new(
        core: Core,
        journal: Journal,
        inbox: mpsc::Receiver<Message>,
        clock: Clock,
        stop: Arc<AtomicBool>,
        sessions: watch::Sender<usize>,
    ) -> Self {
        Self {
            core,
            journal,
            inbox,
            outboxes: HashMap::new(),
            pending: VecDeque::new(),
            barriers: VecDeque::new(),
            clock,
            stop,
            sessions,
        }
    }

    /// Runs until told to stop, or until the journal can write no more: that is the error then.
    /// Whoever waits for an answer gets none, for nobody can say what the disk has.
    pub(crate) fn run(mut self) -> Result<Contents, String> {
        'life: while let Some(first) = self.inbox.blocking_recv() {
            let mut next = Some(first);
            for _ in 0..GROUP_MAX {
                let Some(message) = next else { break };
                if !self.take(message) {
                    break 'life;
                }
                next = self.inbox.try_recv().ok();
            }
            // The last one of a full group has been received already.
            if let Some(message) = next
                && !self.take(message)
            {
                break 'life;
            }
            self.release();
            let count = self.core.session_count();
            self.sessions.send_if_modified(|told| std::mem::replace(told, count) != count);
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
        if self.stop.load(Ordering::Relaxed) {
            return false;
        }
        match message {
            Message::Attach { connection, peer, outbox } => {
                self.outboxes.insert(connection, outbox);
                self.input(Input::Opened { connection, peer });
            }
            Message::Input(input) => self.input(input),
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
        }
        let now = self.clock.now();
        let Effects { outputs, txns } = self.core.handle(input, now);
        self.journal.add(&txns);
        let asked_at_ms = now.mono_ms;
        self.pending.extend(outputs.into_iter().map(|output| Pending { output, asked_at_ms }));
    }

    /// Sends what may be seen by now.
    fn release(&mut self) {
        let durable = self.journal.durable();
        let now_ms = self.clock.now().mono_ms;
        while self.pending.front().is_some_and(|pending| pending.output.zxid <= durable) {
            let Some(Pending { output, asked_at_ms }) = self.pending.pop_front() else { break };
            if matches!(output.frame, Frame::Reply(..)) {
                self.core.traffic.replied_after(now_ms.saturating_sub(asked_at_ms));
            }
            let Some(outbox) = self.outboxes.get(&output.connection) else { continue };
            if !outbox.push(output.frame) {
                self.outboxes.remove(&output.connection);
            }
        }
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
