//! Locks on a session.

mod backend;
mod claim;
mod dialect;
mod failure;
mod path;
mod seat;

pub use backend::{AclPolicy, LockOptions, ZooKeeper};
pub use dialect::{Dialect, ForeignPolicy};
