//! What a client does: asks for locks as any user would, and tells what comes of it.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use sneck::{
    Caller, ClaimId, Error, ErrorKind, Guard, Leadership, Limits, Locks, Outcome, Progress,
    Sharing, Token,
};
use sneck_history::{Event, Mode, Say};
use sneck_zookeeper::{LockOptions, Server, SessionOptions, ZooKeeper};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::nic::{FIRST_PORT, Nic};
use crate::plan::{Ask, Cancel, PERMITS, Plan, Share, Step};

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
    let client = &plan.clients[number];
    let locks = match client.sharing {
        Some(share) => locks.with_sharing(sharing(share)),
        None => locks,
    };
    let mut tasks = JoinSet::new();
    for (task, steps) in client.tasks.iter().cloned().enumerate() {
        let (nic, locks) = (nic.clone(), locks.clone());
        let Plan { busy_ms, session_ms, asks_again, .. } = plan;
        let tasker = Task { nic, locks, number, task, busy_ms, session_ms, asks_again };
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

fn sharing(share: Share) -> Sharing {
    let mut sharing = if share.keep { Sharing::sticky() } else { Sharing::coalescing() };
    (sharing.hand_ons, sharing.span) = (share.hand_ons, Duration::from_millis(share.span_ms));
    sharing
}

/// Opens a session, however often it takes.
async fn connect(nic: &Nic, plan: &Plan, seed: u64) -> ZooKeeper {
    let server = |at| Server::new("server", FIRST_PORT + at);
    let mut options = SessionOptions::new((0..plan.server_count()).map(server).collect());
    options.timeout = Duration::from_millis(plan.asked_ms.unwrap_or(plan.session_ms));
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
    session_ms: u64,
    asks_again: bool,
}

/// How far apart the attempts are of somebody who wants two locks: a row of steps is shorter.
const SECOND: u64 = 500;

/// What is held.
enum Held {
    Guard(Guard),
    Leadership(Leadership),
}

impl Held {
    fn guard(&self) -> &Guard {
        match self {
            Held::Guard(guard) => guard,
            Held::Leadership(leadership) => leadership.guard(),
        }
    }

    async fn give_back(self) -> Result<(), Error> {
        match self {
            Held::Guard(guard) => guard.unlock().await,
            Held::Leadership(leadership) => leadership.resign().await,
        }
    }
}

/// The attempt with this number, as the identity of its claim; and back.
pub(crate) fn claim_of(attempt: u64) -> ClaimId {
    ClaimId::from_u128(attempt.into())
}

pub(crate) fn attempt_of(claim: ClaimId) -> Option<u64> {
    /// Above it stands the number of the place, where an attempt asks for another one.
    const NUMBER_FROM: u32 = 96;
    u64::try_from(claim.as_u128() & ((1 << NUMBER_FROM) - 1)).ok()
}

/// A token as one number, which is what resources and histories compare.
fn packed(token: Token) -> u64 {
    token.packed().expect("few transactions, and few turns")
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
        if step.ask == Ask::WhoLeads {
            return self.question(attempt, step).await;
        }
        let (lock, mode) = subject(step);
        self.tell_each(attempt, step, |attempt| Event::Acquire {
            attempt,
            lock: if attempt % 1_000 < SECOND { lock.clone() } else { after(step) },
            mode,
            session: None,
            no_wait: step.ask == Ask::Try,
            together: (step.ask == Ask::Both).then_some(attempt / 1_000 * 1_000 + attempt % SECOND),
        });
        let Some(asked) = give_up(step.cancel, self.ask(attempt, &lock, step)).await else {
            return self.tell_each(attempt, step, |attempt| Event::Cancel { attempt });
        };
        match asked {
            Ok(Some(held)) => self.hold(attempt, &lock, held, step).await,
            Ok(None) => self.nic.tell(Event::Refused { attempt }),
            Err(error) if is_to_be_expected(&error) => {
                self.tell_each(attempt, step, |attempt| failed(attempt, &error));
            }
            Err(error) => panic!("attempt {attempt}, {step:?}: {error:?}"),
        }
    }

    /// Tells something of an attempt; where it is for two locks, of both.
    fn tell_each(&self, attempt: u64, step: &Step, event: impl Fn(u64) -> Event) {
        self.nic.tell(event(attempt));
        if step.ask == Ask::Both {
            self.nic.tell(event(attempt + SECOND));
        }
    }

    /// Asks who leads.
    async fn question(&self, question: u64, step: &Step) {
        let lock = subject(step).0;
        let election = self.locks.election(&lock);
        self.nic.tell(Event::Ask { question, lock });
        // What fails is asked again: a question without an answer is one that nobody answered.
        loop {
            match election.leader().await {
                Ok(leader) => {
                    let token = leader.and_then(|leader| leader.token).map(packed);
                    return self.nic.tell(Event::Answer { question, token });
                }
                Err(error) if is_to_be_expected(&error) => sleep(Duration::from_millis(100)).await,
                Err(error) => panic!("question {question}: {error:?}"),
            }
        }
    }

    async fn ask(&self, attempt: u64, lock: &str, step: &Step) -> Result<Option<Held>, Error> {
        let (claims, given) = (if step.ask == Ask::Both { 2 } else { 1 }, AtomicU64::new(0));
        let locks = self.locks.clone().with_claim_ids(move || {
            // Each claim has an attempt of its own in the history.
            claim_of(attempt + SECOND * (given.fetch_add(1, Ordering::Relaxed) % claims))
        });
        let told = {
            let (nic, told) = (self.nic.clone(), AtomicBool::new(false));
            move |progress: Progress<'_>| {
                let in_line = matches!(progress, Progress::Waiting(_));
                if in_line && !told.swap(true, Ordering::Relaxed) {
                    nic.tell(Event::Queued { attempt });
                }
            }
        };
        let mutex = || locks.mutex(lock);
        let guard: Option<Guard> = match step.ask {
            Ask::Lock => Some(mutex().on_progress(told).lock().await?),
            Ask::Try => mutex().try_lock().await?,
            Ask::Within(ms) => {
                let mutex = mutex().on_progress(told);
                Some(mutex.lock_timeout(Duration::from_millis(ms)).await?)
            }
            Ask::Read => {
                let guard = locks.rw_lock(lock).on_progress(told).read().await?;
                Some(guard.into_guard())
            }
            Ask::Write | Ask::WriteThenRead => {
                let guard = locks.rw_lock(lock).on_progress(told).write().await?;
                Some(guard.into_guard())
            }
            Ask::Permits(take) => {
                let semaphore = locks.semaphore(lock, PERMITS).on_progress(told);
                Some(semaphore.acquire_many(take).await?)
            }
            Ask::Both => {
                let both = locks.all([lock, &after(step)]).on_progress(told);
                Some(both.lock().await?)
            }
            Ask::Lead => {
                let candidate = format!("client {}", self.number + 1);
                let leadership = locks.election(lock).campaign(&candidate).await?;
                return Ok(Some(Held::Leadership(leadership)));
            }
            Ask::WhoLeads => None,
        };
        Ok(guard.map(Held::Guard))
    }

    async fn hold(&self, attempt: u64, lock: &str, held: Held, step: &Step) {
        let guard = held.guard();
        let until_ns = self.nic.to_run_ns(guard.deadline());
        assert!(guard.is_held(), "attempt {attempt} was granted what it had lost");
        for ((_, token), attempt) in guard.tokens().zip([attempt, attempt + SECOND]) {
            let (token, until_ns) = (packed(token), Some(until_ns));
            self.nic.tell(Event::Granted { attempt, token, until_ns, session: None });
        }
        let work = self.work(attempt, lock, guard, step, step.hold_ms, until_ns);
        let lost = guard.lost();
        tokio::select! {
            biased;
            _ = lost => self.mourn(attempt, guard, step).await,
            () = work => {}
        }
        let held = match held {
            Held::Guard(guard) if step.ask == Ask::WriteThenRead => {
                match self.share(attempt, lock, guard, step).await {
                    Some(guard) => Held::Guard(guard),
                    None => return,
                }
            }
            held => held,
        };
        self.tell_each(attempt, step, |attempt| Event::Release { attempt });
        if step.drops {
            drop(held);
            return self.tell_each(attempt, step, |attempt| Event::Unsure { attempt });
        }
        let given_back = held.give_back().await;
        self.tell_each(attempt, step, |attempt| match &given_back {
            Ok(()) => Event::Released { attempt },
            Err(error) if error.kind() == ErrorKind::Lost => Event::Lost { attempt },
            Err(_) => Event::Unsure { attempt },
        });
    }

    /// Tells of a loss, and asks again later: what is lost stays lost.
    async fn mourn(&self, attempt: u64, guard: &Guard, step: &Step) {
        const LOOKS: u64 = 3;
        self.tell_each(attempt, step, |attempt| Event::Lost { attempt });
        for _ in 0..if self.asks_again { LOOKS } else { 0 } {
            sleep(Duration::from_millis(self.session_ms / LOOKS)).await;
            self.tell_each(attempt, step, |attempt| Event::Check {
                attempt,
                held: guard.is_held(),
            });
        }
    }

    /// Makes a reader of a writer, and holds on for a while.
    async fn share(&self, attempt: u64, lock: &str, guard: Guard, step: &Step) -> Option<Guard> {
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
        let work = self.work(attempt, lock, &guard, step, step.hold_ms / 2, until_ns);
        let lost = guard.lost();
        tokio::select! {
            biased;
            _ = lost => self.nic.tell(Event::Lost { attempt }),
            () = work => {}
        }
        Some(guard)
    }

    /// Reads, takes its time, and writes, under the token; again and again.
    async fn work(
        &self,
        attempt: u64,
        lock: &str,
        guard: &Guard,
        step: &Step,
        hold_ms: u64,
        until_ns: u64,
    ) {
        const PIECE_MS: u64 = 150;
        // A reader shares what it reads, and writes nothing.
        let alone = packed(guard.token());
        let end_ms = self.nic.now_ms() + hold_ms;
        let mut until_ns = until_ns;
        loop {
            let held = guard.is_held();
            self.tell_each(attempt, step, |attempt| Event::Check { attempt, held });
            if !held {
                return;
            }
            let now_until = self.nic.to_run_ns(guard.deadline());
            if now_until > until_ns {
                until_ns = now_until;
                self.tell_each(attempt, step, |attempt| Event::Extended { attempt, until_ns });
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
        // A place that was lost was refused by nobody else.
        Outcome::Known if error.kind() != ErrorKind::Lost => Event::Refused { attempt },
        _ => Event::Unsure { attempt },
    }
}

/// What may happen to somebody who has done nothing wrong.
fn is_to_be_expected(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Lost | ErrorKind::Unavailable | ErrorKind::Timeout)
}

/// Which lock it is, and how it is asked for in the words of a history.
pub(crate) fn subject(step: &Step) -> (String, Mode) {
    let (kind, mode) = match step.ask {
        Ask::Lock | Ask::Try | Ask::Within(_) | Ask::Both => ("m", Mode::Exclusive),
        Ask::Lead | Ask::WhoLeads => ("e", Mode::Exclusive),
        Ask::Read => ("b", Mode::Shared),
        Ask::Write | Ask::WriteThenRead => ("b", Mode::Exclusive),
        Ask::Permits(take) => ("p", Mode::Permits { take, of: PERMITS }),
    };
    (format!("{kind}{}", step.lock), mode)
}

/// The lock after that of a step, for those who want both.
fn after(step: &Step) -> String {
    format!("m{}", step.lock + 1)
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
