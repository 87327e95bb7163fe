//! The two machines behind one claim: a place in a line, and permits of a semaphore.

use super::permits::PermitSeat;
use super::seat::Seat;
use super::step::{Answer, Next, Spot, Step};
use sneck_core::{Error, ErrorKind};

/// A place in a line, or permits.
#[allow(clippy::large_enum_variant, reason = "the claim around it is boxed as a whole")]
#[derive(Clone, Debug, Hash)]
pub(crate) enum Stand {
    Line(Seat),
    Permits(PermitSeat),
}

impl Stand {
    /// Whether nothing of the claim can be in the store, so that it may still choose its session.
    pub(crate) fn is_nowhere(&self) -> bool {
        match self {
            Stand::Line(seat) => seat.is_nowhere(),
            Stand::Permits(seat) => seat.is_nowhere(),
        }
    }

    /// Whether somebody has asked for the lock back.
    pub(crate) fn is_revoked(&self) -> bool {
        match self {
            Stand::Line(seat) => seat.is_revoked(),
            Stand::Permits(seat) => seat.is_revoked(),
        }
    }

    /// The nodes whose being there is the hold; none while nothing is held.
    pub(crate) fn held_paths(&self) -> Vec<String> {
        match self {
            Stand::Line(seat) if seat.is_held() => seat.own_path().into_iter().collect(),
            Stand::Line(_) => Vec::new(),
            Stand::Permits(seat) => seat.held_paths(),
        }
    }

    /// The node whose children are the line.
    pub(crate) fn line(&self) -> &str {
        match self {
            Stand::Line(seat) => seat.dir(),
            Stand::Permits(seat) => seat.line(),
        }
    }

    /// This node was deleted; `own_there` when ours is known to have been there at that moment.
    pub(crate) fn deleted(&mut self, path: &str, own_there: bool) {
        match self {
            Stand::Line(seat) => seat.deleted(path, own_there),
            Stand::Permits(seat) => seat.deleted(path),
        }
    }

    /// What is ours may have been deleted by somebody else.
    pub(crate) fn own_doubtful(&mut self) {
        match self {
            Stand::Line(seat) => seat.own_doubtful(),
            Stand::Permits(seat) => seat.own_doubtful(),
        }
    }

    /// The next step towards knowing where we stand.
    pub(crate) fn next(&mut self) -> Next {
        match self {
            Stand::Line(seat) => seat.next(),
            Stand::Permits(seat) => seat.next(),
        }
    }

    /// The next step towards having left.
    pub(crate) fn next_leaving(&mut self) -> Option<Step> {
        match self {
            Stand::Line(seat) => seat.next_leaving(),
            Stand::Permits(seat) => seat.next_leaving(),
        }
    }

    /// The next step towards sharing what is held with readers.
    pub(crate) fn next_downgrade(&mut self) -> Result<Option<Step>, Error> {
        match self {
            Stand::Line(seat) => seat.next_downgrade(),
            Stand::Permits(_) => {
                let text = "permits are shared already; only a writer can be downgraded";
                Err(Error::new(ErrorKind::Refused, text))
            }
        }
    }

    /// Takes an answer.
    pub(crate) fn on(&mut self, answer: Answer) -> Result<Option<Spot>, Error> {
        match self {
            Stand::Line(seat) => seat.on(answer),
            Stand::Permits(seat) => seat.on(answer),
        }
    }
}
