//! Requests that change nothing in the tree.

use sneck_wire::{ClientInfo, ErrorCode, MultiResult, Permissions, ReadOp, Reply, Request};

use super::node::{Node, wire_count};
use super::watches::Watched;
use super::{ConnectionId, Core, access};

impl Core {
    /// Answers a read, and leaves a watch if it asks for one.
    pub(super) fn read(
        &mut self,
        id: ConnectionId,
        session: i64,
        request: &Request,
    ) -> Result<Reply, ErrorCode> {
        match request {
            Request::Exists { path, watch } => self.exists(id, path, *watch),
            Request::GetData { path, watch } => {
                let node = self.readable(id, path)?;
                let reply = Reply::GetData { data: node.data.clone(), stat: node.stat() };
                self.watch(id, Watched::Node, path, *watch)?;
                Ok(reply)
            }
            Request::GetChildren { path, watch } => {
                let children = names(self.readable(id, path)?);
                self.watch(id, Watched::List, path, *watch)?;
                Ok(Reply::GetChildren(children))
            }
            Request::GetChildren2 { path, watch } => {
                let node = self.readable(id, path)?;
                let (children, stat) = (names(node), node.stat());
                self.watch(id, Watched::List, path, *watch)?;
                Ok(Reply::GetChildren2 { children, stat })
            }
            Request::GetAcl { path } => self.get_acl(id, path),
            Request::Sync { path } => Ok(Reply::Sync { path: path.clone() }),
            Request::MultiRead(ops) => Ok(Reply::MultiRead(self.multi_read(id, ops))),
            Request::GetEphemerals { prefix } => {
                let of_all = matches!(prefix.trim(), "" | "/");
                let paths = self.tree.owned_by(session);
                let chosen = paths.filter(|path| of_all || path.starts_with(prefix.as_str()));
                Ok(Reply::GetEphemerals(chosen.map(str::to_owned).collect()))
            }
            Request::GetAllChildrenNumber { path } => {
                self.readable(id, path)?;
                Ok(Reply::GetAllChildrenNumber(wire_count(self.tree.count_below(path))))
            }
            Request::WhoAmI => {
                let info = |id: &sneck_wire::Id| ClientInfo {
                    scheme: id.scheme.clone(),
                    user: access::user(id),
                };
                Ok(Reply::WhoAmI(self.ids(id).iter().map(info).collect()))
            }
            // Every other request is answered elsewhere.
            _ => Err(ErrorCode::UNIMPLEMENTED),
        }
    }

    fn exists(&mut self, id: ConnectionId, path: &str, watch: bool) -> Result<Reply, ErrorCode> {
        if path.contains('\0') {
            return Err(ErrorCode::BAD_ARGUMENTS);
        }
        match self.readable(id, path).map(Node::stat) {
            Ok(stat) => {
                self.watch(id, Watched::Node, path, watch)?;
                Ok(Reply::Exists(stat))
            }
            // The one read that leaves a watch although there is nothing to read.
            Err(ErrorCode::NO_NODE) => {
                self.watch(id, Watched::Node, path, watch)?;
                Err(ErrorCode::NO_NODE)
            }
            Err(error) => Err(error),
        }
    }

    fn get_acl(&self, id: ConnectionId, path: &str) -> Result<Reply, ErrorCode> {
        let node = self.tree.get(path).ok_or(ErrorCode::NO_NODE)?;
        let ids = self.ids(id);
        access::check(&node.acl, Permissions::READ | Permissions::ADMIN, ids)?;
        let acl = match access::allows(&node.acl, Permissions::ADMIN, ids) {
            true => node.acl.to_vec(),
            false => access::masked(&node.acl),
        };
        Ok(Reply::GetAcl { acl, stat: node.stat() })
    }

    fn multi_read(&self, id: ConnectionId, ops: &[ReadOp]) -> Vec<MultiResult> {
        let answer = |op: &ReadOp| match op {
            ReadOp::GetChildren { path } => {
                self.readable(id, path).map(|node| MultiResult::Children(names(node)))
            }
            ReadOp::GetData { path } => self
                .readable(id, path)
                .map(|node| MultiResult::Data { data: node.data.clone(), stat: node.stat() }),
        };
        ops.iter().map(|op| answer(op).unwrap_or_else(MultiResult::Error)).collect()
    }

    /// The node, if there is one and the connection may read it.
    pub(super) fn readable(&self, id: ConnectionId, path: &str) -> Result<&Node, ErrorCode> {
        let node = self.tree.get(path).ok_or(ErrorCode::NO_NODE)?;
        access::check(&node.acl, Permissions::READ, self.ids(id))?;
        Ok(node)
    }
}

fn names(node: &Node) -> Vec<String> {
    node.children.iter().map(|name| String::from(&**name)).collect()
}
