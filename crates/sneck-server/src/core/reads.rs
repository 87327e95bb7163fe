//! Requests that change nothing in the tree.

use sneck_wire::{ClientInfo, ErrorCode, MultiResult, Permissions, ReadOp, Reply, Request};

use crate::refusals::Limit;

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
                let children = self.room_for_reply().names(self.readable(id, path)?)?;
                self.watch(id, Watched::List, path, *watch)?;
                Ok(Reply::GetChildren(children))
            }
            Request::GetChildren2 { path, watch } => {
                let node = self.readable(id, path)?;
                let (children, stat) = (self.room_for_reply().names(node)?, node.stat());
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
                Ok(Reply::GetEphemerals(self.room_for_reply().texts(chosen)?))
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
        let mut room = self.room_for_reply();
        let mut answer = |op: &ReadOp| match op {
            ReadOp::GetChildren { path } => {
                Ok(MultiResult::Children(room.names(self.readable(id, path)?)?))
            }
            ReadOp::GetData { path } => {
                let node = self.readable(id, path)?;
                room.take(node.data.as_ref().map_or(0, bytes::Bytes::len))?;
                Ok(MultiResult::Data { data: node.data.clone(), stat: node.stat() })
            }
        };
        ops.iter().map(|op| answer(op).unwrap_or_else(MultiResult::Error)).collect()
    }

    fn room_for_reply(&self) -> ReplyRoom<'_> {
        ReplyRoom { core: self, bytes: self.settings.limits.reply_bytes_max, is_full: false }
    }

    /// The node, if there is one and the connection may read it.
    pub(super) fn readable(&self, id: ConnectionId, path: &str) -> Result<&Node, ErrorCode> {
        let node = self.tree.get(path).ok_or(ErrorCode::NO_NODE)?;
        access::check(&node.acl, Permissions::READ, self.ids(id))?;
        Ok(node)
    }
}

/// What there is room for in a reply whose length is not bounded by that of its request.
struct ReplyRoom<'a> {
    core: &'a Core,
    bytes: usize,
    is_full: bool,
}

impl ReplyRoom<'_> {
    /// Takes so much of it. Once something did not fit, nothing more does: to look at it would be all
    /// that is left to ask for.
    fn take(&mut self, bytes: usize) -> Result<(), ErrorCode> {
        if !self.is_full && bytes <= self.bytes {
            self.bytes -= bytes;
            return Ok(());
        }
        if !self.is_full {
            self.is_full = true;
            self.core.refuse_at(Limit::ReplyBytes, ErrorCode::MARSHALLING_ERROR);
        }
        Err(ErrorCode::MARSHALLING_ERROR)
    }

    fn names(&mut self, node: &Node) -> Result<Vec<String>, ErrorCode> {
        // There is no name of no length. Without this, each refusal would be a walk over all of them.
        if node.children.len().saturating_mul(TEXT_BYTES + 1) > self.bytes {
            self.take(usize::MAX)?;
        }
        self.texts(node.children.iter().map(|name| &**name))
    }

    fn texts<'a>(
        &mut self,
        texts: impl Iterator<Item = &'a str>,
    ) -> Result<Vec<String>, ErrorCode> {
        let mut taken = Vec::new();
        for text in texts {
            self.take(TEXT_BYTES + text.len())?;
            taken.push(text.to_owned());
        }
        Ok(taken)
    }
}

/// What a text takes on the wire besides itself: its length.
const TEXT_BYTES: usize = 4;
