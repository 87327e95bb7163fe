//! The whole library without `async`.
//!
//! Every type of the crate has its twin here, under the same name and with the same promises; what is
//! told there of fairness, errors and tokens holds here, and is not told twice.
//!
//! ```
//! # fn main() -> Result<(), sneck::Error> {
//! let locks = sneck::blocking::connect("memory:")?;
//! let guard = locks.mutex("invoice/42").lock()?;
//! println!("write with token {}", guard.token());
//! guard.unlock()?; // or drop it: released in the background
//! # Ok(()) }
//! ```
//!
//! # How it works
//!
//! One thread in the background, started at the first [`connect`], speaks with the stores for all threads
//! of the process: it keeps sessions alive and renews locks also while every other thread computes, sleeps
//! or waits. It runs no code of the user, so nothing a user does can delay it. Callers wait on a channel
//! of the standard library, so all of this may be called inside a tokio runtime, too, and without one.
//!
//! # Dangers
//!
//! * **Nothing here can be cancelled.** A future is dropped; a thread that waits goes on waiting. Use the
//!   methods that end in `_timeout`. For the same reason `protect` cannot stop the work it protects: it
//!   says afterwards that the lock was lost. Work of several steps asks [`Guard::check`] between them.
//! * **A thread that waits does nothing else.** Inside a runtime no other task of that thread runs
//!   meanwhile; where the holder of the lock is one of them, it waits for ever. Call this from
//!   `spawn_blocking`, or use the API with `async`.
//! * **A lock is not re-entrant.** A thread that asks for a lock it holds waits for itself; see
//!   [`Reentrant`].
//! * **A process that forks** without executing another program has no background thread in the child.
//! * **A process that exits** does not wait for locks that are being released: [`Locks::close`] does. What
//!   was held is freed when its session times out.

mod alarm;
mod all;
mod ask;
mod driver;
mod durable;
mod election;
mod guard;
mod locks;
mod mutex;
mod once;
mod queued;
mod reentrant;
mod refresh;
mod rw_lock;
mod semaphore;

pub use all::All;
pub use durable::{Durable, DurableHold};
pub use election::{Election, Leaders, Leadership};
pub use guard::Guard;
pub use locks::{Locks, connect};
pub use mutex::Mutex;
pub use once::{Once, Run, Start};
pub use queued::Queued;
pub use reentrant::Reentrant;
pub use rw_lock::{ReadGuard, RwLock, WriteGuard};
pub use semaphore::Semaphore;
