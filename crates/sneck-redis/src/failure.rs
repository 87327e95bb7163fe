//! What a failed command means for a lock.

use crate::secret::Secret;
use redis::{RedisError, ServerErrorKind};
use sneck_core::{Error, ErrorKind};

/// What a failed command means; `doing` says what was being done, and the secret is blotted out of what
/// the server wrote.
pub(crate) fn of_command(error: &RedisError, doing: &str, secret: &Secret) -> Error {
    let text = format!("{doing}: {}", secret.blot_out(&error.to_string()));
    let failure = of_kind(error, text);
    if may_have_been_applied(error) { failure.with_unknown_outcome() } else { failure }
}

fn of_kind(error: &RedisError, text: String) -> Error {
    match error.kind() {
        redis::ErrorKind::AuthenticationFailed => denied(text),
        redis::ErrorKind::Parse
        | redis::ErrorKind::UnexpectedReturnType
        | redis::ErrorKind::RESP3NotSupported => of_stranger(text),
        redis::ErrorKind::InvalidClientConfig => of_config(error, text),
        redis::ErrorKind::Server(kind) => of_server(kind, error, text),
        redis::ErrorKind::Extension => of_extension(error.code().unwrap_or_default(), text),
        redis::ErrorKind::MasterNameNotFoundBySentinel => {
            // Of one that is down while another is elected they say the same as of one they never knew.
            Error::new(ErrorKind::Unavailable, text).with_hint(
                "a primary is down, or the path of the URL is not its name at the sentinels",
            )
        }
        _ => Error::new(ErrorKind::Unavailable, text),
    }
}

/// What it means that there is no connection. Nothing was asked, so nothing can have been applied.
pub(crate) fn of_connecting(error: &RedisError, secret: &Secret, tls: bool) -> Error {
    let text = format!("connecting: {}", secret.blot_out(&error.to_string()));
    if tls && text.contains("certificate") {
        return Error::new(ErrorKind::Denied, text).with_hint(
            "ca=FILE in the URL names the authorities to trust, cert= and key= who we are",
        );
    }
    let failure = of_kind(error, text);
    match (tls, may_have_been_applied(error)) {
        (_, false) => failure,
        (true, true) => failure.with_hint("is this the server's port for TLS?"),
        (false, true) => {
            failure.with_hint("where the port is for TLS, the URL begins with rediss://")
        }
    }
}

/// Whether the connection is of no more use after this error.
pub(crate) fn is_broken(error: &RedisError) -> bool {
    let by_role = matches!(
        error.kind(),
        redis::ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown)
    );
    by_role || may_have_been_applied(error) || error.is_unrecoverable_error()
}

/// Whether no answer came.
fn may_have_been_applied(error: &RedisError) -> bool {
    let unanswered = error.is_timeout() || error.is_connection_dropped() || error.is_io_error();
    unanswered && !error.is_connection_refusal()
}

fn of_server(kind: ServerErrorKind, error: &RedisError, text: String) -> Error {
    match kind {
        ServerErrorKind::NoPerm => denied(text),
        ServerErrorKind::BusyLoading
        | ServerErrorKind::Moved
        | ServerErrorKind::Ask
        | ServerErrorKind::TryAgain
        | ServerErrorKind::ClusterDown
        | ServerErrorKind::MasterDown => Error::new(ErrorKind::Unavailable, text),
        ServerErrorKind::ReadOnly => read_only(text),
        _ => of_detail(error.detail().unwrap_or_default(), text),
    }
}

/// What can only be told by the words of the server.
fn of_detail(detail: &str, text: String) -> Error {
    let says = |words: &str| detail.contains(words) || text.contains(words);
    if says("DB index") || says("SELECT is not allowed") {
        return Error::new(ErrorKind::Invalid, text)
            .with_hint("the path of the URL is the number of the database");
    }
    if says("invalid password") || says("without any password") || says("WRONGPASS") {
        return denied(text);
    }
    if says("unknown command") {
        return of_stranger(text);
    }
    if says("READONLY") {
        return read_only(text);
    }
    // A script that fails half-way is a defect of its author.
    Error::new(ErrorKind::Internal, text)
}

fn of_extension(code: &str, text: String) -> Error {
    match code {
        "WRONGPASS" | "NOAUTH" | "NOPERM" => denied(text),
        "OOM" | "NOREPLICAS" | "MISCONF" | "BUSY" => Error::new(ErrorKind::Unavailable, text)
            .with_hint("the server takes no writes just now; its operator can say why"),
        "NOPROTO" => of_stranger(text),
        "WRONGTYPE" => Error::new(ErrorKind::Refused, text)
            .with_hint("somebody else keeps data under sneck's keys; choose another prefix"),
        _ => of_detail(code, text),
    }
}

/// The library's name for trouble while connecting, too.
fn of_config(error: &RedisError, text: String) -> Error {
    match error.detail() {
        Some(detail) => of_detail(detail, text),
        None => Error::new(ErrorKind::Invalid, text),
    }
}

fn denied(text: String) -> Error {
    Error::new(ErrorKind::Denied, text)
        .with_hint("check user and password in the URL, and what the server's ACL allows them")
}

fn read_only(text: String) -> Error {
    Error::new(ErrorKind::Unavailable, text)
        .with_hint("this is a replica; name the primary, or use redis+sentinel://")
}

fn of_stranger(text: String) -> Error {
    Error::new(ErrorKind::Protocol, text)
        .with_hint("the server must be Redis 6.2 or later, or one that behaves like it")
}
