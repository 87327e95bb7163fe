//! Locks that outlive their owners: a flag in a record, in place of a place in line.

mod claim;
mod flag;
mod owner;

pub use claim::{DurableLine, Fate};
pub use flag::{DurableHolder, Flag, ForcedRelease, HISTORY_MAX};
pub use owner::Owner;
