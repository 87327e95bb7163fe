//! The vocabulary of sneck and the one wait loop behind every lock.
//!
//! A lock is a *place in line*. A [`Backend`] hands out a [`Claim`] on a place, and a claim has
//! three verbs: [`ask`](Claim::ask) where it stands, learn that something [`changed`](Claim::changed),
//! and [`leave`](Claim::leave). Everything a user of a lock relies on is built here, once, on those
//! three: waiting, time-outs, renewal, the [`Guard`] and its loss signal, and giving up the place when
//! a future is dropped.
//!
//! This crate does no I/O. It reads a [`Clock`] that is passed in and uses tokio for timers, channels
//! and background tasks. Users depend on the crate `sneck`; authors of a backend depend on this one.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck_core::Error> {
//! use sneck_core::{Caller, Locker, Memory, Mode, Name, Patience, Request, SystemClock};
//! use std::sync::Arc;
//!
//! let locker = Locker::new(Arc::new(Memory::new()), Arc::new(SystemClock));
//! let request = Request::new(Name::new("invoice/42")?, Mode::Exclusive, Caller::anonymous());
//! let guard = locker.acquire(request, Patience::Forever).await?.expect("waiting for ever ends with the lock");
//! assert!(guard.is_held());
//! guard.unlock().await?;
//! # Ok(()) }
//! ```

mod acquire;
mod admission;
mod all;
mod backend;
mod backoff;
mod caller;
mod claim;
mod clock;
mod contender;
mod deadlock;
mod durable;
mod error;
mod fields;
mod guard;
mod instrument;
mod keeper;
mod lease;
mod local;
mod memory;
mod memory_records;
mod mutant;
#[cfg(feature = "mutants")]
#[doc(hidden)]
pub mod mutants;
mod name;
mod nursery;
mod observe;
mod once;
mod permits;
mod record;
mod seeds;
mod settle;
mod sync;
mod tenure;
mod ties;
mod token;

pub use acquire::{Limits, Locker, Patience, Progress};
pub use admission::{Admission, Entry, admit};
pub use all::{in_order, joint};
pub use backend::{Backend, Capacity, Crash, Order, Promises, Survey, TokenScope, Wake};
pub use backoff::Backoff;
pub use caller::Caller;
pub use claim::{Claim, ClaimId, Grant, Mode, Request, Standing, Term, Waiting};
pub use clock::{Clock, Instant, SystemClock, TokioClock, sleep_until};
pub use contender::Contender;
pub use deadlock::{Deadlock, Deadlocks, Lines, Wait, deadlocks};
pub use durable::{DurableHolder, DurableLine, Fate, Flag, ForcedRelease, HISTORY_MAX, Owner};
pub use error::{Error, ErrorKind, Outcome};
pub use fields::Fields;
pub use guard::Guard;
pub use instrument::{Instrument, Probe, Subject};
pub use lease::{Lease, Loss};
pub use local::Sharing;
pub use memory::Memory;
pub use name::Name;
pub use observe::Observer;
pub use once::{End, Judgement, LastRun};
pub use permits::Permits;
pub use record::{Change, Record, RecordKey, RecordKind, Records};
pub use ties::Ties;
pub use token::Token;
