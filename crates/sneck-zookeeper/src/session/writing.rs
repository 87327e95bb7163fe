//! What a session can change.

use super::{Call, Session, bad_path, local_path};
use crate::error::RequestError;
use bytes::Bytes;
use sneck_wire::{Acl, CreateMode, MultiOp, MultiResult, NewNode, Reply, Request, Stat, path};
use std::time::Duration;

/// A node that was created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// Its path, with the number the server appended.
    pub path: String,
    /// Its metadata.
    pub stat: Stat,
}

impl Session {
    /// Creates a node and answers its path.
    pub fn create(
        &self,
        path: &str,
        data: impl Into<Bytes>,
        mode: CreateMode,
        acl: Vec<Acl>,
    ) -> Call<String> {
        let node = self.new_node(path, data.into(), mode, acl);
        self.call(node.map(Request::Create), |reply, chroot| match reply {
            Reply::Create { path } => Some(local_path(chroot, path)),
            _ => None,
        })
    }

    /// Creates a node, or a container, and answers its path and metadata. Servers before 3.5 do not
    /// know this request.
    pub fn create2(
        &self,
        path: &str,
        data: impl Into<Bytes>,
        mode: CreateMode,
        acl: Vec<Acl>,
    ) -> Call<Created> {
        let node = self.new_node(path, data.into(), mode, acl);
        let request = node.map(|node| match mode {
            CreateMode::Container => Request::CreateContainer(node),
            _ => Request::Create2(node),
        });
        self.call(request, read_created)
    }

    /// Creates a node that the servers delete once it has had no child and no change of data for
    /// `ttl`. Servers must be configured to allow it.
    pub fn create_ttl(
        &self,
        path: &str,
        data: impl Into<Bytes>,
        mode: CreateMode,
        acl: Vec<Acl>,
        ttl: Duration,
    ) -> Call<Created> {
        let ttl_ms = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
        let node = self.new_node(path, data.into(), mode, acl);
        self.call(node.map(|node| Request::CreateTtl { node, ttl_ms }), read_created)
    }

    /// Deletes a node without children. `None` for any version.
    pub fn delete(&self, path: &str, version: Option<i32>) -> Call<()> {
        let version = version.unwrap_or(-1);
        let request = self.absolute(path).map(|path| Request::Delete { path, version });
        self.call(request, |reply, _| match reply {
            Reply::Delete => Some(()),
            _ => None,
        })
    }

    /// Replaces a node's data. `None` for any version.
    pub fn set_data(&self, path: &str, data: impl Into<Bytes>, version: Option<i32>) -> Call<Stat> {
        let (data, version) = (Some(data.into()), version.unwrap_or(-1));
        let request = self.absolute(path).map(|path| Request::SetData { path, data, version });
        self.call(request, |reply, _| match reply {
            Reply::SetData(stat) => Some(stat),
            _ => None,
        })
    }

    /// Replaces a node's access control list. `None` for any version of it.
    pub fn set_acl(&self, path: &str, acl: Vec<Acl>, version: Option<i32>) -> Call<Stat> {
        let version = version.unwrap_or(-1);
        let request = self.absolute(path).map(|path| Request::SetAcl { path, acl, version });
        self.call(request, |reply, _| match reply {
            Reply::SetAcl(stat) => Some(stat),
            _ => None,
        })
    }

    /// Several writes and checks in one transaction: all are applied or none. The answer has one
    /// result for each; a transaction that failed is an `Ok` whose results are
    /// [errors](MultiResult::Error). Paths are below the session's root.
    pub fn multi(&self, ops: Vec<MultiOp>) -> Call<Vec<MultiResult>> {
        let ops: Result<Vec<_>, _> = ops.into_iter().map(|op| self.absolute_op(op)).collect();
        self.call(ops.map(Request::Multi), |reply, chroot| match reply {
            Reply::Multi(results) => {
                Some(results.into_iter().map(|result| local_result(chroot, result)).collect())
            }
            _ => None,
        })
    }

    fn new_node(
        &self,
        path: &str,
        data: Bytes,
        mode: CreateMode,
        acl: Vec<Acl>,
    ) -> Result<NewNode, RequestError> {
        let path = if mode.is_sequential() {
            path::validate_sequential(path).map_err(bad_path)?;
            format!("{}{path}", self.chroot)
        } else {
            self.absolute(path)?
        };
        Ok(NewNode { path, data: Some(data), acl, mode })
    }

    fn absolute_op(&self, op: MultiOp) -> Result<MultiOp, RequestError> {
        let node = |node: NewNode| {
            self.new_node(&node.path, Bytes::new(), node.mode, Vec::new())
                .map(|absolute| NewNode { path: absolute.path, ..node })
        };
        Ok(match op {
            MultiOp::Create(new) => MultiOp::Create(node(new)?),
            MultiOp::Create2(new) => MultiOp::Create2(node(new)?),
            MultiOp::CreateContainer(new) => MultiOp::CreateContainer(node(new)?),
            MultiOp::CreateTtl { node: new, ttl_ms } => {
                MultiOp::CreateTtl { node: node(new)?, ttl_ms }
            }
            MultiOp::Delete { path, version } => {
                MultiOp::Delete { path: self.absolute(&path)?, version }
            }
            MultiOp::SetData { path, data, version } => {
                MultiOp::SetData { path: self.absolute(&path)?, data, version }
            }
            MultiOp::Check { path, version } => {
                MultiOp::Check { path: self.absolute(&path)?, version }
            }
        })
    }
}

fn read_created(reply: Reply, chroot: &str) -> Option<Created> {
    match reply {
        Reply::Create2 { path, stat }
        | Reply::CreateContainer { path, stat }
        | Reply::CreateTtl { path, stat } => Some(Created { path: local_path(chroot, path), stat }),
        _ => None,
    }
}

fn local_result(chroot: &str, result: MultiResult) -> MultiResult {
    match result {
        MultiResult::Create { path, stat } => {
            MultiResult::Create { path: local_path(chroot, path), stat }
        }
        other => other,
    }
}
