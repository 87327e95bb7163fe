//! Why a request to ZooKeeper failed.

use sneck_wire::ErrorCode;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Why a request failed, and with that whether the servers may have applied it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestError {
    /// The server answered with an error: nothing was applied.
    Refused(ErrorCode),
    /// The connection broke after the request was sent and before its answer came: it may have been
    /// applied.
    Interrupted,
    /// The session is over. `sent` tells whether the request had been sent, so that it may have been
    /// applied before the end.
    Over {
        /// How the session ended.
        end: End,
        /// Whether the request had been sent.
        sent: bool,
    },
    /// Too many requests wait for the wire already; this one was not sent.
    QueueFull,
    /// The request is larger than a server would accept; it was not sent.
    TooLarge {
        /// Its size in bytes.
        bytes: usize,
        /// The largest size, in bytes.
        bytes_max: usize,
    },
    /// The answer is larger than the client takes; a write was applied all the same.
    ReplyTooLarge {
        /// Its size in bytes.
        bytes: usize,
        /// The largest size, in bytes: [`SessionLimits::reply_bytes_max`](crate::SessionLimits).
        bytes_max: usize,
    },
    /// The path is none; nothing was sent.
    BadPath(String),
}

impl RequestError {
    /// Whether the servers may have applied the request.
    pub fn may_have_been_applied(&self) -> bool {
        matches!(
            self,
            RequestError::Interrupted
                | RequestError::ReplyTooLarge { .. }
                | RequestError::Over { sent: true, .. }
        )
    }

    /// The server's error code, if it answered with one.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            RequestError::Refused(code) => Some(*code),
            _ => None,
        }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequestError::Refused(code) => write!(f, "the server answered: {code}"),
            RequestError::Interrupted => f.write_str("the connection broke before the answer came"),
            RequestError::Over { end, .. } => write!(f, "the session is over: {end}"),
            RequestError::QueueFull => f.write_str("too many requests wait to be sent"),
            RequestError::TooLarge { bytes, bytes_max } => {
                write!(f, "the request has {bytes} bytes; servers accept {bytes_max}")
            }
            RequestError::ReplyTooLarge { bytes, bytes_max } => {
                write!(f, "the answer has {bytes} bytes; at most {bytes_max} are taken")
            }
            RequestError::BadPath(why) => f.write_str(why),
        }
    }
}

impl Error for RequestError {}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum End {
    /// The servers ended it, or know nothing of it.
    Expired,
    /// We closed it.
    Closed,
    /// The servers refused the credentials.
    AuthFailed,
    /// No server took it back for so long that it can no longer be counted on.
    GivenUp,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            End::Expired => "it expired",
            End::Closed => "it was closed",
            End::AuthFailed => "the servers refused the credentials",
            End::GivenUp => "no server took it back",
        })
    }
}

/// Why a session could not be opened. Never contains a secret.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// No server list, or an option that can never work.
    Invalid(String),
    /// No server gave us a session; the text says why for each that was tried.
    Unreachable(String),
    /// The peers do not speak ZooKeeper's protocol, or not over this kind of connection.
    NotZooKeeper(String),
    /// The servers refused the credentials.
    AuthFailed,
    /// The server's certificate cannot be trusted, or it does not accept ours.
    Tls(Arc<str>),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectError::Invalid(why) => f.write_str(why),
            ConnectError::Unreachable(why) => write!(f, "no server gave us a session: {why}"),
            ConnectError::NotZooKeeper(why) => write!(f, "this is no ZooKeeper server: {why}"),
            ConnectError::AuthFailed => f.write_str("the servers refused the credentials"),
            ConnectError::Tls(why) => write!(f, "no trusted connection: {why}"),
        }
    }
}

impl Error for ConnectError {}
