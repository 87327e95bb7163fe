//! The naming of a program that none of the known dialects is spoken by.

use sneck_core::{Error, ErrorKind};
use std::fmt;

/// The most bytes on either side of the id; the names of nodes are short.
const TEXT_MAX: usize = 32;

/// What stands before the numbers of other kinds of places. A line whose own numbers came behind one of
/// these could not be told apart from it.
const TAKEN: [&str; 5] = ["__READ__", "__WRIT__", "__rlock__", "lease-", "latch-"];

/// How nodes are named in lines of [`Dialect::Custom`](super::Dialect::Custom): a text that is the same
/// in all, 32 hex digits that are different in each, a second text that is the same in all, and the
/// number, which the server appends.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pattern {
    before: Text,
    between: Text,
}

/// A short text that is copied with the options it is one of.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Text {
    bytes: [u8; TEXT_MAX],
    length: usize,
}

impl Pattern {
    /// Reads a pattern, in which `*` stands for what is different in each.
    ///
    /// ```
    /// use sneck_zookeeper::Pattern;
    /// assert!(Pattern::parse("job-*-ticket-").is_ok());
    /// assert!(Pattern::parse("job-").is_err());
    /// # Ok::<(), sneck_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for patterns that could not be told apart from something else: without
    /// one `*`, without a text behind it that ends before the number does, or with the text of another
    /// kind of place.
    pub fn parse(pattern: &str) -> Result<Self, Error> {
        let no = |why: &str| Err(invalid(pattern, why));
        let Some((before, between)) = pattern.split_once('*') else {
            return no("it needs one \"*\", which stands for what is different in each name");
        };
        if between.contains('*') {
            return no("it has more than one \"*\"");
        }
        if pattern.contains(|c: char| c == '/' || !c.is_ascii_graphic()) {
            return no("it may have letters, digits and signs of ASCII, but no \"/\"");
        }
        if between.ends_with(|c: char| c.is_ascii_digit()) {
            return no("it ends with a digit, which would run into the number");
        }
        if between.chars().all(|c| c.is_ascii_hexdigit() || c == '-') {
            return no(
                "what is behind \"*\" cannot be told from the id before it or a minus behind it",
            );
        }
        if let Some(taken) = TAKEN.iter().find(|taken| between.ends_with(*taken)) {
            return no(&format!("{taken:?} is what another kind of lock has before its numbers"));
        }
        match (Text::new(before), Text::new(between)) {
            (Some(before), Some(between)) => Ok(Pattern { before, between }),
            _ => no(&format!("either side of \"*\" may have {TEXT_MAX} characters")),
        }
    }

    /// What all names begin with; may be empty.
    pub fn before(&self) -> &str {
        self.before.as_str()
    }

    /// What stands between the id and the number.
    pub fn between(&self) -> &str {
        self.between.as_str()
    }
}

impl Text {
    fn new(text: &str) -> Option<Self> {
        let mut bytes = [0; TEXT_MAX];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(Text { bytes, length: text.len() })
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}*{}", self.before(), self.between())
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({self})")
    }
}

fn invalid(pattern: &str, why: &str) -> Error {
    let shown: String = pattern.chars().take(80).filter(|c| !c.is_control()).collect();
    Error::new(ErrorKind::Invalid, format!("dialect=custom:{shown}: {why}"))
        .with_hint("a pattern looks like custom:job-*-ticket-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_told_apart_is_read() {
        for text in ["job-*-ticket-", "*__lock__", "_c_*-lock-", "*.", "a*z"] {
            let pattern = Pattern::parse(text).unwrap();
            assert_eq!(pattern.to_string(), text);
            assert_eq!(format!("{}*{}", pattern.before(), pattern.between()), text);
        }
    }

    #[test]
    fn what_cannot_be_told_apart_is_refused_and_the_reason_named() {
        let long = format!("*{}", "x".repeat(TEXT_MAX + 1));
        for (text, why) in [
            ("", "one \"*\""),
            ("job-", "one \"*\""),
            ("*-*", "more than one"),
            ("*", "cannot be told"),
            ("job*-", "cannot be told"),
            ("*-abc-", "cannot be told"),
            ("*-n1", "digit"),
            ("a/*x", "no \"/\""),
            ("a *x", "ASCII"),
            ("*\u{e4}", "ASCII"),
            ("_c_*-lease-", "another kind"),
            ("*__rlock__", "another kind"),
            (&long, "32 characters"),
        ] {
            let error = Pattern::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
            assert!(error.to_string().contains(why), "{text}: {error}");
        }
    }
}
