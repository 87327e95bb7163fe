//! What a client does: asks for locks as any user would, and tells what comes of it.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use sneck::{Caller, ClaimId, Error, ErrorKind, Guard, Limits, Locks, Outcome, Progress};
use sneck_history::{Event, Mode, Say};
use sneck_zookeeper::{LockOptions, Server, SessionOptions, ZooKeeper};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::nic::Nic;
use crate::plan::{Ask, Cancel, PERMITS, Plan, Step};

/// Runs a client to its end.
pub(crate) async fn run(nic: Nic, number: usize, plan: Plan) {
    let seed = plan.seed ^ (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut limits = Limits::default();
    limits.recheck = Duration::from_millis(plan.recheck_ms);
    let store = connect(&nic, &plan, seed).await;
    let locks = Locks::on(Arc::new(store))
        .with_clock(Arc::new(nic.clone()))
        .with_seed(seed)
        .with_limits(limits)
        .with_caller(Caller { host: format!("client-{}", number + 1), ..Caller::anonymous() });
    let mut tasks = JoinSet::new();
    let client = &plan.clients[number];
    for (task, steps) in client.tasks.iter().cloned().enumerate() {
        let tasker =
            Task { nic: nic.clone(), locks: locks.clone(), number, task, busy_ms: plan.busy_ms };
        tasks.spawn(tasker.run(steps));
    }
    while let Some(done) = tasks.join_next().await {
        if let Err(error) = done {
            std::panic::resume_unwind(error.into_panic());
        }
    }
    if client.closes {
        locks.close().await;
    } else {
        // What is released in the background goes on, until the process ends.
        sleep(Duration::from_millis(2 * plan.session_ms)).await;
    }
}

/// Opens a session, however often it takes.
async fn connect(nic: &Nic, plan: &Plan, seed: u64) -> ZooKeeper {
    let mut options = SessionOptions::new(vec![Server::new("server", 2181)]);
    options.timeout = Duration::from_millis(plan.session_ms);
    options.connector = Arc::new(nic.clone());
    options.clock = Arc::new(nic.clone());
    options.seed = Some(seed);
    loop {
        match ZooKeeper::connect(options.clone(), LockOptions::default()).await {
            Ok(store) => return store,
            Err(error) if error.is_transient() => sleep(Duration::from_millis(100)).await,
            Err(error) => panic!("connecting: {error:?}"),
        }
    }
}

struct Task {
    nic: Nic,
    locks: Locks,
    number: usize,
    task: usize,
    busy_ms: u64,
}

/// The attempt with this number, as the identity of its claim; and back.
pub(crate) fn claim_of(attempt: u64) -> ClaimId {
    ClaimId::from_u128(attempt.into())
}

pub(crate) fn attempt_of(claim: ClaimId) -> Option<u64> {
    u64::try_from(claim.as_u128()).ok()
}

impl Task {
    async fn run(self, steps: Vec<Step>) {
        for (step, at) in steps.into_iter().zip(1..) {
            sleep(Duration::from_millis(step.after_ms)).await;
            if self.nic.now_ms() > self.busy_ms {
                return;
            }
            let attempt = ((self.number as u64 + 1) * 100 + self.task as u64) * 1_000 + at;
            self.perform(attempt, &step).await;
        }
    }

    async fn perform(&self, attempt: u64, step: &Step) {
        let (lock, mode) = subject(step);
        self.nic.tell(Event::Acquire {
            attempt,
            lock: lock.clone(),
            mode,
            session: None,
            no_wait: step.ask == Ask::Try,
            together: None,
        });
        let Some(asked) = give_up(step.cancel, self.ask(attempt, &lock, step)).await else {
            return self.nic.tell(Event::Cancel { attempt });
        };
        match asked {
            Ok(Some(guard)) => self.hold(attempt, &lock, guard, step).await,
            Ok(None) => self.nic.tell(Event::Refused { attempt }),
            Err(error) if is_to_be_expected(&error) => self.nic.tell(failed(attempt, &error)),
            Err(error) => panic!("attempt {attempt}, {step:?}: {error:?}"),
        }
    }

    async fn ask(&self, attempt: u64, lock: &str, step: &Step) -> Result<Option<Guard>, Error> {
        let locks = self.locks.clone().with_claim_ids(move || claim_of(attempt));
        let told = {
            let (nic, told) = (self.nic.clone(), std::sync::atomic::AtomicBool::new(false));
            move |progress: Progress<'_>| {
                let in_line = matches!(progress, Progress::Waiting(_));
                if in_line && !told.swap(true, std::sync::atomic::Ordering::Relaxed) {
                    nic.tell(Event::Queued { attempt });
                }
            }
        };
        let mutex = || locks.mutex(lock);
        match step.ask {
            Ask::Lock => mutex().on_progress(told).lock().await.map(Some),
            Ask::Try => mutex().try_lock().await,
            Ask::Within(ms) => {
                let mutex = mutex().on_progress(told);
                mutex.lock_timeout(Duration::from_millis(ms)).await.map(Some)
            }
            Ask::Read => {
                let guard = locks.rw_lock(lock).on_progress(told).read().await?;
                Ok(Some(guard.into_guard()))
            }
            Ask::Write | Ask::WriteThenRead => {
                let guard = locks.rw_lock(lock).on_progress(told).write().await?;
                Ok(Some(guard.into_guard()))
            }
            Ask::Permits(take) => {
                let semaphore = locks.semaphore(lock, PERMITS).on_progress(told);
                semaphore.acquire_many(take).await.map(Some)
            }
        }
    }

    async fn hold(&self, attempt: u64, lock: &str, guard: Guard, step: &Step) {
        let until_ns = self.nic.to_run_ns(guard.deadline());
        self.nic.tell(Event::Granted {
            attempt,
            token: guard.token().get(),
            until_ns: Some(until_ns),
            session: None,
        });
        let work = self.work(attempt, lock, &guard, step.hold_ms, until_ns);
        let lost = guard.lost();
        tokio::select! {
            biased;
            _ = lost => self.nic.tell(Event::Lost { attempt }),
            () = work => {}
        }
        let guard = match step.ask {
            Ask::WriteThenRead => match self.share(attempt, lock, guard, step.hold_ms).await {
                Some(guard) => guard,
                None => return,
            },
            _ => guard,
        };
        self.nic.tell(Event::Release { attempt });
        if step.drops {
            drop(guard);
            return self.nic.tell(Event::Unsure { attempt });
        }
        match guard.unlock().await {
            Ok(()) => self.nic.tell(Event::Released { attempt }),
            Err(error) if error.kind() == ErrorKind::Lost => self.nic.tell(Event::Lost { attempt }),
            Err(_) => self.nic.tell(Event::Unsure { attempt }),
        }
    }

    /// Makes a reader of a writer, and holds on for a while.
    async fn share(&self, attempt: u64, lock: &str, guard: Guard, hold_ms: u64) -> Option<Guard> {
        if !guard.is_held() {
            return Some(guard);
        }
        self.nic.tell(Event::Convert { attempt, to: Mode::Shared });
        let guard = match guard.downgrade().await {
            Ok(guard) => guard,
            Err(_) => {
                self.nic.tell(Event::Lost { attempt });
                return None;
            }
        };
        self.nic.tell(Event::Converted { attempt, to: Mode::Shared });
        let until_ns = self.nic.to_run_ns(guard.deadline());
        let work = self.work(attempt, lock, &guard, hold_ms / 2, until_ns);
        let lost = guard.lost();
        tokio::select! {
            biased;
            _ = lost => self.nic.tell(Event::Lost { attempt }),
            () = work => {}
        }
        Some(guard)
    }

    /// Reads, takes its time, and writes, under the token; again and again.
    async fn work(&self, attempt: u64, lock: &str, guard: &Guard, hold_ms: u64, until_ns: u64) {
        const PIECE_MS: u64 = 150;
        // A reader shares what it reads, and writes nothing.
        let alone = guard.token().get();
        let end_ms = self.nic.now_ms() + hold_ms;
        let mut until_ns = until_ns;
        loop {
            let held = guard.is_held();
            self.nic.tell(Event::Check { attempt, held });
            if !held {
                return;
            }
            let now_until = self.nic.to_run_ns(guard.deadline());
            if now_until > until_ns {
                until_ns = now_until;
                self.nic.tell(Event::Extended { attempt, until_ns });
            }
            let left = end_ms.saturating_sub(self.nic.now_ms());
            if left == 0 {
                return;
            }
            if lock.starts_with('m') {
                let token = Some(alone);
                let read = Say::Read { lock: lock.to_owned(), attempt, token };
                let Some(base) = self.nic.access(read).await else { continue };
                sleep(Duration::from_millis(left.min(PIECE_MS))).await;
                let base = Some(base);
                let write = Say::Write { lock: lock.to_owned(), attempt, token, base };
                let _ = self.nic.access(write).await;
            } else {
                sleep(Duration::from_millis(left.min(PIECE_MS))).await;
            }
        }
    }
}

fn failed(attempt: u64, error: &Error) -> Event {
    match error.outcome() {
        Outcome::Known => Event::Refused { attempt },
        Outcome::Unknown => Event::Unsure { attempt },
    }
}

/// What may happen to somebody who has done nothing wrong.
fn is_to_be_expected(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Lost | ErrorKind::Unavailable | ErrorKind::Timeout)
}

/// Which lock it is, and how it is asked for in the words of a history.
fn subject(step: &Step) -> (String, Mode) {
    let (kind, mode) = match step.ask {
        Ask::Lock | Ask::Try | Ask::Within(_) => ("m", Mode::Exclusive),
        Ask::Read => ("b", Mode::Shared),
        Ask::Write | Ask::WriteThenRead => ("b", Mode::Exclusive),
        Ask::Permits(take) => ("p", Mode::Permits { take, of: PERMITS }),
    };
    (format!("{kind}{}", step.lock), mode)
}

/// Drops a future when the plan says so; `None` then.
async fn give_up<T>(cancel: Option<Cancel>, future: impl Future<Output = T>) -> Option<T> {
    match cancel {
        None => Some(future.await),
        Some(Cancel::After(ms)) => timeout(Duration::from_millis(ms), future).await.ok(),
        Some(Cancel::Polls(most)) => {
            let mut future = pin!(future);
            let mut polls = 0;
            std::future::poll_fn(|context| {
                polls += 1;
                match future.as_mut().poll(context) {
                    Poll::Ready(done) => Poll::Ready(Some(done)),
                    Poll::Pending if polls >= most => Poll::Ready(None),
                    Poll::Pending => Poll::Pending,
                }
            })
            .await
        }
    }
}
