//! Tests of sneck from the outside: several processes, real servers, and faults.
//!
//! The library holds what the tests and the worker process share.

pub mod register;
pub mod worker_process;
