//! The exit codes, and which failure has which. The only place that knows them.

use rustix::process::Signal;
use sneck::ErrorKind;
use sneck_server::StartError;
use sneck_server::log::OpenError;

/// What was looked for has been found, as it should not have been (`deadlocks`).
pub(crate) const FOUND: u8 = 1;
/// Wrong usage: an option, a lock name, a URL, the configuration file (`EX_USAGE`).
pub(crate) const USAGE: u8 = 64;
/// The line for the lock cannot be trusted, or the data folder of a server (`EX_DATAERR`).
pub(crate) const REFUSED: u8 = 65;
/// The store cannot be reached, or does not speak its protocol (`EX_UNAVAILABLE`).
pub(crate) const UNAVAILABLE: u8 = 69;
/// A defect of sneck, or of the system below it (`EX_SOFTWARE`).
pub(crate) const INTERNAL: u8 = 70;
/// A server cannot have its address or its data folder (`EX_CANTCREAT`).
pub(crate) const CANNOT_HAVE: u8 = 73;
/// The disk has failed a server (`EX_IOERR`).
pub(crate) const DISK: u8 = 74;
/// The lock was not had in time (`EX_TEMPFAIL`), unless `-E` says otherwise.
pub(crate) const CONFLICT: u8 = 75;
/// The lock was lost.
pub(crate) const LOST: u8 = 76;
/// The store refuses us (`EX_NOPERM`).
pub(crate) const DENIED: u8 = 77;
/// The command cannot be executed, as shells have it.
pub(crate) const NOT_EXECUTABLE: u8 = 126;
/// The command was not found, as shells have it.
pub(crate) const NOT_FOUND: u8 = 127;

/// The exit code for an error of the library.
pub(crate) fn of_error(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Invalid => USAGE,
        ErrorKind::Refused | ErrorKind::Disagreement => REFUSED,
        ErrorKind::Unavailable | ErrorKind::Protocol => UNAVAILABLE,
        ErrorKind::Timeout | ErrorKind::Deadlock => CONFLICT,
        ErrorKind::Lost => LOST,
        ErrorKind::Denied => DENIED,
        // Also what a later version of the library may add: an unknown kind is for us to learn.
        _ => INTERNAL,
    }
}

/// The exit code for a server that does not start.
pub(crate) fn of_start_error(error: &StartError) -> u8 {
    match error {
        StartError::Listen { .. } => CANNOT_HAVE,
        StartError::Data(error) => of_open_error(error),
        _ => INTERNAL,
    }
}

/// The exit code for a data folder that cannot be opened.
pub(crate) fn of_open_error(error: &OpenError) -> u8 {
    match error {
        OpenError::InUse { .. }
        | OpenError::Missing { .. }
        | OpenError::Foreign { .. }
        | OpenError::Newer { .. }
        | OpenError::Io { .. } => CANNOT_HAVE,
        // What remains, and what a later version may add, is about what was read.
        _ => REFUSED,
    }
}

/// The exit code for an end by a signal, as shells have it.
pub(crate) fn of_signal(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(u8::MAX)
}

/// The exit code when nobody reads standard output any more: as if the signal had ended us, which
/// Rust programs ignore so as to get an error instead.
pub(crate) fn of_broken_pipe() -> u8 {
    of_signal(Signal::PIPE.as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_end_as_in_a_shell() {
        assert_eq!(of_signal(15), 143);
        assert_eq!(of_signal(64), 192);
        assert_eq!(of_broken_pipe(), 141);
    }
}
