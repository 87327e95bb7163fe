//! Locks on a session.

mod backend;
mod claim;
mod dialect;
mod failure;
mod layout;
mod path;
mod seat;
mod sessions;
mod survey;
mod watching;

pub use backend::ZooKeeper;
pub use dialect::{Dialect, ForeignPolicy};
pub(crate) use failure::of_request;
pub use layout::{AclPolicy, LockOptions};
