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

pub use backend::ZooKeeper;
pub use dialect::{Dialect, ForeignPolicy};
pub use layout::{AclPolicy, LockOptions};
