//! The log on disks that crash, lie, fill up and are damaged.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod crash;
mod damage;
mod failure;
mod kill;
mod notes;
mod simulated_disk;
