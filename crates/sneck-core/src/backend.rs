//! A store of locks, and what it promises.

use crate::claim::{Claim, Request};
use crate::contender::Contender;
use crate::error::Error;
use crate::name::Name;
use async_trait::async_trait;
use std::sync::Arc;

/// A store of locks.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// A claim on a place in line. Does no I/O and cannot fail; the first
    /// [`ask`](Claim::ask) takes the place.
    fn claim(&self, request: Request) -> Box<dyn Claim>;

    /// What the store promises. Checked by the contract suite, never advisory.
    fn promises(&self) -> Promises;

    /// The store's name in messages, without secrets.
    fn label(&self) -> Arc<str>;

    /// Looking at lines from the outside, where the store can.
    fn survey(&self) -> Option<&dyn Survey> {
        None
    }

    /// Ends everything this process has in the store, and waits until that is confirmed or will happen
    /// by itself. Locks that are still held are lost.
    async fn close(&self);
}

/// Looking at lines from the outside.
#[async_trait]
pub trait Survey: Send + Sync {
    /// The line of one lock, its holder first. Empty when nobody holds the lock.
    ///
    /// # Errors
    /// When the store cannot be asked, or refuses.
    async fn line(&self, name: &Name) -> Result<Vec<Contender>, Error>;

    /// The names of all locks with somebody in line, in order.
    ///
    /// # Errors
    /// When the store cannot be asked, or refuses.
    async fn names(&self) -> Result<Vec<Name>, Error>;
}

/// What a store promises, in four words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promises {
    /// Who is next.
    pub order: Order,
    /// How a waiter learns that it is its turn.
    pub wake: Wake,
    /// What frees the lock of a holder that died.
    pub crash: Crash,
    /// How far fencing tokens keep their order.
    pub token: TokenScope,
}

/// Who is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// First come, first served.
    Fifo,
    /// Nobody knows.
    None,
}

/// How a waiter learns that it is its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// The store tells it.
    Pushed,
    /// It asks now and then.
    Polled,
}

/// What frees the lock of a holder that died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The end of its session.
    Session,
    /// The end of the lock's own term.
    Term,
    /// Nothing: the store dies with the holder.
    Together,
}

/// How far fencing tokens keep their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenScope {
    /// As long as a majority of the store's servers keeps its data.
    Replicated,
    /// As long as one server keeps its data.
    SingleCopy,
}
