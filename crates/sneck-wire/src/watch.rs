//! The kinds of watches, as `addWatch`, `removeWatches` and `checkWatches` name them.

use crate::DecodeError;
use crate::jute::Reader;

/// What a persistent watch covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddWatchMode {
    /// The node and its list of children.
    Persistent,
    /// The node and everything below it. There are no events about lists of children.
    PersistentRecursive,
}

impl AddWatchMode {
    /// The number on the wire.
    pub const fn code(self) -> i32 {
        match self {
            Self::Persistent => 0,
            Self::PersistentRecursive => 1,
        }
    }

    pub(crate) fn decode(body: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = body.position();
        match body.int("watch mode")? {
            0 => Ok(Self::Persistent),
            1 => Ok(Self::PersistentRecursive),
            value => Err(DecodeError::InvalidValue { what: "watch mode", at, value }),
        }
    }
}

/// Which watches on a node to remove or look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WatcherKind {
    /// One-shot ones on the list of children.
    Children,
    /// One-shot ones on the data, or on whether the node exists.
    Data,
    /// All of them.
    Any,
    /// Persistent ones. Servers before release 3.9 do not know this kind.
    Persistent,
    /// Persistent recursive ones. Servers before release 3.9 do not know this kind.
    PersistentRecursive,
}

impl WatcherKind {
    /// The number on the wire.
    pub const fn code(self) -> i32 {
        match self {
            Self::Children => 1,
            Self::Data => 2,
            Self::Any => 3,
            Self::Persistent => 4,
            Self::PersistentRecursive => 5,
        }
    }

    pub(crate) fn decode(body: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = body.position();
        match body.int("watcher type")? {
            1 => Ok(Self::Children),
            2 => Ok(Self::Data),
            3 => Ok(Self::Any),
            4 => Ok(Self::Persistent),
            5 => Ok(Self::PersistentRecursive),
            value => Err(DecodeError::InvalidValue { what: "watcher type", at, value }),
        }
    }
}
