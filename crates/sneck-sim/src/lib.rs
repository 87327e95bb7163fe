//! The shipped client and server under simulated networks, disks, clocks and operators, from seeds.
//!
//! Clients run as their users run them: `sneck::Locks` over a ZooKeeper session, on a runtime of tokio
//! with a clock of its own. The server is the core of `sneck-server`, or several of them are an ensemble
//! of which one decides. Between them is a network that
//! delays, splits, holds, swallows and cuts, below the server a disk that takes its time and loses what
//! was not synced, and above all of it somebody who stops and kills processes and deletes nodes. What
//! happens is written down as a history and judged by the checkers of `sneck-history`.
//!
//! A run follows from its [`Plan`], and a plan from a seed. Nothing reads a clock of the machine, or
//! its randomness, so that two runs of one plan have the same [trace](Run::trace).
//!
//! ```
//! use sneck_sim::{Plan, run};
//! let plan = Plan::of_seed(1);
//! let once = run(&plan, false);
//! assert!(once.is_well(), "{once}");
//! assert_eq!(once.trace, run(&plan, false).trace);
//! ```

mod campaign;
mod ensemble;
mod handing;
mod host;
mod mutants;
mod nic;
mod plan;
mod program;
mod shrink;
mod station;
mod swarm;
mod trace;
mod truth;
mod verdict;
mod wire;
mod words;
mod world;

pub use campaign::{Failure, Totals, campaign, run_safely};
pub use mutants::{MUTANTS, Mutant, Witness, choose};
pub use plan::{
    Ask, Cancel, Client, FOREVER, Fault, PERMITS, Plan, Servers, Share, Step, Trouble, Who,
};
pub use shrink::shrink;
pub use verdict::Run;
pub use world::run;
