//! The threads of a model, and the time that passes meanwhile.

use shuttle::thread::{self, JoinHandle};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::advance;

/// How often young places are looked at.
pub(crate) const TICK: Duration = Duration::from_millis(25);

/// The threads of a model.
#[derive(Default)]
pub(crate) struct Threads {
    begun: Vec<JoinHandle<()>>,
    /// How many are through. What the model's own time looks at is no step.
    through: Arc<AtomicUsize>,
}

impl Threads {
    /// Begins a thread.
    pub(crate) fn begin(&mut self, work: impl FnOnce() + Send + 'static) {
        let through = self.through.clone();
        self.begun.push(thread::spawn(move || {
            work();
            through.fetch_add(1, Ordering::Relaxed);
        }));
    }

    /// Lets time pass until all threads are through.
    pub(crate) fn see_through(self) {
        // At first anything may happen between two ticks, and later everything does.
        for _ in 0..4 {
            advance(TICK);
            thread::sleep(TICK);
        }
        pass_until(|| self.through.load(Ordering::Relaxed) == self.begun.len());
        self.begun.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

/// Lets time pass until none of these has a task.
pub(crate) fn until_idle(runtimes: &[&Handle]) {
    pass_until(|| runtimes.iter().all(|runtime| runtime.is_idle()));
}

/// Who never gets on makes this take more steps than are allowed.
fn pass_until(is_over: impl Fn() -> bool) {
    while !is_over() {
        advance(TICK);
        thread::yield_now();
    }
}
