//! What `sneck-core` uses of tokio, on the threads of [shuttle](https://docs.rs/shuttle), which chooses at
//! each step who goes on.
//!
//! Tasks and time are here: a [task] is a thread of the checker's, a [runtime] is what can be
//! shut down, and [time] passes when a test says so. Channels are tokio's own. Each of their operations is one
//! step, and no other thread comes between; where a thread decides to wait ([`sync::Notify`]), one may come
//! just before.

pub mod runtime;
pub mod sync;
pub mod task;
pub mod time;

pub use tokio::{join, pin, select};
