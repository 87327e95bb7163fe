//! The records of the store in memory.

use crate::claim::ClaimId;
use crate::error::Error;
use crate::name::Name;
use crate::record::{Change, Record, RecordKey, RecordKind, Records};
use crate::token::Token;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

/// The records of the store in memory.
#[derive(Debug, Default)]
pub(crate) struct MemoryRecords {
    kept: Mutex<Kept>,
    changes: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Kept {
    records: BTreeMap<RecordKey, Record>,
    last_stamp: u64,
    ahead: Duration,
    behind: Duration,
}

impl MemoryRecords {
    /// Lets the store's clock go this much ahead, or behind, of this machine's.
    pub(crate) fn set_clock(&self, ahead: Duration, behind: Duration) {
        let mut kept = self.lock();
        (kept.ahead, kept.behind) = (ahead, behind);
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// In whole milliseconds, as other stores tell the time: what is read back from text is the same.
    fn now(&self) -> SystemTime {
        let now = SystemTime::now() + self.ahead - self.behind;
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        UNIX_EPOCH + since - Duration::from_nanos(u64::from(since.subsec_nanos() % 1_000_000))
    }

    fn id(&self, key: &RecordKey) -> Option<ClaimId> {
        self.records.get(key).map(|record| record.id)
    }

    fn conflict<T>(&self, key: &RecordKey) -> Change<T> {
        Change::Conflict(self.records.get(key).cloned())
    }

    fn put(&mut self, key: &RecordKey, id: ClaimId, data: &[u8]) -> Record {
        self.last_stamp += 1;
        let Some(stamp) = Token::new(self.last_stamp) else { unreachable!("counted from one") };
        let record = Record { id, data: data.into(), stamp, written: self.now() };
        self.records.insert(key.clone(), record.clone());
        record
    }
}

#[async_trait]
impl Records for MemoryRecords {
    async fn read(&self, key: &RecordKey) -> Result<Option<Record>, Error> {
        Ok(self.lock().records.get(key).cloned())
    }

    async fn write(
        &self,
        key: &RecordKey,
        expected: Option<ClaimId>,
        id: ClaimId,
        data: &[u8],
    ) -> Result<Change<Record>, Error> {
        Record::check(key, data)?;
        let mut kept = self.lock();
        if let Some(applied) = kept.records.get(key).filter(|record| record.id == id) {
            return Ok(Change::Done(applied.clone()));
        }
        if kept.id(key) != expected {
            return Ok(kept.conflict(key));
        }
        let record = kept.put(key, id, data);
        self.changes.send_replace(());
        Ok(Change::Done(record))
    }

    async fn delete(&self, key: &RecordKey, expected: ClaimId) -> Result<Change<()>, Error> {
        let mut kept = self.lock();
        match kept.id(key) {
            None => {}
            Some(id) if id == expected => {
                kept.records.remove(key);
                self.changes.send_replace(());
            }
            Some(_) => return Ok(kept.conflict(key)),
        }
        Ok(Change::Done(()))
    }

    async fn changed(&self, key: &RecordKey, seen: Option<ClaimId>) -> Result<(), Error> {
        let mut changes = self.changes.subscribe();
        // Looked at only after subscribing, so that nothing falls in between. The sender lives as long
        // as the store, which is borrowed here.
        while self.lock().id(key) == seen && changes.changed().await.is_ok() {}
        Ok(())
    }

    async fn now(&self) -> Result<SystemTime, Error> {
        Ok(self.lock().now())
    }

    async fn names(&self, kind: RecordKind) -> Result<Vec<Name>, Error> {
        let kept = self.lock();
        let of_kind = kept.records.keys().filter(|key| key.kind == kind);
        Ok(of_kind.map(|key| key.name.clone()).collect())
    }
}
