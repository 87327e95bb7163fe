//! The thread in the background that does the waiting of all others.

use sneck_core::{Error, ErrorKind};
use std::convert::Infallible;
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::{io, thread};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinError};

/// A handle to the background thread, of which a process has one.
///
/// It is never the runtime of the caller: blocking on that from within is what tokio forbids, and what
/// would stop the renewal of the very locks that are held.
#[derive(Clone, Debug)]
pub(super) struct Driver(Handle);

impl Driver {
    /// The process's one; started if there is none yet.
    pub(super) fn shared() -> Result<Self, Error> {
        static SHARED: Mutex<Option<Driver>> = Mutex::new(None);
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(driver) = &*shared {
            return Ok(driver.clone());
        }
        // A start that failed, for want of threads for instance, is tried again by the next caller.
        let driver = Driver::start().map_err(|error| {
            let text = format!("cannot start the thread that keeps locks alive: {error}");
            Error::new(ErrorKind::Unavailable, text)
        })?;
        Ok(shared.insert(driver).clone())
    }

    fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let forever = move || runtime.block_on(std::future::pending::<()>());
        thread::Builder::new().name("sneck".to_owned()).spawn(forever)?;
        Ok(Driver(handle))
    }

    /// Runs a future on the background thread while this one waits.
    pub(super) fn drive<F>(&self, future: F) -> F::Output
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.serve(|_| future, |errand: Infallible| match errand {})
    }

    /// The same, where the future may send this thread on errands: the code of a user runs on the
    /// user's own thread, where it may take its time and borrow what it likes.
    pub(super) fn serve<E, F>(
        &self,
        work: impl FnOnce(Desk<E>) -> F,
        mut errand: impl FnMut(E),
    ) -> F::Output
    where
        E: Send + 'static,
        F: Future<Output: Send> + Send + 'static,
    {
        let (desk, mail) = channel();
        let outcome = Arc::new(Mutex::new(None));
        let work = work(Desk(desk.clone()));
        let work = {
            let outcome = Arc::clone(&outcome);
            async move {
                let output = work.await;
                *outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(output);
            }
        };
        // Nobody listens any more after an errand that panicked.
        let no_more = move || drop(desk.send(None));
        let (_given_up, end) = self.begin(Box::pin(work), Box::new(no_more));
        while let Ok(Some(one)) = mail.recv() {
            errand(one);
        }
        if let Ok(Err(error)) = end.recv() {
            resume_unwind(error.into_panic());
        }
        let output = outcome.lock().unwrap_or_else(PoisonError::into_inner).take();
        output.unwrap_or_else(|| unreachable!("the background thread lives as long as the process"))
    }

    /// Starts work, and has its end told. Both are boxed: a task of its own type for each method of
    /// this module was three quarters of what the crate took to compile.
    fn begin(
        &self,
        work: Pin<Box<dyn Future<Output = ()> + Send>>,
        at_the_end: Box<dyn FnOnce() + Send>,
    ) -> (AbortOnDrop, Receiver<Result<(), JoinError>>) {
        let (told, end) = channel();
        let task = self.0.spawn(work);
        let given_up = AbortOnDrop(task.abort_handle());
        self.0.spawn(async move {
            // Whoever does not wait any more does not care.
            let _ = told.send(task.await);
            at_the_end();
        });
        (given_up, end)
    }

    /// Lets a future run by itself.
    pub(super) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.0.spawn(future).abort_handle()
    }
}

/// Where a future that is driven finds the thread that waits for it.
pub(super) struct Desk<E>(Sender<Option<E>>);

impl<E> Desk<E> {
    /// Sends it on an errand.
    pub(super) fn send(&self, errand: E) {
        // Whoever does not wait any more has given the whole work up.
        let _ = self.0.send(Some(errand));
    }

    /// Sends it on an errand and waits for what it brings back.
    pub(super) async fn ask<T>(&self, errand: impl FnOnce(oneshot::Sender<T>) -> E) -> T {
        let (reply, answer) = oneshot::channel();
        self.send(errand(reply));
        match answer.await {
            Ok(answer) => answer,
            // The errand panicked, and this work is about to be aborted.
            Err(_) => std::future::pending().await,
        }
    }
}

/// Cancels the work when the thread that waits for it unwinds.
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn a_panic_of_the_work_is_the_callers() {
        let driver = Driver::shared().unwrap();
        let work = || driver.drive(async { panic!("of the work") });
        let panic = catch_unwind(AssertUnwindSafe(work)).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"of the work"));
        assert_eq!(driver.drive(async { 7 }), 7, "the thread goes on");
    }

    #[test]
    fn work_whose_errand_panics_is_dropped() {
        let driver = Driver::shared().unwrap();
        let (alive, dropped) = oneshot::channel::<()>();
        let work = || {
            driver.serve(
                |desk| async move {
                    let _alive = alive;
                    desk.ask(|reply: oneshot::Sender<()>| reply).await;
                },
                |_| panic!("of the errand"),
            );
        };
        let panic = catch_unwind(AssertUnwindSafe(work)).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"of the errand"));
        assert!(dropped.blocking_recv().is_err());
    }

    #[test]
    fn errands_are_done_on_the_thread_that_waits() {
        let driver = Driver::shared().unwrap();
        let here = thread::current().id();
        let done = Arc::new(Mutex::new(Vec::new()));
        let sum = driver.serve(
            |desk| async move {
                desk.ask(|reply| (1, reply)).await + desk.ask(|reply| (2, reply)).await
            },
            |(number, reply): (u32, oneshot::Sender<u32>)| {
                done.lock().unwrap().push(thread::current().id());
                reply.send(number * 10).unwrap();
            },
        );
        assert_eq!(sum, 30);
        assert_eq!(*done.lock().unwrap(), [here, here]);
    }
}
