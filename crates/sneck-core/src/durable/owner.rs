//! Whose a durable lock is.

use crate::error::{Error, ErrorKind};
use std::fmt;
use std::sync::Arc;

/// Whose a durable lock is: a name that its owner knows again after a restart, such as
/// `deployer-7` or `pod web-3, volume a`.
///
/// Valid UTF-8 of 1 to [`Owner::LENGTH_MAX`] bytes without control characters. Two processes that use
/// the same name are the same owner, so a host name alone is rarely enough.
///
/// ```
/// use sneck_core::Owner;
/// assert_eq!(Owner::new("deployer-7").unwrap().as_str(), "deployer-7");
/// assert!(Owner::new("").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner(Arc<str>);

impl Owner {
    /// The largest length, in bytes.
    pub const LENGTH_MAX: usize = 256;

    /// Checks the name of an owner.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`], saying what is wrong. Nothing is sent to the store.
    pub fn new(owner: &str) -> Result<Self, Error> {
        let fault = match owner {
            "" => "is empty".to_owned(),
            long if long.len() > Owner::LENGTH_MAX => {
                format!("is {} bytes long; at most {} fit", long.len(), Owner::LENGTH_MAX)
            }
            odd if odd.chars().any(char::is_control) => "contains a control character".to_owned(),
            owner => return Ok(Owner(owner.into())),
        };
        let shown: String = owner.chars().take(64).filter(|c| !c.is_control()).collect();
        let text = format!("the owner {shown:?} {fault}");
        Err(Error::new(ErrorKind::Invalid, text).with_hint(
            "an owner is a name that is known again after a restart, such as deployer-7",
        ))
    }

    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_owners_are_refused_with_what_is_wrong() {
        let long = "x".repeat(257);
        for (owner, says) in [("", "empty"), (long.as_str(), "257 bytes"), ("a\n", "control")] {
            let error = Owner::new(owner).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
