//! The lock from the outside: processes, other libraries, real ZooKeeper servers, and faults.

#![allow(clippy::print_stdout, reason = "tests print what they measured, for people to read")]

mod blocking;
mod counting;
mod crash;
mod interop;
mod recipes;
mod sharing;
#[allow(dead_code, reason = "each test binary uses a part of it")]
#[path = "../stage/mod.rs"]
mod stage;
mod wakeup;
