//! Who asks for what, and when.

use proptest::prelude::*;

/// A whole run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Decides what the store does to each question.
    pub(crate) seed: u64,
    pub(crate) tasks: Vec<Vec<Step>>,
    /// Lines that somebody deletes by hand, and when.
    pub(crate) removals: Vec<(u16, &'static str)>,
}

/// One lock that a task asks for, holds and gives back.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// How long after the last step, in milliseconds.
    pub(crate) after: u16,
    pub(crate) what: What,
    /// How long it is held.
    pub(crate) hold: u16,
    /// After how long the whole step is dropped where it stands.
    pub(crate) patience: Option<u16>,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    Mutex(&'static str),
    TryMutex(&'static str),
    Read(&'static str),
    Write(&'static str),
    WriteThenRead(&'static str),
    Permits(u32),
    /// Some of the mutexes, and the book to read or to write.
    All {
        mutexes: [bool; 2],
        read: bool,
    },
    Lead,
    Durable,
    Once,
    /// Whether the value has to be computed anew.
    Refresh {
        stale: bool,
    },
}

pub(crate) const MUTEXES: [&str; 2] = ["m/1", "m/2"];
pub(crate) const BOOK: &str = "book";
pub(crate) const POOL: &str = "pool";
/// How many permits the pool has.
pub(crate) const POOL_OF: u32 = 3;
pub(crate) const ELECTION: &str = "election";
pub(crate) const FLAG: &str = "flag";
pub(crate) const JOB: &str = "job";
pub(crate) const VALUE: &str = "value";

pub(crate) fn any_plan() -> impl Strategy<Value = Plan> {
    let tasks = prop::collection::vec(prop::collection::vec(any_step(), 1..6), 1..8);
    let removed = prop::sample::select(vec![MUTEXES[0], MUTEXES[1], BOOK, POOL, ELECTION]);
    let removals = prop::collection::vec((0..1_500_u16, removed), 0..3);
    (any::<u64>(), tasks, removals).prop_map(|(seed, tasks, removals)| Plan {
        seed,
        tasks,
        removals,
    })
}

fn any_step() -> impl Strategy<Value = Step> {
    let mutex = || prop::sample::select(MUTEXES.to_vec());
    let what = prop_oneof![
        2 => mutex().prop_map(What::Mutex),
        1 => mutex().prop_map(What::TryMutex),
        3 => Just(What::Read(BOOK)),
        2 => Just(What::Write(BOOK)),
        1 => Just(What::WriteThenRead(BOOK)),
        4 => (1..=POOL_OF).prop_map(What::Permits),
        3 => (any::<[bool; 2]>(), any::<bool>())
            .prop_map(|(mutexes, read)| What::All { mutexes, read }),
        1 => Just(What::Lead),
        1 => Just(What::Durable),
        1 => Just(What::Once),
        1 => any::<bool>().prop_map(|stale| What::Refresh { stale }),
    ];
    let patience = prop::option::weighted(0.3, 0..300_u16);
    (0..200_u16, what, 0..150_u16, patience).prop_map(|(after, what, hold, patience)| Step {
        after,
        what,
        hold,
        patience,
    })
}
