//! Places that are shared inside a process: handed on, kept, given back, and lost.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod fakes;

use fakes::*;
use sneck_core::{
    Backend, Caller, Error, ErrorKind, Guard, Locker, Loss, Memory, Mode, Outcome, Patience,
    Permits, Request, Sharing, Survey, Ties, TokioClock,
};
use std::sync::Arc;
use tokio::task::JoinHandle;

/// A locker whose places are shared, in a store of its own.
fn on_memory() -> (Memory, Locker) {
    let memory = Memory::new();
    let locker = on(&memory);
    (memory, locker)
}

/// Another client of a store.
fn on(memory: &Memory) -> Locker {
    let locker = Locker::new(Arc::new(memory.clone()), Arc::new(TokioClock::new()));
    locker.with_limits(patient())
}

fn request_as(mode: Mode) -> Request {
    Request { mode, ..request() }
}

async fn ask(
    locker: &Locker,
    mode: Mode,
    sharing: Sharing,
    patience: Patience,
) -> Result<Option<Guard>, Error> {
    locker.clone().with_sharing(sharing).acquire(request_as(mode), patience).await
}

async fn hold(locker: &Locker, sharing: Sharing) -> Guard {
    ask(locker, Mode::Exclusive, sharing, Patience::Forever).await.unwrap().unwrap()
}

/// Waits in a task of its own, until whoever came before is in line.
async fn wait(
    locker: &Locker,
    mode: Mode,
    sharing: Sharing,
) -> JoinHandle<Result<Option<Guard>, Error>> {
    let locker = locker.clone();
    let task = tokio::spawn(async move { ask(&locker, mode, sharing, Patience::Forever).await });
    settle().await;
    task
}

/// Drops a wait for what somebody else holds.
async fn abandoned(wait: impl Future<Output = Result<Option<Guard>, Error>>) {
    tokio::select! {
        acquired = wait => panic!("{acquired:?} although somebody else holds it"),
        () = settle() => {}
    }
}

/// Somebody looks after a place by then, and hears what is asked of it.
async fn no_longer_young() {
    tokio::time::sleep(ms(100)).await;
}

async fn line(memory: &Memory) -> usize {
    memory.line(&name()).await.unwrap().len()
}

fn turn(guard: &Guard) -> (u64, u32) {
    (guard.token().get(), guard.token().turn())
}

const ALONE: Mode = Mode::Exclusive;

// ----- handing on -----

#[tokio::test(start_paused = true)]
async fn a_thousand_tasks_stand_in_the_line_as_one() {
    let (memory, locker) = on_memory();
    let first = hold(&locker, Sharing::coalescing()).await;
    let place = first.token().get();
    let mut tasks = Vec::new();
    for _ in 0..1_000 {
        tasks.push(wait(&locker, ALONE, Sharing::coalescing()).await);
    }
    assert_eq!(line(&memory).await, 1, "one place for all of them");
    let mut last = first.token();
    first.unlock().await.unwrap();
    for (at, task) in (1..).zip(tasks) {
        let guard = task.await.unwrap().unwrap().unwrap();
        assert_eq!(turn(&guard), (place, at), "in the order in which they came");
        assert!(guard.token() > last && guard.token().wide() > last.wide());
        last = guard.token();
        guard.unlock().await.unwrap();
    }
    assert_eq!(line(&memory).await, 0, "given back by the last, who waited for that");
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_outside_waits_for_a_bounded_number_of_holds() {
    let (memory, locker) = on_memory();
    let mut sharing = Sharing::sticky();
    sharing.hand_ons = 3;
    let mut guard = hold(&locker, sharing).await;
    let outside = wait(&on(&memory), ALONE, Sharing::coalescing()).await;
    let mut inside = Vec::new();
    for _ in 0..10 {
        inside.push(wait(&locker, ALONE, sharing).await);
    }
    for turns in 1..=3 {
        drop(guard);
        guard = inside.remove(0).await.unwrap().unwrap().unwrap();
        assert_eq!(guard.token().turn(), turns);
    }
    drop(guard);
    let theirs = outside.await.unwrap().unwrap().unwrap();
    assert!(inside.iter().all(|task| !task.is_finished()));
    assert_eq!(line(&memory).await, 2, "those inside stand behind");
    theirs.unlock().await.unwrap();
    let next = inside.remove(0).await.unwrap().unwrap().unwrap();
    assert_eq!(next.token().turn(), 0, "a place of its own again");
}

#[tokio::test(start_paused = true)]
async fn nobody_hands_on_after_the_span() {
    let (memory, locker) = on_memory();
    let sharing = Sharing::coalescing();
    let guard = hold(&locker, sharing).await;
    let inside = wait(&locker, ALONE, sharing).await;
    let outside = wait(&on(&memory), ALONE, sharing).await;
    tokio::time::sleep(sharing.span + ms(1)).await;
    drop(guard);
    drop(outside.await.unwrap().unwrap().unwrap());
    assert_eq!(inside.await.unwrap().unwrap().unwrap().token().turn(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_place_has_only_so_many_turns() {
    let (_memory, locker) = on_memory();
    let mut sharing = Sharing::sticky();
    sharing.turns = 2;
    let mut turns = Vec::new();
    for _ in 0..5 {
        turns.push(hold(&locker, sharing).await.token().turn());
    }
    assert_eq!(turns, [0, 1, 0, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn readers_hold_one_place_together_and_a_writer_gets_between() {
    let (memory, locker) = on_memory();
    let read = || ask(&locker, Mode::Shared, Sharing::coalescing(), Patience::Forever);
    let readers = [read().await.unwrap().unwrap(), read().await.unwrap().unwrap()];
    assert_eq!(line(&memory).await, 1);
    assert!(readers[1].token() > readers[0].token());
    let inside = ask(&locker, Mode::Write, Sharing::coalescing(), Patience::Once).await.unwrap();
    assert!(inside.is_none(), "a writer of the same process is none of them");
    let writer = wait(&on(&memory), Mode::Write, Sharing::coalescing()).await;
    tokio::time::sleep(secs(1)).await;
    let late = wait(&locker, Mode::Shared, Sharing::coalescing()).await;
    assert!(!late.is_finished(), "no reader passes a writer who has waited for long");
    drop(readers);
    drop(writer.await.unwrap().unwrap().unwrap());
    assert!(late.await.unwrap().unwrap().unwrap().is_held());
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_becomes_a_reader_takes_the_place_along() {
    let (memory, locker) = on_memory();
    let sharing = Sharing::sticky();
    let write = || ask(&locker, Mode::Write, sharing, Patience::Forever);
    drop(write().await.unwrap().unwrap());
    let writer = write().await.unwrap().unwrap();
    let token = writer.token();
    assert_eq!(token.turn(), 1);
    let next = wait(&locker, Mode::Write, sharing).await;
    let reader = writer.downgrade().await.unwrap();
    assert_eq!(reader.token(), token, "a downgrade is no new grant");
    let beside = ask(&on(&memory), Mode::Shared, sharing, Patience::Once).await.unwrap();
    settle().await;
    assert!(beside.is_none() && !next.is_finished(), "the next writer is behind the reader");
    reader.unlock().await.unwrap();
    assert!(next.await.unwrap().unwrap().unwrap().token() > token);
}

// ----- keeping -----

#[tokio::test(start_paused = true)]
async fn a_place_is_kept_while_nobody_else_wants_it() {
    let (memory, locker) = on_memory();
    let mut last = None;
    for turns in 0..100 {
        let guard = hold(&locker, Sharing::sticky()).await;
        assert_eq!(turn(&guard), (1, turns));
        assert!(Some(guard.token()) > last);
        last = Some(guard.token());
        guard.unlock().await.unwrap();
        assert_eq!(line(&memory).await, 1, "kept");
    }
    let other = on(&memory);
    let theirs = hold(&other, Sharing::sticky()).await;
    assert!(Some(theirs.token()) > last, "given back as soon as somebody asks");
    let ours = wait(&locker, ALONE, Sharing::sticky()).await;
    assert!(!ours.is_finished());
    theirs.unlock().await.unwrap();
    assert!(ours.await.unwrap().unwrap().unwrap().token().get() > 2, "and asked for again");
}

#[tokio::test(start_paused = true)]
async fn a_place_is_given_back_at_the_end_of_the_hold_when_somebody_waits() {
    let (memory, locker) = on_memory();
    let guard = hold(&locker, Sharing::sticky()).await;
    let outside = wait(&on(&memory), ALONE, Sharing::sticky()).await;
    assert!(!outside.is_finished());
    guard.unlock().await.unwrap();
    assert_eq!(line(&memory).await, 1, "whoever unlocks waits until it is given back");
    assert!(outside.await.unwrap().unwrap().unwrap().is_held());
}

#[tokio::test(start_paused = true)]
async fn a_kept_place_is_given_back_with_the_locker() {
    let (memory, locker) = on_memory();
    let clone = locker.clone();
    hold(&locker, Sharing::sticky()).await.unlock().await.unwrap();
    let last = hold(&clone, Sharing::sticky()).await;
    drop((locker, clone));
    settle().await;
    assert!(last.is_held() && line(&memory).await == 1, "a guard keeps it");
    drop(last);
    settle().await;
    assert_eq!(line(&memory).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_kept_place_is_given_back_when_it_is_asked_for() {
    let (memory, locker) = on_memory();
    let guard = hold(&locker, Sharing::sticky()).await;
    guard.unlock().await.unwrap();
    no_longer_young().await;
    assert_eq!(memory.revoke(&name()).await.unwrap().len(), 1);
    settle().await;
    assert_eq!(line(&memory).await, 0);
    // Of a hold, it is a request; when that ends, the place does.
    let guard = hold(&locker, Sharing::sticky()).await;
    let next = wait(&locker, ALONE, Sharing::sticky()).await;
    no_longer_young().await;
    memory.revoke(&name()).await.unwrap();
    settle().await;
    assert!(guard.is_held() && guard.is_revocation_requested());
    drop(guard);
    let next = next.await.unwrap().unwrap().unwrap();
    assert!(!next.is_revocation_requested() && next.token().turn() == 0, "another place");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_show_who_waits_keeps_nothing() {
    let store = Terms::new(secs(30), ms(5));
    let locker = store.locker();
    let mut sharing = Sharing::sticky();
    (sharing.hand_ons, sharing.span) = (2, secs(60));
    let first = hold(&locker, sharing).await;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(wait(&locker, ALONE, sharing).await);
    }
    drop(first);
    let mut turns = Vec::new();
    for task in waiting {
        turns.push(task.await.unwrap().unwrap().unwrap().token().turn());
    }
    assert_eq!(turns, [1, 2, 0], "somebody may wait outside");
    tokio::time::sleep(secs(1)).await;
    assert!(store.held_until().is_none(), "nothing is kept");
}

// ----- loss -----

#[tokio::test(start_paused = true)]
async fn a_place_that_is_lost_is_lost_for_all_who_share_it() {
    let (memory, locker) = on_memory();
    let guard = hold(&locker, Sharing::sticky()).await;
    let waiting = wait(&locker, ALONE, Sharing::sticky()).await;
    memory.clear(&name());
    assert_eq!(guard.lost().await, Loss::Removed);
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Lost, Outcome::Known), "{error:?}");
    // The guard that is lost ends nothing of the place that comes after it.
    let next = hold(&locker, Sharing::sticky()).await;
    assert!(next.token() > guard.token());
    let error = guard.unlock().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Lost);
    settle().await;
    assert!(next.is_held() && line(&memory).await == 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_was_told_of_a_loss_takes_nothing_from_those_who_come_later() {
    let (memory, locker) = on_memory();
    let mut holder = Some(hold(&locker, Sharing::coalescing()).await);
    let mut told = Box::pin(ask(&locker, ALONE, Sharing::coalescing(), Patience::Forever));
    // Told, and not aware of it: it is not polled again before it is dropped.
    tokio::select! {
        biased;
        _ = &mut told => panic!("somebody else holds it"),
        () = settle() => memory.clear(&name()),
    }
    settle().await;
    holder.take();
    let theirs = hold(&on(&memory), Sharing::coalescing()).await;
    let later = wait(&locker, ALONE, Sharing::coalescing()).await;
    drop(told);
    settle().await;
    drop(theirs);
    assert!(later.await.unwrap().unwrap().unwrap().is_held());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_handed_on_after_a_loss() {
    let (memory, locker) = on_memory();
    let guard = hold(&locker, Sharing::sticky()).await;
    let waiting = wait(&locker, ALONE, Sharing::sticky()).await;
    // No other task runs between these lines: the loss is seen by whoever hands on, or not at all.
    memory.clear(&name());
    drop(guard);
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Lost, "{error:?}");

    hold(&locker, Sharing::sticky()).await.unlock().await.unwrap();
    let kept = line(&memory).await;
    memory.clear(&name());
    assert!(
        locker.clone().with_sharing(Sharing::sticky()).enter(&name(), ALONE).is_none(),
        "nor after being kept"
    );
    let next = hold(&locker, Sharing::sticky()).await;
    assert!(kept == 1 && next.is_held() && next.token().turn() == 0);
}

#[tokio::test(start_paused = true)]
async fn a_term_that_ends_ends_every_hold_of_the_place() {
    let store = Terms::new(secs(9), ms(1));
    let locker = store.locker();
    let guard = hold(&locker, Sharing::coalescing()).await;
    let waiting = wait(&locker, ALONE, Sharing::coalescing()).await;
    store.fall_silent();
    assert_eq!(guard.lost().await, Loss::DeadlinePassed);
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), ErrorKind::Lost);
    assert!(store.held_until().is_none_or(|until| until >= guard.deadline()));
}

#[tokio::test(start_paused = true)]
async fn what_the_store_refuses_is_told_to_all_who_wait() {
    let script = Script::new([after(secs(1), Ask::Fail(ErrorKind::Refused))]);
    let locker = script.locker();
    let (one, other) = tokio::join!(
        ask(&locker, ALONE, Sharing::coalescing(), Patience::Forever),
        ask(&locker, ALONE, Sharing::coalescing(), Patience::Forever),
    );
    for error in [one.unwrap_err(), other.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
    }
    assert_eq!(script.times("ask").len(), 1, "one has asked for both");
}

// ----- giving up -----

#[tokio::test(start_paused = true)]
async fn who_gives_up_leaves_the_place_to_the_others() {
    let (memory, locker) = on_memory();
    let theirs = hold(&on(&memory), Sharing::coalescing()).await;
    let until = Patience::Until(locker.clock().now() + ms(500));
    let impatient = ask(&locker, ALONE, Sharing::coalescing(), until);
    let (impatient, patient) = tokio::join!(impatient, async {
        settle().await;
        // As one of a list, lest it be taken for something to be awaited here.
        [wait(&locker, ALONE, Sharing::coalescing()).await]
    });
    let error = impatient.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::Known), "{error:?}");
    assert!(error.holder().is_some(), "who holds it is named");
    assert_eq!(line(&memory).await, 2, "the place is the other's");
    patient[0].abort();
    settle().await;
    assert_eq!(line(&memory).await, 1, "nobody wants it any more");
    assert!(theirs.is_held());
}

#[tokio::test(start_paused = true)]
async fn the_last_to_give_up_knows_that_the_line_was_left() {
    let (memory, locker) = on_memory();
    let _theirs = hold(&on(&memory), Sharing::coalescing()).await;
    let until = Patience::Until(locker.clock().now() + ms(500));
    let error = ask(&locker, ALONE, Sharing::coalescing(), until).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Timeout, Outcome::Known), "{error:?}");
    assert_eq!(line(&memory).await, 1);

    let script = Script::new([waiting()]).leaves([Leave::Hang]);
    let locker = script.locker();
    let until = Patience::Until(locker.clock().now() + ms(500));
    let error = ask(&locker, ALONE, Sharing::coalescing(), until).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Timeout, Outcome::Unknown),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_future_that_is_dropped_anywhere_leaves_nothing() {
    for sharing in [Sharing::coalescing(), Sharing::sticky()] {
        for polls in 0..12 {
            let (memory, locker) = on_memory();
            let _ = dropped_after(polls, ask(&locker, ALONE, sharing, Patience::Forever)).await;
            let guard = hold(&locker, sharing).await;
            abandoned(ask(&locker, ALONE, sharing, Patience::Forever)).await;
            let next = wait(&locker, ALONE, sharing).await;
            drop(guard);
            let next = next.await.unwrap().unwrap().unwrap();
            dropped_after(polls, next.unlock()).await;
            drop(locker);
            settle().await;
            assert_eq!(line(&memory).await, 0, "after {polls} polls");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_wait_is_told_at_once() {
    let (memory, locker) = on_memory();
    let once = || ask(&locker, ALONE, Sharing::sticky(), Patience::Once);
    let theirs = hold(&on(&memory), Sharing::coalescing()).await;
    assert!(once().await.unwrap().is_none(), "somebody else holds it");
    assert_eq!(line(&memory).await, 1, "and nothing is left behind");
    // One who waits comes while one who does not is being answered.
    let (refused, waiting) = tokio::join!(once(), wait(&locker, ALONE, Sharing::sticky()));
    assert!(refused.unwrap().is_none());
    assert!(once().await.unwrap().is_none(), "somebody waits for it");
    drop(theirs);
    let guard = waiting.await.unwrap().unwrap().unwrap();
    assert!(once().await.unwrap().is_none(), "somebody inside holds it");
    drop(guard);
    assert_eq!(once().await.unwrap().unwrap().token().turn(), 1, "kept for whoever comes");
    assert_eq!(locker.clock().now().as_nanos() / 1_000_000_000, 0, "nobody has waited for time");
}

#[tokio::test(start_paused = true)]
async fn what_fails_for_one_who_does_not_wait_does_not_fail_for_those_who_do() {
    let down = after(secs(1), Ask::Fail(ErrorKind::Unavailable));
    let script = Script::new([down, held(7, secs(90))]);
    let locker = script.locker();
    let once = ask(&locker, ALONE, Sharing::coalescing(), Patience::Once);
    let (once, waiting) = tokio::join!(once, wait(&locker, ALONE, Sharing::coalescing()));
    assert_eq!(once.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(waiting.await.unwrap().unwrap().unwrap().is_held());
}

#[tokio::test(start_paused = true)]
async fn one_who_does_not_wait_is_answered_by_a_silent_store_too() {
    let script = Script::new([Ask::Hang]);
    let locker = script.locker();
    let error = ask(&locker, ALONE, Sharing::sticky(), Patience::Once).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
}

// ----- what is not shared -----

#[tokio::test(start_paused = true)]
async fn permits_and_who_holds_something_else_have_places_of_their_own() {
    let (memory, locker) = on_memory();
    let permit = Mode::Permits(Permits::new(1, 3).unwrap());
    let permits = [
        ask(&locker, permit, Sharing::sticky(), Patience::Forever).await.unwrap().unwrap(),
        ask(&locker, permit, Sharing::sticky(), Patience::Forever).await.unwrap().unwrap(),
    ];
    assert_eq!(line(&memory).await, 2);
    drop(permits);
    settle().await;
    assert_eq!(line(&memory).await, 0, "and keep nothing");

    let guard = hold(&locker, Sharing::sticky()).await;
    let ties = Ties { holds: vec![guard.claim_id()], ..Ties::default() };
    let tied = Request { ties, caller: Caller::anonymous(), ..request() };
    let sharing = locker.clone().with_sharing(Sharing::sticky());
    let tied = sharing.acquire(tied, Patience::Forever);
    let tied = async {
        tokio::select! {
            acquired = tied => panic!("{acquired:?} although somebody else holds it"),
            () = settle() => line(&memory).await,
        }
    };
    assert_eq!(tied.await, 2, "where everybody can see it");
    assert!(guard.is_held());
}

#[cfg(feature = "mutants")]
#[test]
fn deliberate_bugs_are_noticed() {
    use sneck_core::mutants::assert_noticed;
    assert_noticed("handed-on-after-a-loss", nothing_is_handed_on_after_a_loss);
    assert_noticed("a-lost-place-is-entered", nothing_is_handed_on_after_a_loss);
    assert_noticed("turns-share-a-token", a_place_is_kept_while_nobody_else_wants_it);
    let readers = readers_hold_one_place_together_and_a_writer_gets_between;
    assert_noticed("readers-share-with-writers", readers);
}
