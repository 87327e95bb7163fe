//! The lock from the outside: processes, real ZooKeeper servers, and faults.

#![allow(clippy::print_stdout, reason = "tests print what they measured, for people to read")]

mod access;
mod cancel;
mod counting;
mod crash;
mod herd;
mod interop;
mod interop_dialects;
mod interop_kinds;
mod lost_reply;
mod partition;
mod pause;
mod recipes;
mod sequence;
mod server;
mod support;
mod wakeup;
