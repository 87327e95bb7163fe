//! Requests about watches, and the events that come of changes.

use sneck_wire::{
    AddWatchMode, ErrorCode, EventKind, Permissions, Reply, WatchedEvent, WatcherKind,
};

use crate::mutant::mutant;
use crate::refusals::Limit;

use super::access::{self, AccessList};
use super::change::Change;
use super::node::At;
use super::tree::{Undo, key, parent_of};
use super::watches::Watched;
use super::{ConnectionId, Core, Effects, Frame, Output};

/// Watches that a client wants to have again after a reconnect.
#[derive(Debug, Default)]
pub(super) struct Again {
    zxid: i64,
    data: Vec<String>,
    exist: Vec<String>,
    child: Vec<String>,
    pub(super) persistent: Vec<String>,
    pub(super) recursive: Vec<String>,
}

impl Again {
    pub(super) fn one_shot(
        zxid: i64,
        data: Vec<String>,
        exist: Vec<String>,
        child: Vec<String>,
    ) -> Self {
        Self { zxid, data, exist, child, ..Self::default() }
    }

    fn paths(&self) -> impl Iterator<Item = &String> {
        let lists = [&self.data, &self.exist, &self.child, &self.persistent, &self.recursive];
        lists.into_iter().flatten()
    }
}

/// What happened to a node, with the access lists of that moment: in a multi the node, or its parent,
/// may be another one by the time it is told.
#[derive(Debug)]
pub(super) struct News {
    kind: EventKind,
    path: String,
    acl: AccessList,
    /// The list of the parent, where its list of children has changed too.
    parent: Option<AccessList>,
}

/// The zxid in an event that no transaction has caused just now.
const NO_ZXID: i64 = -1;

impl Core {
    /// Sets a one-shot watch where a request asks for one.
    pub(super) fn watch(
        &mut self,
        id: ConnectionId,
        what: Watched,
        path: &str,
        wanted: bool,
    ) -> Result<(), ErrorCode> {
        if wanted {
            self.room_for_watches(id, 1, path.len())?;
            self.watches.watch(id, what, path);
        }
        Ok(())
    }

    pub(super) fn add_watch(
        &mut self,
        id: ConnectionId,
        path: &str,
        mode: AddWatchMode,
    ) -> Result<Reply, ErrorCode> {
        self.room_for_watches(id, 2, 2 * path.len())?;
        self.watches.watch_for_good(id, path, mode);
        Ok(Reply::AddWatch)
    }

    pub(super) fn remove_watches(
        &mut self,
        id: ConnectionId,
        path: &str,
        kind: WatcherKind,
    ) -> Result<Reply, ErrorCode> {
        match self.watches.remove(id, path, kind) {
            true => Ok(Reply::RemoveWatches),
            false => Err(ErrorCode::NO_WATCHER),
        }
    }

    pub(super) fn check_watches(
        &mut self,
        id: ConnectionId,
        path: &str,
        kind: WatcherKind,
    ) -> Result<Reply, ErrorCode> {
        match self.watches.contains(id, path, kind) {
            true => Ok(Reply::CheckWatches),
            false => Err(ErrorCode::NO_WATCHER),
        }
    }

    /// Sets one-shot watches again where nothing has happened since, and says what has happened
    /// where something did. Persistent watches are only set.
    pub(super) fn set_watches(
        &mut self,
        id: ConnectionId,
        again: &Again,
        effects: &mut Effects,
    ) -> Result<(), ErrorCode> {
        // A persistent watch takes two entries.
        let bytes: usize = again.paths().map(String::len).sum();
        self.room_for_watches(id, 2 * again.paths().count(), 2 * bytes)?;
        for path in &again.data {
            match self.tree.get(path).map(|node| node.mzxid > again.zxid) {
                None if mutant!("what-was-missed-is-not-told") => {}
                None => self.catch_up(id, EventKind::Deleted, path, effects),
                Some(true) => self.catch_up(id, EventKind::DataChanged, path, effects),
                Some(false) => self.watches.watch(id, Watched::Node, path),
            }
        }
        for path in &again.exist {
            match self.tree.get(path) {
                Some(_) => self.catch_up(id, EventKind::Created, path, effects),
                None => self.watches.watch(id, Watched::Node, path),
            }
        }
        for path in &again.child {
            match self.tree.get(path).map(|node| node.pzxid > again.zxid) {
                None => self.catch_up(id, EventKind::Deleted, path, effects),
                Some(true) => self.catch_up(id, EventKind::ChildrenChanged, path, effects),
                Some(false) => self.watches.watch(id, Watched::List, path),
            }
        }
        for path in &again.persistent {
            self.watches.watch_for_good(id, path, AddWatchMode::Persistent);
        }
        for path in &again.recursive {
            self.watches.watch_for_good(id, path, AddWatchMode::PersistentRecursive);
        }
        Ok(())
    }

    fn catch_up(&mut self, id: ConnectionId, kind: EventKind, path: &str, effects: &mut Effects) {
        // Deletion is told to everybody: whose node it was cannot be asked any more.
        let acl = self.tree.get(path).map(|node| AccessList::clone(&node.acl));
        if acl.is_none_or(|acl| access::allows(&acl, Permissions::READ, self.ids(id))) {
            let event = WatchedEvent::new(kind, path);
            self.send(id, Frame::Event { zxid: NO_ZXID, event }, effects);
        }
    }

    /// What there is to tell of a change that was just made.
    pub(super) fn news(&self, change: &Change, undo: &Undo) -> Option<News> {
        let list_of = |path| self.tree.get(path).map(|node| AccessList::clone(&node.acl));
        let (kind, path, acl) = match (change, undo) {
            (Change::Create { path, .. }, _) => (EventKind::Created, path, list_of(path)?),
            (Change::SetData { path, .. }, _) => (EventKind::DataChanged, path, list_of(path)?),
            (Change::Delete { path }, Undo::Delete { node, .. }) => {
                (EventKind::Deleted, path, AccessList::clone(&node.acl))
            }
            // Nobody can watch an access list or a counter.
            _ => return None,
        };
        let moved = kind != EventKind::DataChanged;
        let parent = moved.then(|| list_of(parent_of(path))).flatten();
        Some(News { kind, path: path.clone(), acl, parent })
    }

    /// Tells everybody who watches.
    pub(super) fn tell(&mut self, news: &News, at: At, effects: &mut Effects) {
        let told = match news.kind {
            EventKind::Deleted => self.watches.node_gone(&news.path),
            _ => self.watches.node_changed(&news.path),
        };
        self.notify(told, news.kind, &news.path, &news.acl, at, effects);
        if let Some(acl) = &news.parent {
            let parent = key(parent_of(&news.path));
            let told = self.watches.list_changed(parent);
            self.notify(told, EventKind::ChildrenChanged, parent, acl, at, effects);
        }
    }

    /// Sends an event to those of the watchers who may read the node. For the others the watch is
    /// spent all the same: that it is gone must not tell them what the event would have told.
    fn notify(
        &mut self,
        told: Vec<ConnectionId>,
        kind: EventKind,
        path: &str,
        acl: &AccessList,
        at: At,
        effects: &mut Effects,
    ) {
        for id in told {
            if !access::allows(acl, Permissions::READ, self.ids(id)) {
                continue;
            }
            // One change of many nodes, each of which many watch, must not make more events than can
            // wait to be read. Who misses one for that is hung up on, and asks anew.
            effects.event_bytes += path.len() + size_of::<Output>();
            if effects.event_bytes > self.settings.limits.backlog_bytes_max {
                self.refused.borrow_mut().push(Limit::BacklogBytes);
                self.hang_up(id, effects);
                continue;
            }
            let event = WatchedEvent::new(kind, path);
            self.send(id, Frame::Event { zxid: at.zxid, event }, effects);
        }
    }

    fn room_for_watches(
        &self,
        id: ConnectionId,
        more: usize,
        bytes: usize,
    ) -> Result<(), ErrorCode> {
        let (limits, watches) = (&self.settings.limits, &self.watches);
        let limit = if watches.len() + more > limits.watches_max {
            Limit::Watches
        } else if watches.len_of(id) + more > limits.watches_per_connection_max {
            Limit::WatchesPerConnection
        } else if watches.bytes() + bytes > limits.watch_bytes_max {
            Limit::WatchBytes
        } else if watches.bytes_of(id) + bytes > limits.watch_bytes_per_connection_max {
            Limit::WatchBytesPerConnection
        } else {
            return Ok(());
        };
        Err(self.refuse_at(limit, ErrorCode::THROTTLED))
    }
}
