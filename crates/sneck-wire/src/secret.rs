//! Bytes that must not show in a log.

use std::fmt;
use std::ops::Deref;

use bytes::Bytes;

/// Bytes that must not appear in a log: session passwords, credentials, SASL tokens.
///
/// It is [`Bytes`] in every way but one: its `Debug` output says how many bytes there are and
/// nothing else, so that every record holding one can derive `Debug` without thinking about it.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Secret(Bytes);

impl Secret {
    /// The bytes themselves.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl Deref for Secret {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        &self.0
    }
}

impl From<Bytes> for Secret {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl From<Vec<u8>> for Secret {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<&[u8]> for Secret {
    fn from(bytes: &[u8]) -> Self {
        Self(Bytes::copy_from_slice(bytes))
    }
}

impl<const N: usize> From<[u8; N]> for Secret {
    fn from(bytes: [u8; N]) -> Self {
        Self(Bytes::copy_from_slice(&bytes))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} secret bytes>", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_only_the_length() {
        assert_eq!(format!("{:?}", Secret::from(*b"user:pw")), "<7 secret bytes>");
        assert_eq!(format!("{:#?}", Some(Secret::default())), "Some(\n    <0 secret bytes>,\n)");
    }
}
