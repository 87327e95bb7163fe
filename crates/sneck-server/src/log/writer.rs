//! The log's own thread: takes what has gathered, writes it, syncs it, says so.

use std::sync::Arc;
use std::thread::JoinHandle;

use super::Progress;
use super::batch::Batch;
use super::chain::Chain;
use super::disk::Disk;
use super::error::{Failure, Stopped};
use super::folder::Folder;
use super::options::LogOptions;
use super::sealed::Sealed;
use super::segment::Segment;
use super::segment_header::{SegmentHeader, file_name};
use super::shared::{Next, Shared};

/// What is called after each sync, and once when the log stops.
pub(super) type Notify = Box<dyn FnMut(Progress) + Send>;

/// What the log's thread owns.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) folder: Folder,
    pub(super) options: LogOptions,
    pub(super) segment: Segment,
    pub(super) chain: Chain,
    pub(super) notify: Notify,
    /// The thread that prepares the next segment, while there is one.
    pub(super) preparing: Option<JoinHandle<()>>,
    /// The next segment could not be prepared ahead; it is tried again when there is need.
    pub(super) gave_up: bool,
    /// The rotation that was asked for has had a segment prepared for it: no failure from before
    /// answers it.
    pub(super) rotation_tried: bool,
}

impl Writer {
    /// Runs until the log is closed or has failed. Nothing is tried twice: after a failed write or
    /// sync the page cache may hold what the disk never got, and call it clean.
    pub(super) fn run(mut self) {
        let stopped = match self.work() {
            Ok(()) => Stopped::Closed,
            Err(failure) => Stopped::Failed(Arc::new(failure)),
        };
        if let Some(preparing) = self.preparing.take() {
            // Whoever closes the log may open it again at once, or remove the folder. A panic
            // there has been printed, and what it left is removed by the next start.
            let _ = preparing.join();
        }
        self.shared.stop(stopped.clone());
        (self.notify)(Progress::Stopped(stopped));
    }

    fn work(&mut self) -> Result<(), Failure> {
        let mut batch = Batch::new();
        let keep = self.options.open_bytes_max();
        loop {
            batch.clear(keep);
            let state = self.shared.take_work(&mut batch);
            let (closing, wanted) = (state.closing, state.rotations_wanted);
            let rotate = wanted > state.rotations_done;
            drop(state);
            if !batch.is_empty() {
                self.commit(&mut batch)?;
            }
            if rotate {
                self.rotate(wanted);
            }
            if closing {
                return self.mark_end();
            }
            self.prepare_ahead();
        }
    }

    /// Makes the batch durable, and says so.
    fn commit(&mut self, batch: &mut Batch) -> Result<(), Failure> {
        if !self.segment.has_room_for(batch) {
            let next = self.next_segment()?;
            self.enter(next);
        }
        self.write(batch)?;
        let durable = self.chain.zxid;
        let mut state = self.shared.lock();
        state.durable = durable;
        self.shared.tell(&state);
        drop(state);
        (self.notify)(Progress::Durable(durable));
        Ok(())
    }

    /// Writes an empty batch, so that damage to the one before is never taken for a torn write.
    /// Where there is no room for it, the last batch is such a mark.
    fn mark_end(&mut self) -> Result<(), Failure> {
        let mut mark = Batch::new();
        let end = self.segment.at + mark.blocks_length();
        if end <= self.segment.header.capacity { self.write(&mut mark) } else { Ok(()) }
    }

    fn write(&mut self, batch: &mut Batch) -> Result<(), Failure> {
        let written = self.segment.write(batch, &self.chain, self.options.durability);
        self.chain = written.map_err(|(doing, source)| {
            let path = self.disk().path(&file_name(self.segment.header.id));
            Failure { doing, path, source }
        })?;
        Ok(())
    }

    /// The next segment, now: the current one is full.
    fn next_segment(&mut self) -> Result<Segment, Failure> {
        if let Some(preparing) = self.preparing.take() {
            // A panic there leaves no segment, so that the next line makes one.
            let _ = preparing.join();
        }
        let next = std::mem::replace(&mut self.shared.lock().next, Next::Missing);
        match next {
            Next::Ready(segment) => Ok(segment),
            // One that failed before is begun anew: nothing that counts was in it.
            Next::Missing | Next::Preparing | Next::Failed(_) => {
                Segment::prepare(self.disk(), self.next_header())
            }
        }
    }

    /// Leaves the current segment for the next.
    fn enter(&mut self, next: Segment) {
        let left = std::mem::replace(&mut self.segment, next);
        self.gave_up = false;
        let SegmentHeader { id, capacity, .. } = left.header;
        let sealed = Sealed { id, last_zxid: self.chain.zxid, bytes: capacity };
        self.shared.lock().sealed.push(sealed);
        (self.notify)(Progress::Sealed);
    }

    /// Leaves the current segment because somebody asked, as soon as the next is prepared: commits
    /// do not wait for that.
    fn rotate(&mut self, wanted: u64) {
        let mut failure = None;
        if !self.segment.is_unused() {
            let mut state = self.shared.lock();
            match std::mem::replace(&mut state.next, Next::Missing) {
                Next::Ready(next) => {
                    drop(state);
                    self.enter(next);
                }
                Next::Failed(error) if self.rotation_tried => {
                    failure = Some(error);
                    self.gave_up = true;
                }
                Next::Preparing => {
                    state.next = Next::Preparing;
                    return;
                }
                Next::Missing | Next::Failed(_) => {
                    drop(state);
                    self.rotation_tried = true;
                    self.prepare();
                    return;
                }
            }
        }
        self.rotation_tried = false;
        let mut state = self.shared.lock();
        state.rotations_done = wanted;
        state.rotation_failure = failure;
        drop(state);
        self.shared.news.notify_all();
    }

    fn prepare_ahead(&mut self) {
        if self.gave_up || !self.segment.is_half_full() {
            return;
        }
        let mut state = self.shared.lock();
        match &state.next {
            Next::Missing => {
                drop(state);
                self.prepare();
            }
            Next::Failed(_) => {
                // Disks do not empty while one looks, and the current segment may last for long.
                state.next = Next::Missing;
                self.gave_up = true;
            }
            Next::Preparing | Next::Ready(_) => {}
        }
    }

    /// Begins to prepare the next segment in a thread that lives no longer than that takes.
    fn prepare(&mut self) {
        let (disk, header) = (Arc::clone(self.disk()), self.next_header());
        let shared = Arc::clone(&self.shared);
        let folder = self.folder.clone();
        if let Some(last) = self.preparing.take() {
            // It is at its end, for its result has been taken.
            let _ = last.join();
        }
        self.shared.lock().next = Next::Preparing;
        let run = move || {
            let prepared = Segment::prepare(&disk, header);
            // The folder is not let go before its last file is closed.
            drop(folder);
            let next = match prepared {
                Ok(segment) => Next::Ready(segment),
                Err(failure) => Next::Failed(Arc::new(failure)),
            };
            shared.lock().next = next;
            shared.work.notify_one();
        };
        match std::thread::Builder::new().name("sneck-log-prepare".to_owned()).spawn(run) {
            Ok(thread) => self.preparing = Some(thread),
            Err(source) => {
                let path = self.disk().path("");
                let failure = Failure { doing: "start a thread for the log in", path, source };
                self.shared.lock().next = Next::Failed(Arc::new(failure));
                self.shared.work.notify_one();
            }
        }
    }

    fn next_header(&self) -> SegmentHeader {
        let SegmentHeader { id, capacity, .. } = self.segment.header;
        let capacity = self.options.next_capacity(capacity);
        SegmentHeader { id: id + 1, nonce: self.options.nonce, capacity }
    }

    fn disk(&self) -> &Arc<dyn Disk> {
        self.folder.disk()
    }
}
