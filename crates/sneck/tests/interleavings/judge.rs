//! Sees every lock that anybody believes to hold.

use crate::plan::POOL_OF;
use sneck::Token;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Sees every lock that anybody believes to hold. It panics when two exclude each other.
#[derive(Clone)]
pub(crate) struct Judge(Arc<Mutex<Seen>>, Instant);

#[derive(Default)]
struct Seen {
    holds: BTreeMap<u64, Hold>,
    next: u64,
    /// Of each line: the largest token of all, and of those who held alone.
    tokens: BTreeMap<&'static str, (u128, u128)>,
    /// Who came to hold what, and when, in the order of the run.
    trace: Trace,
}

/// What came of a run: when, in which line, under which token.
pub(crate) type Trace = Vec<(Duration, &'static str, u128)>;

struct Hold {
    line: &'static str,
    part: Part,
    /// Whether its guard still says so.
    is_held: Box<dyn Fn() -> bool + Send>,
}

/// As what a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Alone,
    Reader,
    Permits(u32),
}

/// A hold that the judge sees, until it is dropped.
pub(crate) struct Witnessed(Judge, u64);

impl Judge {
    /// A judge of a run that begins now.
    pub(crate) fn new() -> Self {
        Judge(Arc::default(), Instant::now())
    }

    /// What has come of the run.
    pub(crate) fn trace(&self) -> Trace {
        self.lock().trace.clone()
    }

    /// Somebody has come to hold a lock.
    pub(crate) fn enter(
        &self,
        line: &'static str,
        part: Part,
        token: Token,
        is_held: impl Fn() -> bool + Send + 'static,
    ) -> Witnessed {
        let (mut seen, token) = (self.lock(), token.wide());
        let beside = || {
            let holds = seen.holds.values().filter(|hold| hold.line == line);
            holds.filter(|hold| (hold.is_held)()).map(|hold| hold.part)
        };
        match part {
            Part::Alone => {
                let others: Vec<Part> = beside().collect();
                assert!(others.is_empty(), "{line}: one alone is beside {others:?}");
            }
            Part::Reader => {
                let others: Vec<Part> = beside().filter(|part| *part != Part::Reader).collect();
                assert!(others.is_empty(), "{line}: a reader is beside {others:?}");
            }
            Part::Permits(take) => {
                let taken = beside().map(|part| match part {
                    Part::Permits(take) => take,
                    other => panic!("{line}: permits are beside {other:?}"),
                });
                let taken = taken.sum::<u32>() + take;
                assert!(taken <= POOL_OF, "{line}: {taken} of {POOL_OF} permits are held");
            }
        }
        let (last, last_alone) = seen.tokens.entry(line).or_default();
        // First come, first served: the store numbers places in the order of arrival. The answers to
        // those who hold together may overtake each other.
        let before = if part == Part::Alone { *last } else { *last_alone };
        assert!(token > before, "{line}: token {token} comes after {before}");
        *last = token.max(*last);
        if part == Part::Alone {
            *last_alone = token;
        }
        seen.trace.push((self.1.elapsed(), line, token));
        seen.next += 1;
        let number = seen.next;
        seen.holds.insert(number, Hold { line, part, is_held: Box::new(is_held) });
        Witnessed(self.clone(), number)
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Witnessed {
    /// It lets readers in from now on.
    pub(crate) fn share(&self) {
        if let Some(hold) = self.0.lock().holds.get_mut(&self.1) {
            hold.part = Part::Reader;
        }
    }
}

impl Drop for Witnessed {
    fn drop(&mut self) {
        self.0.lock().holds.remove(&self.1);
    }
}
