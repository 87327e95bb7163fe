//! A claim on a durable lock, for the one wait loop.
//!
//! What is waited for is not a place in line but a flag that is down, so whoever is quickest raises it:
//! durable locks are not fair. All else is as for other locks, and done by the same code: time-outs,
//! rechecks, the holder in the error, and clearing up behind a future that was dropped.

use super::flag::Flag;
use super::owner::Owner;
use crate::backend::{Backend, Crash, Order, Promises};
use crate::claim::{Claim, ClaimId, Grant, Request, Standing, Term, Waiting};
use crate::clock::Instant;
use crate::error::{Error, ErrorKind};
use crate::lease::{Lease, Loss};
use crate::record::{Change, Record, RecordKey, RecordKind, Records};
use async_trait::async_trait;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// How long nothing is asked after the store could not say that a record has changed.
const PAUSE: Duration = Duration::from_secs(1);

/// What becomes of the flag when its claim is left.
///
/// Shared with the claim, because its guard decides late. A flag outlives its guard, so being left
/// must not lower it, unless nobody ever got the guard.
#[derive(Clone, Debug)]
pub struct Fate(Arc<AtomicU8>);

const UNDO: u8 = 0;
const KEEP: u8 = 1;
const FREE: u8 = 2;

impl Fate {
    /// Left, the flag is lowered if this claim has raised it, and stays if it was the owner's before.
    fn undo() -> Self {
        Fate(Arc::new(AtomicU8::new(UNDO)))
    }

    /// From now on the flag stays raised, whatever becomes of its guard.
    pub fn keep(&self) {
        self.0.store(KEEP, Ordering::SeqCst);
    }

    /// From now on the flag is lowered when the claim is left.
    pub fn free(&self) {
        self.0.store(FREE, Ordering::SeqCst);
    }

    fn get(&self) -> u8 {
        self.0.load(Ordering::SeqCst)
    }
}

/// The durable locks of a store, asked for by one owner for one reason: a backend whose claims raise
/// flags.
pub struct DurableLine {
    store: Arc<dyn Backend>,
    owner: Owner,
    reason: String,
    fate: Fate,
}

impl DurableLine {
    /// For one acquisition.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a reason of more than [`Flag::REASON_MAX`] bytes, and
    /// [`ErrorKind::Refused`] when the store keeps no records. Nothing is sent.
    pub fn new(store: Arc<dyn Backend>, owner: Owner, reason: &str) -> Result<Self, Error> {
        Flag::check_reason(reason)?;
        if store.records().is_none() {
            return Err(no_records(&*store));
        }
        Ok(DurableLine { store, owner, reason: reason.to_owned(), fate: Fate::undo() })
    }

    /// What becomes of the flag when the claim is left.
    pub fn fate(&self) -> Fate {
        self.fate.clone()
    }
}

/// That a store keeps nothing that outlives a process.
pub(crate) fn no_records(store: &dyn Backend) -> Error {
    let text = "this store keeps nothing that outlives the process that wrote it";
    Error::new(ErrorKind::Refused, text).with_backend(&store.label())
}

#[async_trait]
impl Backend for DurableLine {
    fn claim(&self, request: Request) -> Box<dyn Claim> {
        Box::new(DurableClaim {
            key: RecordKey { kind: RecordKind::Durable, name: request.name.clone() },
            store: self.store.clone(),
            owner: self.owner.clone(),
            reason: self.reason.clone(),
            fate: self.fate.clone(),
            request,
            writing: None,
            raised: None,
            seen: None,
            closed: false,
        })
    }

    fn promises(&self) -> Promises {
        Promises { order: Order::None, crash: Crash::Never, ..self.store.promises() }
    }

    fn label(&self) -> Arc<str> {
        self.store.label()
    }

    fn records(&self) -> Option<&dyn Records> {
        self.store.records()
    }

    async fn close(&self) {
        self.store.close().await;
    }
}

struct DurableClaim {
    store: Arc<dyn Backend>,
    key: RecordKey,
    request: Request,
    owner: Owner,
    reason: String,
    fate: Fate,
    /// The write that was begun last, and what it expects. It may be in place.
    writing: Option<Write>,
    /// The hold, once it is known to be in place.
    raised: Option<ClaimId>,
    /// The record that was seen last.
    seen: Option<ClaimId>,
    /// The store was closed by us, so nothing more is ever heard of the record.
    closed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Write {
    expected: Option<ClaimId>,
    id: ClaimId,
    /// Whether the flag was the owner's before, and stays so when this claim gives up.
    again: bool,
}

impl DurableClaim {
    fn records(&self) -> Result<&dyn Records, Error> {
        self.store.records().ok_or_else(|| no_records(&*self.store))
    }

    fn is_ours(&self, id: ClaimId) -> bool {
        self.raised == Some(id) || self.writing.is_some_and(|write| write.id == id)
    }

    fn stand(&mut self, record: &Record) -> Standing {
        (self.raised, self.seen) = (Some(record.id), Some(record.id));
        // No session ends it and no clock: only the owner does, or somebody by force.
        let term = Term::Session(Lease::new(Instant::FAR));
        Standing::Held(Grant::new(record.stamp, term))
    }

    /// Raises the flag if it is down, or our owner's already.
    async fn raise(&mut self, current: Option<&Record>) -> Result<Option<Standing>, Error> {
        let flag = current.map(Flag::of).unwrap_or_default();
        let since = match &flag.holder {
            Some(holder) if holder.owner == self.owner.as_str() => Some(holder.since),
            Some(holder) => {
                self.seen = current.map(|record| record.id);
                let holder = Some(holder.contender());
                return Ok(Some(Standing::Waiting(Waiting { holder, ..Waiting::default() })));
            }
            None => None,
        };
        let expected = current.map(|record| record.id);
        let write = match self.writing {
            // The same write as before, whose answer may have been lost.
            Some(write) if write.expected == expected => write,
            _ => Write { expected, id: ClaimId::random(), again: since.is_some() },
        };
        self.writing = Some(write);
        let text = flag.taken(&self.owner, &self.reason, &self.request.caller, since);
        let written = self.records()?.write(&self.key, expected, write.id, text.as_bytes()).await?;
        match written {
            Change::Done(record) => Ok(Some(self.stand(&record))),
            Change::Conflict(_) => Ok(None),
        }
    }

    async fn lower(&mut self) -> Result<(), Error> {
        let records = self.records()?;
        while let Some(record) = records.read(&self.key).await? {
            if !self.is_ours(record.id) {
                break;
            }
            if lower(records, &self.key, &record).await? {
                break;
            }
        }
        Ok(())
    }

    fn locate(&self, error: Error) -> Error {
        error.with_lock(&self.key.name).with_backend(&self.store.label())
    }
}

/// Lowers the flag that a record is, and keeps what there is to remember. Whether it was still that
/// record.
///
/// # Errors
/// A transient error is settled by reading the record again.
pub(crate) async fn lower(
    records: &dyn Records,
    key: &RecordKey,
    record: &Record,
) -> Result<bool, Error> {
    Ok(match Flag::of(record).freed() {
        None => matches!(records.delete(key, record.id).await?, Change::Done(())),
        Some(text) => {
            let id = ClaimId::random();
            let written = records.write(key, Some(record.id), id, text.as_bytes()).await?;
            matches!(written, Change::Done(_))
        }
    })
}

#[async_trait]
impl Claim for DurableClaim {
    async fn ask(&mut self) -> Result<Standing, Error> {
        if self.closed {
            return Ok(Standing::Gone(Loss::SessionEnded));
        }
        loop {
            let current = self.records()?.read(&self.key).await;
            let current = current.map_err(|error| self.locate(error))?;
            match current {
                Some(record) if self.is_ours(record.id) => return Ok(self.stand(&record)),
                // Freed by force, or taken up by another process of the same owner.
                Some(_) if self.raised.is_some() => return Ok(Standing::Gone(Loss::Usurped)),
                None if self.raised.is_some() => return Ok(Standing::Gone(Loss::Removed)),
                current => {
                    let raised = self.raise(current.as_ref()).await;
                    if let Some(standing) = raised.map_err(|error| self.locate(error))? {
                        return Ok(standing);
                    }
                }
            }
        }
    }

    async fn changed(&mut self) {
        let changed = match self.records() {
            Ok(records) => records.changed(&self.key, self.seen).await,
            Err(error) => Err(error),
        };
        match changed {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Lost => self.closed = true,
            // Asking says what is wrong, if it still is.
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }

    async fn leave(&mut self) -> Result<(), Error> {
        let again = self.writing.is_none_or(|write| write.again);
        let stays = match self.fate.get() {
            KEEP => true,
            FREE => false,
            _ => again,
        };
        if stays {
            return Ok(());
        }
        self.lower().await.map_err(|error| self.locate(error))
    }
}

impl Flag {
    /// Refuses a reason that does not fit.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for more than [`Flag::REASON_MAX`] bytes.
    pub fn check_reason(reason: &str) -> Result<(), Error> {
        if reason.len() <= Flag::REASON_MAX {
            return Ok(());
        }
        let (length, max) = (reason.len(), Flag::REASON_MAX);
        let text = format!("the reason is {length} bytes long; at most {max} fit");
        Err(Error::new(ErrorKind::Invalid, text))
    }
}
