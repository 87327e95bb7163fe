//! The deliberate bugs that have to be seen, each with a small world that shows it.

/// A deliberate bug in what is shipped.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// Its name in the code.
    pub name: &'static str,
    /// The world in which it shows.
    pub world: &'static str,
}

const fn mutant(name: &'static str, world: &'static str) -> Mutant {
    Mutant { name, world }
}

/// Those that a model of the claim and the server can show; others are about time, or about code that it
/// has a stand-in for.
pub const MUTANTS: &[Mutant] = &[
    mutant("gone-before-it-is-watched", "mutex-twice"),
    mutant("numbers-count-children", "mutex-twice"),
    mutant("a-lost-create-was-not-made", "mutex-break"),
    mutant("a-lost-release-was-made", "mutex-break"),
    mutant("what-was-missed-is-not-told", "mutex-break"),
    mutant("an-open-create-is-not-left", "mutex-break-cancel"),
    mutant("a-create-is-open-once-answered", "mutex-break-cancel"),
    mutant("a-node-outlives-its-session", "mutex-lapse"),
    mutant("who-was-ahead-was-the-holder", "mutex-3-cancel"),
    mutant("a-token-is-the-number", "mutex-reap"),
    mutant("one-watcher-is-told", "rw-wrr"),
    mutant("a-reader-passes-writers", "rw-wrr"),
    mutant("a-writer-joins-readers", "rw-wrr"),
    mutant("a-writer-trusts-a-deletion", "rw-downgrade"),
    mutant("a-permit-too-many", "permits"),
];
