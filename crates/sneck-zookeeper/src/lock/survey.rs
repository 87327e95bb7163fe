//! Looking at the lines of locks on ZooKeeper from the outside.

use super::backend::ZooKeeper;
use super::dialect::{LOCKS, Rooms};
use super::permits::number_in;
use super::seat::{Spotted, line};
use super::watching;
use crate::error::RequestError;
use crate::record::FOLDER;
use crate::session::Session;
use async_trait::async_trait;
use sneck_core::{Contender, Error, Mode, Name, Permits, Survey};
use sneck_wire::ErrorCode;
use std::collections::{BTreeSet, VecDeque};

/// Nodes read at the same time while looking around.
const READS_MAX: usize = 256;
/// Nodes visited while looking for locks, so that a tree of another use cannot keep us for ever.
const NODES_MAX: usize = 100_000;

#[async_trait]
impl Survey for ZooKeeper {
    async fn line(&self, name: &Name) -> Result<Vec<Contender>, Error> {
        let dir = self.path(name)?;
        let session = self.session().await?;
        let failed =
            |error: &RequestError| self.layout.failure(error, "reading the line").with_lock(name);
        let dialect = self.layout.options.dialect;
        let places = self.line_of(&session, &dir).await.map_err(|error| failed(&error))?;
        let mut contenders = Vec::with_capacity(places.len());
        for places in places.chunks(READS_MAX) {
            let reads: Vec<_> = places
                .iter()
                .map(|spotted| session.get_data(&path_of(&dir, &spotted.place)))
                .collect();
            for (spotted, read) in places.iter().zip(reads) {
                match read.await {
                    Ok(node) => contenders.push(spotted.clone().contender(dialect, &node)),
                    // It has left since.
                    Err(RequestError::Refused(ErrorCode::NO_NODE)) => {}
                    Err(error) => return Err(failed(&error)),
                }
            }
        }
        Ok(contenders)
    }

    async fn names(&self) -> Result<Vec<Name>, Error> {
        let session = self.session().await?;
        let failed = |error: &RequestError| self.layout.failure(error, "looking for locks");
        session.prove().await.map_err(|error| failed(&error))?;
        let mut names = BTreeSet::new();
        let mut visited = 0;
        let mut todo = VecDeque::from([String::new()]);
        while !todo.is_empty() && visited < NODES_MAX {
            let round: Vec<String> = todo.drain(..todo.len().min(READS_MAX)).collect();
            visited += round.len();
            let reads: Vec<_> =
                round.iter().map(|at| session.get_children(&self.absolute(at))).collect();
            for (at, read) in round.iter().zip(reads) {
                match read.await {
                    Ok(children) => self.look_at(at, &children, &mut names, &mut todo),
                    Err(RequestError::Refused(ErrorCode::NO_NODE | ErrorCode::NO_AUTH)) => {}
                    Err(error) => return Err(failed(&error)),
                }
            }
        }
        Ok(names.into_iter().collect())
    }

    async fn holder_changed(&self, name: &Name, seen: Option<&Contender>) -> Result<(), Error> {
        let path = self.path(name)?;
        let session = self.session().await?;
        let place = seen.map(|seen| seen.place.as_str());
        let watched = watching::holder(&session, self.layout.options.dialect, &path, place).await;
        watched.map_err(|error| self.layout.failure(&error, "watching the holder").with_lock(name))
    }

    async fn contended(&self, name: &Name) -> Result<(), Error> {
        let path = self.path(name)?;
        let session = self.session().await?;
        let watched = watching::contender(&session, self.layout.options.dialect, &path).await;
        watched.map_err(|error| self.layout.failure(&error, "watching the line").with_lock(name))
    }
}

impl ZooKeeper {
    /// The path of what is called `local` below the chroot.
    fn absolute(&self, local: &str) -> String {
        match (self.layout.chroot.as_str(), local) {
            ("", "") => "/".to_owned(),
            (chroot, "") => chroot.to_owned(),
            (chroot, local) => format!("{chroot}/{local}"),
        }
    }

    /// The places of a lock's line, its holders first.
    pub(super) async fn line_of(
        &self,
        session: &Session,
        dir: &str,
    ) -> Result<Vec<Spotted>, RequestError> {
        let dialect = self.layout.options.dialect;
        let children = children_of(session, dir).await?;
        let mut found = line(dialect, &children);
        if !found.is_empty() || !dialect.may_be_semaphore(&children) {
            return Ok(found);
        }
        let Rooms { line: waiting, permits } = dialect.rooms(dir);
        let (number, held, waiters) = tokio::join!(
            session.get_data(dir),
            children_of(session, &permits),
            children_of(session, &waiting)
        );
        // What is there is shown, also where there is no number to be read.
        let of = number.ok().and_then(|node| number_in(&node, dir).ok().flatten());
        let some = |take| Permits::new(take, take).ok().zip(of);
        let mode = |take| some(take).map(|(all, of)| Mode::Permits(all.resized(of)));
        let place = |above: &str, child: &str| below(dir, &format!("{above}/{child}")).to_owned();
        let held = held?;
        found.extend(dialect.permit_holders(&held).into_iter().map(|(permit, take)| Spotted {
            place: place(&permits, permit),
            mode: mode(take),
            held: true,
        }));
        // The first in line for permits has none yet.
        found.extend(line(dialect, &waiters?).into_iter().map(|waiter| Spotted {
            place: place(&waiting, &waiter.place),
            mode: mode(1),
            held: false,
        }));
        Ok(found)
    }

    /// Notes a node that has places as a lock, and its other children as places to look. Of a semaphore,
    /// which has them elsewhere, its own node is the lock.
    fn look_at(
        &self,
        at: &str,
        children: &[String],
        names: &mut BTreeSet<Name>,
        todo: &mut VecDeque<String>,
    ) {
        let dialect = self.layout.options.dialect;
        let is_place = |child: &&String| dialect.any_place(child).is_some();
        let is_permit = |child: &&String| dialect.is_permit(child);
        if children.iter().any(|child| is_place(&child)) {
            let semaphore = dialect.semaphore_of_line(at, &[]);
            names.extend(semaphore.or_else(|| Name::new(at).ok()));
        }
        if children.iter().any(|child| is_permit(&child)) {
            names.extend(dialect.semaphore_of_permits(at));
        }
        for child in children.iter().filter(|child| !is_place(child) && !is_permit(child)) {
            let servers_own = self.layout.chroot.is_empty() && *child == "zookeeper";
            let no_lock = at.is_empty() && (servers_own || *child == FOLDER);
            let path = if at.is_empty() { child.clone() } else { format!("{at}/{child}") };
            // A semaphore's waiting line below its own node is no lock of its own.
            let of_semaphore =
                *child == LOCKS && dialect.semaphore_of_line(&path, children).is_some();
            if !no_lock && !of_semaphore {
                todo.push_back(path);
            }
        }
    }
}

/// The path of what is called so below a lock's node.
pub(super) fn path_of(dir: &str, place: &str) -> String {
    if place.starts_with('/') { place.to_owned() } else { format!("{dir}/{place}") }
}

/// A path as it is called below another; of nodes that are not below it, the whole.
fn below<'a>(dir: &str, path: &'a str) -> &'a str {
    path.strip_prefix(dir).and_then(|rest| rest.strip_prefix('/')).unwrap_or(path)
}

/// The children of a node, on a server that has caught up: who has just been told of a change by another
/// server is to find it here. None where there is no node.
async fn children_of(session: &Session, path: &str) -> Result<Vec<String>, RequestError> {
    match session.get_children_synced(path).await {
        Err(RequestError::Refused(ErrorCode::NO_NODE)) => Ok(Vec::new()),
        children => children,
    }
}
