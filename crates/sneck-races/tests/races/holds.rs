//! A lock that is given back, in every way there is, while it is lost, in every way there is, grows up, and
//! its runtime is shut down.

use crate::explore::orders;
use crate::store::{End, Manner, RunClock, Store};
use crate::threads::{TICK, Threads, until_idle};
use shuttle::sync::atomic::{AtomicBool, Ordering};
use sneck_races::mutants::assert_noticed;
use sneck_races::{
    Caller, Clock, ErrorKind, Guard, Instant, Lease, Locker, Loss, Mode, Name, Outcome, Patience,
    Request,
};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// How a guard is given back.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Drop,
    Unlock,
    /// By `unlock`, whose future is dropped after it was polled once.
    HalfAnUnlock,
    /// After it has become a reader's.
    Downgrade,
}

/// What befalls a lock meanwhile.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Nothing,
    /// Somebody takes its place away.
    Removal,
    /// Its session ends, and the client is told.
    End,
    /// Its session is silent until the deadline.
    Silence,
}

const ENDINGS: [Ending; 4] =
    [Ending::Drop, Ending::Unlock, Ending::HalfAnUnlock, Ending::Downgrade];
const FATES: [Fate; 4] = [Fate::Nothing, Fate::Removal, Fate::End, Fate::Silence];
const MANNERS: [Manner; 3] = [
    Manner { lets_go: true, unanswered: 0 },
    Manner { lets_go: false, unanswered: 0 },
    Manner { lets_go: true, unanswered: 1 },
];

fn locker(store: &Store) -> Locker {
    Locker::new(Arc::new(store.clone()), Arc::new(RunClock)).with_seed(1)
}

async fn acquire(locker: &Locker, name: &str) -> Guard {
    let request = Request::new(Name::new(name).unwrap(), Mode::Write, Caller::anonymous());
    locker.acquire(request, Patience::Forever).await.unwrap().unwrap()
}

/// Somebody gives a lock back while something befalls it, and another thread listens for its loss.
fn hold(ending: Ending, fate: Fate, manner: Manner) {
    let runtime = Handle::new();
    let until = match fate {
        Fate::Silence => RunClock.now() + 2 * TICK,
        _ => Instant::FAR,
    };
    let store = Store::new(manner, Lease::new(until));
    let guard = runtime.block_on(acquire(&locker(&store), "one"));
    let token = guard.token();
    let is_told = Arc::new(AtomicBool::new(false));
    let (done, is_over) = oneshot::channel();
    let mut threads = Threads::default();
    {
        let (lost, runtime, is_told) = (guard.lost(), runtime.clone(), is_told.clone());
        threads.begin(move || {
            let listening = async move {
                tokio::select! {
                    biased;
                    _ = lost => is_told.store(true, Ordering::SeqCst),
                    _ = is_over => {}
                }
            };
            runtime.block_on(listening);
        });
    }
    {
        let (store, runtime) = (store.clone(), runtime.clone());
        threads.begin(move || {
            for _ in 0..2 {
                let told = is_told.load(Ordering::SeqCst);
                assert!(!(told && guard.is_held()), "held, after another was told of the loss");
            }
            let told = is_told.load(Ordering::SeqCst);
            runtime.block_on(give_back(guard, ending, fate, told, &store));
            // The listener may have heard of a loss, and gone.
            let _ = done.send(());
        });
    }
    {
        let store = store.clone();
        threads.begin(move || match fate {
            Fate::Removal => store.remove(token),
            Fate::End => store.end_session(),
            Fate::Nothing | Fate::Silence => {}
        });
    }
    threads.see_through();
    until_idle(&[&runtime]);
    store.has_no_place_left();
}

/// Gives a lock back, and sees that what is said of it is true.
async fn give_back(guard: Guard, ending: Ending, fate: Fate, was_told: bool, store: &Store) {
    let token = guard.token();
    let may_be_lost = !matches!(fate, Fate::Nothing);
    match ending {
        Ending::Drop => drop(guard),
        Ending::Unlock => match guard.unlock().await {
            Ok(()) => {
                assert!(!was_told, "given back in time, after another thread was told of the loss");
                assert!(store.end_of(token).is_some(), "said to be given back, and is there");
            }
            Err(error) => {
                assert!(may_be_lost, "{error}");
                let is_lost = error.kind() == ErrorKind::Lost;
                assert!(is_lost || error.outcome() == Outcome::Unknown, "{error:?}");
            }
        },
        Ending::HalfAnUnlock => {
            let mut unlocking = pin!(guard.unlock());
            let _ = unlocking.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
        Ending::Downgrade => match guard.downgrade().await {
            Ok(guard) => drop(guard),
            Err(error) => assert!(may_be_lost && error.kind() == ErrorKind::Lost, "{error:?}"),
        },
    }
}

fn every_hold(count: usize) {
    for ending in ENDINGS {
        for fate in FATES {
            for manner in MANNERS {
                orders(count, move || hold(ending, fate, manner));
            }
        }
    }
}

#[test]
fn a_lock_is_given_back_once_whatever_befalls_it() {
    every_hold(200);
}

/// One lock is given back at once; another is kept until its holder hears that its place was removed, which
/// somebody has to look for.
fn a_neighbour_is_given_back(shut_down: bool) {
    let (ours, theirs) = (Handle::new(), Handle::new());
    let store = Store::new(MANNERS[0], Lease::new(Instant::FAR));
    let locker = locker(&store);
    let mut threads = Threads::default();
    {
        let (locker, theirs) = (locker.clone(), theirs.clone());
        // Whoever is the first has young places minded on its runtime.
        threads.begin(move || drop(theirs.block_on(acquire(&locker, "two"))));
    }
    {
        let (locker, ours, store) = (locker.clone(), ours.clone(), store.clone());
        threads.begin(move || {
            let loss = ours.block_on(async {
                let guard = acquire(&locker, "one").await;
                store.remove(guard.token());
                guard.lost().await
            });
            assert_eq!(loss, Loss::Removed);
        });
    }
    if shut_down {
        let theirs = theirs.clone();
        threads.begin(move || theirs.shut_down());
    }
    threads.see_through();
    until_idle(&[&ours, &theirs]);
    if !shut_down {
        store.has_no_place_left();
    }
}

#[test]
fn no_young_lock_is_left_unminded() {
    orders(6_000, || a_neighbour_is_given_back(false));
}

#[test]
fn the_end_of_a_runtime_leaves_no_lock_of_another_unminded() {
    orders(6_000, || a_neighbour_is_given_back(true));
}

/// A release that is answered says what is so in the store.
#[test]
fn what_unlock_says_is_true_while_a_lock_grows_up() {
    orders(6_000, || hold(Ending::Unlock, Fate::Nothing, MANNERS[0]));
}

#[test]
fn deliberate_bugs_are_noticed() {
    assert_noticed("who-minds-leaves-in-two-steps", no_young_lock_is_left_unminded);
    let shut_down = the_end_of_a_runtime_leaves_no_lock_of_another_unminded;
    assert_noticed("nobody-minds-after-a-shutdown", shut_down);
    let is_true = what_unlock_says_is_true_while_a_lock_grows_up;
    assert_noticed("a-place-grows-up-in-two-steps", is_true);
    assert_noticed("a-release-is-confirmed-at-once", a_lock_is_given_back_once_whatever_befalls_it);
}

/// So that a failure above means something: a place that is taken away is told as that.
#[test]
fn the_store_takes_notes() {
    orders(1, || {
        let runtime = Handle::new();
        let store = Store::new(MANNERS[0], Lease::new(Instant::FAR));
        let guard = runtime.block_on(acquire(&locker(&store), "one"));
        assert_eq!(store.end_of(guard.token()), None);
        store.remove(guard.token());
        assert_eq!(store.end_of(guard.token()), Some(End::Lost(Loss::Removed)));
        drop(guard);
        until_idle(&[&runtime]);
        store.has_no_place_left();
    });
}
