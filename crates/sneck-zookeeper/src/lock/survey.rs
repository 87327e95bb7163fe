//! Looking at the lines of locks on ZooKeeper from the outside.

use super::backend::ZooKeeper;
use super::dialect::ForeignPolicy;
use super::seat::{contender, line};
use super::watching;
use crate::error::RequestError;
use crate::record::FOLDER;
use async_trait::async_trait;
use sneck_core::{Contender, Error, Name, Survey};
use sneck_wire::ErrorCode;
use std::collections::VecDeque;

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
        let children = match session.get_children(&dir).await {
            Ok(children) => children,
            Err(RequestError::Refused(ErrorCode::NO_NODE)) => return Ok(Vec::new()),
            Err(error) => return Err(failed(&error)),
        };
        let places = line(self.layout.options.dialect, ForeignPolicy::Ignore, &children, "")
            .unwrap_or_default();
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
        let mut names = Vec::new();
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
        names.sort();
        Ok(names)
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

    /// Notes a node that has places as a lock, and its other children as places to look.
    fn look_at(
        &self,
        at: &str,
        children: &[String],
        names: &mut Vec<Name>,
        todo: &mut VecDeque<String>,
    ) {
        let is_place = |child: &&String| self.layout.options.dialect.sequence(child).is_some();
        if children.iter().any(|child| is_place(&child)) {
            names.extend(Name::new(at).ok());
        }
        for child in children.iter().filter(|child| !is_place(child)) {
            let servers_own = self.layout.chroot.is_empty() && *child == "zookeeper";
            let no_lock = at.is_empty() && (servers_own || *child == FOLDER);
            if !no_lock {
                todo.push_back(if at.is_empty() { child.clone() } else { format!("{at}/{child}") });
            }
        }
    }
}
