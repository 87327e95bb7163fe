//! A place that is shared inside a process: handed on, kept, joined and given up by several threads at once,
//! while its session ends.

use crate::explore::orders;
use crate::store::{Manner, RunClock, Store};
use crate::threads::{Threads, until_idle};
use shuttle::sync::Mutex;
use sneck_races::mutants::assert_noticed;
use sneck_races::{Caller, Guard, Instant, Lease, Locker, Mode, Name, Patience, Request, Sharing};
use std::sync::Arc;
use tokio::runtime::Handle;

/// Those who believe to hold the lock.
type Holders = Arc<Mutex<Vec<Arc<Guard>>>>;

/// Holds the lock for a moment, alone.
async fn hold(locker: &Locker, mode: Mode, holders: &Holders) {
    let request = Request::new(Name::new("one").unwrap(), mode, Caller::anonymous());
    // A place that is lost while it is waited for is an answer, too.
    let Ok(Some(guard)) = locker.acquire(request, Patience::Forever).await else { return };
    let guard = Arc::new(guard);
    {
        let mut holders = holders.lock().unwrap();
        let beside = holders.iter().any(|other| other.is_held());
        assert!(!(mode == Mode::Write && beside && guard.is_held()), "two hold the lock");
        holders.push(guard.clone());
    }
    holders.lock().unwrap().retain(|other| !Arc::ptr_eq(other, &guard));
    drop(guard);
}

fn share(sharing: Sharing, mode: Mode, session_ends: bool) {
    let runtime = Handle::new();
    let store = Store::new(Manner { lets_go: true, unanswered: 0 }, Lease::new(Instant::FAR));
    let locker = Locker::new(Arc::new(store.clone()), Arc::new(RunClock)).with_seed(1);
    let (locker, holders) = (locker.with_sharing(sharing), Holders::default());
    let mut threads = Threads::default();
    for _ in 0..3 {
        let (locker, holders, runtime) = (locker.clone(), holders.clone(), runtime.clone());
        threads.begin(move || runtime.block_on(hold(&locker, mode, &holders)));
    }
    if session_ends {
        let store = store.clone();
        threads.begin(move || store.end_session());
    }
    threads.see_through();
    // What is kept is given back with the last who could want it.
    drop((locker, holders));
    until_idle(&[&runtime]);
    store.has_no_place_left();
}

#[test]
fn a_shared_place_is_held_by_one_and_given_back() {
    for sharing in [Sharing::coalescing(), Sharing::sticky()] {
        for mode in [Mode::Write, Mode::Shared] {
            for session_ends in [false, true] {
                orders(500, move || share(sharing, mode, session_ends));
            }
        }
    }
}

#[test]
fn deliberate_bugs_are_noticed() {
    assert_noticed("a-held-place-is-entered", a_shared_place_is_held_by_one_and_given_back);
}
