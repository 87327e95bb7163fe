//! Somebody who waits in a line of the process.

use super::agent::abandoned;
use super::line::Ticket;
use super::lines::{Key, LocalLines};
use super::turn::Turn;
use crate::acquire::Progress;
use crate::claim::Waiting;
use crate::error::{Error, Outcome};
use std::sync::Arc;
use tokio::sync::{oneshot, watch};

/// What comes of waiting; `Ok(None)` only for those who do not wait.
pub(crate) type Told = Result<Option<Turn>, Error>;

/// What is heard of the place in the store's line.
#[derive(Clone, Debug)]
pub(crate) enum News {
    Nothing,
    Waiting(Waiting),
    Trouble(Error),
}

/// Somebody who waits, until it is dropped.
pub(crate) struct Waiter {
    lines: Arc<LocalLines>,
    key: Key,
    ticket: Ticket,
    /// How many were ahead inside at first.
    ahead: usize,
    told: oneshot::Receiver<Told>,
    news: watch::Receiver<News>,
    left: bool,
}

impl Waiter {
    pub(super) fn new(
        lines: Arc<LocalLines>,
        key: Key,
        ticket: Ticket,
        ahead: usize,
        told: oneshot::Receiver<Told>,
        news: watch::Receiver<News>,
    ) -> Self {
        Waiter { lines, key, ticket, ahead, told, news, left: false }
    }

    /// Waits for the turn, and tells of the place: those ahead outside, and those ahead inside. Of inside
    /// it is told at first and whenever there is news from outside, lest every hand-on wake everybody.
    pub(crate) async fn wait(&mut self, progress: &(dyn Fn(Progress<'_>) + Send + Sync)) -> Told {
        if self.ahead > 0 {
            progress(Progress::Waiting(&self.behind(&Waiting::default(), self.ahead)));
            if let News::Trouble(error) = &*self.news.borrow_and_update() {
                progress(Progress::Trouble(error));
            }
        }
        loop {
            tokio::select! {
                biased;
                told = &mut self.told => return told.unwrap_or_else(|_| Err(abandoned())),
                Ok(()) = self.news.changed() => {}
            }
            let news = self.news.borrow_and_update().clone();
            match news {
                News::Nothing => {}
                News::Waiting(outside) => {
                    let inside = self.lines.ahead(&self.key, self.ticket);
                    progress(Progress::Waiting(&self.behind(&outside, inside)));
                }
                News::Trouble(error) => progress(Progress::Trouble(&error)),
            }
        }
    }

    fn behind(&self, outside: &Waiting, inside: usize) -> Waiting {
        let inside = u32::try_from(inside).unwrap_or(u32::MAX);
        let ahead = Some(outside.ahead.unwrap_or(0).saturating_add(inside));
        Waiting { ahead, holder: outside.holder.clone() }
    }

    /// Waits no longer. What comes of leaving the store's line, if nobody is left who wants a place there.
    pub(crate) fn leave(mut self) -> Option<oneshot::Receiver<Outcome>> {
        self.left = true;
        self.lines.cancel(&self.key, self.ticket)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if !self.left {
            drop(self.lines.cancel(&self.key, self.ticket));
        }
    }
}
