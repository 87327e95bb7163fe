//! A segment that is not written to any more.

/// Which one, and how far it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sealed {
    /// The segment's number.
    pub(crate) id: u64,
    /// No entry in it is above this.
    pub(crate) last_zxid: i64,
    /// The length of its file.
    pub(crate) bytes: u64,
}
