//! At most one run in each interval.

use crate::{Store, until, within};
use sneck::{End, ErrorKind, Ran, Run, Skipped, Start};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::Barrier;

const NAME: &str = "report";
const HOUR: Duration = Duration::from_secs(3600);

async fn started(job: &sneck::Once) -> Run {
    match within("starting", job.start()).await.unwrap() {
        Start::Run(run) => run,
        Start::Skip(skipped) => panic!("it is due: {skipped:?}"),
    }
}

async fn skipped(job: &sneck::Once) -> Skipped {
    match within("skipping", job.start()).await.unwrap() {
        Start::Run(run) => panic!("it is not due: {run:?}"),
        Start::Skip(skipped) => *skipped,
    }
}

pub(crate) async fn one_of_many_runs_and_the_others_learn_who(store: &Store) {
    const CLIENTS: usize = 8;
    let (runs, together) = (Arc::new(AtomicU32::new(0)), Arc::new(Barrier::new(CLIENTS)));
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let (locks, runs, together) = (store.client().await, runs.clone(), together.clone());
        clients.push(tokio::spawn(async move {
            together.wait().await;
            let job = locks.once(NAME, HOUR);
            let ran = job.run(|_| async {
                runs.fetch_add(1, Ordering::SeqCst);
                Ok::<_, std::io::Error>("sent")
            });
            match ran.await.unwrap() {
                Ran::Here(said) => assert_eq!(said, "sent"),
                // Whoever comes while it begins may find it only in the making.
                Ran::Skipped(skipped) => {
                    assert!(
                        skipped.last.is_some()
                            || skipped.running.is_some()
                            || skipped.due.is_none()
                    );
                }
            }
        }));
    }
    for client in clients {
        within("a client", client).await.unwrap();
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    let late = store.client().await.once(NAME, HOUR);
    let skipped = skipped(&late).await;
    let last = skipped.last.unwrap();
    assert_eq!(last.by.as_ref().unwrap().pid, std::process::id());
    assert_eq!(last.ended.unwrap().1, End::Done);
    assert_eq!(skipped.due, last.started.checked_add(HOUR));
    assert_eq!(late.last().await.unwrap(), Some(last));
}

pub(crate) async fn runs_are_an_interval_apart_by_the_clock_of_the_store(store: &Store) {
    let every = Duration::from_millis(120);
    let locks = store.client().await;
    let job = locks.once(NAME, every);
    let mut last: Option<(std::time::SystemTime, sneck::Token)> = None;
    let (mut runs, mut skips) = (0, 0);
    until("five runs", async || {
        match job.start().await.unwrap() {
            Start::Run(run) => {
                if let Some((started, token)) = last {
                    assert!(run.started().duration_since(started).unwrap() >= every);
                    assert!(run.token() > token);
                }
                last = Some((run.started(), run.token()));
                runs += 1;
                run.end(End::Done).await.unwrap();
            }
            Start::Skip(_) => skips += 1,
        }
        runs == 5
    })
    .await;
    assert!(skips > 0, "who comes too early skips");
}

pub(crate) async fn a_run_that_died_uses_up_its_interval_or_is_retried(store: &Store) {
    let (one, other) = (store.client().await, store.client().await);
    let run = started(&one.once(NAME, HOUR)).await;
    drop(run);
    let retrying = other.once(NAME, HOUR).retry_unfinished();
    let last = skipped(&other.once(NAME, HOUR)).await.last.unwrap();
    assert_eq!(last.ended, None, "nobody knows how it ended");
    // The mutex is given back in the background.
    let mut again = None;
    until("the run is retried", async || {
        if let Start::Run(run) = retrying.start().await.unwrap() {
            again = Some(run);
        }
        again.is_some()
    })
    .await;
    again.unwrap().end(End::Failed).await.unwrap();
    assert_eq!(skipped(&one.once(NAME, HOUR)).await.last.unwrap().ended.unwrap().1, End::Failed);
    let third = retrying.run(|_| async { Err::<(), _>("no") }).await;
    assert_eq!(third.unwrap_err().into_work(), Some("no"));
    assert!(matches!(retrying.run(|_| async { Ok::<_, &str>(4) }).await, Ok(Ran::Here(4))));
    let done = skipped(&retrying).await;
    assert!(done.last.unwrap().is_done());
    retrying.forget().await.unwrap();
    assert_eq!(retrying.last().await.unwrap(), None);
    started(&one.once(NAME, HOUR)).await.end(End::Done).await.unwrap();
}

pub(crate) async fn runs_never_overlap(store: &Store) {
    let (one, other) = (store.client().await, store.client().await);
    let every = Duration::from_millis(1);
    let run = started(&one.once(NAME, every)).await;
    let due = run.started() + every;
    let records = other.once(NAME, every).retry_unfinished();
    let skipped = skipped(&records).await;
    assert!(skipped.running.is_some_and(|at| at.token == Some(run.token())), "it goes on");
    assert_eq!(skipped.due, Some(due));
    run.end(End::Done).await.unwrap();
    // A run by hand, under the mutex of the same name.
    let by_hand = within("the mutex", one.mutex(NAME).lock()).await.unwrap();
    until("it is due again", async || match records.start().await.unwrap() {
        Start::Run(_) => panic!("somebody has the mutex"),
        Start::Skip(skipped) => skipped.running.is_some(),
    })
    .await;
    by_hand.unlock().await.unwrap();
    started(&records).await.end(End::Done).await.unwrap();
}

// In memory only: nobody can set the clock of servers on this machine without setting everybody's.
#[tokio::test]
async fn a_clock_that_steps_brings_no_run_early() {
    let (store, zero) = (sneck::Memory::new(), Duration::ZERO);
    let locks = sneck::Locks::on(Arc::new(store.clone()));
    let job = locks.once(NAME, HOUR);
    store.set_clock(100 * HOUR, zero);
    started(&job).await.end(End::Done).await.unwrap();
    // Back by a hundred hours: the interval is counted anew from when that is noticed, once.
    store.set_clock(zero, zero);
    let due = skipped(&job).await.due.unwrap();
    assert!(due <= std::time::SystemTime::now() + HOUR);
    assert_eq!(skipped(&job).await.due, Some(due));
    store.set_clock(HOUR - Duration::from_secs(60), zero);
    assert_eq!(skipped(&job).await.due, Some(due));
    store.set_clock(HOUR, zero);
    started(&job).await.end(End::Done).await.unwrap();
    // Back by less than an interval: late, and not counted anew.
    let due = skipped(&job).await.due.unwrap();
    store.set_clock(HOUR - Duration::from_secs(60), zero);
    assert_eq!(skipped(&job).await.due, Some(due));
}

pub(crate) async fn an_interval_of_zero_is_refused_before_anything_is_written(store: &Store) {
    let locks = store.client().await;
    let error = locks.once(NAME, Duration::ZERO).start().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("zero"), "{error}");
    assert_eq!(locks.once("a//b", HOUR).start().await.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(locks.once(NAME, HOUR).last().await.unwrap(), None);
}
