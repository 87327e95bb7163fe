//! Snapshots: the format, the files, and servers of Apache's that begin with them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod apache;
mod compaction;
mod format;
mod raw;
