//! Learning that a record has changed.

use super::path;
use crate::error::{End, RequestError};
use crate::lock::ZooKeeper;
use crate::session::Session;
use sneck_core::{ClaimId, Error, ErrorKind, RecordKey};

/// Resolves when the record is another than the one seen, or when it may be.
pub(super) async fn changed(
    store: &ZooKeeper,
    key: &RecordKey,
    seen: Option<ClaimId>,
) -> Result<(), Error> {
    let session = store.session().await?;
    let node = path::record(&store.layout.chroot, key);
    // The watch is set before the record is read, so that no change falls in between.
    let watched = session.exists_watch(&node);
    let current = store.read_on(&session, key).await?;
    let watch = match watched.await {
        Ok((_, watch)) => watch,
        // Something has changed, if not with the record.
        Err(RequestError::Interrupted) => return Ok(()),
        Err(error) => return Err(store.failure(key, &error, "watching the record")),
    };
    if current.map(|record| record.id) == seen && watch.await.is_none() {
        over(&session, store, key)?;
    }
    Ok(())
}

/// A session that ended by itself is followed by another. One that we closed is not, so nothing will
/// ever be heard of the record.
fn over(session: &Session, store: &ZooKeeper, key: &RecordKey) -> Result<(), Error> {
    match session.state().borrow().end() {
        Some(End::Closed) => Err(Error::new(ErrorKind::Lost, "the connection was closed")
            .with_lock(&key.name)
            .with_backend(&store.layout.label)),
        _ => Ok(()),
    }
}
