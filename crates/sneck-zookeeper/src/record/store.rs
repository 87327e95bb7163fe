//! Reading and writing records.
//!
//! A record is a persistent node with its data, and one child whose name is the identity of the last
//! write. Each write is one transaction that replaces that child, so it fails unless the record is
//! still the one that was read. A node's own version would not do: it begins at zero again when the
//! node was deleted and made anew, and a client that was stopped in between would take the new record
//! for the old one.

use super::path;
use crate::error::{End, RequestError};
use crate::lock::ZooKeeper;
use crate::lock::of_request;
use crate::session::{Node, Session};
use async_trait::async_trait;
use bytes::Bytes;
use sneck_core::{
    Change, ClaimId, Error, ErrorKind, Name, Record, RecordKey, RecordKind, Records, Token,
};
use sneck_wire::{CreateMode, ErrorCode, MultiOp, MultiResult, NewNode, Stat};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Attempts at a write whose folders come and go, or whose record changes and changes back.
const TRIES_MAX: u32 = 8;
/// What stands before the identity of the last write in a record's data.
const ID: &[u8] = b"id=";

#[async_trait]
impl Records for ZooKeeper {
    async fn read(&self, key: &RecordKey) -> Result<Option<Record>, Error> {
        let session = self.session().await?;
        self.read_on(&session, key).await
    }

    async fn write(
        &self,
        key: &RecordKey,
        expected: Option<ClaimId>,
        id: ClaimId,
        data: &[u8],
    ) -> Result<Change<Record>, Error> {
        Record::check(key, data)?;
        let session = self.session().await?;
        let node = path::record(&self.layout.chroot, key);
        let bytes = encode(id, data);
        for _ in 0..TRIES_MAX {
            let failed = match session.multi(self.writing(&node, expected, id, &bytes)).await {
                Ok(results) => match outcome(&results) {
                    Ok(stat) => return self.record(key, id, data, stat).map(Change::Done),
                    Err(code) => code,
                },
                Err(error) => return Err(self.failure(key, &error, "writing the record")),
            };
            if !matches!(failed, ErrorCode::NO_NODE | ErrorCode::NODE_EXISTS) {
                let error = RequestError::Refused(failed);
                return Err(self.failure(key, &error, "writing the record"));
            }
            match (self.read_on(&session, key).await?, expected) {
                // An attempt before this one was carried out, and its answer was lost.
                (Some(record), _) if record.id == id => return Ok(Change::Done(record)),
                (None, None) => {
                    let folder = path::folder(&self.layout.chroot, key.kind);
                    let made = self.make(&session, &folder).await;
                    made.map_err(|error| self.failure(key, &error, "making the folder"))?;
                }
                (Some(record), Some(expected)) if record.id == expected => {
                    self.has_its_child(&session, key, &node, expected).await?;
                }
                (current, _) => return Ok(Change::Conflict(current)),
            }
        }
        Err(self.restless(key))
    }

    async fn delete(&self, key: &RecordKey, expected: ClaimId) -> Result<Change<()>, Error> {
        let session = self.session().await?;
        let node = path::record(&self.layout.chroot, key);
        for _ in 0..TRIES_MAX {
            let deleting = vec![
                MultiOp::Delete { path: format!("{node}/{expected}"), version: -1 },
                MultiOp::Delete { path: node.clone(), version: -1 },
            ];
            let failed = match session.multi(deleting).await {
                Ok(results) => match failed(&results) {
                    None => return Ok(Change::Done(())),
                    Some(code) => code,
                },
                Err(error) => return Err(self.failure(key, &error, "deleting the record")),
            };
            if failed != ErrorCode::NO_NODE {
                let error = RequestError::Refused(failed);
                return Err(self.failure(key, &error, "deleting the record"));
            }
            match self.read_on(&session, key).await? {
                None => return Ok(Change::Done(())),
                Some(record) if record.id != expected => return Ok(Change::Conflict(Some(record))),
                Some(_) => self.has_its_child(&session, key, &node, expected).await?,
            }
        }
        Err(self.restless(key))
    }

    async fn changed(&self, key: &RecordKey, seen: Option<ClaimId>) -> Result<(), Error> {
        super::watching::changed(self, key, seen).await
    }

    async fn now(&self) -> Result<SystemTime, Error> {
        let session = self.session().await?;
        let node = path::clock(&self.layout.chroot);
        for _ in 0..TRIES_MAX {
            match session.set_data(&node, "", None).await {
                Ok(stat) => return Ok(time(stat.mtime)),
                Err(RequestError::Refused(ErrorCode::NO_NODE)) => {}
                Err(error) => return Err(self.failed(&error, "asking for the time")),
            }
            let made = self.make(&session, &node).await;
            made.map_err(|error| self.failed(&error, "making the node that tells the time"))?;
        }
        let text = "the node that tells the time is deleted as soon as it is made";
        Err(Error::new(ErrorKind::Unavailable, text).with_backend(&self.layout.label))
    }

    async fn names(&self, kind: RecordKind) -> Result<Vec<Name>, Error> {
        let session = self.session().await?;
        let folder = path::folder(&self.layout.chroot, kind);
        match session.get_children_synced(&folder).await {
            Ok(children) => {
                let mut names: Vec<Name> =
                    children.iter().filter_map(|node| path::name(node)).collect();
                names.sort();
                Ok(names)
            }
            Err(RequestError::Refused(ErrorCode::NO_NODE)) => Ok(Vec::new()),
            Err(error) => Err(self.failed(&error, "listing the records")),
        }
    }
}

impl ZooKeeper {
    /// The record as the servers have it now.
    pub(super) async fn read_on(
        &self,
        session: &Session,
        key: &RecordKey,
    ) -> Result<Option<Record>, Error> {
        let node = path::record(&self.layout.chroot, key);
        match session.get_data_synced(&node).await {
            Ok(Node { data, stat }) => match decode(&data) {
                Some((id, data)) => self.record(key, id, data, stat).map(Some),
                None => Err(self.broken(key, &node, "holds something else than a record")),
            },
            Err(RequestError::Refused(ErrorCode::NO_NODE)) => Ok(None),
            Err(error) => Err(self.failure(key, &error, "reading the record")),
        }
    }

    fn writing(
        &self,
        node: &str,
        expected: Option<ClaimId>,
        id: ClaimId,
        data: &Bytes,
    ) -> Vec<MultiOp> {
        let create = |path: String| {
            let (acl, mode) = (self.layout.acl(), CreateMode::Persistent);
            MultiOp::Create(NewNode { path, data: Some(Bytes::new()), acl, mode })
        };
        let before = match expected {
            None => create(node.to_owned()),
            Some(before) => MultiOp::Delete { path: format!("{node}/{before}"), version: -1 },
        };
        // Also for a new node: servers before 3.8.2 do not tell the stat of what a transaction creates.
        let data = Some(data.clone());
        let set = MultiOp::SetData { path: node.to_owned(), data, version: -1 };
        vec![before, create(format!("{node}/{id}")), set]
    }

    /// Makes a persistent node, and those above it that are missing.
    async fn make(&self, session: &Session, node: &str) -> Result<(), RequestError> {
        let mut ends: Vec<usize> = node.match_indices('/').map(|(at, _)| at).skip(1).collect();
        ends.push(node.len());
        // From the bottom, where usually little is missing, and down again.
        let mut at = ends.len() - 1;
        loop {
            let path = &node[..ends[at]];
            match session.create(path, "", CreateMode::Persistent, self.layout.acl()).await {
                Ok(_) | Err(RequestError::Refused(ErrorCode::NODE_EXISTS)) => at += 1,
                Err(RequestError::Refused(ErrorCode::NO_NODE)) if at > 0 => at -= 1,
                Err(error) => return Err(error),
            }
            if at == ends.len() {
                return Ok(());
            }
        }
    }

    /// A record whose child was taken away can never be written again.
    async fn has_its_child(
        &self,
        session: &Session,
        key: &RecordKey,
        node: &str,
        id: ClaimId,
    ) -> Result<(), Error> {
        match session.exists(&format!("{node}/{id}")).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => match self.read_on(session, key).await? {
                Some(record) if record.id == id => {
                    Err(self.broken(key, node, "has lost the child that names its last write"))
                }
                _ => Ok(()),
            },
            Err(error) => Err(self.failure(key, &error, "reading the record")),
        }
    }

    fn record(
        &self,
        key: &RecordKey,
        id: ClaimId,
        data: &[u8],
        stat: Stat,
    ) -> Result<Record, Error> {
        let stamp = u64::try_from(stat.mzxid).ok().and_then(Token::new);
        let stamp = stamp.ok_or_else(|| {
            let text = format!("the server told the transaction {}", stat.mzxid);
            Error::new(ErrorKind::Protocol, text).with_lock(&key.name)
        })?;
        Ok(Record { id, data: data.into(), stamp, written: time(stat.mtime) })
    }

    fn broken(&self, key: &RecordKey, node: &str, how: &str) -> Error {
        Error::new(ErrorKind::Refused, format!("the node {node} {how}"))
            .with_hint("see what it is, and delete it together with its children")
            .with_lock(&key.name)
            .with_backend(&self.layout.label)
    }

    fn restless(&self, key: &RecordKey) -> Error {
        let text = "the record changes faster than it can be written";
        let error = Error::new(ErrorKind::Unavailable, text);
        error.with_lock(&key.name).with_backend(&self.layout.label)
    }

    pub(super) fn failure(&self, key: &RecordKey, error: &RequestError, doing: &str) -> Error {
        self.failed(error, doing).with_lock(&key.name)
    }

    /// Unlike a place in line a record does not end with its session: asking again on the next one
    /// is worthwhile, unless there is to be none.
    fn failed(&self, error: &RequestError, doing: &str) -> Error {
        let failure = match error {
            RequestError::Over { end, .. } if *end != End::AuthFailed => {
                let error_now = Error::new(ErrorKind::Unavailable, format!("{doing}: {error}"));
                match error.may_have_been_applied() {
                    true => error_now.with_unknown_outcome(),
                    false => error_now,
                }
            }
            error => of_request(error, doing),
        };
        failure.with_backend(&self.layout.label)
    }
}

fn encode(id: ClaimId, data: &[u8]) -> Bytes {
    [ID, id.to_string().as_bytes(), b"\n", data].concat().into()
}

fn decode(data: &[u8]) -> Option<(ClaimId, &[u8])> {
    let rest = data.strip_prefix(ID)?;
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let id = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
    Some((id, &rest[end + 1..]))
}

/// What a transaction that ends with the record's data came to.
fn outcome(results: &[MultiResult]) -> Result<Stat, ErrorCode> {
    match (failed(results), results.last()) {
        (None, Some(MultiResult::SetData(stat))) => Ok(*stat),
        (code, _) => Err(code.unwrap_or(ErrorCode::MARSHALLING_ERROR)),
    }
}

/// Why a transaction failed. All its operations have failed then, most for that reason alone.
fn failed(results: &[MultiResult]) -> Option<ErrorCode> {
    let mut codes = results.iter().filter_map(|result| match result {
        MultiResult::Error(code) => Some(*code),
        _ => None,
    });
    let first = codes.next()?;
    let consequence =
        |code: &ErrorCode| *code == ErrorCode::RUNTIME_INCONSISTENCY || *code == ErrorCode::OK;
    Some(std::iter::once(first).chain(codes).find(|code| !consequence(code)).unwrap_or(first))
}

/// A server's time, in milliseconds since 1970.
fn time(ms: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_back_and_nothing_else_is_one() {
        let id = ClaimId::from_u128(7);
        for data in [&b""[..], b"owner=a\n", b"\n\n", b"\xff"] {
            assert_eq!(decode(&encode(id, data)), Some((id, data)));
        }
        for data in [&b""[..], b"id=", b"id=7\n", b"owner=a\n", b"3"] {
            assert_eq!(decode(data), None);
        }
    }

    #[test]
    fn a_transaction_fails_for_the_reason_that_is_one() {
        let error = MultiResult::Error;
        let results = [
            error(ErrorCode::OK),
            error(ErrorCode::NO_NODE),
            error(ErrorCode::RUNTIME_INCONSISTENCY),
        ];
        assert_eq!(failed(&results), Some(ErrorCode::NO_NODE));
        assert_eq!(failed(&[MultiResult::Delete]), None);
        assert_eq!(outcome(&[MultiResult::Delete]), Err(ErrorCode::MARSHALLING_ERROR));
    }
}
