//! A whole server that ends at the worst moment, and what its clients find afterwards.
//!
//! Real clients write and read, and keep what they were told. Whatever happens then, the next server
//! on the same folder must have all that was acknowledged, and all that anybody saw: see
//! [`witnesses::Witnesses::check`].
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod client;
mod compaction;
mod damage;
mod full;
mod kill;
mod power;
mod script;
#[path = "../log/simulated_disk.rs"]
mod simulated_disk;
mod stall;
mod witnesses;
