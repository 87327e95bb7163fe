//! Where transactions are written down before anybody sees what they did.

use crate::core::change::Txn;

/// Where transactions go.
#[derive(Debug)]
pub(crate) enum Journal {
    /// Nowhere: everything ends with the process, and can be seen at once.
    Memory,
}

impl Journal {
    /// Adds transactions to what the next [`write`](Self::write) gives away.
    pub(crate) fn add(&mut self, _txns: &[Txn]) {
        match self {
            Self::Memory => {}
        }
    }

    /// Gives away what was added, to be written in one go.
    pub(crate) fn write(&mut self) {
        match self {
            Self::Memory => {}
        }
    }

    /// The last transaction that will still be known after a crash.
    pub(crate) fn durable(&self) -> i64 {
        match self {
            Self::Memory => i64::MAX,
        }
    }

    /// Whether nothing can be made durable any more.
    pub(crate) fn has_failed(&self) -> bool {
        match self {
            Self::Memory => false,
        }
    }

    /// Waits until everything that was added is durable, if it can be.
    pub(crate) fn close(&mut self) {
        match self {
            Self::Memory => {}
        }
    }
}
