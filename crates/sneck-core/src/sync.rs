//! What threads share, under names of our own.
//!
//! These are the standard library's types. Only `sneck-races`, which compiles this same source with
//! `cfg(shuttle)`, has others in their place: theirs let a test choose which thread goes on at each use.

#[cfg(shuttle)]
pub(crate) use shuttle::sync::atomic::AtomicU64;
#[cfg(shuttle)]
pub(crate) use shuttle::sync::{Mutex, MutexGuard};
#[cfg(not(shuttle))]
pub(crate) use std::sync::atomic::AtomicU64;
#[cfg(not(shuttle))]
pub(crate) use std::sync::{Mutex, MutexGuard};
