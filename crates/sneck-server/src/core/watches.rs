//! Who watches what.
//!
//! There are two tables, one about nodes and their data, one about lists of children. In each, a
//! connection has at most one entry per path, with up to three modes; whatever happens there, it is
//! told once.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;

use sneck_wire::{AddWatchMode, WatcherKind};

use super::ConnectionId;
use super::tree::{ROOT, key};
use crate::mutant::mutant;

/// How a watch is set, as a set of bits: one connection can have several on one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Modes(u8);

impl Modes {
    /// Gone with the first event.
    pub(crate) const ONE_SHOT: Self = Self(1);
    /// There until removed.
    pub(crate) const PERSISTENT: Self = Self(2);
    /// There until removed, for everything below the node too.
    pub(crate) const RECURSIVE: Self = Self(4);
    const ALL: Self = Self(7);

    fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What of a node is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watched {
    /// Its creation, deletion and data.
    Node,
    /// The list of its children.
    List,
}

/// All watches of all connections. They do not outlive the connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watches {
    nodes: Table,
    lists: Table,
}

impl Watches {
    /// Sets a watch that is gone with its first event.
    pub(crate) fn watch(&mut self, connection: ConnectionId, what: Watched, path: &str) {
        let table = match what {
            Watched::Node => &mut self.nodes,
            Watched::List => &mut self.lists,
        };
        table.add(connection, path, Modes::ONE_SHOT);
    }

    /// Sets a persistent watch.
    pub(crate) fn watch_for_good(
        &mut self,
        connection: ConnectionId,
        path: &str,
        mode: AddWatchMode,
    ) {
        match mode {
            AddWatchMode::Persistent => {
                self.nodes.add(connection, path, Modes::PERSISTENT);
                self.lists.add(connection, path, Modes::PERSISTENT);
            }
            // It is told of the node that came or went; the list of its parent would be the same
            // news again.
            AddWatchMode::PersistentRecursive => {
                self.nodes.add(connection, path, Modes::RECURSIVE);
            }
        }
    }

    /// Whom to tell of something that happened to a node itself.
    pub(crate) fn node_changed(&mut self, path: &str) -> Vec<ConnectionId> {
        self.nodes.trigger(path)
    }

    /// Whom to tell that a list of children has changed.
    pub(crate) fn list_changed(&mut self, path: &str) -> Vec<ConnectionId> {
        self.lists.trigger(path)
    }

    /// Whom to tell that a node is gone. Who watched both the node and its list hears it once.
    pub(crate) fn node_gone(&mut self, path: &str) -> Vec<ConnectionId> {
        let mut told = self.nodes.trigger(path);
        if mutant!("one-watcher-is-told") {
            told.truncate(1);
        }
        let others = self.lists.trigger(path);
        if !others.is_empty() {
            let already: HashSet<_> = told.iter().copied().collect();
            told.extend(others.into_iter().filter(|other| !already.contains(other)));
        }
        told
    }

    /// Removes watches; whether there were any.
    pub(crate) fn remove(
        &mut self,
        connection: ConnectionId,
        path: &str,
        kind: WatcherKind,
    ) -> bool {
        match kind {
            WatcherKind::Children => self.lists.remove(connection, path, Modes::ONE_SHOT),
            WatcherKind::Data => self.nodes.remove(connection, path, Modes::ONE_SHOT),
            WatcherKind::Any => {
                let list = self.lists.remove(connection, path, Modes::ALL);
                self.nodes.remove(connection, path, Modes::ALL) || list
            }
            WatcherKind::Persistent => {
                let list = self.lists.remove(connection, path, Modes::PERSISTENT);
                self.nodes.remove(connection, path, Modes::PERSISTENT) || list
            }
            WatcherKind::PersistentRecursive => {
                self.nodes.remove(connection, path, Modes::RECURSIVE)
            }
        }
    }

    /// Whether there are such watches.
    pub(crate) fn contains(&self, connection: ConnectionId, path: &str, kind: WatcherKind) -> bool {
        match kind {
            WatcherKind::Children => self.lists.has(connection, path, Modes::ONE_SHOT),
            WatcherKind::Data => self.nodes.has(connection, path, Modes::ONE_SHOT),
            WatcherKind::Any => {
                self.lists.has(connection, path, Modes::ALL)
                    || self.nodes.has(connection, path, Modes::ALL)
            }
            WatcherKind::Persistent => self.nodes.has(connection, path, Modes::PERSISTENT),
            WatcherKind::PersistentRecursive => self.nodes.has(connection, path, Modes::RECURSIVE),
        }
    }

    /// Forgets a connection.
    pub(crate) fn forget(&mut self, connection: ConnectionId) {
        self.nodes.forget(connection);
        self.lists.forget(connection);
    }

    /// How many watches there are.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len + self.lists.len
    }

    /// How many watches one connection has.
    pub(crate) fn len_of(&self, connection: ConnectionId) -> usize {
        let of =
            |table: &Table| table.by_connection.get(&connection).map_or(0, |it| it.paths.len());
        of(&self.nodes) + of(&self.lists)
    }

    /// How long the paths are that are watched, each as often as it is.
    pub(crate) fn bytes(&self) -> usize {
        self.nodes.bytes + self.lists.bytes
    }

    /// How long the paths are that one connection watches.
    pub(crate) fn bytes_of(&self, connection: ConnectionId) -> usize {
        let of = |table: &Table| table.by_connection.get(&connection).map_or(0, |it| it.bytes);
        of(&self.nodes) + of(&self.lists)
    }

    /// How many connections and how many paths have watches.
    pub(crate) fn spread(&self) -> (usize, usize) {
        let connections: BTreeSet<_> = self.each().map(|(connection, _)| connection).collect();
        let paths: BTreeSet<_> = self.each().map(|(_, path)| path).collect();
        (connections.len(), paths.len())
    }

    /// Every connection with every path it watches; a path is named twice if it is in both tables.
    pub(crate) fn each(&self) -> impl Iterator<Item = (ConnectionId, &str)> {
        let tables = [&self.nodes, &self.lists];
        tables.into_iter().flat_map(|table| {
            let pairs = table.by_connection.iter();
            pairs.flat_map(|(connection, it)| it.paths.iter().map(|path| (*connection, &**path)))
        })
    }

    /// The same with how each is watched: nodes first, then lists.
    #[cfg(feature = "simulation")]
    pub(crate) fn each_with_modes(&self) -> impl Iterator<Item = (ConnectionId, &str, Modes)> {
        let tables = [&self.nodes, &self.lists];
        tables.into_iter().flat_map(|table| {
            let pairs = table.by_connection.iter();
            let all = pairs.flat_map(|(id, it)| it.paths.iter().map(|path| (*id, &**path)));
            all.filter_map(|(id, path)| Some((id, path, *table.by_path.get(path)?.get(&id)?)))
        })
    }
}

#[derive(Debug, Clone, Default)]
struct Table {
    by_path: HashMap<Arc<str>, BTreeMap<ConnectionId, Modes>>,
    by_connection: BTreeMap<ConnectionId, Watching>,
    len: usize,
    bytes: usize,
    recursive: Prefixes,
}

/// What one connection watches.
#[derive(Debug, Clone, Default)]
struct Watching {
    paths: BTreeSet<Arc<str>>,
    bytes: usize,
}

/// Which paths have recursive watches: a sieve for the ancestors of a path, all of which have to be
/// looked at when something happens to it.
///
/// A path is known here by a hash that grows with it, segment by segment. Looking each ancestor up by
/// its text would read the beginning of a path once for every segment that follows.
#[derive(Debug, Clone, Default)]
struct Prefixes {
    keys: RandomState,
    counts: HashMap<u64, usize>,
}

impl Prefixes {
    fn add(&mut self, path: &str) {
        *self.counts.entry(self.hash_of(path)).or_default() += 1;
    }

    fn remove(&mut self, path: &str) {
        let hash = self.hash_of(path);
        if let Some(count) = self.counts.get_mut(&hash) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&hash);
            }
        }
    }

    fn hash_of(&self, path: &str) -> u64 {
        self.prefixes_of(path).last().map_or(0, |(_, hash)| hash)
    }

    /// The root, every ancestor below it and the path itself, each by its end and its hash.
    fn prefixes_of<'a>(&self, path: &'a str) -> impl Iterator<Item = (usize, u64)> + use<'a> {
        let mut hasher = self.keys.build_hasher();
        let below = path.strip_prefix('/').filter(|below| !below.is_empty());
        let mut end = 0;
        let below = below.into_iter().flat_map(|below| below.split('/')).map(move |segment| {
            hasher.write(segment.as_bytes());
            // No text has this byte, so that no two paths are written alike.
            hasher.write_u8(0xff);
            end += 1 + segment.len();
            (end, hasher.finish())
        });
        std::iter::once((0, 0)).chain(below)
    }

    /// The ends of those ancestors of a path, nearest first, that are likely to have recursive
    /// watches. The root's end is 0.
    fn ancestors_of(&self, path: &str) -> Vec<usize> {
        if self.counts.is_empty() {
            return Vec::new();
        }
        let known = |(end, hash): (usize, u64)| {
            (end < path.len() && self.counts.contains_key(&hash)).then_some(end)
        };
        let mut ends: Vec<_> = self.prefixes_of(path).filter_map(known).collect();
        ends.reverse();
        ends
    }
}

impl Table {
    fn add(&mut self, connection: ConnectionId, path: &str, modes: Modes) {
        let path: Arc<str> = match self.by_path.get_key_value(path) {
            Some((path, _)) => Arc::clone(path),
            None => path.into(),
        };
        let entry = self.by_path.entry(Arc::clone(&path)).or_default().entry(connection);
        let before = *entry.or_insert_with(|| {
            self.len += 1;
            self.bytes += path.len();
            let watching = self.by_connection.entry(connection).or_default();
            watching.paths.insert(Arc::clone(&path));
            watching.bytes += path.len();
            Modes(0)
        });
        self.set(connection, &path, before, Modes(before.0 | modes.0));
    }

    fn trigger(&mut self, path: &str) -> Vec<ConnectionId> {
        let here: Vec<_> = self
            .by_path
            .get(path)
            .into_iter()
            .flatten()
            .map(|(connection, modes)| (*connection, *modes))
            .collect();
        let mut told: Vec<_> = here.iter().map(|(connection, _)| *connection).collect();
        for (connection, modes) in here {
            self.set(connection, path, modes, modes.without(Modes::ONE_SHOT));
        }
        self.add_watchers_above(path, &mut told);
        told
    }

    fn add_watchers_above(&self, path: &str, told: &mut Vec<ConnectionId>) {
        let ancestors = if path == ROOT { Vec::new() } else { self.recursive.ancestors_of(path) };
        if ancestors.is_empty() {
            return;
        }
        let mut known: HashSet<_> = told.iter().copied().collect();
        for end in ancestors {
            let above = self.by_path.get(key(&path[..end])).into_iter().flatten();
            for (connection, modes) in above {
                if modes.has(Modes::RECURSIVE) && known.insert(*connection) {
                    told.push(*connection);
                }
            }
        }
    }

    fn has(&self, connection: ConnectionId, path: &str, modes: Modes) -> bool {
        let entry = self.by_path.get(path).and_then(|entries| entries.get(&connection));
        entry.is_some_and(|entry| entry.has(modes))
    }

    fn remove(&mut self, connection: ConnectionId, path: &str, modes: Modes) -> bool {
        let entry = self.by_path.get(path).and_then(|entries| entries.get(&connection));
        let Some(before) = entry.copied().filter(|entry| entry.has(modes)) else { return false };
        self.set(connection, path, before, before.without(modes));
        true
    }

    fn forget(&mut self, connection: ConnectionId) {
        // Taken out first, or each path would be looked for there just to go.
        for path in self.by_connection.remove(&connection).unwrap_or_default().paths {
            self.remove(connection, &path, Modes::ALL);
        }
    }

    /// The one place where an entry changes, and goes when nothing is left of it.
    fn set(&mut self, connection: ConnectionId, path: &str, before: Modes, after: Modes) {
        match (before.has(Modes::RECURSIVE), after.has(Modes::RECURSIVE)) {
            (false, true) => self.recursive.add(path),
            (true, false) => self.recursive.remove(path),
            _ => {}
        }
        let Some(entries) = self.by_path.get_mut(path) else { return };
        if !after.is_empty() {
            entries.insert(connection, after);
            return;
        }
        entries.remove(&connection);
        if entries.is_empty() {
            self.by_path.remove(path);
        }
        self.len -= 1;
        self.bytes -= path.len();
        if let Some(watching) = self.by_connection.get_mut(&connection) {
            watching.paths.remove(path);
            watching.bytes -= path.len();
            if watching.paths.is_empty() {
                self.by_connection.remove(&connection);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ConnectionId = ConnectionId(1);
    const B: ConnectionId = ConnectionId(2);

    #[test]
    fn one_shot_watches_collapse_and_fire_once() {
        let mut watches = Watches::default();
        watches.watch(A, Watched::Node, "/a");
        watches.watch(A, Watched::Node, "/a");
        watches.watch(B, Watched::Node, "/a");
        assert_eq!(watches.len(), 2);
        assert_eq!(watches.node_changed("/a"), [A, B]);
        assert!(watches.node_changed("/a").is_empty());
        assert_eq!(watches.len(), 0);
    }

    #[test]
    fn a_node_that_goes_is_told_once() {
        let mut watches = Watches::default();
        watches.watch(A, Watched::Node, "/a");
        watches.watch(A, Watched::List, "/a");
        watches.watch(B, Watched::List, "/a");
        assert_eq!(watches.node_gone("/a"), [A, B]);
        assert_eq!(watches.len(), 0);
    }

    #[test]
    fn recursive_watches_hear_of_nodes_below_and_not_of_lists() {
        let mut watches = Watches::default();
        watches.watch_for_good(A, "/a", AddWatchMode::PersistentRecursive);
        watches.watch_for_good(B, "/", AddWatchMode::PersistentRecursive);
        watches.watch(A, Watched::Node, "/a/b/c");
        assert_eq!(watches.node_changed("/a/b/c"), [A, B]);
        assert_eq!(watches.node_changed("/ab"), [B]);
        assert!(watches.list_changed("/a").is_empty());
        assert_eq!(watches.node_gone("/a"), [A, B]);
    }

    #[test]
    fn ancestors_are_found_by_whole_segments_and_nearest_first() {
        let mut prefixes = Prefixes::default();
        for path in ["/", "/a", "/a/b", "/a/bc", "/a/b/c", "/b", "/a/b/c/d/e"] {
            prefixes.add(path);
        }
        assert_eq!(prefixes.ancestors_of("/a/b/c/d"), [6, 4, 2, 0]);
        assert_eq!(prefixes.ancestors_of("/ab/c"), [0]);
        assert_eq!(prefixes.ancestors_of("/a"), [0]);
        prefixes.add("/a");
        prefixes.remove("/a");
        prefixes.remove("/");
        assert_eq!(prefixes.ancestors_of("/a/b"), [2]);
        for path in ["/a", "/a/b", "/a/bc", "/a/b/c", "/b", "/a/b/c/d/e"] {
            prefixes.remove(path);
        }
        assert!(prefixes.counts.is_empty() && prefixes.ancestors_of("/a/b").is_empty());
    }

    #[test]
    fn a_path_of_fifty_thousand_segments_is_read_once() {
        let deep = "/a".repeat(50_000);
        let mut watches = Watches::default();
        watches.watch_for_good(A, "/a", AddWatchMode::PersistentRecursive);
        watches.watch_for_good(B, &deep[..50_000], AddWatchMode::PersistentRecursive);
        assert_eq!(watches.nodes.recursive.ancestors_of(&deep), [50_000, 2]);
        assert_eq!(watches.nodes.recursive.prefixes_of(&deep).count(), 50_001);
        // More than a minute's work if every ancestor were looked up by its whole text.
        for _ in 0..20 {
            assert_eq!(watches.node_changed(&deep), [B, A]);
        }
    }

    #[test]
    fn modes_on_one_path_are_removed_apart() {
        let mut watches = Watches::default();
        watches.watch_for_good(A, "/a", AddWatchMode::Persistent);
        watches.watch(A, Watched::Node, "/a");
        assert!(watches.contains(A, "/a", WatcherKind::Data));
        assert!(watches.remove(A, "/a", WatcherKind::Data));
        assert!(!watches.remove(A, "/a", WatcherKind::Data));
        assert!(watches.contains(A, "/a", WatcherKind::Any));
        assert_eq!(watches.node_changed("/a"), [A]);
        assert_eq!(watches.list_changed("/a"), [A]);
        assert!(watches.remove(A, "/a", WatcherKind::Any));
        assert_eq!(watches.len(), 0);
    }

    #[test]
    fn persistent_watches_are_removed_by_their_kind() {
        let (persistent, recursive) = (WatcherKind::Persistent, WatcherKind::PersistentRecursive);
        let mut watches = Watches::default();
        watches.watch_for_good(A, "/a", AddWatchMode::Persistent);
        watches.watch_for_good(A, "/a", AddWatchMode::PersistentRecursive);
        assert!(watches.contains(A, "/a", persistent) && watches.contains(A, "/a", recursive));
        assert!(!watches.contains(A, "/a", WatcherKind::Data));
        assert!(watches.remove(A, "/a", persistent));
        assert!(!watches.remove(A, "/a", persistent));
        assert!(watches.list_changed("/a").is_empty());
        assert_eq!(watches.node_changed("/a/b"), [A], "the recursive one is still there");
        assert!(watches.remove(A, "/a", recursive));
        assert_eq!((watches.len(), watches.nodes.recursive.counts.len()), (0, 0));
    }

    #[test]
    fn nothing_is_left_of_a_forgotten_connection() {
        let mut watches = Watches::default();
        watches.watch(A, Watched::Node, "/a");
        watches.watch(A, Watched::List, "/b");
        watches.watch_for_good(A, "/c", AddWatchMode::PersistentRecursive);
        watches.watch(B, Watched::Node, "/a");
        assert_eq!((watches.len_of(A), watches.bytes_of(A)), (3, 6));
        assert_eq!((watches.bytes(), watches.spread()), (8, (2, 3)));
        watches.forget(A);
        assert_eq!((watches.len(), watches.len_of(A), watches.bytes_of(A)), (1, 0, 0));
        assert_eq!((watches.bytes(), watches.nodes.recursive.counts.len()), (2, 0));
    }
}
