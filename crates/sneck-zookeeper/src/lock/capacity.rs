//! How many permits a semaphore on ZooKeeper has.

use super::backend::ZooKeeper;
use super::permits::number_in;
use crate::error::RequestError;
use async_trait::async_trait;
use sneck_core::{Capacity, Error, ErrorKind, Name};
use sneck_wire::{CreateMode, ErrorCode};
use std::num::NonZeroU32;

/// How often the number is read again because somebody else changed it meanwhile.
const ATTEMPTS_MAX: usize = 64;

#[async_trait]
impl Capacity for ZooKeeper {
    async fn permits(&self, name: &Name) -> Result<Option<NonZeroU32>, Error> {
        let path = self.path(name)?;
        let session = self.session().await?;
        match session.get_data_synced(&path).await {
            Ok(node) => number_in(&node, &path).map_err(|error| self.locate(error, name)),
            Err(RequestError::Refused(ErrorCode::NO_NODE)) => Ok(None),
            Err(error) => Err(self.number_failed(&error, name)),
        }
    }

    /// On condition of the version that was read, so that something else than a number is never
    /// written over. After a broken connection it is done once more, which changes nothing if it had
    /// been done.
    async fn set_permits(&self, name: &Name, permits: NonZeroU32) -> Result<(), Error> {
        let path = self.path(name)?;
        let session = self.session().await?;
        for _ in 0..ATTEMPTS_MAX {
            let done = match session.get_data_synced(&path).await {
                Ok(node) => {
                    number_in(&node, &path).map_err(|error| self.locate(error, name))?;
                    let version = Some(node.stat.version);
                    session.set_data(&path, permits.to_string(), version).await.map(drop)
                }
                Err(RequestError::Refused(ErrorCode::NO_NODE)) => {
                    self.make_semaphore(&path, permits).await
                }
                Err(error) => Err(error),
            };
            match done {
                Ok(()) => return Ok(()),
                Err(RequestError::Interrupted) => {}
                Err(RequestError::Refused(
                    ErrorCode::BAD_VERSION | ErrorCode::NODE_EXISTS | ErrorCode::NO_NODE,
                )) => {}
                Err(error) => return Err(self.number_failed(&error, name)),
            }
        }
        let text = "the number of permits changes faster than it can be set";
        Err(self.locate(Error::new(ErrorKind::Unavailable, text), name))
    }
}

impl ZooKeeper {
    async fn make_semaphore(&self, path: &str, permits: NonZeroU32) -> Result<(), RequestError> {
        let session = self.sessions.last();
        let acl = || self.layout.acl();
        for (at, _) in path.match_indices('/').skip(1) {
            match session.create2(&path[..at], "", CreateMode::Container, acl()).await {
                Ok(_) | Err(RequestError::Refused(ErrorCode::NODE_EXISTS)) => {}
                Err(error) => return Err(error),
            }
        }
        let mode = CreateMode::Persistent;
        session.create(path, permits.to_string(), mode, acl()).await.map(drop)
    }

    fn number_failed(&self, error: &RequestError, name: &Name) -> Error {
        self.layout.failure(error, "the number of permits").with_lock(name)
    }

    fn locate(&self, error: Error, name: &Name) -> Error {
        error.with_lock(name).with_backend(&self.layout.label)
    }
}
