//! Chaos on real processes: servers, clients that take locks on them as users do, and a nemesis that
//! kills, stops, cuts off, delays and misleads both. [`sneck_history`] writes down what happens and judges it.
//!
//! ```text
//!  worker  worker  worker  ...   processes with the library; each tells the arbiter what it does
//!                                (or peers, programs with another library, on whose behalf it is told)
//!     |       |       |
//!   proxies, one for each worker and server            <-- nemesis: follows a plan that is made from a seed
//!     |       |       |                                      |
//!  server  server  server        Apache's, or sneck's own <--+
//!     ^
//!  observer, sentry              tell the arbiter of places in line, expiries and leaders
//! ```
//!
//! `docs/proof/chaos.md` in the repository says what is done to whom, how to repeat it, and what came of it.

pub mod campaign;
pub mod client;
pub mod comparison;
pub mod fault;
pub mod library;
pub mod nemesis;
pub mod observer;
pub mod operator;
pub mod orders;
pub mod outcome;
pub mod owners;
pub mod page;
pub mod peer;
pub mod plan;
pub mod recipe;
pub mod sentry;
pub mod servers;
pub mod stage;
pub mod worker;
