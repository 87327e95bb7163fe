//! The name of a lock.

use crate::error::{Error, ErrorKind};
use std::fmt;
use std::sync::Arc;

/// The name of a lock: one or more segments separated by `/`, such as `invoice/42`.
///
/// The same rules hold on every store, so that a name that works on one works on all: valid UTF-8 of
/// 1 to [`Name::LENGTH_MAX`] bytes; no empty segment, so no `/` at either end; no segment `.` or `..`;
/// no control character, nor one of the code points that ZooKeeper refuses. Names differ exactly when
/// their bytes differ: nothing is folded or normalised.
///
/// ```
/// use sneck_core::Name;
/// assert_eq!(Name::new("invoice/42").unwrap().as_str(), "invoice/42");
/// assert!(Name::new("../etc").is_err());
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// The largest length of a name, in bytes.
    pub const LENGTH_MAX: usize = 1024;

    /// Checks a name.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`], saying which rule the name breaks. Nothing is sent to the store.
    pub fn new(name: &str) -> Result<Self, Error> {
        match fault(name) {
            None => Ok(Name(name.into())),
            Some(fault) => {
                let shown: String = name.chars().take(64).collect();
                let dots = if shown.len() < name.len() { "..." } else { "" };
                Err(Error::new(ErrorKind::Invalid, format!("lock name {:?}{dots} {fault}", shown))
                    .with_hint("a name is segments separated by '/', such as invoice/42"))
            }
        }
    }

    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The parts between the slashes; at least one.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

fn fault(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("is empty".into());
    }
    if name.len() > Name::LENGTH_MAX {
        return Some(format!("is {} bytes long; at most {} fit", name.len(), Name::LENGTH_MAX));
    }
    if let Some(bad) = name.chars().find(|c| is_refused(*c)) {
        return Some(format!("contains the character U+{:04X}", u32::from(bad)));
    }
    for segment in name.split('/') {
        match segment {
            "" => return Some("has an empty segment".into()),
            "." | ".." => return Some(format!("has the segment {segment:?}")),
            _ => {}
        }
    }
    None
}

/// The control characters, and what ZooKeeper refuses in a path besides them: private and special code
/// points, and all above U+FFFF, whose UTF-16 halves it takes for private ones.
fn is_refused(c: char) -> bool {
    c.is_control() || matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..)
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({:?})", &*self.0)
    }
}

impl std::str::FromStr for Name {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Name::new(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_names() {
        for name in ["a", "invoice/42", "a.b", "...", "Größe/ß", "a b", &"x".repeat(1024)] {
            assert_eq!(Name::new(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn bad_names_are_refused_with_the_rule_they_break() {
        let long = "x".repeat(1025);
        for (name, says) in [
            ("", "empty"),
            ("/", "empty segment"),
            ("/a", "empty segment"),
            ("a/", "empty segment"),
            ("a//b", "empty segment"),
            ("..", "segment"),
            ("a/../b", "segment"),
            ("a/./b", "segment"),
            ("a\0b", "U+0000"),
            ("a\x1b[31m", "U+001B"),
            ("\u{7f}", "U+007F"),
            ("\u{f000}", "U+F000"),
            ("\u{ffff}", "U+FFFF"),
            ("\u{1f512}", "U+1F512"),
            (long.as_str(), "1025 bytes"),
        ] {
            let error = Name::new(name).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{name:?}");
            assert!(error.to_string().contains(says), "{name:?}: {error}");
            assert!(!error.to_string().chars().any(char::is_control), "{error:?}");
        }
    }
}
