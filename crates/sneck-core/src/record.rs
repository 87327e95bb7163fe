//! Small records that outlive the process that wrote them, where the store keeps them.
//!
//! A place in line ends with its session. A lock that must survive its owner, and the memory of when
//! a job ran last, need something that stays: a record, changed only on the condition that it is
//! still the one that was read.

use crate::claim::ClaimId;
use crate::error::{Error, ErrorKind};
use crate::name::Name;
use crate::token::Token;
use async_trait::async_trait;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

/// What a record is for. Records of different kinds never meet, whatever their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKind {
    /// A lock that outlives its owner.
    Durable,
    /// When a job ran last.
    Once,
}

impl RecordKind {
    /// The kind in one word, for paths and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            RecordKind::Durable => "durable",
            RecordKind::Once => "once",
        }
    }
}

/// Which record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey {
    /// What it is for.
    pub kind: RecordKind,
    /// Its name.
    pub name: Name,
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.kind.as_str(), self.name.as_str())
    }
}

/// A record as it was at some moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The identity of the write that made it what it is: random, and never used twice. It is the
    /// record's version, and unlike a count it does not begin again when the record is deleted.
    pub id: ClaimId,
    /// What was written.
    pub data: Arc<[u8]>,
    /// Larger than that of every earlier write of this record, over deletions too.
    pub stamp: Token,
    /// When it was written, by the store's clock.
    pub written: SystemTime,
}

impl Record {
    /// The most data one record may have, in bytes. It is far below what any store takes, because
    /// records are read whole by everybody who waits for one.
    pub const DATA_MAX: usize = 128 * 1024;
}

/// What became of a write or a deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<T> {
    /// It is in place.
    Done(T),
    /// The record was not the expected one; this is what it is instead. If an earlier attempt under the
    /// same identity was not answered, that one may have been in place in the meantime.
    Conflict(Option<Record>),
}

/// Small records, one for each key, each write conditional on what was there before.
///
/// Contract, checked for every backend that has records by the contract suite:
///
/// * Each verb is one attempt. An answer that got lost is a [transient](Error::is_transient) error,
///   and is settled by calling again with the same arguments: a write is applied once at most.
/// * A condition is on the identity of the last write, so that a record which was deleted and made
///   anew is never taken for the old one.
/// * Every future may be dropped at any await point; what was asked for may then happen or not.
#[async_trait]
pub trait Records: Send + Sync {
    /// The record as it is now, seeing every write that was answered before; `None` where there is none.
    ///
    /// # Errors
    /// When the store cannot be asked, or refuses.
    async fn read(&self, key: &RecordKey) -> Result<Option<Record>, Error>;

    /// Writes a record, if it is still the `expected` one; `None` expects that there is none. `id` is
    /// fresh for each write, and the same for each attempt at it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for more than [`Record::DATA_MAX`] bytes, before anything is sent; and
    /// when the store cannot be asked, or refuses.
    async fn write(
        &self,
        key: &RecordKey,
        expected: Option<ClaimId>,
        id: ClaimId,
        data: &[u8],
    ) -> Result<Change<Record>, Error>;

    /// Deletes a record, if it is still the `expected` one. That there is none counts as done.
    ///
    /// # Errors
    /// When the store cannot be asked, or refuses.
    async fn delete(&self, key: &RecordKey, expected: ClaimId) -> Result<Change<()>, Error>;

    /// Resolves when the record is another than the one `seen`, or there is one where there was `None`.
    /// It may resolve early. A store that cannot tell never resolves; the caller looks again in any case.
    ///
    /// # Errors
    /// When the store cannot be asked, or refuses.
    async fn changed(&self, key: &RecordKey, seen: Option<ClaimId>) -> Result<(), Error>;

    /// Now, by the store's clock. It may step, as every clock may.
    ///
    /// # Errors
    /// When the store cannot be asked, or refuses.
    async fn now(&self) -> Result<SystemTime, Error>;

    /// The names of all records of a kind, in order.
    ///
    /// # Errors
    /// When the store cannot be asked, or refuses.
    async fn names(&self, kind: RecordKind) -> Result<Vec<Name>, Error>;
}

impl Record {
    /// Refuses data that no store takes.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for more than [`Record::DATA_MAX`] bytes.
    pub fn check(key: &RecordKey, data: &[u8]) -> Result<(), Error> {
        if data.len() <= Record::DATA_MAX {
            return Ok(());
        }
        let text = format!("the record has {} bytes; {} are allowed", data.len(), Record::DATA_MAX);
        Err(Error::new(ErrorKind::Invalid, text).with_lock(&key.name))
    }
}
