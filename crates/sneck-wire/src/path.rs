//! Which paths a server accepts for a new node.
//!
//! The rules are the server's own, so that a client can refuse a path without asking, and name the
//! reason, where a server says only "bad arguments".

use std::fmt;

/// Why a path cannot be a node's. Offsets are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathError {
    /// The path is empty.
    Empty,
    /// The path does not begin with a slash.
    NotAbsolute,
    /// The path ends with a slash and is not the root.
    TrailingSlash,
    /// Two slashes follow each other.
    EmptySegment {
        /// Where the second one is.
        at: usize,
    },
    /// A segment is `.` or `..`.
    RelativeSegment {
        /// Where the segment begins.
        at: usize,
    },
    /// A character is not allowed anywhere: a control character, one for private use, or one
    /// outside the basic multilingual plane.
    IllegalCharacter {
        /// The character.
        character: char,
        /// Where it is.
        at: usize,
    },
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "path is empty"),
            Self::NotAbsolute => write!(f, "path does not begin with a slash"),
            Self::TrailingSlash => write!(f, "path ends with a slash"),
            Self::EmptySegment { at } => write!(f, "path has an empty segment at byte {at}"),
            Self::RelativeSegment { at } => {
                write!(f, "path has a relative segment at byte {at}")
            }
            Self::IllegalCharacter { character, at } => {
                write!(f, "path has the illegal character {character:?} at byte {at}")
            }
        }
    }
}

impl std::error::Error for PathError {}

/// Checks the path of a node.
///
/// ```
/// use sneck_wire::path::{self, PathError};
///
/// assert_eq!(path::validate("/locks/reports"), Ok(()));
/// assert_eq!(path::validate("/locks//reports"), Err(PathError::EmptySegment { at: 7 }));
/// ```
///
/// # Errors
/// The first thing wrong with it.
pub fn validate(path: &str) -> Result<(), PathError> {
    match path {
        "" => return Err(PathError::Empty),
        "/" => return Ok(()),
        _ => {}
    }
    let mut rest = path.strip_prefix('/').ok_or(PathError::NotAbsolute)?;
    loop {
        let at = path.len() - rest.len();
        let Some((segment, after)) = rest.split_once('/') else {
            return match rest {
                "" => Err(PathError::TrailingSlash),
                last => check_segment(last, at),
            };
        };
        check_segment(segment, at)?;
        rest = after;
    }
}

/// Checks the path with which to create a sequential node.
///
/// The server appends the number before it looks at the path, so the last segment may be empty or
/// dots: `/queue/` becomes `/queue/0000000000`.
///
/// # Errors
/// The first thing wrong with it.
pub fn validate_sequential(path: &str) -> Result<(), PathError> {
    match path {
        "" => Err(PathError::Empty),
        // One digit stands for the ten: it is as good as they are at filling the last segment.
        path => validate(&format!("{path}0")),
    }
}

/// Checks what stands between two slashes, the first of which is just before byte `at`.
fn check_segment(segment: &str, at: usize) -> Result<(), PathError> {
    match segment {
        "" => return Err(PathError::EmptySegment { at }),
        "." | ".." => return Err(PathError::RelativeSegment { at }),
        _ => {}
    }
    match segment.char_indices().find(|(_, character)| is_illegal(*character)) {
        Some((offset, character)) => {
            Err(PathError::IllegalCharacter { character, at: at + offset })
        }
        None => Ok(()),
    }
}

/// Servers check UTF-16 units, among them the halves of surrogate pairs (d800 to dfff). A `char`
/// is never such a half, but every one above ffff is written with two of them.
fn is_illegal(character: char) -> bool {
    matches!(
        character,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legal_paths() {
        for path in ["/", "/a", "/a/b", "/...", "/a/.b", "/a/..b", "/ ", "/zoë/日本", "/\u{ffef}"]
        {
            assert_eq!(validate(path), Ok(()), "{path:?}");
            assert_eq!(validate_sequential(path), Ok(()), "{path:?}");
        }
    }

    #[test]
    fn illegal_paths() {
        let cases = [
            ("", PathError::Empty),
            ("wp", PathError::NotAbsolute),
            ("/a/", PathError::TrailingSlash),
            ("//", PathError::EmptySegment { at: 1 }),
            ("/a//b", PathError::EmptySegment { at: 3 }),
            ("/a//", PathError::EmptySegment { at: 3 }),
            ("/.", PathError::RelativeSegment { at: 1 }),
            ("/a/..", PathError::RelativeSegment { at: 3 }),
            ("/./a", PathError::RelativeSegment { at: 1 }),
        ];
        for (path, error) in cases {
            assert_eq!(validate(path), Err(error), "{path:?}");
        }
    }

    #[test]
    fn the_edges_of_the_illegal_ranges() {
        let illegal = [
            '\0',
            '\u{1}',
            '\u{1f}',
            '\u{7f}',
            '\u{9f}',
            '\u{e000}',
            '\u{f8ff}',
            '\u{fff0}',
            '\u{ffff}',
            '\u{10000}',
            '\u{1f600}',
        ];
        for character in illegal {
            let error = PathError::IllegalCharacter { character, at: 2 };
            assert_eq!(validate(&format!("/a{character}")), Err(error));
            assert_eq!(validate_sequential(&format!("/a{character}/")), Err(error));
        }
        for legal in [' ', '~', '\u{a0}', '\u{d7ff}', '\u{f900}', '\u{ffef}'] {
            assert_eq!(validate(&format!("/a{legal}")), Ok(()), "{legal:?}");
        }
    }

    #[test]
    fn a_number_completes_the_last_segment_only() {
        for path in ["/a/", "/", "/a/.", "/a/.."] {
            assert_eq!(validate_sequential(path), Ok(()), "{path:?}");
        }
        assert_eq!(validate_sequential(""), Err(PathError::Empty));
        assert_eq!(validate_sequential("wp"), Err(PathError::NotAbsolute));
        assert_eq!(validate_sequential("/a//"), Err(PathError::EmptySegment { at: 3 }));
        assert_eq!(validate_sequential("/../a"), Err(PathError::RelativeSegment { at: 1 }));
    }
}
