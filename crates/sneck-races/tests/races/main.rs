//! What happens at the same moment on several threads, in the shipped source of `sneck-core`: a lock is lost
//! while it is given back, grows up while it is dropped, is handed on while its session ends.
//!
//! Each model is a function that is run again and again, and a scheduler of `shuttle` chooses each time which
//! thread goes on after every step. Where there are few steps, all orders are tried; elsewhere so many,
//! half of them at random and half by priorities (PCT, Burckhardt et al., 2010), which finds what needs few
//! switches at the right places. The seeds are fixed. `SNECK_RACES=100 cargo test -p sneck-races` tries a
//! hundred times as many; a failure prints its order, for `shuttle::replay`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod explore;
mod holds;
mod leases;
mod shared;
mod store;
mod threads;
