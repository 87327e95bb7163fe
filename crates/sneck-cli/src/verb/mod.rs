//! The subcommands, one file each.

pub(crate) mod completions;
pub(crate) mod deadlocks;
pub(crate) mod detach;
pub(crate) mod doctor;
pub(crate) mod durable;
pub(crate) mod elect;
pub(crate) mod every;
pub(crate) mod export;
pub(crate) mod hold;
pub(crate) mod ls;
pub(crate) mod man;
pub(crate) mod revoke;
pub(crate) mod run;
pub(crate) mod serve;
#[cfg(feature = "tls")]
pub(crate) mod serve_tls;
pub(crate) mod watch;
pub(crate) mod who;
