//! A password, which is never shown.

use std::fmt;

/// What proves to the server who we are. `Debug` does not show it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(secret: impl Into<String>) -> Self {
        Secret(secret.into())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Blots the secret out of a text that a server wrote: some repeat the command they did not know.
    pub(crate) fn blot_out(&self, text: &str) -> String {
        match self.0.as_str() {
            "" => text.to_owned(),
            secret => text.replace(secret, "***"),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "none" } else { "secret" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?}"), "secret");
        assert_eq!(secret.blot_out("args: `AUTH` `hunter2`"), "args: `AUTH` `***`");
        assert_eq!(Secret::default().blot_out("text"), "text");
    }
}
