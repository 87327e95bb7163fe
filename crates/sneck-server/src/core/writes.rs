//! Requests that change the tree: whether they may, and making them so.
//!
//! The order of the checks shows when more than one thing is wrong, and is Apache's.

use sneck_wire::{
    Acl, CreateMode, ErrorCode, MultiOp, MultiResult, NewNode, OpCode, Permissions, Reply, Request,
    path,
};

use crate::mutant::mutant;
use crate::refusals::Limit;

use super::access::{self, Unsettled};
use super::change::{Change, Deed, Txn};
use super::node::{At, Node, Owner};
use super::tree::{Tree, Undo, parent_of};
use super::{ConnectionId, Core, Effects, Now};

/// Who wants a change: the connection, whose identities count, and the session on it.
#[derive(Debug, Clone, Copy)]
struct Asker {
    connection: ConnectionId,
    session: i64,
}

/// How long a node shall live, by the operation that asks for it.
#[derive(Debug, Clone, Copy)]
enum Life {
    /// As its mode says, if that is persistent or ephemeral.
    ByMode,
    Container,
    TtlMs(i64),
}

impl Core {
    /// Makes the change that a request asks for.
    pub(super) fn write(
        &mut self,
        connection: ConnectionId,
        session: i64,
        request: Request,
        now: Now,
        effects: &mut Effects,
    ) -> Result<Reply, ErrorCode> {
        let asker = Asker { connection, session };
        let op = request.op();
        let change = match request {
            Request::Create(node) | Request::Create2(node) => {
                self.prepare_create(asker, &node, Life::ByMode)?
            }
            Request::CreateContainer(node) => self.prepare_create(asker, &node, Life::Container)?,
            Request::CreateTtl { node, ttl_ms } => {
                self.prepare_create(asker, &node, Life::TtlMs(ttl_ms))?
            }
            Request::Delete { path, version } => self.prepare_delete(asker, path, version)?,
            Request::SetData { path, data, version } => {
                self.check_version(asker, &path, version, Permissions::WRITE)?;
                self.room_for(data.as_ref().map_or(0, bytes::Bytes::len))?;
                Change::SetData { path, data }
            }
            Request::SetAcl { path, acl, version } => {
                self.prepare_set_acl(asker, path, &acl, version)?
            }
            _ => return Err(ErrorCode::UNIMPLEMENTED),
        };
        self.fits_a_txn(change.weight())?;
        let at = self.begin(now);
        self.make(&change, at, effects);
        let reply = self.reply_to(op, &change);
        effects.txns.push(Txn { at, deed: Deed::Changes(vec![change]) });
        reply
    }

    fn reply_to(&self, op: OpCode, change: &Change) -> Result<Reply, ErrorCode> {
        let stat = |path: &str| self.tree.get(path).map(Node::stat).unwrap_or_default();
        Ok(match change {
            Change::Create { path, .. } => {
                let (path, stat) = (path.clone(), stat(path));
                match op {
                    OpCode::Create => Reply::Create { path },
                    OpCode::CreateContainer => Reply::CreateContainer { path, stat },
                    OpCode::CreateTtl => Reply::CreateTtl { path, stat },
                    _ => Reply::Create2 { path, stat },
                }
            }
            Change::Delete { .. } => Reply::Delete,
            Change::SetData { path, .. } => Reply::SetData(stat(path)),
            Change::SetAcl { path, .. } => Reply::SetAcl(stat(path)),
            Change::SetCounter { .. } => return Err(ErrorCode::SYSTEM_ERROR),
        })
    }

    /// Makes several changes under one zxid, or none of them. Nothing is told before all are made:
    /// what is undone was never there.
    pub(super) fn multi(
        &mut self,
        connection: ConnectionId,
        session: i64,
        ops: &[MultiOp],
        now: Now,
        effects: &mut Effects,
    ) -> Result<Reply, ErrorCode> {
        let asker = Asker { connection, session };
        if ops.iter().any(lacks_time_to_live) {
            return Err(ErrorCode::MARSHALLING_ERROR);
        }
        let at = At { zxid: self.zxid + 1, time_ms: now.wall_ms };
        let (mut changes, mut undos, mut news) = (Vec::new(), Vec::new(), Vec::new());
        let mut results = Vec::with_capacity(ops.len());
        let mut weight = 0_usize;
        for (number, op) in ops.iter().enumerate() {
            let made = self.prepare(asker, op).and_then(|change| match change {
                Some(change) => {
                    weight += change.weight();
                    self.fits_a_txn(weight)?;
                    self.apply(change, at).map(Some)
                }
                None => Ok(None),
            });
            match made {
                Ok(made) => {
                    results.push(self.result_of(op, made.as_ref().map(|(change, _)| change)));
                    let Some((change, undo)) = made else { continue };
                    news.extend(self.news(&change, &undo));
                    changes.push(change);
                    undos.push(undo);
                }
                Err(error) => {
                    self.tree.undo(undos);
                    return Ok(Reply::Multi(failed_at(number, error, ops.len())));
                }
            }
        }
        // A multi that only checks has changed nothing, and there is nothing to write down.
        if !changes.is_empty() {
            self.zxid = at.zxid;
            effects.txns.push(Txn { at, deed: Deed::Changes(changes) });
            news.iter().for_each(|news| self.tell(news, at, effects));
        }
        Ok(Reply::Multi(results))
    }

    fn prepare(&mut self, asker: Asker, op: &MultiOp) -> Result<Option<Change>, ErrorCode> {
        Ok(Some(match op {
            MultiOp::Create(node) | MultiOp::Create2(node) => {
                self.prepare_create(asker, node, life_by_mode(node, 0))?
            }
            MultiOp::CreateContainer(node) => self.prepare_create(asker, node, Life::Container)?,
            MultiOp::CreateTtl { node, ttl_ms } => {
                self.prepare_create(asker, node, life_by_mode(node, *ttl_ms))?
            }
            MultiOp::Delete { path, version } => {
                self.prepare_delete(asker, path.clone(), *version)?
            }
            MultiOp::SetData { path, data, version } => {
                self.check_version(asker, path, *version, Permissions::WRITE)?;
                self.room_for(data.as_ref().map_or(0, bytes::Bytes::len))?;
                Change::SetData { path: path.clone(), data: data.clone() }
            }
            MultiOp::Check { path, version } => {
                self.check_version(asker, path, *version, Permissions::READ)?;
                return Ok(None);
            }
        }))
    }

    fn result_of(&self, op: &MultiOp, change: Option<&Change>) -> MultiResult {
        let stat = |path: &str| self.tree.get(path).map(Node::stat).unwrap_or_default();
        match change {
            Some(Change::Create { path, .. }) => {
                let stat = answers_stat(op).then(|| stat(path));
                MultiResult::Create { path: path.clone(), stat }
            }
            Some(Change::Delete { .. }) => MultiResult::Delete,
            Some(Change::SetData { path, .. }) => MultiResult::SetData(stat(path)),
            _ => MultiResult::Check,
        }
    }

    fn prepare_create(
        &mut self,
        asker: Asker,
        node: &NewNode,
        life: Life,
    ) -> Result<Change, ErrorCode> {
        let owner = owner(node, life, asker.session)?;
        if !node.path.contains('/') || node.path.contains('\0') {
            return Err(ErrorCode::BAD_ARGUMENTS);
        }
        let ids = self.ids(asker.connection);
        let acl = self.settle(&node.acl, ids)?;
        let parent = self.tree.get(parent_of(&node.path)).ok_or(ErrorCode::NO_NODE)?;
        access::check(&parent.acl, Permissions::CREATE, ids)?;
        let path = match node.mode.is_sequential() {
            true if mutant!("numbers-count-children") => {
                format!("{}{:010}", node.path, parent.children.len())
            }
            true => format!("{}{:010}", node.path, parent.creates),
            false => node.path.clone(),
        };
        path::validate(&path).map_err(|_| ErrorCode::BAD_ARGUMENTS)?;
        if self.tree.get(&path).is_some() {
            return Err(ErrorCode::NODE_EXISTS);
        }
        if parent.owner.session().is_some() {
            return Err(ErrorCode::NO_CHILDREN_FOR_EPHEMERALS);
        }
        self.room_for_node(owner)?;
        let data = node.data.as_ref().map_or(0, bytes::Bytes::len);
        self.room_for(2 * path.len() + data + access::weight(&acl))?;
        let acl = self.tree.share(acl);
        Ok(Change::Create { path, data: node.data.clone(), acl, owner })
    }

    fn prepare_delete(
        &self,
        asker: Asker,
        path: String,
        version: i32,
    ) -> Result<Change, ErrorCode> {
        if !path.contains('/') || path.contains('\0') || Tree::is_special(&path) {
            return Err(ErrorCode::BAD_ARGUMENTS);
        }
        let parent = self.tree.get(parent_of(&path)).ok_or(ErrorCode::NO_NODE)?;
        access::check(&parent.acl, Permissions::DELETE, self.ids(asker.connection))?;
        let node = self.tree.get(&path).ok_or(ErrorCode::NO_NODE)?;
        same_version(node.version, version)?;
        if !node.children.is_empty() {
            return Err(ErrorCode::NOT_EMPTY);
        }
        Ok(Change::Delete { path })
    }

    fn prepare_set_acl(
        &mut self,
        asker: Asker,
        path: String,
        acl: &[Acl],
        version: i32,
    ) -> Result<Change, ErrorCode> {
        path::validate(&path).map_err(|_| ErrorCode::BAD_ARGUMENTS)?;
        let ids = self.ids(asker.connection);
        let acl = self.settle(acl, ids)?;
        let node = self.tree.get(&path).ok_or(ErrorCode::NO_NODE)?;
        access::check(&node.acl, Permissions::ADMIN, ids)?;
        same_version(node.aversion, version)?;
        self.room_for(access::weight(&acl))?;
        let acl = self.tree.share(acl);
        Ok(Change::SetAcl { path, acl })
    }

    fn check_version(
        &self,
        asker: Asker,
        path: &str,
        version: i32,
        wanted: Permissions,
    ) -> Result<(), ErrorCode> {
        path::validate(path).map_err(|_| ErrorCode::BAD_ARGUMENTS)?;
        let node = self.tree.get(path).ok_or(ErrorCode::NO_NODE)?;
        access::check(&node.acl, wanted, self.ids(asker.connection))?;
        same_version(node.version, version)
    }

    fn settle(&self, acl: &[Acl], ids: &[sneck_wire::Id]) -> Result<Vec<Acl>, ErrorCode> {
        access::settle(acl, ids, self.settings.limits.acl_entries_max).map_err(|why| match why {
            Unsettled::Invalid => ErrorCode::INVALID_ACL,
            Unsettled::TooLong => self.refuse_at(Limit::AclEntries, ErrorCode::INVALID_ACL),
        })
    }

    /// Whether a transaction can be written down. Only what `auth` stands for can make it longer than
    /// the frame it comes from.
    fn fits_a_txn(&self, bytes: usize) -> Result<(), ErrorCode> {
        match bytes <= self.settings.limits.txn_bytes_max() {
            true => Ok(()),
            false => Err(self.refuse_at(Limit::FrameBytes, ErrorCode::QUOTA_EXCEEDED)),
        }
    }

    fn room_for_node(&self, owner: Owner) -> Result<(), ErrorCode> {
        let limits = &self.settings.limits;
        if self.tree.len() >= limits.nodes_max {
            return Err(self.refuse_at(Limit::Nodes, ErrorCode::QUOTA_EXCEEDED));
        }
        let ephemerals = owner.session().map_or(0, |session| self.tree.count_owned_by(session));
        match ephemerals < limits.ephemerals_per_session_max {
            true => Ok(()),
            false => Err(self.refuse_at(Limit::EphemeralsPerSession, ErrorCode::QUOTA_EXCEEDED)),
        }
    }

    fn room_for(&self, bytes: usize) -> Result<(), ErrorCode> {
        match self.tree.bytes().saturating_add(bytes) <= self.settings.limits.tree_bytes_max {
            true => Ok(()),
            false => Err(self.refuse_at(Limit::TreeBytes, ErrorCode::QUOTA_EXCEEDED)),
        }
    }

    /// Presets a counter, for tests of what happens at the end of the numbers.
    pub(super) fn set_counter(
        &mut self,
        path: String,
        creates: i32,
        now: Now,
        effects: &mut Effects,
    ) {
        if self.tree.get(&path).is_none() {
            return;
        }
        let at = self.begin(now);
        let change = Change::SetCounter { path, creates };
        self.make(&change, at, effects);
        effects.txns.push(Txn { at, deed: Deed::Changes(vec![change]) });
    }

    /// Makes one change that was checked, and tells of it.
    pub(super) fn make(&mut self, change: &Change, at: At, effects: &mut Effects) {
        let Ok(undo) = self.tree.apply(change, at) else {
            debug_assert!(false, "a change that was checked does not fit: {change:?}");
            return;
        };
        if let Some(news) = self.news(change, &undo) {
            self.tell(&news, at, effects);
        }
    }

    fn apply(&mut self, change: Change, at: At) -> Result<(Change, Undo), ErrorCode> {
        match self.tree.apply(&change, at) {
            Ok(undo) => Ok((change, undo)),
            Err(_) => Err(ErrorCode::SYSTEM_ERROR),
        }
    }
}

/// Inside a multi, Apache goes by the mode, except in an operation for containers.
fn life_by_mode(node: &NewNode, ttl_ms: i64) -> Life {
    match node.mode {
        CreateMode::Container => Life::Container,
        mode if mode.is_ttl() => Life::TtlMs(ttl_ms),
        _ => Life::ByMode,
    }
}

/// Whether the result of a creation has a stat, which depends on the mode as well.
fn answers_stat(op: &MultiOp) -> bool {
    match op {
        MultiOp::Create(node) | MultiOp::CreateTtl { node, .. } => {
            node.mode == CreateMode::Container || node.mode.is_ttl()
        }
        _ => true,
    }
}

/// Whether a mode needs a time to live that its operation has no room for. Such a multi cannot even
/// be read by Apache.
fn lacks_time_to_live(op: &MultiOp) -> bool {
    match op {
        MultiOp::Create(node) | MultiOp::Create2(node) | MultiOp::CreateContainer(node) => {
            node.mode.is_ttl()
        }
        _ => false,
    }
}

/// To whom a new node will belong.
fn owner(node: &NewNode, life: Life, session: i64) -> Result<Owner, ErrorCode> {
    match life {
        Life::TtlMs(ms) if node.mode.is_ttl() && (1..=Owner::TTL_MS_MAX).contains(&ms) => {
            Ok(Owner::Ttl(ms))
        }
        Life::TtlMs(_) => Err(ErrorCode::BAD_ARGUMENTS),
        // A mode that needs a time to live, in a request that has none.
        _ if node.mode.is_ttl() => Err(ErrorCode::BAD_ARGUMENTS),
        Life::Container => Ok(Owner::Container),
        Life::ByMode if node.mode.is_ephemeral() => Ok(Owner::Session(session)),
        Life::ByMode => Ok(Owner::Nobody),
    }
}

fn same_version(version: i32, wanted: i32) -> Result<(), ErrorCode> {
    match wanted == -1 || wanted == version {
        true => Ok(()),
        false => Err(ErrorCode::BAD_VERSION),
    }
}

/// The results of a multi whose operation `number` failed.
fn failed_at(number: usize, error: ErrorCode, count: usize) -> Vec<MultiResult> {
    let code = |at: usize| match at.cmp(&number) {
        std::cmp::Ordering::Less => ErrorCode::OK,
        std::cmp::Ordering::Equal => error,
        std::cmp::Ordering::Greater => ErrorCode::RUNTIME_INCONSISTENCY,
    };
    (0..count).map(|at| MultiResult::Error(code(at))).collect()
}
