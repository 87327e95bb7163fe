//! Where the log stands: what the next batch must follow.

/// What ties each batch to the one before it, so that a batch that is missing, repeated or from
/// elsewhere is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chain {
    /// The number of the next batch.
    pub(super) batch: u64,
    /// The checksum of the batch before it; 0 before the first.
    pub(super) crc: u32,
    /// The zxid of the last entry.
    pub(super) zxid: i64,
}

impl Chain {
    /// A log without batches that continues after `zxid`.
    pub(super) fn beginning_after(zxid: i64) -> Chain {
        Chain { batch: 0, crc: 0, zxid }
    }
}
