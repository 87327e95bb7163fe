//! Locks on a session.

mod backend;
mod capacity;
mod claim;
mod dialect;
mod failure;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod layout;
mod path;
mod permits;
mod revoke;
mod seat;
mod sessions;
mod stand;
mod step;
#[cfg(feature = "simulation")]
pub mod stepping;
mod survey;
mod together;
mod watching;

pub use backend::ZooKeeper;
pub use dialect::{Dialect, ForeignPolicy, Pattern};
pub(crate) use failure::of_request;
pub use layout::{AclPolicy, LockOptions};
