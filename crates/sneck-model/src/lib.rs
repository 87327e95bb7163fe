//! Every order of events in small worlds of locks, over the shipped state machines.
//!
//! A [`Setting`] is a small world: two or three clients, one lock, and how much may go wrong. [`explore`]
//! comes to every state that it can be in, whatever happens in whichever order, and says whether one of
//! them should not be, with the way there. Shipped are the machine of a claim, in a line or for permits,
//! and the whole core of the server; what stands for the rest is in `client.rs`, and listed in
//! `docs/proof/model.md`.
//!
//! ```
//! let setting = &sneck_model::small()[0];
//! let report = sneck_model::explore(setting, 1, None);
//! assert!(report.violations.is_empty() && report.unseen.is_empty(), "{report}");
//! ```

mod client;
mod explore;
mod mutants;
mod setting;
mod settings;
mod truth;
mod world;

pub use explore::{Report, Violation, explore};
pub use mutants::{MUTANTS, Mutant};
pub use setting::Setting;
pub use settings::{large, small};
pub use world::{Action, Faults, World};
