//! Watch events: the only frames that a server sends unasked.

use bytes::{BufMut, BytesMut};

use crate::DecodeError;
use crate::jute::{Reader, Writer};

/// What has happened to a watched node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// Nothing happened to a node; the state of the session has changed.
    None,
    /// The node was created.
    Created,
    /// The node was deleted.
    Deleted,
    /// The node's data were replaced.
    DataChanged,
    /// A child was created or deleted.
    ChildrenChanged,
    /// A watch on the data was removed.
    DataWatchRemoved,
    /// A watch on the children was removed.
    ChildWatchRemoved,
    /// A persistent watch was removed.
    PersistentWatchRemoved,
    /// A kind this library does not know, with its number; a wake-up like any other.
    Other(i32),
}

impl EventKind {
    /// The number on the wire.
    pub const fn code(self) -> i32 {
        match self {
            Self::None => -1,
            Self::Created => 1,
            Self::Deleted => 2,
            Self::DataChanged => 3,
            Self::ChildrenChanged => 4,
            Self::DataWatchRemoved => 5,
            Self::ChildWatchRemoved => 6,
            Self::PersistentWatchRemoved => 7,
            Self::Other(code) => code,
        }
    }
}

impl From<i32> for EventKind {
    fn from(code: i32) -> Self {
        match code {
            -1 => Self::None,
            1 => Self::Created,
            2 => Self::Deleted,
            3 => Self::DataChanged,
            4 => Self::ChildrenChanged,
            5 => Self::DataWatchRemoved,
            6 => Self::ChildWatchRemoved,
            7 => Self::PersistentWatchRemoved,
            other => Self::Other(other),
        }
    }
}

/// The body of a frame whose xid is [`xid::NOTIFICATION`](crate::xid::NOTIFICATION).
///
/// It says that a node has changed, not what it is now: read again before deciding anything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WatchedEvent {
    /// What has happened.
    pub kind: EventKind,
    /// State of the session; servers always send [`WatchedEvent::STATE_CONNECTED`].
    pub state: i32,
    /// The node.
    pub path: String,
}

impl WatchedEvent {
    /// The state in every event that a server sends about a node.
    pub const STATE_CONNECTED: i32 = 3;

    /// The event that `kind` has happened to the node at `path`.
    pub fn new(kind: EventKind, path: impl Into<String>) -> Self {
        Self { kind, state: Self::STATE_CONNECTED, path: path.into() }
    }

    /// Appends the event.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_i32(self.kind.code());
        out.put_i32(self.state);
        out.put_string(&self.path);
    }

    /// Reads the event from the body of its frame.
    ///
    /// # Errors
    /// Any [`DecodeError`] of a malformed or over-long record.
    pub fn decode(body: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let event = Self {
            kind: body.int("event type")?.into(),
            state: body.int("event state")?,
            path: body.string("path")?,
        };
        body.finish("event")?;
        Ok(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_convert_both_ways() {
        for code in -3..10 {
            assert_eq!(EventKind::from(code).code(), code);
        }
        assert_eq!(EventKind::from(99), EventKind::Other(99));
    }
}
