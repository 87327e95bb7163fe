//! Counters that run out, and parents that vanish.
