//! The deliberate bugs that the simulator has to see: a list without violations is only worth as much as
//! what it would have shown.

/// A deliberate bug in what is shipped, behind a switch that only the simulator has.
#[derive(Debug, Clone, Copy)]
pub struct Mutant {
    /// Its name in the code.
    pub name: &'static str,
    /// Where this has happened to somebody, or could.
    pub known_from: &'static str,
}

/// Lets what runs on this thread have a deliberate bug from now on, or none.
pub(crate) fn choose(mutant: Option<&'static str>) {
    sneck_core::mutants::choose(mutant);
    sneck_server::mutants::choose(mutant);
}

const fn mutant(name: &'static str, known_from: &'static str) -> Mutant {
    Mutant { name, known_from }
}

/// All of them: of the claim and the wait loop, of the session, and of the server.
pub const MUTANTS: &[Mutant] = &[
    mutant("who-was-ahead-was-the-holder", "the first simple recipe anybody writes"),
    mutant("a-writer-trusts-a-deletion", "our own: a downgrade looks like a release"),
    mutant("gone-before-it-is-watched", "helix#44"),
    mutant("a-lost-create-was-not-made", "Netflix/curator#3, zk-ruby#51"),
    mutant("an-open-create-is-not-left", "CURATOR-45"),
    mutant("a-create-is-open-once-answered", "CURATOR-45, by a future that is dropped"),
    mutant("a-twin-is-left", "zk-ruby#54"),
    mutant("a-token-is-the-number", "tokens made of sequence numbers, which begin anew"),
    mutant("a-lost-release-was-made", "our own: as a lost create, at the other end"),
    mutant("a-dropped-wait-stays-in-line", "our own: a future without a destructor"),
    mutant("a-release-is-tried-once", "our own: a release during an outage"),
    mutant("a-release-is-confirmed-at-once", "our own: `unlock` that only starts it"),
    mutant("a-reader-passes-writers", "readers that starve writers"),
    mutant("a-writer-joins-readers", "a comparison with the wrong kind"),
    mutant("a-permit-too-many", "off by one"),
    mutant("own-place-is-not-watched", "our own: an operator's deletion"),
    mutant("a-late-proof-revives", "redisson#3194: renewed after it had ended"),
    mutant("a-lease-begins-with-the-answer", "our own: the deadline from the receipt"),
    mutant("a-lease-of-what-was-asked-for", "our own: the timeout that was wanted"),
    mutant("watches-are-not-set-again", "libkv#156: deaf after a reconnect"),
    mutant("silence-is-not-noticed", "half-open connections"),
    mutant("told-before-it-is-durable", "ack before fsync"),
    mutant("requests-keep-no-session", "our own: sessions that are only kept by a reconnect"),
    mutant("a-node-outlives-its-session", "ZOOKEEPER-4837, CURATOR-595"),
    mutant("no-fresh-time-after-a-restart", "our own: an outage counts as silence"),
    mutant("one-watcher-is-told", "our own: an event for the first who watches"),
    mutant("what-was-missed-is-not-told", "our own: watches set again without a look"),
    mutant("numbers-count-children", "kazoo#606: numbers that are not unique"),
    mutant("an-end-is-forgotten-by-a-restart", "ZOOKEEPER-4785: a transaction lost"),
];
