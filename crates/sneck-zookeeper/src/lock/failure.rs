//! What a failed request means for a lock.

use crate::error::{ConnectError, RequestError};
use sneck_core::{Error, ErrorKind};
use sneck_wire::{ErrorCode, MultiResult};

/// Whichever side it was too much for.
const TOO_LARGE: &str = "the node has too many children, or too much in it, for one message (jute.maxbuffer on \
                         ZooKeeper's side); let fewer wait in one line, or split the lock";

/// What a failed request means for a lock; `doing` says what was being done.
pub(crate) fn of_request(error: &RequestError, doing: &str) -> Error {
    let text = format!("{doing}: {error}");
    let failure = match error {
        RequestError::Refused(code) => of_code(*code, text),
        RequestError::Interrupted | RequestError::QueueFull => {
            Error::new(ErrorKind::Unavailable, text)
        }
        RequestError::Over { .. } => Error::new(ErrorKind::Lost, text),
        RequestError::TooLarge { .. } | RequestError::BadPath(_) => {
            Error::new(ErrorKind::Invalid, text)
        }
        RequestError::ReplyTooLarge { .. } => {
            Error::new(ErrorKind::Refused, text).with_hint(TOO_LARGE)
        }
    };
    if error.may_have_been_applied() { failure.with_unknown_outcome() } else { failure }
}

/// Why a transaction failed; `None` when it was applied. Before and after the operation that failed,
/// servers report codes that say only that there was one.
pub(crate) fn of_results(results: &[MultiResult]) -> Option<ErrorCode> {
    let codes = results.iter().filter_map(|result| match result {
        MultiResult::Error(code) => Some(*code),
        _ => None,
    });
    let mut failed = None;
    for code in codes {
        match code {
            ErrorCode::OK | ErrorCode::RUNTIME_INCONSISTENCY => failed = failed.or(Some(code)),
            code => return Some(code),
        }
    }
    failed
}

fn of_code(code: ErrorCode, text: String) -> Error {
    match code {
        ErrorCode::NO_AUTH => Error::new(ErrorKind::Denied, text)
            .with_hint("use credentials that the node's access control list allows"),
        ErrorCode::INVALID_ACL => Error::new(ErrorKind::Denied, text)
            .with_hint("acl=creator needs credentials, such as zk://user:password@host"),
        ErrorCode::AUTH_FAILED => Error::new(ErrorKind::Denied, text),
        ErrorCode::NOT_READ_ONLY
        | ErrorCode::THROTTLED
        | ErrorCode::CONNECTION_LOSS
        | ErrorCode::OPERATION_TIMEOUT => Error::new(ErrorKind::Unavailable, text),
        ErrorCode::NO_CHILDREN_FOR_EPHEMERALS => Error::new(ErrorKind::Refused, text).with_hint(
            "a node above the lock is ephemeral, so it cannot have children; rename one",
        ),
        ErrorCode::UNIMPLEMENTED => Error::new(ErrorKind::Refused, text)
            .with_hint("the server is too old; sneck needs ZooKeeper 3.5 or later"),
        // What sneck sends is well-formed, so this is about size.
        ErrorCode::MARSHALLING_ERROR => Error::new(ErrorKind::Refused, text).with_hint(TOO_LARGE),
        ErrorCode::SYSTEM_ERROR => Error::new(ErrorKind::Protocol, text),
        _ => Error::new(ErrorKind::Refused, text),
    }
}

/// What a failed attempt to open a session means for a lock.
pub(crate) fn of_connect(error: &ConnectError) -> Error {
    let text = error.to_string();
    match error {
        ConnectError::Invalid(_) => Error::new(ErrorKind::Invalid, text),
        ConnectError::Unreachable(_) => Error::new(ErrorKind::Unavailable, text),
        ConnectError::NotZooKeeper(_) => Error::new(ErrorKind::Protocol, text)
            .with_hint("check host and port; for a TLS port use zks://"),
        ConnectError::AuthFailed => Error::new(ErrorKind::Denied, text),
        ConnectError::Tls(_) => Error::new(ErrorKind::Denied, text)
            .with_hint("check the certificate authority (?ca=FILE), the host name and the port"),
    }
}
