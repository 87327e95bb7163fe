//! Everything in sneck that reads bytes of others, given bytes that nobody should send.
//!
//! A [`Target`] is a plain function of bytes that panics only where there is a defect. Whoever
//! has bytes to try can drive it:
//!
//! * `cargo test -p sneck-fuzz` runs the corpus and a fixed number of [mutants](mutator) of it, the
//!   same ones each time, in seconds;
//! * `cargo xtask test` goes on for a minute in all, from seeds that nobody had before;
//! * `cargo xtask fuzz` does so for longer and from another seed;
//! * `cargo xtask fuzz --coverage` lets libFuzzer look for inputs that reach new code, by the front
//!   end in the folder `fuzz`, which is a workspace of its own.
//!
//! The corpus is in `corpus/TARGET`. What made a target panic goes there, named after the defect,
//! together with the fix; it is tried first from then on.

pub mod corpus;
pub mod examples;
mod history;
pub mod hunt;
pub mod mutator;
mod neighbour;
pub mod random;
mod storage;
mod text;
mod wire;

/// Something that reads bytes.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// How it is called on the command line, and its folder in the corpus.
    pub name: &'static str,
    /// Reads the bytes, and panics if that shows a defect.
    pub run: fn(&[u8]),
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "frames", run: wire::frames },
    Target { name: "connect", run: wire::connect },
    Target { name: "requests", run: wire::requests },
    Target { name: "replies", run: wire::replies },
    Target { name: "events", run: wire::events },
    Target { name: "jute", run: wire::jute },
    Target { name: "conversation", run: storage::conversation },
    Target { name: "word", run: storage::word },
    Target { name: "segment_header", run: storage::segment_header },
    Target { name: "log_batches", run: storage::log_batches },
    Target { name: "transactions", run: storage::transactions },
    Target { name: "snapshot", run: storage::snapshot },
    Target { name: "path", run: text::path },
    Target { name: "url", run: text::url },
    Target { name: "redis_url", run: text::redis_url },
    Target { name: "cassandra_url", run: text::cassandra_url },
    Target { name: "ticket", run: text::ticket },
    Target { name: "node_name", run: sneck_zookeeper::fuzzing::node_name },
    Target { name: "node_data", run: neighbour::node_data },
    Target { name: "record", run: neighbour::record },
    Target { name: "history", run: history::history },
];

/// The target of this name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
