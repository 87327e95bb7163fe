//! The tree of nodes: what is there, and what a change makes of it.
//!
//! Whether a change is allowed is not decided here. A change that cannot be made at all, which only
//! a damaged log could ask for, is refused without a trace.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use sneck_wire::Acl;

use super::access::{self, AccessList};
use super::change::Change;
use super::node::{At, Node, Owner, next_version};

/// The root, which has a second name: the empty path.
pub(crate) const ROOT: &str = "/";
/// Nodes every server has from the beginning, parents first.
const FIRST_NODES: [&str; 4] = [ROOT, "/zookeeper", "/zookeeper/quota", "/zookeeper/config"];

/// The nodes.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    nodes: HashMap<Box<str>, Node>,
    /// The ephemeral nodes of each session that has any.
    owned: BTreeMap<i64, BTreeSet<Box<str>>>,
    /// Containers and nodes with a time to live: those a reaper has to look at.
    mortal: BTreeSet<Box<str>>,
    lists: SharedLists,
    bytes: usize,
}

/// What takes a change back.
#[derive(Debug)]
pub(crate) enum Undo {
    Create { path: String, parent: ParentBefore },
    Delete { path: String, node: Box<Node>, parent: ParentBefore },
    Replace { path: String, node: Box<Node> },
}

/// The numbers of a parent before a child came or went.
#[derive(Debug)]
pub(crate) struct ParentBefore {
    creates: i32,
    pzxid: i64,
}

/// A change that does not fit the tree it is to be made in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misfit;

impl Tree {
    /// The tree of a new server.
    pub(crate) fn new() -> Self {
        let mut tree = Self::empty();
        for path in FIRST_NODES {
            let acl = tree.lists.share(Acl::open());
            let at = At { zxid: 0, time_ms: 0 };
            let data = Some(bytes::Bytes::new());
            tree.insert(path, Node::new(data, acl, Owner::Nobody, at));
        }
        let read_only = tree.lists.share(Acl::read_only());
        if let Some(config) = tree.nodes.get_mut("/zookeeper/config") {
            config.acl = read_only;
            // Its list was set once, to begin at -1 as Apache's does.
            config.aversion = -1;
        }
        tree
    }

    /// A tree without even a root, to be filled from a snapshot.
    pub(crate) fn empty() -> Self {
        Self {
            nodes: HashMap::new(),
            owned: BTreeMap::new(),
            mortal: BTreeSet::new(),
            lists: SharedLists::default(),
            bytes: 0,
        }
    }

    /// Whether no client may delete the node.
    pub(crate) fn is_special(path: &str) -> bool {
        FIRST_NODES.contains(&path)
    }

    /// The node at a path, which may be none at all: then there is no node.
    pub(crate) fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(key(path))
    }

    /// Hashes all nodes, in whichever order they are kept.
    #[cfg(feature = "simulation")]
    pub(crate) fn hash_nodes<H: std::hash::Hasher>(&self, state: &mut H) {
        use std::hash::Hash as _;
        let mut nodes: Vec<_> = self.nodes.iter().collect();
        nodes.sort_unstable_by_key(|(path, _)| *path);
        nodes.hash(state);
    }

    /// How many nodes there are, with the root.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// About how many bytes paths, data and access lists take.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many nodes belong to sessions.
    pub(crate) fn ephemerals(&self) -> usize {
        self.owned.values().map(BTreeSet::len).sum()
    }

    /// The nodes of one session, in order of their paths.
    pub(crate) fn owned_by(&self, session: i64) -> impl Iterator<Item = &str> {
        self.owned.get(&session).into_iter().flatten().map(|path| &**path)
    }

    /// How many nodes belong to a session.
    pub(crate) fn count_owned_by(&self, session: i64) -> usize {
        self.owned.get(&session).map_or(0, BTreeSet::len)
    }

    /// The nodes that do not live until they are deleted, nor as long as a session.
    pub(crate) fn mortal(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.mortal.iter().filter_map(|path| Some((&**path, self.nodes.get(path)?)))
    }

    /// How many nodes there are below this one.
    pub(crate) fn count_below(&self, path: &str) -> usize {
        if key(path) == ROOT {
            return self.nodes.len().saturating_sub(1);
        }
        let mut count = 0;
        let mut open = vec![key(path).to_owned()];
        while let Some(path) = open.pop() {
            let Some(node) = self.nodes.get(path.as_str()) else { continue };
            count += node.children.len();
            open.extend(node.children.iter().map(|name| join(&path, name)));
        }
        count
    }

    /// Every node with its path, parents before their children and siblings in order.
    pub(crate) fn walk(&self) -> Vec<(String, &Node)> {
        let mut walked = Vec::with_capacity(self.nodes.len());
        let mut open = vec![ROOT.to_owned()];
        while let Some(path) = open.pop() {
            let Some(node) = self.nodes.get(path.as_str()) else { continue };
            open.extend(node.children.iter().rev().map(|name| join(&path, name)));
            walked.push((path, node));
        }
        walked
    }

    /// The list as nodes share it.
    pub(crate) fn share(&mut self, list: Vec<Acl>) -> AccessList {
        self.lists.share(list)
    }

    /// Puts a node where there is none, into the list of its parent too, without any of the counting
    /// that a creation is.
    pub(crate) fn insert(&mut self, path: &str, node: Node) {
        let path = key(path);
        if path != ROOT
            && let Some(parent) = self.nodes.get_mut(key(parent_of(path)))
        {
            parent.children.insert(name_of(path).into());
        }
        match node.owner {
            Owner::Session(id) => {
                self.owned.entry(id).or_default().insert(path.into());
            }
            Owner::Container | Owner::Ttl(_) => {
                self.mortal.insert(path.into());
            }
            Owner::Nobody => {}
        }
        self.bytes += weight(path, &node);
        self.nodes.insert(path.into(), node);
    }

    fn remove(&mut self, path: &str) -> Option<Node> {
        let (path, node) = self.nodes.remove_entry(key(path))?;
        if let Some(parent) = self.nodes.get_mut(key(parent_of(&path))) {
            parent.children.remove(name_of(&path));
        }
        if let Owner::Session(id) = node.owner
            && let Some(owned) = self.owned.get_mut(&id)
        {
            owned.remove(&path);
            if owned.is_empty() {
                self.owned.remove(&id);
            }
        }
        self.mortal.remove(&path);
        self.bytes -= weight(&path, &node);
        Some(node)
    }

    /// Makes a change.
    pub(crate) fn apply(&mut self, change: &Change, at: At) -> Result<Undo, Misfit> {
        match change {
            Change::Create { path, data, acl, owner } => {
                if self.get(path).is_some() {
                    return Err(Misfit);
                }
                let parent = self.nodes.get_mut(key(parent_of(path))).ok_or(Misfit)?;
                let before = ParentBefore { creates: parent.creates, pzxid: parent.pzxid };
                parent.count_creation(at.zxid);
                let acl = self.lists.share_again(acl);
                self.insert(path, Node::new(data.clone(), acl, *owner, at));
                Ok(Undo::Create { path: path.clone(), parent: before })
            }
            Change::Delete { path } => {
                if self.get(path).is_none_or(|node| !node.children.is_empty()) {
                    return Err(Misfit);
                }
                let parent = self.nodes.get_mut(key(parent_of(path))).ok_or(Misfit)?;
                let before = ParentBefore { creates: parent.creates, pzxid: parent.pzxid };
                parent.pzxid = at.zxid;
                let node = Box::new(self.remove(path).ok_or(Misfit)?);
                Ok(Undo::Delete { path: path.clone(), node, parent: before })
            }
            Change::SetData { path, data } => self.replace(path, |node| {
                node.data.clone_from(data);
                node.version = next_version(node.version);
                node.mzxid = at.zxid;
                node.mtime = at.time_ms;
            }),
            Change::SetAcl { path, acl } => {
                let acl = self.lists.share_again(acl);
                self.replace(path, |node| {
                    node.acl = acl;
                    node.aversion = next_version(node.aversion);
                })
            }
            Change::SetCounter { path, creates } => {
                self.replace(path, |node| node.creates = *creates)
            }
        }
    }

    fn replace(&mut self, path: &str, edit: impl FnOnce(&mut Node)) -> Result<Undo, Misfit> {
        let node = self.nodes.get_mut(key(path)).ok_or(Misfit)?;
        // The list of children need not be kept: no edit touches it.
        let children = std::mem::take(&mut node.children);
        let before = Box::new(node.clone());
        node.children = children;
        self.bytes -= weight(path, node);
        edit(node);
        self.bytes += weight(path, node);
        Ok(Undo::Replace { path: path.to_owned(), node: before })
    }

    /// Takes changes back, the last one first.
    pub(crate) fn undo(&mut self, undos: Vec<Undo>) {
        for undo in undos.into_iter().rev() {
            match undo {
                Undo::Create { path, parent } => {
                    self.remove(&path);
                    self.restore_parent(&path, &parent);
                }
                Undo::Delete { path, node, parent } => {
                    self.insert(&path, *node);
                    self.restore_parent(&path, &parent);
                }
                Undo::Replace { path, mut node } => {
                    if let Some(now) = self.nodes.get_mut(key(&path)) {
                        self.bytes -= weight(&path, now);
                        self.bytes += weight(&path, &node);
                        std::mem::swap(&mut node.children, &mut now.children);
                        *now = *node;
                    }
                }
            }
        }
    }

    fn restore_parent(&mut self, path: &str, before: &ParentBefore) {
        if let Some(parent) = self.nodes.get_mut(key(parent_of(path))) {
            parent.creates = before.creates;
            parent.pzxid = before.pzxid;
        }
    }
}

/// The path of a node's parent as a path begins with it: empty for those right below the root.
pub(crate) fn parent_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// The path under which the node is known: the root has two.
pub(crate) fn key(path: &str) -> &str {
    if path.is_empty() { ROOT } else { path }
}

fn name_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

fn join(parent: &str, name: &str) -> String {
    match parent {
        ROOT => format!("/{name}"),
        _ => format!("{parent}/{name}"),
    }
}

/// What a node counts for in [`Tree::bytes`].
fn weight(path: &str, node: &Node) -> usize {
    // A path is there twice, as a key and in its parent's list. The rest is about what the
    // structures themselves take. A list is counted with each of its nodes, as any of them may be the
    // last that has it.
    let data = node.data.as_ref().map_or(0, bytes::Bytes::len);
    2 * path.len() + data + access::weight(&node.acl) + size_of::<Node>()
}

/// Access lists, of which there are few kinds on many nodes.
#[derive(Debug, Clone, Default)]
struct SharedLists {
    lists: HashSet<AccessList>,
    /// At how many lists to look for those that no node has any more.
    sweep_at: usize,
}

impl SharedLists {
    const SWEEP_AT_MIN: usize = 64;

    fn share(&mut self, list: Vec<Acl>) -> AccessList {
        match self.lists.get(list.as_slice()) {
            Some(shared) => AccessList::clone(shared),
            None => self.add(list.into()),
        }
    }

    fn share_again(&mut self, list: &AccessList) -> AccessList {
        match self.lists.get(list) {
            Some(shared) => AccessList::clone(shared),
            None => self.add(AccessList::clone(list)),
        }
    }

    fn add(&mut self, list: AccessList) -> AccessList {
        if self.lists.len() >= self.sweep_at.max(Self::SWEEP_AT_MIN) {
            self.lists.retain(|list| AccessList::strong_count(list) > 1);
            self.sweep_at = 2 * self.lists.len();
        }
        self.lists.insert(AccessList::clone(&list));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(path: &str, owner: Owner) -> Change {
        Change::Create { path: path.into(), data: None, acl: Acl::open().into(), owner }
    }

    fn at(zxid: i64) -> At {
        At { zxid, time_ms: 10 * zxid }
    }

    fn picture(tree: &Tree) -> Vec<(String, Node)> {
        tree.walk().into_iter().map(|(path, node)| (path, node.clone())).collect()
    }

    #[test]
    fn a_new_tree_looks_like_apaches() {
        let tree = Tree::new();
        assert_eq!(tree.get("/").unwrap().stat().cversion, -1);
        assert_eq!(tree.get("").unwrap().stat(), tree.get("/").unwrap().stat());
        assert_eq!(tree.get("/zookeeper").unwrap().stat().cversion, -2);
        let paths: Vec<_> = tree.walk().into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"]);
    }

    #[test]
    fn creations_count_and_deletions_do_not() {
        let mut tree = Tree::new();
        for (path, zxid) in [("/p", 1), ("/p/a", 2), ("/p/b", 3), ("/p/c", 4)] {
            tree.apply(&create(path, Owner::Nobody), at(zxid)).unwrap();
        }
        tree.apply(&Change::Delete { path: "/p/b".into() }, at(5)).unwrap();
        let parent = tree.get("/p").unwrap();
        assert_eq!((parent.creates, parent.stat().cversion, parent.pzxid), (3, 4, 5));
        assert_eq!(tree.count_below("/p"), 2);
        assert_eq!(tree.count_below("/"), 6);
    }

    #[test]
    fn what_is_undone_leaves_no_trace() {
        let mut tree = Tree::new();
        tree.apply(&create("/p", Owner::Nobody), at(1)).unwrap();
        tree.apply(&create("/p/mine", Owner::Session(7)), at(2)).unwrap();
        let (before, bytes) = (picture(&tree), tree.bytes());
        let changes = [
            create("/p/new", Owner::Container),
            Change::SetData { path: "/p".into(), data: Some(bytes::Bytes::from_static(b"data")) },
            Change::Delete { path: "/p/mine".into() },
            create("/p/mine", Owner::Session(8)),
            Change::SetAcl { path: "/p".into(), acl: Acl::read_only().into() },
            Change::SetCounter { path: "/p".into(), creates: 100 },
        ];
        let undos = changes.iter().map(|change| tree.apply(change, at(3)).unwrap()).collect();
        assert_eq!(tree.owned_by(8).collect::<Vec<_>>(), ["/p/mine"]);
        assert_eq!(tree.mortal().count(), 1);
        tree.undo(undos);
        assert_eq!((picture(&tree), tree.bytes()), (before, bytes));
        assert_eq!(tree.owned_by(7).collect::<Vec<_>>(), ["/p/mine"]);
        assert_eq!((tree.owned_by(8).count(), tree.mortal().count()), (0, 0));
    }

    #[test]
    fn impossible_changes_are_refused() {
        let mut tree = Tree::new();
        tree.apply(&create("/p", Owner::Nobody), at(1)).unwrap();
        tree.apply(&create("/p/a", Owner::Nobody), at(1)).unwrap();
        let before = picture(&tree);
        let impossible = [
            create("/p", Owner::Nobody),
            create("/q/a", Owner::Nobody),
            Change::Delete { path: "/p".into() },
            Change::Delete { path: "/q".into() },
            Change::SetData { path: "/q".into(), data: None },
        ];
        for change in impossible {
            assert!(tree.apply(&change, at(2)).is_err(), "{change:?}");
        }
        assert_eq!(picture(&tree), before);
    }

    #[test]
    fn lists_that_nobody_has_are_forgotten() {
        let mut lists = SharedLists::default();
        for n in 0..10_000 {
            lists.share(vec![Acl::new(
                sneck_wire::Permissions::ALL,
                sneck_wire::Id::new("digest", format!("{n}:x")),
            )]);
        }
        assert!(lists.lists.len() <= SharedLists::SWEEP_AT_MIN);
    }
}
