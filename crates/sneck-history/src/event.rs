//! One thing that happened, as a line of a history.

use serde::{Deserialize, Serialize};

/// The kind of fault that stops a client's process for a while.
pub const PAUSE: &str = "pause";
/// The kind of fault that makes a clock jump, or run at another rate.
pub const CLOCK: &str = "clock";
/// The kind of fault that kills a client. It begins before the process is killed and is healed when
/// the process is gone; nobody of that number comes back.
pub const CRASH: &str = "crash";
/// The kind of fault by which an operator takes a client's places away. The client learns of it only
/// afterwards, and so overlaps while it lasts are nobody's mistake.
pub const REMOVAL: &str = "removal";

/// A line of a history after its header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The arbiter's number of this line: 1, 2, 3 and so on.
    pub seq: u64,
    /// When the arbiter learned of it, in nanoseconds of its monotonic clock. Never goes back.
    pub at_ns: u64,
    /// Which client says so; nobody for what an observer or the maker of faults says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<u32>,
    /// When it happened as the client read the same clock, and so no later than `at_ns`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_ns: Option<u64>,
    /// What happened.
    pub event: Event,
}

/// How a lock is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Mode {
    /// Alone.
    Exclusive,
    /// Beside other readers.
    Shared,
    /// So many of the permits of a semaphore.
    Permits {
        /// How many are taken, together or not at all.
        take: u32,
        /// How many there are in the caller's opinion.
        of: u32,
    },
}

impl Mode {
    /// Whether two holders of one lock may not be in these modes at the same time.
    pub fn conflicts_with(self, other: Mode) -> bool {
        match (self, other) {
            (Mode::Shared, Mode::Shared) => false,
            (Mode::Permits { take, of }, Mode::Permits { take: other, of: others_of }) => {
                u64::from(take) + u64::from(other) > u64::from(of.max(others_of))
            }
            _ => true,
        }
    }
}

/// What happened.
///
/// An *attempt* is one try to get one lock, from the call to its end; its number is unique in the
/// history. Its life is `acquire`, perhaps `queued`, then `granted` or an end without a grant; and
/// after a grant `release` or `lost`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    // What clients do. Calls are told before they are made, outcomes after they are known.
    /// A client was told what its store promises.
    Joined {
        /// The promises, in the words of the header.
        promised: crate::Claims,
    },
    /// A lock is asked for.
    Acquire {
        /// The number of this attempt.
        attempt: u64,
        /// Which lock.
        lock: String,
        /// How.
        mode: Mode,
        /// The session with the store under which this happens, where there are sessions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<String>,
        /// Whether the caller rather goes without than waits.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        no_wait: bool,
        /// Where one call asks for several locks, all or none: the number that its attempts have in common.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        together: Option<u64>,
    },
    /// The store has told the client that its place in line exists.
    Queued {
        /// Which attempt.
        attempt: u64,
    },
    /// The lock was had.
    Granted {
        /// Which attempt.
        attempt: u64,
        /// The fencing token.
        token: u64,
        /// The session under which it was had, where that is another than was told on asking: the first
        /// may have ended just before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<String>,
        /// Until when the client will believe in it without hearing more; never, if it does not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until_ns: Option<u64>,
    },
    /// The client will believe in its lock for longer.
    Extended {
        /// Which attempt.
        attempt: u64,
        /// Until when.
        until_ns: u64,
    },
    /// The lock was not had: taken, too late or an error, and it is known that no place is left. Whoever has
    /// lost the place he waited with was refused by nobody, and tells [`Event::Unsure`].
    Refused {
        /// Which attempt.
        attempt: u64,
    },
    /// The attempt failed, and it is not known what became of its place, or who took it away.
    Unsure {
        /// Which attempt.
        attempt: u64,
    },
    /// The future that waited for the lock has been dropped.
    Cancel {
        /// Which attempt.
        attempt: u64,
    },
    /// A holder asked its guard whether it still holds. Its own time was read before it asked.
    Check {
        /// Which attempt.
        attempt: u64,
        /// The answer.
        held: bool,
    },
    /// A holder asks for another mode: a downgrade or an upgrade.
    Convert {
        /// Which attempt.
        attempt: u64,
        /// The mode it wants.
        to: Mode,
    },
    /// The mode that was had in the end: the old one after a refusal.
    Converted {
        /// Which attempt.
        attempt: u64,
        /// The mode from now on.
        to: Mode,
    },
    /// The lock is given back.
    Release {
        /// Which attempt.
        attempt: u64,
    },
    /// The store has confirmed that it was.
    Released {
        /// Which attempt.
        attempt: u64,
    },
    /// The guard told its holder that the lock is lost. Its own time is when it was told.
    Lost {
        /// Which attempt.
        attempt: u64,
    },
    /// Somebody asks who holds a lock.
    Ask {
        /// The number of this question.
        question: u64,
        /// Of which lock.
        lock: String,
    },
    /// The answer.
    Answer {
        /// To which question.
        question: u64,
        /// The token of the holder, or that nobody holds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<u64>,
    },

    // What the fenced resource did: the arbiter's own word.
    /// What a lock protects was read. A fenced read raises the fence, too.
    Read {
        /// The lock that protects it.
        lock: String,
        /// By whom.
        attempt: u64,
        /// The token shown; none where the fence is left out on purpose.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<u64>,
        /// Whether the fence let it pass.
        admitted: bool,
        /// The `seq` of the write that was read, 0 before the first.
        version: u64,
    },
    /// What a lock protects was written.
    Write {
        /// The lock that protects it.
        lock: String,
        /// By whom.
        attempt: u64,
        /// The token shown; none where the fence is left out on purpose.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<u64>,
        /// The version that the writer had read and replaces; none if it replaces whatever there is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base: Option<u64>,
        /// Whether the fence let it pass.
        admitted: bool,
    },

    // What the store did, as an observer tells it.
    /// A place in line exists.
    Placed {
        /// In the line of which lock.
        lock: String,
        /// Whose.
        attempt: u64,
        /// Its number: unique, and lower for those further ahead.
        place: u64,
        /// The session it dies with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<String>,
    },
    /// A place exists no more.
    Vacated {
        /// Which one.
        place: u64,
    },
    /// The store has ended a session.
    Expired {
        /// Which one.
        session: String,
        /// When the store did so, as far as the observer knows: not before it was true.
        when_ns: u64,
    },
    /// Another server leads.
    Leader {
        /// Which one.
        server: String,
    },
    /// A semaphore has this many permits from now on.
    Permits {
        /// Which one.
        lock: String,
        /// How many.
        of: u32,
    },

    // What the maker of faults does. It tells a fault before it begins, and its end after it.
    /// A fault begins.
    Fault {
        /// The number of this fault.
        fault: u64,
        /// What kind: [`PAUSE`], [`CLOCK`], [`CRASH`], [`REMOVAL`], or any other word. Behind a colon kinds
        /// that are judged alike can be told apart, as in `clock: fast`.
        kind: String,
        /// The one client it befalls; if none, the store as a whole.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client: Option<u32>,
    },
    /// A fault is over.
    Healed {
        /// Which one.
        fault: u64,
    },
    /// All faults are over, and all clients were asked to come to an end and given the time for it.
    Quiet,
}

impl Event {
    /// Whether a client says this, and not the arbiter's other sources.
    pub fn is_of_a_client(&self) -> bool {
        !matches!(
            self,
            Event::Placed { .. }
                | Event::Vacated { .. }
                | Event::Expired { .. }
                | Event::Leader { .. }
                | Event::Permits { .. }
                | Event::Fault { .. }
                | Event::Healed { .. }
                | Event::Quiet
        )
    }

    /// The attempt that a client speaks of.
    pub fn attempt(&self) -> Option<u64> {
        match self {
            Event::Acquire { attempt, .. }
            | Event::Queued { attempt }
            | Event::Granted { attempt, .. }
            | Event::Extended { attempt, .. }
            | Event::Refused { attempt }
            | Event::Unsure { attempt }
            | Event::Cancel { attempt }
            | Event::Check { attempt, .. }
            | Event::Convert { attempt, .. }
            | Event::Converted { attempt, .. }
            | Event::Release { attempt }
            | Event::Released { attempt }
            | Event::Lost { attempt }
            | Event::Read { attempt, .. }
            | Event::Write { attempt, .. } => Some(*attempt),
            _ => None,
        }
    }
}
