//! Records that outlive the process that wrote them: a hash for each, without a term.

use crate::backend::Redis;
use crate::keys::{Bucket, RecordKeys};
use crate::reply;
use crate::script::{Call, RECORD_DELETE, RECORD_WRITE};
use crate::store::Store;
use async_trait::async_trait;
use futures_util::future::join_all;
use sneck_core::{Change, ClaimId, Error, Name, Record, RecordKey, RecordKind, Records};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How often a record is looked at by whoever waits for a change. Records change seldom, and are waited for
/// by few, so that a channel for each would cost more than it saves.
const LOOK_EVERY: Duration = Duration::from_millis(200);

impl Store {
    fn record_keys(&self, kind: RecordKind, bucket: Bucket) -> RecordKeys {
        RecordKeys::new(&self.options.prefix, kind, bucket)
    }

    async fn read_record(&self, key: &RecordKey) -> Result<Option<Record>, Error> {
        let keys = self.record_keys(key.kind, Bucket::of(&key.name));
        let mut get = redis::cmd("HMGET");
        get.arg(keys.of(&key.name)).arg(&["id", "data", "stamp", "written"]);
        let live = self.link.live().await?;
        let fields = self.link.command(&live, &get, "reading the record").await?;
        reply::record(fields)
    }

    async fn write_record(
        &self,
        key: &RecordKey,
        expected: Option<ClaimId>,
        id: ClaimId,
        data: &[u8],
    ) -> Result<Change<Record>, Error> {
        let bucket = Bucket::of(&key.name);
        let keys = self.record_keys(key.kind, bucket);
        let call = Call::new(&RECORD_WRITE)
            .key(&keys.of(&key.name))
            .key(&self.bucket_keys(bucket).bucket)
            .key(&keys.names)
            .arg(expected.map(|id| id.to_string()).unwrap_or_default())
            .arg(id.to_string())
            .arg(data)
            .arg(key.name.as_str());
        let live = self.link.live().await?;
        let (done, now) = reply::change(self.link.call(&live, &call, "writing the record").await?)?;
        match (done, now) {
            (true, Some(record)) => Ok(Change::Done(record)),
            (true, None) => Err(reply::nonsense()),
            (false, now) => Ok(Change::Conflict(now)),
        }
    }

    async fn delete_record(&self, key: &RecordKey, expected: ClaimId) -> Result<Change<()>, Error> {
        let keys = self.record_keys(key.kind, Bucket::of(&key.name));
        let call = Call::new(&RECORD_DELETE)
            .key(&keys.of(&key.name))
            .key(&keys.names)
            .arg(expected.to_string())
            .arg(key.name.as_str());
        let live = self.link.live().await?;
        let (done, now) =
            reply::change(self.link.call(&live, &call, "deleting the record").await?)?;
        Ok(if done { Change::Done(()) } else { Change::Conflict(now) })
    }

    async fn record_names(&self, kind: RecordKind) -> Result<Vec<Name>, Error> {
        let live = self.link.live().await?;
        let keys: Vec<String> = Bucket::all().map(|at| self.record_keys(kind, at).names).collect();
        let mut names = Vec::new();
        for keys in keys.chunks(64) {
            let asked = keys.iter().map(async |key| {
                let mut members = redis::cmd("SMEMBERS");
                members.arg(key);
                let doing = "looking for records";
                self.link.command::<Vec<String>>(&live, &members, doing).await
            });
            for answer in join_all(asked).await {
                // What is no name was not written by us.
                names.extend(answer?.iter().filter_map(|name| Name::new(name).ok()));
            }
        }
        names.sort();
        Ok(names)
    }

    async fn time(&self) -> Result<SystemTime, Error> {
        let live = self.link.live().await?;
        let (seconds, micros): (u64, u64) =
            self.link.command(&live, &redis::cmd("TIME"), "asking the time").await?;
        // In whole milliseconds, as records are dated.
        Ok(UNIX_EPOCH + Duration::from_millis(seconds * 1_000 + micros / 1_000))
    }
}

impl Redis {
    fn of_record<T>(&self, key: &RecordKey, done: Result<T, Error>) -> Result<T, Error> {
        done.map_err(|error| error.with_lock(&key.name).with_backend(&self.store.label))
    }
}

/// A record is as safe as what Redis keeps: a server without `appendonly` forgets it with a restart, and
/// a failover may forget the last writes. Stamps rise all the same.
#[async_trait]
impl Records for Redis {
    async fn read(&self, key: &RecordKey) -> Result<Option<Record>, Error> {
        self.of_record(key, self.store.read_record(key).await)
    }

    async fn write(
        &self,
        key: &RecordKey,
        expected: Option<ClaimId>,
        id: ClaimId,
        data: &[u8],
    ) -> Result<Change<Record>, Error> {
        Record::check(key, data)?;
        self.of_record(key, self.store.write_record(key, expected, id, data).await)
    }

    async fn delete(&self, key: &RecordKey, expected: ClaimId) -> Result<Change<()>, Error> {
        self.of_record(key, self.store.delete_record(key, expected).await)
    }

    async fn changed(&self, key: &RecordKey, seen: Option<ClaimId>) -> Result<(), Error> {
        while self.read(key).await?.map(|record| record.id) == seen {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    async fn now(&self) -> Result<SystemTime, Error> {
        self.store.time().await.map_err(|error| error.with_backend(&self.store.label))
    }

    async fn names(&self, kind: RecordKind) -> Result<Vec<Name>, Error> {
        let names = self.store.record_names(kind).await;
        names.map_err(|error| error.with_backend(&self.store.label))
    }
}
