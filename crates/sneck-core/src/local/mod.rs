//! A line inside the process, in front of a place in the store's line.
//!
//! Those who ask for one lock through one [`Locker`](crate::Locker) may [share](sharing::Sharing) a place:
//! one of them stands in the store's line for all, and what was granted is handed on from one to the next
//! without a request. [`line`] decides, [`lines`] performs, [`agent`] stands in the store's line.

mod acquire;
mod agent;
mod line;
#[cfg(test)]
mod line_tests;
mod lines;
mod sharing;
mod turn;
mod waiter;

pub(crate) use lines::LocalLines;
pub use sharing::Sharing;
pub(crate) use turn::Turn;
