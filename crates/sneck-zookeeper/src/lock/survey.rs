//! Looking at the lines of locks on ZooKeeper from the outside.

use super::backend::ZooKeeper;
use super::dialect::ForeignPolicy;
use super::permits::{LEASES, LOCKS};
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
            let reads: Vec<_> =
                places.iter().map(|place| session.get_data(&format!("{dir}/{place}"))).collect();
            for (place, read) in places.iter().zip(reads) {
                match read.await {
                    Ok(node) => contenders.push(contender(place, &node)),
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

    /// The nodes of a lock's line below its own, its holders first.
    async fn line_of(&self, session: &Session, dir: &str) -> Result<Vec<String>, RequestError> {
        let dialect = self.layout.options.dialect;
        let children = children_of(session, dir).await?;
        let places = |children: &[String], below: &str| -> Vec<String> {
            let places = line(dialect, ForeignPolicy::Ignore, children, "").unwrap_or_default();
            places.into_iter().map(|place| format!("{below}{place}")).collect()
        };
        let mut found = places(&children, "");
        if children.iter().any(|child| child == LEASES || child == LOCKS) {
            let (leases, locks) = (format!("{dir}/{LEASES}"), format!("{dir}/{LOCKS}"));
            let (leases, locks) =
                tokio::join!(children_of(session, &leases), children_of(session, &locks));
            let leases = leases?;
            let held = dialect.lease_holders(&leases).into_iter();
            found.extend(held.map(|lease| format!("{LEASES}/{lease}")));
            found.extend(places(&locks?, &format!("{LOCKS}/")));
        }
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
        let mut found: Vec<String> = holders(dialect, &children).into_iter().cloned().collect();
        if children.iter().any(|child| child == LEASES) {
            let leases = children_of(session, &format!("{dir}/{LEASES}")).await?;
            let held = dialect.lease_holders(&leases).into_iter();
            found.extend(held.map(|lease| format!("{LEASES}/{lease}")));
        }
        Ok(found)
    }

    /// Notes a node that has places as a lock, and its other children as places to look. Of a semaphore,
    /// which has them a level deeper, the node above is the lock.
    fn look_at(
        &self,
        at: &str,
        children: &[String],
        names: &mut BTreeSet<Name>,
        todo: &mut VecDeque<String>,
    ) {
        let dialect = self.layout.options.dialect;
        let is_place = |child: &&String| dialect.any_place(child).is_some();
        let is_lease = |child: &&String| dialect.lease_sequence(child).is_some();
        if children.iter().any(|child| is_place(&child)) {
            names.extend(Name::new(at).ok());
        }
        if let (Some(semaphore), true) =
            (at.strip_suffix(LEASES), children.iter().any(|child| is_lease(&child)))
        {
            // The waiting line of the same semaphore is no lock of its own.
            let semaphore = semaphore.trim_end_matches('/');
            names.extend(Name::new(semaphore).ok());
        }
        for child in children.iter().filter(|child| !is_place(child) && !is_lease(child)) {
            let servers_own = self.layout.chroot.is_empty() && *child == "zookeeper";
            let no_lock = at.is_empty() && (servers_own || *child == FOLDER);
            let line_of_semaphore = *child == LOCKS && children.iter().any(|other| other == LEASES);
            if !no_lock && !line_of_semaphore {
                todo.push_back(if at.is_empty() { child.clone() } else { format!("{at}/{child}") });
            }
        }
    }
}

/// The children of a node; none where there is no node.
async fn children_of(session: &Session, path: &str) -> Result<Vec<String>, RequestError> {
    match session.get_children(path).await {
        Err(RequestError::Refused(ErrorCode::NO_NODE)) => Ok(Vec::new()),
        children => children,
    }
}
