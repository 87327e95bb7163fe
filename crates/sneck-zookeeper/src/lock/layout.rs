//! How locks are laid out on the servers.

use super::dialect::{Dialect, ForeignPolicy};
use super::failure;
use super::path;
use crate::error::RequestError;
use sneck_core::{Error, Name};
use sneck_wire::Acl;
use std::sync::Arc;

/// Who may touch what sneck writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AclPolicy {
    /// Everybody, as ZooKeeper has it by default.
    #[default]
    Open,
    /// Only who has the credentials of the session that wrote it.
    Creator,
}

/// How locks are laid out on the servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LockOptions {
    /// Which node names share a line.
    pub dialect: Dialect,
    /// What to do about other children of a lock's node.
    pub foreign: ForeignPolicy,
    /// Who may touch what sneck writes.
    pub acl: AclPolicy,
}

/// Where locks are, and under which rules.
#[derive(Debug)]
pub(crate) struct Layout {
    /// The path that all locks are below; empty for the root.
    pub(crate) chroot: String,
    pub(crate) options: LockOptions,
    /// The store's name in messages.
    pub(crate) label: Arc<str>,
}

impl Layout {
    /// The path of a lock's node.
    pub(crate) fn path(&self, name: &Name) -> Result<String, Error> {
        path::of_lock(&self.chroot, name, self.options.dialect)
    }

    /// The access rules of every node that sneck makes.
    pub(crate) fn acl(&self) -> Vec<Acl> {
        match self.options.acl {
            AclPolicy::Open => Acl::open(),
            AclPolicy::Creator => Acl::creator_all(),
        }
    }

    /// What a failed request means, on this store.
    pub(crate) fn failure(&self, error: &RequestError, doing: &str) -> Error {
        failure::of_request(error, doing).with_backend(&self.label)
    }
}
