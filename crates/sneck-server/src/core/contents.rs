//! What outlives the process: nodes and sessions, without anybody connected.

use std::collections::BTreeMap;
use std::fmt;

use super::change::{Change, Deed, Txn, TxnError};
use super::node::{Node, Owner};
use super::tree::{Misfit, Tree};
use crate::log::ReplayError;
use crate::mutant::mutant;
use crate::snapshot::{Image, NodeRecord, Replica, SessionRecord};

/// Nodes and sessions.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) tree: Tree,
    /// The timeout of each session, in milliseconds.
    pub(crate) sessions: BTreeMap<i64, i32>,
    /// The highest id that a session ever had, as far as is known.
    pub(crate) last_session: i64,
    /// The last transaction.
    pub(crate) zxid: i64,
}

/// A snapshot or a log that no server like this one has written.
#[derive(Debug)]
enum Foreign {
    NoRoot,
    Txn(TxnError),
    Zxid { entry: i64, txn: i64 },
    Misfit { zxid: i64 },
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoot => write!(f, "there is no root node"),
            Self::Txn(error) => error.fmt(f),
            Self::Zxid { entry, txn } => write!(f, "entry {entry:#x} holds transaction {txn:#x}"),
            Self::Misfit { zxid } => write!(f, "transaction {zxid:#x} does not fit the tree"),
        }
    }
}

impl std::error::Error for Foreign {}

impl Contents {
    /// Those of a new server, whose first transaction comes after `zxid`.
    pub(crate) fn new(zxid: i64) -> Self {
        Self { tree: Tree::new(), sessions: BTreeMap::new(), last_session: 0, zxid }
    }

    /// Makes a transaction again that was made before.
    pub(crate) fn apply(&mut self, txn: &Txn) -> Result<(), Misfit> {
        match &txn.deed {
            Deed::OpenSession { id, timeout_ms } => self.open(*id, *timeout_ms),
            Deed::CloseSession { .. } if mutant!("an-end-is-forgotten-by-a-restart") => {}
            Deed::CloseSession { id } => {
                self.sessions.remove(id);
                for change in last_changes_of(&self.tree, *id) {
                    self.tree.apply(&change, txn.at)?;
                }
            }
            Deed::Changes(changes) => {
                for change in changes {
                    self.tree.apply(change, txn.at)?;
                }
            }
        }
        self.zxid = txn.at.zxid;
        Ok(())
    }

    fn open(&mut self, id: i64, timeout_ms: i32) {
        self.sessions.insert(id, timeout_ms);
        self.last_session = self.last_session.max(id);
    }
}

/// What the end of a session does to the tree.
pub(crate) fn last_changes_of(tree: &Tree, session: i64) -> Vec<Change> {
    tree.owned_by(session).map(|path| Change::Delete { path: path.to_owned() }).collect()
}

impl Replica for Contents {
    fn restore(image: Option<Image>, floor: i64) -> Result<Self, ReplayError> {
        let Some(image) = image else { return Ok(Self::new(floor)) };
        let mut contents = Self { tree: Tree::empty(), ..Self::new(image.zxid) };
        for record in image.nodes {
            let (path, node) = node(record);
            contents.tree.insert(&path, node);
        }
        for session in image.sessions {
            contents.open(session.id, session.timeout_ms);
        }
        match contents.tree.get("/") {
            Some(_) => Ok(contents),
            None => Err(Foreign::NoRoot.into()),
        }
    }

    fn replay(&mut self, zxid: i64, payload: &[u8]) -> Result<(), ReplayError> {
        for txn in Txn::decode_all(payload).map_err(Foreign::Txn)? {
            if txn.at.zxid != zxid {
                return Err(Foreign::Zxid { entry: zxid, txn: txn.at.zxid }.into());
            }
            self.apply(&txn).map_err(|Misfit| Foreign::Misfit { zxid })?;
        }
        Ok(())
    }

    fn into_image(self) -> Image {
        let session = |(&id, &timeout_ms): (&i64, &i32)| SessionRecord { id, timeout_ms };
        Image {
            zxid: self.zxid,
            sessions: self.sessions.iter().map(session).collect(),
            nodes: self.tree.walk().into_iter().map(|(path, node)| record(path, node)).collect(),
        }
    }
}

fn record(path: String, node: &Node) -> NodeRecord {
    NodeRecord {
        path,
        data: node.data.clone(),
        acl: node.acl.clone(),
        czxid: node.czxid,
        mzxid: node.mzxid,
        ctime: node.ctime,
        mtime: node.mtime,
        version: node.version,
        creates: node.creates,
        aversion: node.aversion,
        owner: node.owner.number(),
        pzxid: node.pzxid,
    }
}

fn node(record: NodeRecord) -> (String, Node) {
    let node = Node {
        data: record.data,
        acl: record.acl,
        owner: Owner::from_number(record.owner),
        czxid: record.czxid,
        mzxid: record.mzxid,
        pzxid: record.pzxid,
        ctime: record.ctime,
        mtime: record.mtime,
        version: record.version,
        aversion: record.aversion,
        creates: record.creates,
        children: Default::default(),
    };
    (record.path, node)
}
