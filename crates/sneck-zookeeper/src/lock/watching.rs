//! Learning from the outside that a lock has another holder.

use super::dialect::Dialect;
use super::seat::line;
use super::survey::path_of;
use crate::error::RequestError;
use crate::session::{Session, Watch};
use sneck_wire::{ErrorCode, EventKind};

/// Resolves when the place of the holder has been given up, or when somebody comes where nobody was.
/// May resolve early: whoever looks on asks again.
///
/// # Errors
/// When the servers refuse.
pub(super) async fn holder(
    session: &Session,
    dialect: Dialect,
    dir: &str,
    place: Option<&str>,
) -> Result<(), RequestError> {
    let ended = match place {
        Some(place) => given_up(session, &path_of(dir, place)).await,
        None => arrival(session, dialect, dir).await,
    };
    match ended {
        // The connection broke, or the session was replaced: whatever happened meanwhile, look again.
        Err(RequestError::Interrupted | RequestError::Over { .. }) => Ok(()),
        ended => ended,
    }
}

/// Watches the one node, whose line may be long and busy.
async fn given_up(session: &Session, place: &str) -> Result<(), RequestError> {
    loop {
        match session.get_data_watch(place).await {
            Ok((_, watch)) => {
                if !is_still_there(watch).await {
                    return Ok(());
                }
            }
            Err(RequestError::Refused(ErrorCode::NO_NODE)) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// A change of a node's data says nothing about who holds the lock.
async fn is_still_there(watch: Watch) -> bool {
    watch.await.is_some_and(|event| event.kind == EventKind::DataChanged)
}

async fn arrival(session: &Session, dialect: Dialect, dir: &str) -> Result<(), RequestError> {
    loop {
        match session.get_children_watch(dir).await {
            Ok((children, _)) if children.iter().any(|at| is_arrival(dialect, at)) => return Ok(()),
            Ok((_, watch)) => {
                if watch.await.is_none() {
                    return Ok(());
                }
            }
            // Servers tell those who wait for a node that is not there, whatever lies above it.
            Err(RequestError::Refused(ErrorCode::NO_NODE)) => {
                let (stat, watch) = session.exists_watch(dir).await?;
                if stat.is_none() && watch.await.is_none() {
                    return Ok(());
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// Resolves when a place is in the line from which the lock is not held. One watch is all it takes while
/// nobody comes or goes.
///
/// # Errors
/// When the servers refuse, or the session is over.
pub(super) async fn contender(
    session: &Session,
    dialect: Dialect,
    dir: &str,
) -> Result<(), RequestError> {
    loop {
        match session.get_children_watch(dir).await {
            Ok((children, _)) if line(dialect, &children).iter().any(|place| !place.held) => {
                return Ok(());
            }
            // Whatever happened while the connection was broken is in the next list.
            Ok((_, watch)) => drop(watch.await),
            Err(RequestError::Interrupted) => {}
            Err(error) => return Err(error),
        }
    }
}

fn is_arrival(dialect: Dialect, child: &str) -> bool {
    dialect.sequence(child).is_some() || dialect.is_permit(child)
}
