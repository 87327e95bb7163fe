//! One way to ask for a lock, for every kind of it.

use crate::locks::Locks;
use crate::queued::{News, Queued};
use sneck_core::{Caller, Error, ErrorKind, Guard, Mode, Name, Patience, Progress, Request};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Told how waiting goes.
type OnProgress = dyn Fn(Progress<'_>) + Send + Sync;

/// Everything about asking but which lock, how, and for how long.
#[derive(Clone)]
pub(crate) struct Attempt {
    locks: Locks,
    note: String,
    progress: Option<Arc<OnProgress>>,
}

impl Attempt {
    pub(crate) fn new(locks: Locks) -> Self {
        Attempt { locks, note: String::new(), progress: None }
    }

    pub(crate) fn locks(&self) -> &Locks {
        &self.locks
    }

    pub(crate) fn set_note(&mut self, note: String) {
        self.note = note;
    }

    pub(crate) fn set_progress(&mut self, progress: impl Fn(Progress<'_>) + Send + Sync + 'static) {
        self.progress = Some(Arc::new(progress));
    }

    /// Waits for ever if need be.
    pub(crate) async fn wait(
        &self,
        name: &Result<Name, Error>,
        mode: Mode,
    ) -> Result<Guard, Error> {
        had(self.acquire(name, mode, Patience::Forever).await)
    }

    /// Does not wait.
    pub(crate) async fn once(
        &self,
        name: &Result<Name, Error>,
        mode: Mode,
    ) -> Result<Option<Guard>, Error> {
        self.acquire(name, mode, Patience::Once).await
    }

    /// Waits for at most so long.
    pub(crate) async fn within(
        &self,
        name: &Result<Name, Error>,
        mode: Mode,
        timeout: Duration,
    ) -> Result<Guard, Error> {
        had(self.acquire(name, mode, self.until(timeout)).await)
    }

    pub(crate) fn until(&self, timeout: Duration) -> Patience {
        Patience::Until(self.locks.locker().clock().now() + timeout)
    }

    async fn acquire(
        &self,
        name: &Result<Name, Error>,
        mode: Mode,
        patience: Patience,
    ) -> Result<Option<Guard>, Error> {
        let (name, locker) = (name.clone()?, self.locks.locker());
        // Before anything is written down of who asks: this is the way that costs nothing.
        if self.locks.ties().is_none()
            && let Some(guard) = locker.enter(&name, mode)
        {
            return Ok(Some(guard));
        }
        let request = self.request(name, mode);
        match &self.progress {
            Some(progress) => locker.acquire_with(request, patience, &**progress).await,
            None => locker.acquire(request, patience).await,
        }
    }

    pub(crate) async fn acquire_all(
        &self,
        locks: &[(Name, Mode)],
        patience: Patience,
    ) -> Result<Option<Guard>, Error> {
        let requests = locks.iter().map(|(name, mode)| self.request(name.clone(), *mode));
        let silent = |_: Progress<'_>| {};
        let progress = self.progress.as_deref().unwrap_or(&silent);
        self.locks.locker().acquire_all(requests.collect(), patience, progress).await
    }

    /// Waits for ever if need be, and tells where it stands.
    pub(crate) fn queued(&self, locks: Result<Vec<(Name, Mode)>, Error>) -> Queued<Guard> {
        let requests = locks.map(|locks| {
            let requests = locks.into_iter().map(|(name, mode)| self.request(name, mode));
            requests.collect::<Vec<_>>()
        });
        let claims = requests.iter().flatten().map(|request| (request.name.clone(), request.id));
        let (locker, claims) = (self.locks.locker().clone(), claims.collect());
        let (asked, news, also) = (locker.clone(), News::default(), self.progress.clone());
        let told = news.clone();
        let attempt = async move {
            let tell = move |progress: Progress<'_>| {
                if let Progress::Waiting(waiting) = &progress {
                    told.put(waiting);
                }
                if let Some(also) = &also {
                    also(progress);
                }
            };
            had(match <[Request; 1]>::try_from(requests?) {
                Ok([one]) => asked.acquire_with(one, Patience::Forever, &tell).await,
                Err(several) => asked.acquire_all(several, Patience::Forever, &tell).await,
            })
        };
        Queued::new(attempt, news, locker, claims)
    }

    fn request(&self, name: Name, mode: Mode) -> Request {
        let caller = Caller { note: self.note.clone(), ..self.locks.caller_now() };
        let (id, ties) = (self.locks.locker().claim_id(), self.locks.ties().clone());
        Request { name, mode, id, caller, ties }
    }
}

/// Only an attempt that does not wait may end without the lock and without an error.
pub(crate) fn had(acquired: Result<Option<Guard>, Error>) -> Result<Guard, Error> {
    acquired?.ok_or_else(|| Error::new(ErrorKind::Internal, "waiting ended without an answer"))
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt").field("note", &self.note).finish_non_exhaustive()
    }
}
