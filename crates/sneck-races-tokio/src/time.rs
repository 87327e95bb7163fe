//! Time, which passes when a test says so.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
pub use tokio::time::Instant;

thread_local! {
    // All threads of the checker are on one of the machine's.
    static TIMERS: RefCell<Timers> = RefCell::default();
}

#[derive(Default)]
struct Timers {
    now: Duration,
    /// Who is to be woken, by when and in the order of coming.
    waiting: BTreeMap<(Duration, u64), Waker>,
    last: u64,
}

/// How much time has passed in this run.
pub fn elapsed() -> Duration {
    TIMERS.with_borrow(|timers| timers.now)
}

/// Begins a run: nobody waits, and no time has passed.
pub fn begin() {
    // Of a run that failed, wakers may be left: those must not be dropped in the middle of a borrow.
    let left = TIMERS.with_borrow_mut(|timers| {
        timers.now = Duration::ZERO;
        std::mem::take(&mut timers.waiting)
    });
    drop(left);
}

/// Lets time pass, and wakes those whose time has come.
pub fn advance(by: Duration) {
    let due = TIMERS.with_borrow_mut(|timers| {
        timers.now += by;
        // The first moment that is not due yet.
        let later = timers.waiting.split_off(&(timers.now + Duration::from_nanos(1), 0));
        std::mem::replace(&mut timers.waiting, later)
    });
    due.into_values().for_each(Waker::wake);
}

/// Waits until so much time has passed.
pub fn sleep(time: Duration) -> Sleep {
    TIMERS.with_borrow_mut(|timers| {
        timers.last += 1;
        Sleep { key: (timers.now.saturating_add(time), timers.last) }
    })
}

/// See [`sleep`].
#[derive(Debug)]
pub struct Sleep {
    key: (Duration, u64),
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        TIMERS.with_borrow_mut(|timers| {
            if timers.now >= self.key.0 {
                return Poll::Ready(());
            }
            timers.waiting.insert(self.key, cx.waker().clone());
            Poll::Pending
        })
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        // A thread that ends takes its variables with it.
        let _ = TIMERS.try_with(|timers| timers.borrow_mut().waiting.remove(&self.key));
    }
}

/// Gives up when so much time has passed.
///
/// # Errors
/// [`Elapsed`] then.
pub async fn timeout<F: Future>(time: Duration, future: F) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    tokio::select! {
        biased;
        done = &mut future => Ok(done),
        () = sleep(time) => Err(Elapsed),
    }
}

/// The time allowed has passed.
#[derive(Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time allowed has passed")
    }
}

impl std::error::Error for Elapsed {}
