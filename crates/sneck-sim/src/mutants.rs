//! The deliberate bugs that the simulator has to see: a list without violations is only worth as much as
//! what it would have shown.

/// A deliberate bug in what is shipped, behind a switch that only the simulator has.
#[derive(Debug, Clone, Copy)]
pub struct Mutant {
    /// Its name in the code.
    pub name: &'static str,
    /// Where this has happened to somebody, or could.
    pub known_from: &'static str,
    /// Who has to see it.
    pub seen_by: Witness,
}

/// Who has to see a deliberate bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Witness {
    /// Some seed of the simulator.
    Simulator,
    /// A test, as what makes it show is not simulated.
    Test {
        /// Below the crates' folder.
        file: &'static str,
        /// Its name. That it notices is seen by `deliberate_bugs_are_noticed` in the same file.
        name: &'static str,
    },
}

/// Lets what runs on this thread have a deliberate bug from now on, or none.
pub fn choose(mutant: Option<&'static str>) {
    sneck_core::mutants::choose(mutant);
    sneck_server::mutants::choose(mutant);
}

const fn mutant(name: &'static str, known_from: &'static str) -> Mutant {
    Mutant { name, known_from, seen_by: Witness::Simulator }
}

impl Mutant {
    const fn by_test(self, file: &'static str, name: &'static str) -> Mutant {
        Mutant { seen_by: Witness::Test { file, name }, ..self }
    }
}

/// The tests of the line inside a process, by itself and on a store.
const LINES: &str = "sneck-core/src/local/line_tests.rs";
const SHARING: &str = "sneck-core/tests/sharing.rs";
/// Several threads at once, in every order.
const LEASES: &str = "sneck-races/tests/races/leases.rs";
const HOLDS: &str = "sneck-races/tests/races/holds.rs";

/// All of them: of the claim and the wait loop, of the session, and of the server.
pub const MUTANTS: &[Mutant] = &[
    mutant("who-was-ahead-was-the-holder", "the first simple recipe anybody writes"),
    mutant("a-writer-trusts-a-deletion", "our own: a downgrade looks like a release"),
    mutant("own-place-is-taken-for-granted", "our own: deleted by an operator while it waits"),
    mutant("gone-before-it-is-watched", "helix#44"),
    mutant("a-lost-create-was-not-made", "Netflix/curator#3, zk-ruby#51"),
    mutant("an-open-create-is-not-left", "CURATOR-45"),
    mutant("a-create-is-open-once-answered", "CURATOR-45, by a future that is dropped"),
    mutant("a-twin-is-left", "zk-ruby#54").by_test(
        "sneck-zookeeper/src/lock/seat_tests.rs",
        "a_second_node_of_ours_is_removed_before_anything_is_judged",
    ),
    mutant("a-token-is-the-number", "tokens made of sequence numbers, which begin anew"),
    mutant("a-lost-release-was-made", "our own: as a lost create, at the other end"),
    mutant("a-dropped-wait-stays-in-line", "our own: a future without a destructor"),
    mutant("a-release-is-tried-once", "our own: a release during an outage").by_test(
        "sneck-core/tests/guard.rs",
        "unlock_is_tried_again_until_the_deadline_and_in_the_background_after_it",
    ),
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
    mutant("an-answered-ping-is-a-proof", "Curator, kazoo: judged by the connection"),
    mutant("a-look-goes-to-whoever-is-near", "a sweep for ghosts without `sync`"),
    mutant("sync-is-taken-for-a-proof", "ZooKeeper's `sync`, which is no round of the quorum"),
    mutant("handed-on-after-a-loss", "etcd#11456: a lease not looked at after waiting")
        .by_test(SHARING, "nothing_is_handed_on_after_a_loss"),
    mutant("a-lost-place-is-entered", "our own: the same, without waiting")
        .by_test(SHARING, "nothing_is_handed_on_after_a_loss"),
    mutant("turns-share-a-token", "our own: two holds of one place")
        .by_test(SHARING, "a_place_is_kept_while_nobody_else_wants_it"),
    mutant("nobody-looks-out", "our own: kept without a look at who waits"),
    mutant("kept-while-another-waits", "our own: others starve"),
    mutant("hand-ons-without-a-bound", "our own: others starve for longer")
        .by_test(LINES, "a_place_is_handed_on_until_the_bound_and_then_given_back"),
    mutant("hand-ons-without-an-end", "our own: as many, and each takes long")
        .by_test(LINES, "a_reader_that_comes_late_waits_for_the_next_place"),
    mutant("the-first-reader-gives-back", "permits and readers that are counted wrongly")
        .by_test(LINES, "readers_give_the_place_back_when_the_last_of_them_has_done"),
    mutant("a-held-place-is-entered", "our own: two holders inside")
        .by_test(LINES, "those_inside_hold_one_after_the_other_in_their_order"),
    mutant("the-last-to-come-is-next", "our own: a line inside a process that is none")
        .by_test(LINES, "those_inside_hold_one_after_the_other_in_their_order"),
    mutant("an-old-turn-ends-a-new-one", "unlock without owner check")
        .by_test(LINES, "a_turn_of_a_lost_place_ends_nothing_of_the_next"),
    mutant("readers-share-with-writers", "our own: one place for two modes")
        .by_test(SHARING, "readers_hold_one_place_together_and_a_writer_gets_between"),
    mutant("a-proof-overwrites-an-end", "a store where a compare-and-swap belongs")
        .by_test(LEASES, "what_is_lost_stays_lost_and_for_the_same_reason"),
    mutant("looked-at-before-it-is-listened-to", "the lost wake-up of the textbooks")
        .by_test(LEASES, "whoever_waits_for_the_end_is_told"),
    mutant("a-place-grows-up-in-two-steps", "our own: `unlock` in between finds nothing to do")
        .by_test(HOLDS, "what_unlock_says_is_true_while_a_lock_grows_up"),
    mutant("who-minds-leaves-in-two-steps", "our own: who comes in between is minded by nobody")
        .by_test(HOLDS, "no_young_lock_is_left_unminded"),
    mutant("nobody-minds-after-a-shutdown", "our own: a task for all, on the runtime of one")
        .by_test(HOLDS, "the_end_of_a_runtime_leaves_no_lock_of_another_unminded"),
    mutant("a-session-ends-before-the-group-is-dead", "a lock file whose holder's child goes on")
        .by_test(
            "sneck/src/guardian/vigil.rs",
            "a_session_is_ended_when_the_group_is_dead_and_not_before",
        ),
];
