//! The `flags` of a create: how long the node lives and whether the server numbers it.

use crate::DecodeError;
use crate::jute::Reader;

/// How long a new node lives and whether the server numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CreateMode {
    /// Lives until it is deleted.
    #[default]
    Persistent,
    /// Lives until it is deleted or its session ends; has no children.
    Ephemeral,
    /// Persistent, and the server appends a ten-digit number to its name.
    PersistentSequential,
    /// Ephemeral, and the server appends a ten-digit number to its name.
    EphemeralSequential,
    /// The server deletes it some time after its last child is gone.
    Container,
    /// The server deletes it when it is childless and unchanged for a while.
    PersistentWithTtl,
    /// As [`CreateMode::PersistentWithTtl`], numbered.
    PersistentSequentialWithTtl,
}

impl CreateMode {
    /// The number on the wire.
    pub const fn flags(self) -> i32 {
        match self {
            Self::Persistent => 0,
            Self::Ephemeral => 1,
            Self::PersistentSequential => 2,
            Self::EphemeralSequential => 3,
            Self::Container => 4,
            Self::PersistentWithTtl => 5,
            Self::PersistentSequentialWithTtl => 6,
        }
    }

    /// Whether the node belongs to its session.
    pub const fn is_ephemeral(self) -> bool {
        matches!(self, Self::Ephemeral | Self::EphemeralSequential)
    }

    /// Whether the server appends a number to the name.
    pub const fn is_sequential(self) -> bool {
        matches!(
            self,
            Self::PersistentSequential
                | Self::EphemeralSequential
                | Self::PersistentSequentialWithTtl
        )
    }

    /// Whether the node needs a time to live.
    pub const fn is_ttl(self) -> bool {
        matches!(self, Self::PersistentWithTtl | Self::PersistentSequentialWithTtl)
    }

    /// Reads the flags.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] or [`DecodeError::InvalidValue`].
    pub(crate) fn decode(body: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = body.position();
        let flags = body.int(WHAT)?;
        from_flags(flags).ok_or(DecodeError::InvalidValue { what: WHAT, at, value: flags })
    }
}

impl TryFrom<i32> for CreateMode {
    type Error = DecodeError;

    /// # Errors
    /// [`DecodeError::InvalidValue`].
    fn try_from(flags: i32) -> Result<Self, DecodeError> {
        from_flags(flags).ok_or(DecodeError::InvalidValue { what: WHAT, at: 0, value: flags })
    }
}

const WHAT: &str = "create flags";

fn from_flags(flags: i32) -> Option<CreateMode> {
    Some(match flags {
        0 => CreateMode::Persistent,
        1 => CreateMode::Ephemeral,
        2 => CreateMode::PersistentSequential,
        3 => CreateMode::EphemeralSequential,
        4 => CreateMode::Container,
        5 => CreateMode::PersistentWithTtl,
        6 => CreateMode::PersistentSequentialWithTtl,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_convert_both_ways() {
        for flags in 0..=6 {
            assert_eq!(CreateMode::try_from(flags).unwrap().flags(), flags);
        }
        for flags in [-1, 7, i32::MAX] {
            let error = CreateMode::try_from(flags).unwrap_err();
            assert_eq!(
                error,
                DecodeError::InvalidValue { what: "create flags", at: 0, value: flags }
            );
        }
    }

    #[test]
    fn properties() {
        assert!(CreateMode::EphemeralSequential.is_ephemeral());
        assert!(CreateMode::EphemeralSequential.is_sequential());
        assert!(!CreateMode::Container.is_ephemeral());
        assert!(CreateMode::PersistentSequentialWithTtl.is_ttl());
        assert!(CreateMode::PersistentSequentialWithTtl.is_sequential());
        assert!(!CreateMode::PersistentWithTtl.is_sequential());
    }
}
