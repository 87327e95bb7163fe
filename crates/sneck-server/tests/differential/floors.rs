//! What a run must have seen to prove anything: two servers that refuse everything are alike, too.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use sneck_wire::ErrorCode;

use crate::side::Seen;

/// Below so many operations a run is a try, and proves nothing anyway.
const OPS_MIN: usize = 1_000;

/// How often what was seen.
#[derive(Debug, Default)]
pub(crate) struct Floors {
    replies: usize,
    events: usize,
    greetings: usize,
    errors: BTreeMap<i32, usize>,
    /// The kinds of replies with something in them, by their names.
    bodies: BTreeSet<String>,
}

impl Floors {
    pub(crate) fn note(&mut self, seen: &[(usize, Seen)]) {
        for (_, seen) in seen {
            match seen {
                Seen::Reply { error, reply } => {
                    self.replies += 1;
                    if *error != ErrorCode::OK {
                        *self.errors.entry(error.code()).or_default() += 1;
                    }
                    self.bodies.extend(reply.as_ref().map(|reply| format!("{:?}", reply.op())));
                }
                Seen::Event { .. } => self.events += 1,
                Seen::Greeting { .. } => self.greetings += 1,
                Seen::Closed => {}
            }
        }
    }

    pub(crate) fn check(&self, ops: usize) {
        if ops < OPS_MIN {
            return;
        }
        let refused: usize = self.errors.values().sum();
        assert!(self.replies > ops / 2 && refused < self.replies * 3 / 4, "{self}");
        assert!(self.events > ops / 20 && self.greetings > ops / 200, "{self}");
        assert!(self.errors.len() >= 10 && self.bodies.len() >= 20, "{self}");
    }
}

impl fmt::Display for Floors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { replies, events, greetings, errors, bodies } = self;
        write!(f, "{replies} replies, {events} events, {greetings} greetings, ")?;
        write!(f, "{} operations succeeded, errors {errors:?}", bodies.len())
    }
}
