//! Locks on real Cassandra: the contract, the modes, faults, and what users get wrong.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stdout, reason = "what a run has seen, shown when it fails")]

mod bad_input;
mod contract;
mod faults;
mod link;
mod modes;
mod register;
mod scenarios;
mod support;
