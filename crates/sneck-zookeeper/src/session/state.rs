//! The state of a session as its users see it.

use super::machine::Machine;
use crate::error::End;

/// The state of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// A server answers.
    Connected,
    /// No server answers just now. The session may still be alive; how long its locks may be believed
    /// in is told by [`Session::lease`](crate::Session::lease).
    Suspended,
    /// The session is over, and all its ephemeral nodes with it.
    Lost(End),
}

impl SessionState {
    /// How the session ended, if it has.
    pub fn end(self) -> Option<End> {
        match self {
            SessionState::Lost(end) => Some(end),
            SessionState::Connected | SessionState::Suspended => None,
        }
    }

    pub(crate) fn of(machine: &Machine) -> Self {
        match machine.end() {
            Some(end) => SessionState::Lost(end),
            None if machine.is_connected() => SessionState::Connected,
            None => SessionState::Suspended,
        }
    }
}
