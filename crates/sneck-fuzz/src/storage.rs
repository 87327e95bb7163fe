//! What the server reads: its clients' requests, and its own log and snapshots.
//!
//! The decoders are private, and so are these functions to the server; here they get their names.

pub(crate) use sneck_server::fuzzing::{
    conversation, log_batches, segment_header, snapshot, transactions, word,
};
