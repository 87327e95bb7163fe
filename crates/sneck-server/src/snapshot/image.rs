//! The state of a server at one zxid, as plain records.

use std::cmp::Ordering;
use std::sync::Arc;

use bytes::Bytes;
use sneck_wire::Acl;

/// The owner of a container node.
pub const CONTAINER_OWNER: i64 = i64::MIN;
/// The top byte of the owner of a node with a time to live; the milliseconds stand below it.
pub const TTL_OWNER_BYTE: u8 = 0xff;

/// Everything a server knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Image {
    /// The last write that is in it.
    pub zxid: i64,
    /// All sessions that are alive.
    pub sessions: Vec<SessionRecord>,
    /// All nodes, from the root, each before its children and behind all descendants of its
    /// earlier siblings: see [`Image::put_in_order`].
    pub nodes: Vec<NodeRecord>,
}

/// A session. Its password is computed from its id and not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionRecord {
    /// The id.
    pub id: i64,
    /// The negotiated timeout.
    pub timeout_ms: i32,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRecord {
    /// The path; `/` is the root.
    pub path: String,
    /// The data; null is not the same as empty.
    pub data: Option<Bytes>,
    /// Who may do what. Nodes with equal lists should share one.
    pub acl: Arc<[Acl]>,
    /// The zxid that created it.
    pub czxid: i64,
    /// The zxid that last changed its data.
    pub mzxid: i64,
    /// When it was created, in milliseconds since 1970.
    pub ctime: i64,
    /// When its data were last changed, in milliseconds since 1970.
    pub mtime: i64,
    /// How often its data were changed.
    pub version: i32,
    /// How many children were ever created below it: the number of the next sequential one. This
    /// is not what a client is shown as the version of the children.
    pub creates: i32,
    /// How often its access list was changed.
    pub aversion: i32,
    /// 0, the session of an ephemeral node, [`CONTAINER_OWNER`], or a time to live under
    /// [`TTL_OWNER_BYTE`].
    pub owner: i64,
    /// The zxid that last created or deleted a child.
    pub pzxid: i64,
}

impl Image {
    /// Sorts the nodes as a snapshot wants them.
    pub fn put_in_order(&mut self) {
        self.nodes.sort_by(|a, b| by_depth_first(&a.path, &b.path));
    }
}

/// Orders paths by their names from the root on, so that `/a/b` stands before `/a-b`.
fn by_depth_first(a: &str, b: &str) -> Ordering {
    let names = |path: &str| path.trim_start_matches('/').len();
    match (names(a), names(b)) {
        (0, _) | (_, 0) => names(a).cmp(&names(b)),
        _ => a.split('/').cmp(b.split('/')),
    }
}

impl NodeRecord {
    /// Whether it has a time to live, which a server must be told to honour.
    pub fn has_ttl(&self) -> bool {
        self.owner.to_be_bytes()[0] == TTL_OWNER_BYTE
    }
}

/// The ancestors of the node before, which tell whether the next one stands in order.
#[derive(Debug, Default)]
pub(super) struct Ancestors {
    /// The path of the node before, as in a snapshot: the root's is empty.
    before: Option<String>,
}

impl Ancestors {
    /// Whether a node at `path`, the root's being empty, can follow here: its parent is the node
    /// before or an ancestor of it. Whether it stood here already cannot be told.
    pub(super) fn admit(&mut self, path: &str) -> bool {
        let parent = path.rsplit_once('/').map(|(parent, _)| parent);
        let admitted = match (&self.before, parent) {
            (None, None) => path.is_empty(),
            (Some(before), Some(parent)) => {
                let below = before.strip_prefix(parent);
                sneck_wire::path::validate(path).is_ok()
                    && below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            _ => false,
        };
        if admitted {
            self.before = Some(path.to_owned());
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(paths: &[&str]) -> Vec<String> {
        let node = |path: &&str| NodeRecord {
            path: (*path).to_owned(),
            data: None,
            acl: Acl::open().into(),
            czxid: 0,
            mzxid: 0,
            ctime: 0,
            mtime: 0,
            version: 0,
            creates: 0,
            aversion: 0,
            owner: 0,
            pzxid: 0,
        };
        let mut image = Image { nodes: paths.iter().map(node).collect(), ..Image::default() };
        image.put_in_order();
        image.nodes.into_iter().map(|node| node.path).collect()
    }

    #[test]
    fn children_follow_their_parent() {
        let expected = ["/", "/a", "/a/b", "/a/b/c", "/a-b", "/a-b/d", "/b"];
        let mut shuffled = expected;
        shuffled.reverse();
        assert_eq!(sorted(&shuffled), expected);
        let mut ancestors = Ancestors::default();
        assert!(expected.iter().all(|path| ancestors.admit(path.trim_end_matches('/'))));
    }

    #[test]
    fn what_is_out_of_order_is_not_admitted() {
        let cases: [&[&str]; 7] = [
            &["/a"],
            &["", ""],
            &["", "/a/b"],
            &["", "/a", "/ab/c"],
            &["", "/a", "/b", "/a/c"],
            &["", "a"],
            &["", "/a//b"],
        ];
        for paths in cases {
            let mut ancestors = Ancestors::default();
            assert!(!paths.iter().all(|path| ancestors.admit(path)), "{paths:?}");
        }
    }
}
