//! Runs a plan, and says what was wrong.

use crate::judge::{Judge, Part, Trace};
use crate::plan::{BOOK, ELECTION, FLAG, JOB, MUTEXES, POOL, POOL_OF, Plan, Step, VALUE, What};
use crate::shaky::{Defect, Shaky};
use sneck::{
    DurableHold, Error, ErrorKind, Guard, Limits, Locks, Memory, Name, Sharing, Start, WorkError,
};
use sneck_core::{Backend, Capacity, RecordKind, Survey};
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Far more than all steps of a plan take one after the other, and far less than a waiter takes to ask
/// again by itself.
const ALL_MAX: Duration = Duration::from_secs(3_600);

/// What a run has in common.
#[derive(Clone)]
struct World {
    memory: Memory,
    judge: Judge,
    /// Runs of the job, which is due once.
    runs: Arc<AtomicU64>,
    /// The cache, and whether somebody computes.
    value: Arc<AtomicU64>,
    computing: Arc<AtomicBool>,
}

/// Runs a plan on a thread, a runtime and a clock of its own.
pub(crate) fn run(plan: &Plan, defect: Defect, sharing: Option<Sharing>) -> Result<Trace, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let ran = catch_unwind(AssertUnwindSafe(|| runtime.block_on(play(plan, defect, sharing))));
    ran.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "a panic".to_owned())
    })
}

async fn play(plan: &Plan, defect: Defect, sharing: Option<Sharing>) -> Trace {
    let world = World {
        memory: Memory::new(),
        judge: Judge::new(),
        runs: Arc::default(),
        value: Arc::default(),
        computing: Arc::default(),
    };
    let mut tasks = JoinSet::new();
    // Those that share places are tasks of few processes, others are of one each.
    let processes = if sharing.is_some() { 2 } else { plan.tasks.len() };
    let clients: Vec<Locks> = (0..processes as u64)
        .map(|number| {
            let seed = plan.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let locks = client(&world.memory, seed, defect);
            sharing.map_or(locks.clone(), |sharing| locks.with_sharing(sharing))
        })
        .collect();
    for (number, steps) in plan.tasks.iter().cloned().enumerate() {
        let locks = clients[number % processes].clone();
        tasks.spawn(task(world.clone(), locks, number, steps));
    }
    drop(clients);
    for (at, line) in plan.removals.clone() {
        let memory = world.memory.clone();
        tasks.spawn(async move {
            sleep(Duration::from_millis(at.into())).await;
            memory.clear(&Name::new(line).unwrap());
        });
    }
    let all = async {
        while let Some(done) = tasks.join_next().await {
            if let Err(error) = done {
                std::panic::resume_unwind(error.into_panic());
            }
        }
    };
    assert!(timeout(ALL_MAX, all).await.is_ok(), "not done: somebody waits in vain");
    let empty = async {
        while !is_empty(&world.memory).await {
            sleep(Duration::from_secs(1)).await;
        }
    };
    let left = timeout(Duration::from_secs(60), empty).await;
    assert!(left.is_ok(), "left behind: {:?}", world.memory.lines().await);
    world.judge.trace()
}

/// A client that relies on being woken.
fn client(memory: &Memory, seed: u64, defect: Defect) -> Locks {
    let mut limits = Limits::default();
    limits.recheck = Duration::from_secs(24 * 3_600);
    Locks::on(Arc::new(Shaky::new(memory, seed, defect))).with_limits(limits).with_seed(seed)
}

/// Whether nobody is in any line, and nobody has the flag.
async fn is_empty(memory: &Memory) -> bool {
    let flags = memory.records().unwrap().names(RecordKind::Durable).await.unwrap();
    Survey::names(memory).await.unwrap().is_empty() && flags.is_empty()
}

async fn task(world: World, locks: Locks, number: usize, steps: Vec<Step>) {
    for step in steps {
        sleep(Duration::from_millis(step.after.into())).await;
        let done = async {
            match world.perform(&locks, number, &step).await {
                Ok(()) => {}
                Err(error) if is_to_be_expected(&error, &step.what) => {}
                Err(error) => panic!("{step:?}: {error:?}"),
            }
        };
        match step.patience {
            Some(patience) => {
                let _ = timeout(Duration::from_millis(patience.into()), done).await;
            }
            None => done.await,
        }
        world.lines_are_sound().await;
    }
}

/// What may happen to somebody who has done nothing wrong.
fn is_to_be_expected(error: &Error, what: &What) -> bool {
    match error.kind() {
        // Somebody has deleted the line.
        ErrorKind::Lost => true,
        // Whoever does not wait does not wait for the store either.
        ErrorKind::Unavailable => {
            matches!(what, What::TryMutex(_) | What::Once) || error.to_string().contains("release")
        }
        _ => false,
    }
}

impl World {
    async fn perform(&self, locks: &Locks, number: usize, step: &Step) -> Result<(), Error> {
        let hold = Duration::from_millis(step.hold.into());
        match &step.what {
            What::Mutex(name) => {
                let guard = locks.mutex(name).lock().await?;
                self.work(guard, &[(name, Part::Alone)], hold).await
            }
            What::TryMutex(name) => match locks.mutex(name).try_lock().await? {
                Some(guard) => self.work(guard, &[(name, Part::Alone)], hold).await,
                None => Ok(()),
            },
            What::Read(name) => {
                let guard = locks.rw_lock(name).read().await?.into_guard();
                self.work(guard, &[(name, Part::Reader)], hold).await
            }
            What::Write(name) => {
                let guard = locks.rw_lock(name).write().await?.into_guard();
                self.work(guard, &[(name, Part::Alone)], hold).await
            }
            What::WriteThenRead(name) => self.write_then_read(locks, name, hold).await,
            What::Permits(take) => {
                let guard = locks.semaphore(POOL, POOL_OF).acquire_many(*take).await?;
                self.work(guard, &[(POOL, Part::Permits(*take))], hold).await
            }
            What::All { mutexes, read } => {
                let names = MUTEXES.into_iter().zip(mutexes).filter(|(_, wanted)| **wanted);
                let mut parts: Vec<_> = names.map(|(name, _)| (name, Part::Alone)).collect();
                let all = locks.all(parts.iter().map(|(name, _)| *name));
                let (all, part) = match read {
                    true => (all.read(BOOK), Part::Reader),
                    false => (all.write(BOOK), Part::Alone),
                };
                parts.push((BOOK, part));
                self.work(all.lock().await?, &parts, hold).await
            }
            What::Lead => {
                let leadership = Arc::new(locks.election(ELECTION).campaign("here").await?);
                let (token, same) = (leadership.token(), leadership.clone());
                let seen = self.judge.enter(ELECTION, Part::Alone, token, move || same.is_held());
                let _ = timeout(hold, leadership.lost()).await;
                drop(seen);
                Arc::into_inner(leadership).unwrap().resign().await
            }
            What::Durable => {
                let held = locks.durable(FLAG, format!("task-{number}")).take().await?;
                let token = held.token();
                let held = FreedOnDrop(Some(held));
                let seen = self.judge.enter(FLAG, Part::Alone, token, || true);
                sleep(hold).await;
                drop(seen);
                held.free().await
            }
            What::Once => match locks.once(JOB, Duration::from_secs(3_600)).start().await? {
                Start::Run(run) => {
                    let runs = self.runs.fetch_add(1, Ordering::Relaxed) + 1;
                    assert_eq!(runs, 1, "a job that is due once runs again");
                    sleep(hold).await;
                    run.end(sneck::End::Done).await
                }
                Start::Skip(_) => Ok(()),
            },
            What::Refresh { stale } => self.refresh(locks, *stale, hold).await,
        }
    }

    /// Holds what is held for so long, or until it is lost, and gives it back.
    async fn work(
        &self,
        guard: Guard,
        parts: &[(&'static str, Part)],
        hold: Duration,
    ) -> Result<(), Error> {
        let guard = Arc::new(guard);
        let seen: Vec<_> = parts
            .iter()
            .map(|(line, part)| {
                let same = guard.clone();
                let token = guard.tokens().find(|(name, _)| name.as_str() == *line);
                let token = token.map_or(guard.token(), |(_, token)| token);
                self.judge.enter(line, *part, token, move || same.is_held())
            })
            .collect();
        let _ = timeout(hold, guard.lost()).await;
        drop(seen);
        Arc::into_inner(guard).unwrap().unlock().await
    }

    async fn write_then_read(
        &self,
        locks: &Locks,
        name: &'static str,
        hold: Duration,
    ) -> Result<(), Error> {
        let writer = locks.rw_lock(name).write().await?;
        let lease = Arc::new(AtomicBool::new(true));
        let same = lease.clone();
        let is_held = move || same.load(Ordering::Relaxed);
        let seen = self.judge.enter(name, Part::Alone, writer.token(), is_held);
        if timeout(hold / 2, writer.lost()).await.is_ok() {
            lease.store(false, Ordering::Relaxed);
        }
        // From here on readers may be let in, before we hear of it.
        seen.share();
        let mut lost = Box::pin(writer.lost());
        let reader = tokio::select! {
            biased;
            _ = &mut lost => { drop(seen); return Ok(()) }
            reader = writer.downgrade() => reader?,
        };
        let _ = timeout(hold / 2, reader.lost()).await;
        drop(seen);
        reader.into_guard().unlock().await
    }

    async fn refresh(&self, locks: &Locks, stale: bool, hold: Duration) -> Result<(), Error> {
        if stale {
            self.value.store(0, Ordering::Relaxed);
        }
        let read = || async {
            let value = self.value.load(Ordering::Relaxed);
            Ok::<_, Infallible>((value > 0).then_some(value))
        };
        let compute = |token: sneck::Token| async move {
            let alone = Computing::begin(&self.computing);
            sleep(hold).await;
            self.value.store(token.get(), Ordering::Relaxed);
            drop(alone);
            Ok(token.get())
        };
        match locks.refresh(VALUE, read, compute).await {
            Ok(value) => {
                assert!(value > 0);
                Ok(())
            }
            Err(WorkError::Lock(error)) => Err(error),
            Err(WorkError::Work(never)) => match never {},
        }
    }

    /// What can be seen from outside: who holds is at the front, nobody who excludes another is there
    /// beside it, and there are no more permits than there are.
    async fn lines_are_sound(&self) {
        for (name, line) in self.memory.lines().await.unwrap() {
            assert!(
                line.is_sorted_by_key(|place| !place.held),
                "{name}: somebody overtook: {line:?}"
            );
            let held = || line.iter().filter(|place| place.held);
            let alone = |mode| matches!(mode, Some(sneck::Mode::Exclusive | sneck::Mode::Write));
            let holders = held().count();
            assert!(holders <= 1 || !held().any(|place| alone(place.mode)), "{name}: {line:?}");
            let taken: u32 = held()
                .filter_map(|place| match place.mode {
                    Some(sneck::Mode::Permits(permits)) => Some(permits.take().get()),
                    _ => None,
                })
                .sum();
            assert!(taken <= POOL_OF, "{name}: {line:?}");
        }
        let permits = self.memory.permits(&Name::new(POOL).unwrap()).await.unwrap();
        assert!(permits.is_none_or(|permits| permits.get() == POOL_OF));
    }
}

/// A durable lock, which would outlive a task that is dropped, and all who wait for it.
struct FreedOnDrop(Option<DurableHold>);

impl FreedOnDrop {
    async fn free(mut self) -> Result<(), Error> {
        self.0.take().unwrap().free().await
    }
}

impl Drop for FreedOnDrop {
    fn drop(&mut self) {
        if let Some(held) = self.0.take() {
            tokio::spawn(held.free());
        }
    }
}

/// Somebody computes, until this is dropped.
struct Computing<'a>(&'a AtomicBool);

impl<'a> Computing<'a> {
    fn begin(computing: &'a AtomicBool) -> Self {
        assert!(!computing.swap(true, Ordering::Relaxed), "two compute beside each other");
        Computing(computing)
    }
}

impl Drop for Computing<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}
