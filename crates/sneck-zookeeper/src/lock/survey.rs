//! Looking at the lines of locks on ZooKeeper from the outside.

use super::backend::ZooKeeper;
use super::dialect::{ForeignPolicy, LOCKS, Rooms};
use super::seat::{contender, holders, line};
use super::watching;
use crate::error::RequestError;
use crate::record::FOLDER;
use crate::session::Session;
use async_trait::async_trait;
use sneck_core::{Contender, Error, Name, Survey};
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
        let places = self.line_of(&session, &dir).await.map_err(|error| failed(&error))?;
        let mut contenders = Vec::with_capacity(places.len());
        for places in places.chunks(READS_MAX) {
            let reads: Vec<_> = places.iter().map(|path| session.get_data(path)).collect();
            for (path, read) in places.iter().zip(reads) {
                match read.await {
                    Ok(node) => contenders.push(contender(below(&dir, path), &node)),
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
                    Err(error) => return Err(self.layout.failure(&error, "looking for locks")),
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

    /// The paths of the nodes in a lock's line, its holders first.
    async fn line_of(&self, session: &Session, dir: &str) -> Result<Vec<String>, RequestError> {
        let dialect = self.layout.options.dialect;
        let places = |children: &[String], above: &str| -> Vec<String> {
            let places = line(dialect, ForeignPolicy::Ignore, children, "").unwrap_or_default();
            places.into_iter().map(|place| format!("{above}/{place}")).collect()
        };
        let children = children_of(session, dir).await?;
        let found = places(&children, dir);
        if !found.is_empty() || !dialect.may_be_semaphore(&children) {
            return Ok(found);
        }
        let Rooms { line: waiting, permits } = dialect.rooms(dir);
        let (held, waiting_there) =
            tokio::join!(children_of(session, &permits), children_of(session, &waiting));
        let held = held?;
        let held = dialect.permit_holders(&held).into_iter();
        let mut found: Vec<String> = held.map(|permit| format!("{permits}/{permit}")).collect();
        found.extend(places(&waiting_there?, &waiting));
        Ok(found)
    }

    /// The nodes below a lock's own whose owners hold it.
    pub(super) async fn holders(
        &self,
        session: &Session,
        dir: &str,
    ) -> Result<Vec<String>, RequestError> {
        let dialect = self.layout.options.dialect;
        let children = children_of(session, dir).await?;
        let found: Vec<String> = holders(dialect, &children).into_iter().cloned().collect();
        if !found.is_empty() || !dialect.may_be_semaphore(&children) {
            return Ok(found);
        }
        let Rooms { permits, .. } = dialect.rooms(dir);
        let held = children_of(session, &permits).await?;
        let held = dialect.permit_holders(&held).into_iter();
        Ok(held.map(|permit| below(dir, &format!("{permits}/{permit}")).to_owned()).collect())
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

/// A path as it is called below another; of nodes that are not below it, the whole.
fn below<'a>(dir: &str, path: &'a str) -> &'a str {
    path.strip_prefix(dir).and_then(|rest| rest.strip_prefix('/')).unwrap_or(path)
}

/// The children of a node; none where there is no node.
async fn children_of(session: &Session, path: &str) -> Result<Vec<String>, RequestError> {
    match session.get_children(path).await {
        Err(RequestError::Refused(ErrorCode::NO_NODE)) => Ok(Vec::new()),
        children => children,
    }
}
