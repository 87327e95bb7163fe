//! The locks of one store.

use crate::identity;
use crate::mutex::Mutex;
use sneck_core::{
    Backend, Caller, Contender, Error, ErrorKind, Limits, Locker, Name, Promises, SystemClock,
};
use std::sync::Arc;

/// The locks of one store. Cheap to clone; clones share the connection, which is closed when the last
/// clone, and the last guard, is gone.
///
/// Made by [`connect`](crate::connect).
#[derive(Clone, Debug)]
pub struct Locks {
    locker: Locker,
    caller: Caller,
}

impl Locks {
    /// Locks on a backend that was set up by hand.
    pub fn on(backend: Arc<dyn Backend>) -> Self {
        let locker = Locker::new(backend, Arc::new(SystemClock));
        Locks { locker, caller: identity::of_this_process() }
    }

    /// The same with other bounds of waiting.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.locker = self.locker.with_limits(limits);
        self
    }

    /// The same under another description of who asks. By default it tells host, process id, user
    /// and program, all of which everybody who can read the store can see.
    #[must_use]
    pub fn with_caller(mut self, caller: Caller) -> Self {
        self.caller = caller;
        self
    }

    /// Who is said to ask.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The exclusive lock of this name. Sends nothing; a bad name is reported when the lock is asked
    /// for.
    pub fn mutex(&self, name: impl AsRef<str>) -> Mutex {
        Mutex::new(self.clone(), Name::new(name.as_ref()))
    }

    /// The line for a lock, its holder first; empty when nobody holds it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a bad name, and what the store reports.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn line(&self, name: impl AsRef<str>) -> Result<Vec<Contender>, Error> {
        let name = Name::new(name.as_ref())?;
        match self.locker.backend().survey() {
            Some(survey) => survey.line(&name).await,
            None => Err(self.cannot_look()),
        }
    }

    /// The names of all locks that somebody holds, in order.
    ///
    /// # Errors
    /// What the store reports.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn names(&self) -> Result<Vec<Name>, Error> {
        match self.locker.backend().survey() {
            Some(survey) => survey.names().await,
            None => Err(self.cannot_look()),
        }
    }

    /// What the store promises.
    pub fn promises(&self) -> Promises {
        self.locker.backend().promises()
    }

    /// The store's name in messages, without secrets.
    pub fn label(&self) -> Arc<str> {
        self.locker.backend().label()
    }

    /// Ends the connection, and with it every lock that is still held through it, and waits until
    /// the store has confirmed that. For use before a process exits: without it, what the process
    /// held or waited for is freed only when its session times out.
    pub async fn close(self) {
        self.locker.backend().close().await;
    }

    pub(crate) fn locker(&self) -> &Locker {
        &self.locker
    }

    fn cannot_look(&self) -> Error {
        Error::new(ErrorKind::Refused, "this store cannot list its locks")
            .with_backend(&self.label())
    }
}
