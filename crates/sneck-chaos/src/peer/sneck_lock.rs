//! The mutex of sneck.

use std::sync::Arc;
use std::time::Duration;

use sneck::{Error, Guard, Locks};
use sneck_history::monotonic_ns;
use tokio::task::JoinHandle;

use super::{Contender, say};

/// How often it is said until when a lock is held.
const EVERY: Duration = Duration::from_millis(400);

pub(super) struct SneckLock {
    locks: Locks,
    name: String,
    held: Option<(Arc<Guard>, JoinHandle<()>)>,
}

pub(super) async fn connect(url: &str) -> Result<Locks, String> {
    sneck::connect(url).await.map_err(one_line)
}

impl SneckLock {
    pub(super) fn new(locks: &Locks, name: &str) -> SneckLock {
        SneckLock { locks: locks.clone(), name: name.to_owned(), held: None }
    }

    /// Keeps a guard, has it told what becomes of it, and says what it knows.
    fn keep(&mut self, guard: Guard) -> String {
        let guard = Arc::new(guard);
        let grant = format!("{} {}", guard.token().get(), until_ns(&guard));
        let telling = tokio::spawn(tell(self.name.clone(), guard.clone()));
        self.held = Some((guard, telling));
        grant
    }
}

impl Contender for SneckLock {
    async fn lock(&mut self) -> Result<String, String> {
        let guard = self.locks.mutex(&self.name).lock().await.map_err(one_line)?;
        Ok(self.keep(guard))
    }

    async fn try_lock(&mut self) -> Result<Option<String>, String> {
        let guard = self.locks.mutex(&self.name).try_lock().await.map_err(one_line)?;
        Ok(guard.map(|guard| self.keep(guard)))
    }

    async fn release(&mut self) -> Result<(), String> {
        let (guard, telling) = self.held.take().ok_or("nothing is held")?;
        telling.abort();
        // Only then nobody but us has the guard.
        let _ = telling.await;
        let guard = Arc::into_inner(guard).ok_or("somebody still tells of the lock")?;
        guard.unlock().await.map_err(one_line)
    }
}

/// Tells until when a lock is held, again and again, and when it is lost.
async fn tell(name: String, guard: Arc<Guard>) {
    let lost = guard.lost();
    tokio::pin!(lost);
    loop {
        tokio::select! {
            _ = &mut lost => return say(&format!("lost {name}")),
            () = tokio::time::sleep(EVERY) => say(&format!("until {name} {}", until_ns(&guard))),
        }
    }
}

/// Until when a guard is to be believed in, on the clock of histories.
fn until_ns(guard: &Guard) -> u64 {
    // In this order: who is stopped in between says too early a time, and not too late a one.
    let now_ns = monotonic_ns();
    let left_ns = u64::try_from(guard.remaining().as_nanos()).unwrap_or(u64::MAX);
    now_ns.saturating_add(left_ns)
}

fn one_line(error: Error) -> String {
    error.to_string().replace('\n', " ")
}
