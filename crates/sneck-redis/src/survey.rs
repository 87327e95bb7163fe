//! Looking at lines from the outside, and the sizes of semaphores.

use crate::backend::Redis;
use crate::keys::{Bucket, LineKeys, channel};
use crate::reply;
use crate::script::{Call, LOOK, NAMES, RESIZE, REVOKE};
use crate::store::Store;
use async_trait::async_trait;
use futures_util::future::join_all;
use sneck_core::{Capacity, Contender, Error, Name, Survey};
use std::num::NonZeroU32;

impl Store {
    /// The line of one lock as this server has it.
    pub(crate) async fn line(&self, name: &Name) -> Result<Vec<Contender>, Error> {
        let keys = LineKeys::new(&self.options.prefix, Bucket::of(name), name);
        let call = Call::new(&LOOK).key(&keys.line).key(&keys.term).key(&keys.place);
        let live = self.link.live().await?;
        reply::line(self.link.call(&live, &call, "reading the line").await?)
    }

    /// The names of all locks with somebody in line on this server.
    pub(crate) async fn names(&self) -> Result<Vec<Name>, Error> {
        let live = self.link.live().await?;
        let keys: Vec<String> =
            Bucket::all().map(|bucket| self.bucket_keys(bucket).names).collect();
        let mut names = Vec::new();
        for keys in keys.chunks(64) {
            let calls: Vec<Call<'_>> = keys.iter().map(|key| Call::new(&NAMES).key(key)).collect();
            let asked = calls.iter().map(|call| self.link.call(&live, call, "looking for locks"));
            for answer in join_all(asked).await {
                // What is no name was not written by us.
                names.extend(reply::texts(answer?)?.iter().filter_map(|name| Name::new(name).ok()));
            }
        }
        names.sort();
        Ok(names)
    }

    /// Asks the holders of a lock to let go, and says who they are.
    pub(crate) async fn revoke(&self, name: &Name) -> Result<Vec<Contender>, Error> {
        let bucket = Bucket::of(name);
        let keys = LineKeys::new(&self.options.prefix, bucket, name);
        let call = Call::new(&REVOKE)
            .key(&keys.line)
            .key(&keys.term)
            .key(&keys.place)
            .arg(self.link.publish())
            .arg(channel(&self.options.prefix, bucket));
        let live = self.link.live().await?;
        reply::line(self.link.call(&live, &call, "asking the holder to let go").await?)
    }

    async fn permits(&self, name: &Name) -> Result<Option<NonZeroU32>, Error> {
        let mut get = redis::cmd("HGET");
        get.arg(self.bucket_keys(Bucket::of(name)).sizes).arg(name.as_str());
        let live = self.link.live().await?;
        let stored: Option<u32> = self.link.command(&live, &get, "reading the permits").await?;
        Ok(stored.and_then(NonZeroU32::new))
    }

    async fn set_permits(&self, name: &Name, permits: NonZeroU32) -> Result<(), Error> {
        let bucket = Bucket::of(name);
        let keys = LineKeys::new(&self.options.prefix, bucket, name);
        let call = Call::new(&RESIZE)
            .key(&self.bucket_keys(bucket).sizes)
            .key(&keys.line)
            .key(&keys.term)
            .key(&keys.place)
            .arg(self.link.publish())
            .arg(channel(&self.options.prefix, bucket))
            .arg(name.as_str())
            .arg(permits.get());
        let live = self.link.live().await?;
        self.link.call(&live, &call, "setting the permits").await.map(drop)
    }
}

#[async_trait]
impl Survey for Redis {
    async fn line(&self, name: &Name) -> Result<Vec<Contender>, Error> {
        let line = self.store.line(name).await;
        line.map_err(|error| error.with_lock(name).with_backend(&self.store.label))
    }

    async fn names(&self) -> Result<Vec<Name>, Error> {
        self.store.names().await.map_err(|error| error.with_backend(&self.store.label))
    }
}

#[async_trait]
impl Capacity for Redis {
    async fn permits(&self, name: &Name) -> Result<Option<NonZeroU32>, Error> {
        let permits = self.store.permits(name).await;
        permits.map_err(|error| error.with_lock(name).with_backend(&self.store.label))
    }

    async fn set_permits(&self, name: &Name, permits: NonZeroU32) -> Result<(), Error> {
        let set = self.store.set_permits(name, permits).await;
        set.map_err(|error| error.with_lock(name).with_backend(&self.store.label))
    }
}
