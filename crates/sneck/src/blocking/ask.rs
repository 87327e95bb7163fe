//! Asking for a lock while telling how waiting goes.

use super::driver::Driver;
use sneck_core::{Error, Progress, Waiting};
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

/// Told how waiting goes.
type OnProgress = dyn Fn(Progress<'_>) + Send + Sync;

/// A kind of lock that tells how waiting for it goes.
pub(super) trait Telling: Clone + Send + 'static {
    fn telling(self, progress: impl Fn(Progress<'_>) + Send + Sync + 'static) -> Self;
}

macro_rules! telling {
    ($($kind:ty),*) => {
        $(impl Telling for $kind {
            fn telling(self, progress: impl Fn(Progress<'_>) + Send + Sync + 'static) -> Self {
                self.on_progress(progress)
            }
        })*
    };
}

telling!(crate::All, crate::Mutex, crate::RwLock, crate::Semaphore);

/// One kind of lock, and all that asking for it needs.
#[derive(Clone)]
pub(super) struct Ask<K> {
    kind: K,
    driver: Driver,
    progress: Option<Arc<OnProgress>>,
}

impl<K: Telling> Ask<K> {
    pub(super) fn new(driver: &Driver, kind: K) -> Self {
        Ask { kind, driver: driver.clone(), progress: None }
    }

    pub(super) fn driver(&self) -> &Driver {
        &self.driver
    }

    pub(super) fn kind(&self) -> &K {
        &self.kind
    }

    /// The same for another lock of this kind.
    pub(super) fn map(self, change: impl FnOnce(K) -> K) -> Self {
        Ask { kind: change(self.kind), ..self }
    }

    pub(super) fn on_progress(
        self,
        progress: impl Fn(Progress<'_>) + Send + Sync + 'static,
    ) -> Self {
        Ask { progress: Some(Arc::new(progress)), ..self }
    }

    /// Asks for the lock and waits for the answer. What is told of the waiting is told on this thread.
    pub(super) fn wait<F>(&self, ask: impl FnOnce(K) -> F) -> F::Output
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let Some(progress) = &self.progress else {
            return self.driver.drive(ask(self.kind.clone()));
        };
        let latest = Arc::new(Latest::default());
        let news = latest.clone();
        self.driver.serve(
            move |desk| {
                ask(self.kind.clone().telling(move |progress| {
                    if news.put(progress) {
                        desk.send(());
                    }
                }))
            },
            |()| {
                if let Some(told) = latest.take() {
                    progress(told.as_progress());
                }
            },
        )
    }
}

impl<K: fmt::Debug> fmt::Debug for Ask<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

/// What is to be told next. Of what happens while the user is being told, only the last is kept: so
/// little is told to somebody slow, and nothing piles up.
#[derive(Default)]
struct Latest(Mutex<Option<Told>>);

enum Told {
    Waiting(Waiting),
    Trouble(Error),
}

impl Latest {
    /// Whether there was nothing to be told before.
    fn put(&self, progress: Progress<'_>) -> bool {
        let told = match progress {
            Progress::Waiting(waiting) => Told::Waiting(waiting.clone()),
            Progress::Trouble(error) => Told::Trouble(error.clone()),
            // What a later release of the core may tell besides is not known here.
            _ => return false,
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).replace(told).is_none()
    }

    fn take(&self) -> Option<Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Told {
    fn as_progress(&self) -> Progress<'_> {
        match self {
            Told::Waiting(waiting) => Progress::Waiting(waiting),
            Told::Trouble(error) => Progress::Trouble(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_was_not_told_yet_only_the_last_is_kept() {
        let latest = Latest::default();
        let waiting = |ahead| Waiting { ahead: Some(ahead), holder: None };
        assert!(latest.put(Progress::Waiting(&waiting(2))));
        assert!(!latest.put(Progress::Waiting(&waiting(1))), "somebody is on the way already");
        let told = latest.take().unwrap();
        assert!(matches!(told.as_progress(), Progress::Waiting(Waiting { ahead: Some(1), .. })));
        assert!(latest.take().is_none());
        assert!(latest.put(Progress::Waiting(&waiting(0))));
    }
}
