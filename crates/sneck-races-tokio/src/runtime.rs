//! Runtimes: what tasks are ended together with.

use crate::task::JoinHandle;
use shuttle::future::{self, AbortHandle};
use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

shuttle::thread_local! {
    static CURRENT: RefCell<Option<Handle>> = RefCell::new(None);
}

/// A runtime, which gives each task a thread of the checker's.
#[derive(Clone, Default)]
pub struct Handle(Arc<Mutex<Tasks>>);

#[derive(Default)]
struct Tasks {
    running: Vec<AbortHandle>,
    is_shut_down: bool,
}

impl Handle {
    /// A runtime without tasks.
    pub fn new() -> Self {
        Handle::default()
    }

    /// The runtime that this thread belongs to.
    ///
    /// # Panics
    /// On a thread that belongs to none, as in tokio.
    pub fn current() -> Self {
        let current = CURRENT.with(|current| current.borrow().clone());
        current.expect("a thread that belongs to a runtime")
    }

    /// Begins a task. On a runtime that is shut down it is dropped at once.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        if self.tasks().is_shut_down {
            return JoinHandle(None);
        }
        let belongs = self.clone();
        let task = future::spawn(async move {
            belongs.enter();
            future.await
        });
        // It may have been shut down just before the task was there to be ended.
        let is_late = {
            let mut tasks = self.tasks();
            tasks.running.push(task.abort_handle());
            tasks.is_shut_down
        };
        if is_late {
            task.abort();
        }
        JoinHandle(Some(task))
    }

    /// Runs a future on this thread, which belongs to the runtime from now on.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.enter();
        future::block_on(future)
    }

    /// Ends all tasks where they stand, each when it is its turn. There will be no other.
    pub fn shut_down(&self) {
        let running = {
            let mut tasks = self.tasks();
            tasks.is_shut_down = true;
            std::mem::take(&mut tasks.running)
        };
        running.iter().for_each(AbortHandle::abort);
        self.tasks().running = running;
    }

    /// Whether no task is left.
    pub fn is_idle(&self) -> bool {
        self.tasks().running.iter().all(AbortHandle::is_finished)
    }

    fn enter(&self) {
        CURRENT.with(|current| *current.borrow_mut() = Some(self.clone()));
    }

    /// No step is taken while it is locked.
    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}
