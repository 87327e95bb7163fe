//! The error numbers of replies, and their names.

use std::fmt;

/// The `err` field of a reply: 0 for success, otherwise why there is no result.
///
/// A number without a name here survives unchanged, so a newer server's codes can be shown and
/// passed on.
///
/// ```
/// use sneck_wire::ErrorCode;
///
/// assert_eq!(ErrorCode::NO_NODE.to_string(), "no node (-101)");
/// assert_eq!(ErrorCode::new(-999).to_string(), "unknown error (-999)");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ErrorCode(i32);

/// Declares the codes once, so that constant and name cannot drift apart.
macro_rules! error_codes {
    ($($(#[$doc:meta])* $constant:ident = $code:literal, $name:literal;)*) => {
        impl ErrorCode {
            $($(#[$doc])* pub const $constant: Self = Self($code);)*

            /// What the code means in a few words, if it is a known one.
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$constant => Some($name),)*
                    _ => None,
                }
            }
        }
    };
}

error_codes! {
    /// Success.
    OK = 0, "ok";
    /// The server failed internally.
    SYSTEM_ERROR = -1, "system error";
    /// An operation of a multi that was not tried because an earlier one failed.
    RUNTIME_INCONSISTENCY = -2, "runtime inconsistency";
    /// The server's data contradict each other.
    DATA_INCONSISTENCY = -3, "data inconsistency";
    /// The connection broke; a client's own code for an unknown outcome.
    CONNECTION_LOSS = -4, "connection loss";
    /// The request could not be decoded.
    MARSHALLING_ERROR = -5, "marshalling error";
    /// The server does not know the operation, or it is switched off.
    UNIMPLEMENTED = -6, "unimplemented";
    /// The operation took too long.
    OPERATION_TIMEOUT = -7, "operation timeout";
    /// A path, flag or other argument is invalid.
    BAD_ARGUMENTS = -8, "bad arguments";
    /// A new configuration has no quorum of servers that are in step.
    NEW_CONFIG_NO_QUORUM = -13, "new config has no quorum";
    /// Another reconfiguration is under way.
    RECONFIG_IN_PROGRESS = -14, "reconfig in progress";
    /// Not an error of its own: codes from here down to the next hundred belong to the API.
    API_ERROR = -100, "api error";
    /// The node, or the parent of the node to create, does not exist.
    NO_NODE = -101, "no node";
    /// The access list does not permit the operation.
    NO_AUTH = -102, "not permitted";
    /// The node's version is not the expected one.
    BAD_VERSION = -103, "bad version";
    /// The parent is ephemeral and cannot have children.
    NO_CHILDREN_FOR_EPHEMERALS = -108, "ephemeral nodes have no children";
    /// The node exists already.
    NODE_EXISTS = -110, "node exists";
    /// The node has children and cannot be deleted.
    NOT_EMPTY = -111, "not empty";
    /// The session is over.
    SESSION_EXPIRED = -112, "session expired";
    /// The callback is invalid; a client's own code.
    INVALID_CALLBACK = -113, "invalid callback";
    /// The access list is empty or malformed.
    INVALID_ACL = -114, "invalid acl";
    /// The credential was not accepted.
    AUTH_FAILED = -115, "authentication failed";
    /// The session has moved to another connection or server.
    SESSION_MOVED = -118, "session moved";
    /// A write was sent to a server that only reads at present.
    NOT_READ_ONLY = -119, "server is read-only";
    /// A local session cannot own ephemeral nodes.
    EPHEMERAL_ON_LOCAL_SESSION = -120, "ephemeral node on local session";
    /// There is no such watch to remove.
    NO_WATCHER = -121, "no watcher";
    /// The server did not finish the request in time.
    REQUEST_TIMEOUT = -122, "request timeout";
    /// Reconfiguration is switched off.
    RECONFIG_DISABLED = -123, "reconfig disabled";
    /// The session was closed because the server requires SASL authentication.
    SASL_REQUIRED = -124, "sasl authentication required";
    /// A quota would be exceeded.
    QUOTA_EXCEEDED = -125, "quota exceeded";
    /// The server is overloaded and refused the request.
    THROTTLED = -127, "throttled";
}

impl ErrorCode {
    /// The code with this number, known or not.
    pub const fn new(code: i32) -> Self {
        Self(code)
    }

    /// The number on the wire.
    pub const fn code(self) -> i32 {
        self.0
    }

    /// Whether this is [`ErrorCode::OK`].
    pub const fn is_ok(self) -> bool {
        self.0 == 0
    }
}

impl From<i32> for ErrorCode {
    fn from(code: i32) -> Self {
        Self(code)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name().unwrap_or("unknown error"), self.0)
    }
}

impl std::error::Error for ErrorCode {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        assert_eq!(ErrorCode::new(-110), ErrorCode::NODE_EXISTS);
        assert_eq!(ErrorCode::NODE_EXISTS.to_string(), "node exists (-110)");
        assert!(ErrorCode::default().is_ok());
        assert!(!ErrorCode::THROTTLED.is_ok());
        assert_eq!(ErrorCode::new(-126).name(), None);
        assert_eq!(ErrorCode::new(-126).code(), -126);
    }

    #[test]
    fn the_numbers_are_zookeepers() {
        let known: Vec<i32> =
            (-200..=0).rev().filter(|code| ErrorCode::new(*code).name().is_some()).collect();
        let expected = [
            0, -1, -2, -3, -4, -5, -6, -7, -8, -13, -14, -100, -101, -102, -103, -108, -110, -111,
            -112, -113, -114, -115, -118, -119, -120, -121, -122, -123, -124, -125, -127,
        ];
        assert_eq!(known, expected);
        // Two could still have changed places; these are the ones that callers branch on.
        let named = [
            (ErrorCode::UNIMPLEMENTED, -6),
            (ErrorCode::BAD_ARGUMENTS, -8),
            (ErrorCode::NO_NODE, -101),
            (ErrorCode::NO_AUTH, -102),
            (ErrorCode::BAD_VERSION, -103),
            (ErrorCode::NOT_EMPTY, -111),
            (ErrorCode::SESSION_EXPIRED, -112),
            (ErrorCode::INVALID_ACL, -114),
            (ErrorCode::AUTH_FAILED, -115),
            (ErrorCode::SESSION_MOVED, -118),
            (ErrorCode::NO_WATCHER, -121),
        ];
        for (code, number) in named {
            assert_eq!(code.code(), number, "{code}");
        }
    }
}
