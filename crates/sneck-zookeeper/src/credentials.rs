//! Who we are to the servers.

use bytes::Bytes;
use std::fmt;

/// Credentials of one authentication scheme. Neither `Debug` nor any error shows the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    scheme: String,
    secret: Bytes,
}

impl Credentials {
    /// The `digest` scheme: a user's name and password.
    ///
    /// The password goes over the wire as it is, so use it with TLS, or on a network you trust.
    pub fn digest(user: &str, password: &str) -> Self {
        Credentials { scheme: "digest".into(), secret: format!("{user}:{password}").into() }
    }

    /// Any scheme the servers know, with the bytes it expects.
    pub fn other(scheme: impl Into<String>, secret: impl Into<Bytes>) -> Self {
        Credentials { scheme: scheme.into(), secret: secret.into() }
    }

    pub(crate) fn scheme(&self) -> &str {
        &self.scheme
    }

    pub(crate) fn secret(&self) -> &Bytes {
        &self.secret
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({}, secret)", self.scheme)
    }
}
