//! Waiting in a circle: finding it, and naming every edge.

mod graph;
mod look;

pub use graph::{Deadlock, Lines, Wait};
pub use look::{Deadlocks, deadlocks};
