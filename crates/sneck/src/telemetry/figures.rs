//! Figures for the facade `metrics`.

use metrics::{SharedString, counter, gauge, histogram};
use sneck_core::{Error, ErrorKind, Instrument, Loss, Probe, Subject, Token, Waiting};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

/// How many names of locks are told apart, unless they are listed: 100. Every name is a series of its
/// own in the monitoring system for ever, and names like `invoice/42` do not end.
pub const NAMES_MAX: usize = 100;

/// Under which name all others are counted. No lock can have it.
const OTHERS: &str = "(others)";

/// Feeds the facade `metrics`. Each figure has the labels `store` and `lock`:
///
/// | figure | kind | what |
/// |---|---|---|
/// | `sneck_attempts_total` | counter | attempts that began |
/// | `sneck_acquired_total` | counter | attempts that had the lock |
/// | `sneck_refused_total` | counter | attempts that had it not; label `why`: `taken`, `timeout`, `abandoned`, `error` |
/// | `sneck_lost_total` | counter | holds that were lost |
/// | `sneck_wait_seconds` | histogram | from the beginning of an attempt until it had the lock |
/// | `sneck_hold_seconds` | histogram | from then on until it was given back or lost |
/// | `sneck_waiting` | gauge | attempts of this process that wait in line |
/// | `sneck_queue_length` | gauge | places ahead, as a waiter of this process was told last |
/// | `sneck_held` | gauge | holds of this process |
pub struct Figures {
    names: Mutex<BTreeSet<Arc<str>>>,
    /// Whether names are added as they come.
    open: bool,
}

impl Figures {
    /// Tells apart the first [`NAMES_MAX`] names that come, and counts all others as one.
    pub fn new() -> Self {
        Figures { names: Mutex::default(), open: true }
    }

    /// Tells apart these names, and counts all others as one.
    pub fn of<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Self {
        let names = names.into_iter().map(|name| Arc::from(name.as_ref())).collect();
        Figures { names: Mutex::new(names), open: false }
    }

    /// One for the process, so that the bound is one for the process.
    pub(super) fn shared() -> Arc<Self> {
        static SHARED: LazyLock<Arc<Figures>> = LazyLock::new(|| Arc::new(Figures::new()));
        SHARED.clone()
    }

    fn label(&self, name: &str) -> SharedString {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = names.get(name) {
            return known.clone().into();
        }
        if !self.open || names.len() >= NAMES_MAX {
            return OTHERS.into();
        }
        let name: Arc<str> = name.into();
        names.insert(name.clone());
        name.into()
    }
}

impl Default for Figures {
    fn default() -> Self {
        Figures::new()
    }
}

impl Instrument for Figures {
    fn attempt(&self, subject: &Subject<'_>) -> Box<dyn Probe> {
        let store: Arc<str> = subject.store.into();
        let life = Life {
            store: store.into(),
            lock: self.label(subject.name.as_str()),
            waiting: AtomicBool::new(false),
            held: AtomicBool::new(false),
        };
        counter!("sneck_attempts_total", life.labels()).increment(1);
        Box::new(life)
    }
}

/// One attempt, and the hold that comes of it.
struct Life {
    store: SharedString,
    lock: SharedString,
    waiting: AtomicBool,
    held: AtomicBool,
}

impl Life {
    fn labels(&self) -> Vec<metrics::Label> {
        vec![
            metrics::Label::new("store", self.store.clone()),
            metrics::Label::new("lock", self.lock.clone()),
        ]
    }

    fn waits_no_more(&self) {
        if self.waiting.swap(false, Ordering::Relaxed) {
            gauge!("sneck_waiting", self.labels()).decrement(1);
        }
    }

    fn refused_for(&self, why: &'static str) {
        self.waits_no_more();
        let mut labels = self.labels();
        labels.push(metrics::Label::from_static_parts("why", why));
        counter!("sneck_refused_total", labels).increment(1);
    }

    fn held_for(&self, held: Duration) {
        self.holds_no_more();
        histogram!("sneck_hold_seconds", self.labels()).record(held);
    }

    fn holds_no_more(&self) -> bool {
        let held = self.held.swap(false, Ordering::Relaxed);
        if held {
            gauge!("sneck_held", self.labels()).decrement(1);
        }
        held
    }
}

impl Probe for Life {
    fn waiting(&self, waiting: &Waiting) {
        if !self.waiting.swap(true, Ordering::Relaxed) {
            gauge!("sneck_waiting", self.labels()).increment(1);
        }
        if let Some(ahead) = waiting.ahead {
            gauge!("sneck_queue_length", self.labels()).set(f64::from(ahead));
        }
    }

    fn trouble(&self, _error: &Error) {}

    fn acquired(&self, _token: Token, waited: Duration) {
        self.waits_no_more();
        self.held.store(true, Ordering::Relaxed);
        gauge!("sneck_held", self.labels()).increment(1);
        counter!("sneck_acquired_total", self.labels()).increment(1);
        histogram!("sneck_wait_seconds", self.labels()).record(waited);
    }

    fn refused(&self) {
        self.refused_for("taken");
    }

    fn failed(&self, error: &Error, _waited: Duration) {
        self.refused_for(match error.kind() {
            ErrorKind::Timeout => "timeout",
            _ => "error",
        });
    }

    fn released(&self, held: Duration) {
        self.held_for(held);
    }

    fn lost(&self, _loss: Loss, held: Duration) {
        self.held_for(held);
        counter!("sneck_lost_total", self.labels()).increment(1);
    }

    fn abandoned(&self) {
        if !self.holds_no_more() {
            self.refused_for("abandoned");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded() {
        let figures = Figures::new();
        for number in 0..NAMES_MAX {
            let name = format!("invoice/{number}");
            assert_eq!(&*figures.label(&name), name);
        }
        assert_eq!(&*figures.label("one/more"), OTHERS);
        assert_eq!(&*figures.label("invoice/7"), "invoice/7", "it was there before");
    }

    #[test]
    fn only_listed_names_are_told_apart() {
        let figures = Figures::of(["cache"]);
        assert_eq!(&*figures.label("cache"), "cache");
        assert_eq!(&*figures.label("invoice/7"), OTHERS);
    }
}
