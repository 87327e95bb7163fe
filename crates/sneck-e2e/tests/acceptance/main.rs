//! The thirty hard edges of locks on ZooKeeper, each line a test or several, on sneck's own server and on
//! Apache's. `docs/proof/acceptance.md` says what each is about.

#![allow(clippy::print_stdout, reason = "tests print what they measured, for people to read")]

mod access;
mod cancel;
mod counter;
mod herd;
mod holding;
mod line;
mod loss;
mod lost_reply;
mod parents;
mod reconnect;
mod several;
#[allow(dead_code, reason = "each test binary uses a part of it")]
#[path = "../stage/mod.rs"]
mod stage;
