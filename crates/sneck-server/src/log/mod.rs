//! The durable log: what was acknowledged outlives the process, the machine and a torn write.
//!
//! The log is a row of files, the *segments*, of which the last one is written to. A segment is
//! filled with zeros before it is used and never grows, so that a sync has nothing to write but
//! data. [`Log::append`] puts an entry into the open *batch* and returns; the log's thread writes
//! one batch with one write and one sync, and while that lasts the next one fills. Many clients
//! thus share a sync, and a single one waits for nothing but its own.
//!
//! ```text
//! segment: | header | batch 7 | batch 8     | batch 9 | zeros ...            |
//!          0        4096      8192          16384     20480
//! ```
//!
//! # What is believed
//!
//! A batch counts if its checksum is right, it names this very segment and its nonce, and it
//! follows the batch before it by number, checksum and zxid. Reading ends at the first place
//! without such a batch. If nothing lies behind it, that is the end; if bytes lie behind it that
//! are no batch, it was the last write before a crash, which nobody was told of, and it is wiped.
//! If a batch lies behind it, here or in a later segment, something acknowledged is damaged: the
//! log refuses to open, and says where.
//!
//! Everything that was read is synced before it is handed out: a process that was killed may have
//! left it in memory only.
//!
//! # What is fatal
//!
//! A write or sync that fails ends the log. It is never tried again, because the system may then
//! report success for data that it has dropped; what is on the disk is found out by opening the
//! folder anew.

mod archive;
mod batch;
mod batches;
mod chain;
mod disk;
mod error;
mod folder;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod options;
mod recovery;
mod sealed;
mod segment;
mod segment_header;
mod shared;
mod walk;
mod writer;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use archive::Archive;
pub use disk::{Disk, DiskFile, FolderDisk};
pub use error::{AppendError, Failure, OpenError, ReplayError, Stopped};
pub use folder::Folder;
pub use options::{Durability, LogOptions};
pub use recovery::Recovery;

pub(crate) use folder::{failed, floor_at};
pub(crate) use recovery::replay_sealed;

use shared::Shared;
use writer::Writer;

/// What a log says of itself, from its own thread.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Progress {
    /// Every entry up to this zxid is durable.
    Durable(i64),
    /// One more segment is not written to any more.
    Sealed,
    /// Nothing more will become durable.
    Stopped(Stopped),
}

/// A log that takes entries.
///
/// It is closed when it is dropped; [`Log::close`] also says whether that went well.
#[derive(Debug)]
pub struct Log {
    shared: Arc<Shared>,
    folder: Folder,
    thread: Option<JoinHandle<()>>,
}

/// Tells what is durable, and waits for it. Clones are alike.
#[derive(Debug, Clone)]
pub struct Durable {
    shared: Arc<Shared>,
}

impl Log {
    /// Reads the log of a folder: calls `replay` for each entry after `after`, the zxid of a
    /// snapshot, or for each since the folder began.
    ///
    /// # Errors
    ///
    /// Any [`OpenError`] but those about the folder. What was read is changed only once all of it
    /// has been found good.
    pub fn recover(
        folder: &Folder,
        after: Option<i64>,
        mut replay: impl FnMut(i64, &[u8]) -> Result<(), ReplayError>,
    ) -> Result<Recovery, OpenError> {
        recovery::recover(folder, after.unwrap_or(folder.floor()), &mut replay)
    }

    /// Appends an entry, whose zxid must be above the one before it.
    ///
    /// It is durable when [`Durable`] or the callback says so. Blocks only while a large batch
    /// waits for the disk.
    ///
    /// # Errors
    ///
    /// See [`AppendError`]; the entry was not taken.
    pub fn append(&self, zxid: i64, payload: &[u8]) -> Result<(), AppendError> {
        self.gather(zxid, payload)?;
        self.wake();
        Ok(())
    }

    /// As [`Log::append`], but leaves the log's thread asleep if it sleeps, so that what comes right
    /// after shares a sync with it. [`Log::wake`] has to follow.
    ///
    /// # Errors
    ///
    /// As for [`Log::append`].
    pub fn gather(&self, zxid: i64, payload: &[u8]) -> Result<(), AppendError> {
        self.shared.gather(zxid, payload)
    }

    /// Sees to it that what was gathered is written.
    pub fn wake(&self) {
        self.shared.wake();
    }

    /// Tells what is durable.
    pub fn durable(&self) -> Durable {
        Durable { shared: Arc::clone(&self.shared) }
    }

    /// The part of it that is not written to any more.
    pub fn archive(&self) -> Archive {
        Archive { shared: Arc::clone(&self.shared), folder: self.folder.clone() }
    }

    /// The folder it is in.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Writes what is left, marks the end and stops. From then on damage to the last batch is
    /// told from a torn write, too.
    ///
    /// # Errors
    ///
    /// What stopped the log before, or keeps it from being closed.
    pub fn close(mut self) -> Result<(), Stopped> {
        self.end();
        match self.shared.lock().stopped.clone() {
            Some(Stopped::Failed(failure)) => Err(Stopped::Failed(failure)),
            Some(Stopped::Closed) | None => Ok(()),
        }
    }

    fn end(&mut self) {
        self.shared.lock().closing = true;
        self.shared.work.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            let path = self.folder.disk().path("");
            let source = io::Error::other("its thread has panicked");
            let failure = Failure { doing: "close the log in", path, source };
            self.shared.stop(Stopped::Failed(Arc::new(failure)));
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.end();
    }
}

impl Recovery {
    /// Lets the log go on. `notify` is called by the log's thread after each sync and once at the
    /// end, and must not wait for anything.
    ///
    /// # Errors
    ///
    /// [`OpenError::Io`].
    pub fn start(
        mut self,
        options: &LogOptions,
        notify: impl FnMut(Progress) + Send + 'static,
    ) -> Result<Log, OpenError> {
        let options = options.bounded();
        let segment = self.segment(&options)?;
        let Recovery { folder, chain, sealed, .. } = self;
        let (open, payload) = (options.open_bytes_max(), options.payload_bytes_max());
        let shared = Arc::new(Shared::new(chain.zxid, sealed, open, payload));
        let writer = Writer {
            shared: Arc::clone(&shared),
            folder: folder.clone(),
            options,
            segment,
            chain,
            notify: Box::new(notify),
            preparing: None,
            gave_up: false,
            rotation_tried: false,
        };
        let run = move || {
            // If anything below panics, nobody is to wait for ever.
            let _guard = StopOnPanic(Arc::clone(&writer.shared), writer.folder.clone());
            writer.run();
        };
        let thread = std::thread::Builder::new().name("sneck-log".to_owned()).spawn(run);
        let thread =
            thread.map_err(failed("start a thread for the log in", &folder.disk().path("")))?;
        Ok(Log { shared, folder, thread: Some(thread) })
    }
}

/// Stops the log when its thread panics.
struct StopOnPanic(Arc<Shared>, Folder);

impl Drop for StopOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let path = self.1.disk().path("");
            let source = io::Error::other("its thread has panicked");
            let failure = Failure { doing: "keep the log in", path, source };
            self.0.stop(Stopped::Failed(Arc::new(failure)));
        }
    }
}

impl Durable {
    /// The zxid up to which every entry is durable.
    pub fn zxid(&self) -> i64 {
        self.shared.lock().durable
    }

    /// Why nothing more will become durable, once that is so.
    pub fn stopped(&self) -> Option<Stopped> {
        self.shared.lock().stopped.clone()
    }

    /// Blocks until the entry with this zxid is durable.
    ///
    /// # Errors
    ///
    /// When it will not be, or nobody can say.
    pub fn wait(&self, zxid: i64) -> Result<(), Stopped> {
        self.shared.wait_for(zxid, None).map(drop)
    }

    /// As [`Durable::wait`], but not longer than `timeout`, after which it is `Ok(false)`.
    ///
    /// # Errors
    ///
    /// As [`Durable::wait`].
    pub fn wait_for(&self, zxid: i64, timeout: Duration) -> Result<bool, Stopped> {
        self.shared.wait_for(zxid, Some(Instant::now() + timeout))
    }
}
