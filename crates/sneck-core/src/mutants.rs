//! Deliberate bugs, for tests that have to notice them. Only with the feature `mutants`, which nothing
//! that is shipped turns on; without it no trace of them is compiled.

use std::cell::Cell;

thread_local! {
    static CHOSEN: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Lets the code that runs on this thread have this bug from now on, and no other.
pub fn choose(name: Option<&'static str>) {
    CHOSEN.set(name);
}

/// Whether this thread has this bug.
pub fn is_chosen(name: &str) -> bool {
    CHOSEN.get() == Some(name)
}

/// Sees that a test, which passes otherwise, fails on this thread with this bug.
///
/// # Panics
/// When the test passes all the same.
pub fn assert_noticed(name: &'static str, test: fn()) {
    choose(Some(name));
    let passed = std::panic::catch_unwind(test).is_ok();
    choose(None);
    assert!(!passed, "the test passes although the code has the bug {name:?}");
}
