//! Why bytes are not the record they should be.

use std::fmt;

use crate::ErrorCode;

/// Why bytes from the peer are not the record they should be.
///
/// `what` names the field or record that was being read; `at` is the offset of that field in bytes
/// from where the [`Reader`](crate::jute::Reader) began. After any of these the rest of the frame
/// is meaningless, but the connection itself is still in step: frames carry their own length. The
/// exceptions are errors from [`FrameDecoder`](crate::FrameDecoder), after which the stream is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end before the field does.
    Truncated {
        /// The field being read.
        what: &'static str,
        /// Where the field begins.
        at: usize,
        /// Bytes the field needs from there.
        needed: usize,
        /// Bytes there are.
        remaining: usize,
    },
    /// A length or count is below zero and does not mean null.
    NegativeLength {
        /// The field being read.
        what: &'static str,
        /// Where the field begins.
        at: usize,
        /// The announced length or count.
        length: i32,
    },
    /// A length or count is above what this reader is willing, or able, to hold.
    TooLong {
        /// The field being read.
        what: &'static str,
        /// Where the field begins.
        at: usize,
        /// The announced length or count.
        length: usize,
        /// The largest length or count that would have been accepted here.
        limit: usize,
    },
    /// Null stands where the protocol wants a value.
    UnexpectedNull {
        /// The field being read.
        what: &'static str,
        /// Where the field begins.
        at: usize,
    },
    /// A string is not UTF-8.
    NotUtf8 {
        /// The field being read.
        what: &'static str,
        /// Where the field begins.
        at: usize,
    },
    /// A number is none of those the field allows.
    InvalidValue {
        /// The field being read.
        what: &'static str,
        /// Where the field begins.
        at: usize,
        /// The number found.
        value: i32,
    },
    /// A number stands where it cannot be, such as that of another operation, or flags that are none in
    /// the middle of a multi. Nothing of what it is in can be made sense of.
    Misplaced {
        /// What stands there.
        what: &'static str,
        /// Where the number begins.
        at: usize,
        /// The number found.
        value: i32,
    },
    /// The record is complete, but bytes follow it.
    Trailing {
        /// The record that was read.
        what: &'static str,
        /// Where the surplus begins.
        at: usize,
        /// How many bytes are too many.
        extra: usize,
    },
    /// The number is not that of an operation a client can ask for.
    UnknownOp(i32),
}

impl DecodeError {
    /// The code with which a server answers a request that cannot be decoded for this reason.
    ///
    /// A value outside its range is the caller's bad argument, an unknown operation is
    /// unimplemented, and everything else is a marshalling error.
    pub fn error_code(&self) -> ErrorCode {
        match self {
            Self::UnknownOp(_) => ErrorCode::UNIMPLEMENTED,
            Self::InvalidValue { .. } => ErrorCode::BAD_ARGUMENTS,
            _ => ErrorCode::MARSHALLING_ERROR,
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { what, at, needed, remaining } => {
                write!(f, "truncated {what} at byte {at}: {needed} bytes needed, {remaining} left")
            }
            Self::NegativeLength { what, at, length } => {
                write!(f, "negative length {length} of {what} at byte {at}")
            }
            Self::TooLong { what, at, length, limit } => {
                write!(f, "length {length} of {what} at byte {at} is above the limit of {limit}")
            }
            Self::UnexpectedNull { what, at } => write!(f, "null {what} at byte {at}"),
            Self::NotUtf8 { what, at } => write!(f, "{what} at byte {at} is not utf-8"),
            Self::Misplaced { what, at, value } => {
                write!(f, "{what} at byte {at} cannot be {value}")
            }
            Self::InvalidValue { what, at, value } => {
                write!(f, "invalid {what} {value} at byte {at}")
            }
            Self::Trailing { what, at, extra } => {
                write!(f, "{extra} bytes too many after {what} at byte {at}")
            }
            Self::UnknownOp(op) => write!(f, "unknown operation {op}"),
        }
    }
}

impl std::error::Error for DecodeError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_what_and_where() {
        let error = DecodeError::Truncated { what: "path", at: 12, needed: 9, remaining: 3 };
        assert_eq!(error.to_string(), "truncated path at byte 12: 9 bytes needed, 3 left");
        let error = DecodeError::TooLong { what: "frame", at: 0, length: 5, limit: 4 };
        assert_eq!(error.to_string(), "length 5 of frame at byte 0 is above the limit of 4");
    }

    #[test]
    fn a_server_knows_what_to_answer() {
        assert_eq!(DecodeError::UnknownOp(99).error_code(), ErrorCode::UNIMPLEMENTED);
        let flags = DecodeError::InvalidValue { what: "create flags", at: 0, value: 9 };
        assert_eq!(flags.error_code(), ErrorCode::BAD_ARGUMENTS);
        let nested = DecodeError::Misplaced { what: "operation in a multi", at: 0, value: 14 };
        assert_eq!(nested.error_code(), ErrorCode::MARSHALLING_ERROR);
        let path = DecodeError::NotUtf8 { what: "path", at: 0 };
        assert_eq!(path.error_code(), ErrorCode::MARSHALLING_ERROR);
    }
}
