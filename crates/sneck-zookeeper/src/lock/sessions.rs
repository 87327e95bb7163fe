//! The session that locks are taken on, one after the other.

use super::failure;
use crate::options::SessionOptions;
use crate::session::{Session, SessionTicket};
use sneck_core::{Error, TokenScope};
use std::sync::{PoisonError, RwLock};
use tokio::sync::watch;

/// The current session; a new one when it has ended.
#[derive(Debug)]
pub(crate) struct Sessions {
    options: SessionOptions,
    current: RwLock<Session>,
    opening: tokio::sync::Mutex<()>,
    /// The ticket of the current session. Whoever listens keeps no session alive.
    tickets: watch::Sender<Option<SessionTicket>>,
}

impl Sessions {
    /// Opens the first session.
    pub(crate) async fn open(options: SessionOptions) -> Result<Self, Error> {
        let session = connect(&options).await?;
        let opening = tokio::sync::Mutex::new(());
        let tickets = watch::Sender::new(session.ticket());
        Ok(Sessions { options, current: RwLock::new(session), opening, tickets })
    }

    /// The current session, or a new one if that has ended. One caller opens it, the others wait.
    pub(crate) async fn alive(&self) -> Result<Session, Error> {
        if let Some(session) = self.still_alive() {
            return Ok(session);
        }
        let _opening = self.opening.lock().await;
        if let Some(session) = self.still_alive() {
            return Ok(session);
        }
        // Servers that have given us a session come back.
        let options = SessionOptions { retry_refused: true, ..self.options.clone() };
        let session = connect(&options).await?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = session.clone();
        self.tickets.send_replace(session.ticket());
        Ok(session)
    }

    /// Ends the session, and what it was reached by.
    pub(crate) async fn close(&self) {
        self.last().close().await;
        self.options.connector.close().await;
    }

    /// The ticket of the current session, and of each that comes after it.
    pub(crate) fn tickets(&self) -> watch::Receiver<Option<SessionTicket>> {
        self.tickets.subscribe()
    }

    /// How far tokens keep their order.
    pub(crate) fn token_scope(&self) -> TokenScope {
        match self.options.connector.is_single() {
            true => TokenScope::SingleCopy,
            false => TokenScope::Replicated,
        }
    }

    /// The last session that was opened, dead or alive.
    pub(crate) fn last(&self) -> Session {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn still_alive(&self) -> Option<Session> {
        let session = self.last();
        let over = session.state().borrow().end().is_some();
        (!over).then_some(session)
    }
}

async fn connect(options: &SessionOptions) -> Result<Session, Error> {
    let session = Session::connect(options.clone()).await;
    session.map_err(|error| failure::of_connect(&error))
}
