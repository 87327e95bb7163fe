//! A hold of a shared place.

use super::line::TurnId;
use super::lines::{Key, LocalLines};
use super::sharing::Sharing;
use crate::error::{Error, ErrorKind};
use crate::guard::{Guard, Hold};
use crate::instrument::Watched;
use crate::mutant;
use crate::token::Token;
use std::sync::Arc;

/// A hold of a shared place, until it is ended or dropped.
pub(crate) struct Turn {
    lines: Arc<LocalLines>,
    key: Key,
    id: TurnId,
    sharing: Sharing,
    hold: Arc<Hold>,
    watched: Option<Watched>,
    state: State,
}

enum State {
    /// The place is the line's.
    Lent,
    /// The place has left the line with this hold.
    Own(Box<Guard>),
    Ended,
}

impl Turn {
    pub(super) fn new(
        lines: Arc<LocalLines>,
        key: Key,
        id: TurnId,
        sharing: Sharing,
        hold: Arc<Hold>,
    ) -> Self {
        Turn { lines, key, id, sharing, hold, watched: None, state: State::Lent }
    }

    /// What is known of the place.
    pub(crate) fn hold(&self) -> &Arc<Hold> {
        &self.hold
    }

    /// The token of this hold.
    pub(crate) fn token(&self) -> Token {
        if mutant!("turns-share-a-token") {
            return self.hold.token();
        }
        self.hold.token().with_turn(self.id.turn)
    }

    /// From now on somebody is told how it ends.
    pub(crate) fn watch(&mut self, watched: Watched) {
        self.watched = Some(watched);
    }

    /// Ends the hold; the place, if it is to be given back.
    pub(crate) fn end(mut self) -> Option<Guard> {
        self.finish()
    }

    fn finish(&mut self) -> Option<Guard> {
        let state = std::mem::replace(&mut self.state, State::Ended);
        if let (Some(watched), State::Lent | State::Own(_)) = (&mut self.watched, &state) {
            watched.ended(self.hold.loss());
        }
        match state {
            State::Lent => self.lines.end(&self.key, self.id, &self.sharing),
            State::Own(place) => Some(*place),
            State::Ended => None,
        }
    }

    /// Makes a reader's hold of a writer's, which nobody inside can be handed any more.
    ///
    /// # Errors
    /// As for [`Guard::downgrade`].
    pub(crate) async fn downgrade(&mut self) -> Result<(), Error> {
        let place = match std::mem::replace(&mut self.state, State::Ended) {
            State::Lent => self.lines.detach(&self.key, self.id),
            State::Own(place) => Some(*place),
            State::Ended => None,
        };
        let place = place.ok_or_else(|| match self.hold.loss() {
            Some(loss) => self.hold.error(loss),
            None => self.hold.locate(Error::new(ErrorKind::Internal, "the place was not lent")),
        })?;
        // Boxed, as a guard may be a turn again as far as the compiler knows.
        let place = Box::pin(place.downgrade()).await?;
        self.state = State::Own(Box::new(place));
        Ok(())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        drop(self.finish());
    }
}
