//! The machine on which the server runs: its process, its disk, and what must not be seen yet.

use std::collections::VecDeque;

use sneck_server::simulation::{Machine, Outcome, Sent, Shape, Written};

/// The server's machine.
pub(crate) struct Station {
    shape: Shape,
    machine: Option<Machine>,
    /// How often the process was started.
    life: u32,
    /// What the disk has for good.
    disk: Vec<u8>,
    /// What was written and may be lost.
    unsynced: VecDeque<Written>,
    /// Up to which transaction the disk is busy with making durable.
    syncing: Option<i64>,
    durable: i64,
    /// What waits until it may be seen.
    held_back: VecDeque<Sent>,
}

/// What came of a step.
#[derive(Default)]
pub(crate) struct Shown {
    /// What may go out now.
    pub(crate) sent: Vec<Sent>,
    /// Transactions that are durable from now on.
    pub(crate) durable: Vec<Written>,
    /// The transaction up to which the disk begins to sync.
    pub(crate) sync: Option<i64>,
}

impl Station {
    pub(crate) fn new(shape: Shape) -> Self {
        let mut station = Station {
            shape,
            machine: None,
            life: 0,
            disk: Vec::new(),
            unsynced: VecDeque::new(),
            syncing: None,
            durable: 0,
            held_back: VecDeque::new(),
        };
        station.start(0);
        station
    }

    /// The process, if it runs.
    pub(crate) fn machine(&mut self) -> Option<&mut Machine> {
        self.machine.as_mut()
    }

    pub(crate) fn is_up(&self) -> bool {
        self.machine.is_some()
    }

    /// Whether something is written and not yet durable.
    pub(crate) fn has_unsynced(&self) -> bool {
        !self.unsynced.is_empty()
    }

    /// The transaction that something waits for although no sync will bring it, if there is such a one.
    pub(crate) fn waits_in_vain(&self) -> Option<i64> {
        let first = self.held_back.front().filter(|_| self.syncing.is_none())?;
        Some(first.zxid)
    }

    /// Which process it is: what is meant for an earlier one comes to nothing.
    pub(crate) fn life(&self) -> u32 {
        self.life
    }

    /// Takes what the process has come to.
    pub(crate) fn take(&mut self, outcome: Outcome) -> Shown {
        self.unsynced.extend(outcome.written);
        self.held_back.extend(outcome.sent);
        let mut shown = Shown { sync: self.next_sync(), ..Shown::default() };
        self.release(&mut shown);
        shown
    }

    /// The disk has made durable what it was asked to.
    pub(crate) fn synced(&mut self) -> Shown {
        let mut shown = Shown::default();
        let Some(upto) = self.syncing.take() else { return shown };
        while self.unsynced.front().is_some_and(|written| written.zxid <= upto) {
            let Some(written) = self.unsynced.pop_front() else { break };
            self.disk.extend_from_slice(&written.record);
            shown.durable.push(written);
        }
        self.durable = self.durable.max(upto);
        shown.sync = self.next_sync();
        self.release(&mut shown);
        shown
    }

    /// Kills the process. Of the bytes that were not durable yet some have survived, in their order; the
    /// last record of them may be torn. Gives the transactions that have.
    pub(crate) fn kill(&mut self, kept_thousandths: u64) -> Vec<Written> {
        self.machine = None;
        self.held_back.clear();
        self.syncing = None;
        let bytes: usize = self.unsynced.iter().map(|written| written.record.len()).sum();
        let mut left = bytes * usize::try_from(kept_thousandths.min(1_000)).unwrap_or(0) / 1_000;
        let mut survived = Vec::new();
        for written in self.unsynced.drain(..) {
            let kept = left.min(written.record.len());
            left -= kept;
            self.disk.extend_from_slice(&written.record[..kept]);
            if kept == written.record.len() {
                survived.push(written);
            }
        }
        survived
    }

    /// Starts the process on what the disk has.
    pub(crate) fn start(&mut self, now_ms: u64) {
        let machine = Machine::recover(&self.shape, &self.disk, now_ms);
        // A log that ends in the middle of a record is cut off there before it is added to.
        self.disk.truncate(machine.log_bytes());
        self.durable = machine.zxid();
        self.life += 1;
        self.machine = Some(machine);
    }

    fn next_sync(&mut self) -> Option<i64> {
        if self.syncing.is_some() {
            return None;
        }
        // All that has gathered shares a sync.
        self.syncing = self.unsynced.back().map(|written| written.zxid);
        self.syncing
    }

    fn release(&mut self, shown: &mut Shown) {
        while self.held_back.front().is_some_and(|sent| sent.zxid <= self.durable) {
            shown.sent.extend(self.held_back.pop_front());
        }
    }
}
