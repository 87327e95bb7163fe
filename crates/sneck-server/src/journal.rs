//! Where transactions are written down before anybody sees what they did.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use bytes::BytesMut;
use tokio::sync::{mpsc, watch};

use crate::compactions::Compactions;
use crate::core::change::Txn;
use crate::engine::Message;
use crate::log::{AppendError, Failure, Log, LogOptions, OpenError, Progress, Recovery, Stopped};
use crate::snapshot::{Bell, Compactor};

/// Where transactions go.
#[derive(Debug)]
pub(crate) enum Journal {
    /// Nowhere: everything ends with the process, and can be seen at once.
    Memory,
    Disk(Disk),
}

/// A log, and the thread that keeps it short.
#[derive(Debug)]
pub(crate) struct Disk {
    log: Option<Log>,
    compactor: Option<Compactor>,
    compactions: watch::Receiver<Compactions>,
    progress: Arc<Shown>,
    record: BytesMut,
    failed: Option<String>,
}

/// What the log's thread has said last.
#[derive(Debug)]
struct Shown {
    durable: AtomicI64,
    failure: Mutex<Option<Arc<Failure>>>,
    /// Rung when the log has grown, once there is a compactor.
    bell: OnceLock<Bell>,
}

impl Disk {
    /// Lets a log go on from where it was recovered to, at `zxid`. Whenever it gets on, the core
    /// hears of it.
    pub(crate) fn start(
        recovery: Recovery,
        options: &LogOptions,
        zxid: i64,
        inbox: mpsc::Sender<Message>,
    ) -> Result<Self, OpenError> {
        let shown = Shown {
            durable: AtomicI64::new(zxid),
            failure: Mutex::default(),
            bell: OnceLock::new(),
        };
        let progress = Arc::new(shown);
        let told = Arc::clone(&progress);
        let notify = move |news: Progress| {
            match news {
                Progress::Durable(zxid) => told.durable.store(zxid, Ordering::Release),
                Progress::Stopped(Stopped::Failed(failure)) => {
                    *told.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
                }
                Progress::Sealed => {
                    told.bell.get().inspect(|bell| bell.ring());
                    return;
                }
                Progress::Stopped(Stopped::Closed) => {}
            }
            // A full inbox is news enough: the core looks at the progress after what is in it.
            let _ = inbox.try_send(Message::Durable);
        };
        let log = Some(recovery.start(options, notify)?);
        let record = BytesMut::new();
        let (_, compactions) = watch::channel(Compactions::default());
        Ok(Self { log, compactor: None, compactions, progress, record, failed: None })
    }

    /// The log, while it is open.
    pub(crate) fn log(&self) -> Option<&Log> {
        self.log.as_ref()
    }

    /// Keeps a compactor for as long as the log, and what becomes of its work.
    pub(crate) fn keep(&mut self, compactor: Compactor, compactions: watch::Receiver<Compactions>) {
        // It is set once: there is one compactor to a log.
        self.progress.bell.get_or_init(|| compactor.bell());
        self.compactor = Some(compactor);
        self.compactions = compactions;
    }

    fn add(&mut self, txns: &[Txn]) {
        let Some(log) = &self.log else { return };
        for txn in txns {
            self.record.clear();
            txn.encode(&mut self.record);
            if let Err(error) = log.gather(txn.at.zxid, &self.record) {
                // Why it has stopped says more than that it has.
                let told = !matches!(error, AppendError::Stopped(_));
                self.failed = Some(if told { error.to_string() } else { "the log stopped".into() });
                return;
            }
        }
    }

    fn failure(&self) -> Option<String> {
        let failure = self.progress.failure.lock().unwrap_or_else(PoisonError::into_inner);
        let told = failure.as_ref().map(|failure| format!("{failure}: {}", failure.source));
        told.or_else(|| self.failed.clone())
    }

    fn close(&mut self) {
        drop(self.compactor.take());
        if let Some(log) = self.log.take()
            && let Err(stopped) = log.close()
        {
            self.failed.get_or_insert(stopped.to_string());
        }
    }
}

impl Journal {
    /// Takes transactions, to be written down in this order, once [`Journal::write`] says so.
    pub(crate) fn add(&mut self, txns: &[Txn]) {
        match self {
            Self::Memory => {}
            Self::Disk(disk) => disk.add(txns),
        }
    }

    /// Lets what was added be written, all of it with one sync if the disk is idle.
    pub(crate) fn write(&self) {
        if let Self::Disk(Disk { log: Some(log), .. }) = self {
            log.wake();
        }
    }

    /// The last transaction that will still be known after a crash.
    pub(crate) fn durable(&self) -> i64 {
        match self {
            Self::Memory => i64::MAX,
            Self::Disk(disk) => disk.progress.durable.load(Ordering::Acquire),
        }
    }

    /// Why nothing can be made durable any more, once that is so.
    pub(crate) fn failure(&self) -> Option<String> {
        match self {
            Self::Memory => None,
            Self::Disk(disk) => disk.failure(),
        }
    }

    /// How compactions have gone; without a disk there are none.
    pub(crate) fn compactions(&self) -> watch::Receiver<Compactions> {
        match self {
            Self::Memory => watch::channel(Compactions::default()).1,
            Self::Disk(disk) => disk.compactions.clone(),
        }
    }

    /// Waits until everything that was added is durable, if it can be.
    pub(crate) fn close(&mut self) {
        match self {
            Self::Memory => {}
            Self::Disk(disk) => disk.close(),
        }
    }
}
