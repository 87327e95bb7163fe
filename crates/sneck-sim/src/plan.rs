//! A plan: who asks for which lock and when, and what goes wrong. All else of a run follows from it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::program::subject;

/// A whole run. It is written down as it is, so that one that failed can be kept, and be made smaller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Decides what the rest leaves open: delays, jitter, which of several.
    pub seed: u64,
    /// The unit of the server's time, in milliseconds.
    pub tick_ms: u64,
    /// The session timeout that clients get.
    pub session_ms: u64,
    /// The one that they ask for, where the server grants no longer one than that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_ms: Option<u64>,
    /// Whether whoever is told of a loss asks its guard again later.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asks_again: bool,
    /// After how long a waiter looks again although nobody woke it.
    pub recheck_ms: u64,
    /// How long a packet takes, from and to. At least 1; the shortest is as far as processes run at a time.
    pub latency_ms: (u64, u64),
    /// How long the disk takes to make something durable, from and to.
    pub sync_ms: (u64, u64),
    /// Whether packets arrive in pieces.
    pub splits: bool,
    /// When clients begin no more steps.
    pub busy_ms: u64,
    /// The servers of an ensemble; without them there is one server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub servers: Option<Servers>,
    /// Those who ask for locks.
    pub clients: Vec<Client>,
    /// What goes wrong, in no particular order.
    pub faults: Vec<Fault>,
}

/// Servers of which one decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Servers {
    /// How many there are.
    pub members: u8,
    /// After how many ticks without a word a member is given up by its leader, and the other way round.
    pub sync_limit: u64,
    /// How long a message takes from one to another, from and to.
    pub link_ms: (u64, u64),
    /// How long after it is known to be committed a member makes a transaction, from and to.
    pub lag_ms: (u64, u64),
    /// How long an election takes, from and to.
    pub elect_ms: (u64, u64),
}

/// A member of an ensemble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// Whoever leads when it begins.
    Leader,
    /// The one with this number.
    Member(u8),
}

/// One process that asks for locks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// By how much its clock is too fast, in millionths; negative if it is too slow.
    pub drift_ppm: i64,
    /// What it does at the same time, each a row of steps.
    pub tasks: Vec<Vec<Step>>,
    /// Whether it closes its connection when it is done.
    pub closes: bool,
    /// Whether its tasks share places in line, and how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sharing: Option<Share>,
}

/// How the tasks of a client share places in line: see [`sneck::Sharing`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// Whether a place is kept while nobody wants it.
    pub keep: bool,
    /// How often it is handed on while somebody waits outside.
    pub hand_ons: u32,
    /// For how long.
    pub span_ms: u64,
}

/// One lock that is asked for, held and given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// How long after the last step.
    pub after_ms: u64,
    /// Which of the locks of its kind.
    pub lock: u8,
    /// How it is asked for.
    pub ask: Ask,
    /// How long it is held.
    pub hold_ms: u64,
    /// Whether the future that waits for it is dropped, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<Cancel>,
    /// Whether the guard is dropped, which releases in the background, or unlocked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drops: bool,
}

/// How a lock is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// A mutex, for as long as it takes.
    Lock,
    /// A mutex, unless somebody has it.
    Try,
    /// A mutex, for so many milliseconds.
    Within(u64),
    /// To read.
    Read,
    /// To write.
    Write,
    /// To write, and after half of the time to read.
    WriteThenRead,
    /// So many permits of a semaphore of [`PERMITS`].
    Permits(u32),
    /// The mutex and the one after it, together.
    Both,
    /// To lead.
    Lead,
    /// Not at all: who leads is asked.
    WhoLeads,
}

/// How many permits each semaphore has.
pub const PERMITS: u32 = 3;

/// When a future is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cancel {
    /// After it was polled so often.
    Polls(u32),
    /// After so many milliseconds.
    After(u64),
}

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// When it begins, in milliseconds since the beginning of the run.
    pub at_ms: u64,
    /// How long it lasts, where it lasts; [`FOREVER`] for one that is never over.
    #[serde(default)]
    pub for_ms: u64,
    /// What it is.
    pub what: Trouble,
}

/// The length of a fault of a client that is never over. Everybody else has to come to an end without it.
pub const FOREVER: u64 = 1 << 40;

/// What goes wrong. Clients are named by their index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// The connections of a client break, and what is on the way is lost.
    Cut(usize),
    /// Nothing gets through in a direction, until the end of it.
    Hold {
        /// Of which client.
        client: usize,
        /// Whether requests are held.
        up: bool,
        /// Whether answers are held.
        down: bool,
    },
    /// From now on nothing gets through on the present connections of a client in one direction, and
    /// nobody is told.
    Swallow {
        /// Of which client.
        client: usize,
        /// Whether the requests are lost, or the answers.
        up: bool,
    },
    /// Everything takes so many milliseconds longer.
    Slow {
        /// For which client.
        client: usize,
        /// How much longer.
        ms: u64,
    },
    /// A client's process stands still, as after `SIGSTOP`.
    Pause(usize),
    /// A client's machine is suspended: its timers stand still with it.
    Suspend(usize),
    /// A client's process is killed.
    Kill(usize),
    /// The server is killed, and back after the end of it with what its disk kept.
    KillServer {
        /// How much of what was written and not yet durable has survived, in thousandths of its bytes.
        kept: u64,
        /// Whether it is killed as soon as something is written and not yet durable, in the first half of
        /// the fault.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        amid: bool,
    },
    /// The server's process stands still.
    PauseServer,
    /// The server accepts no new connection.
    Refuse,
    /// The disk takes so many milliseconds longer.
    SlowDisk(u64),
    /// An operator deletes one of the places there are just then.
    Remove(u64),
    /// A member of the ensemble is killed, and back at the end of it with what its disk has kept.
    KillMember {
        /// Which one.
        who: Who,
        /// How much of what was not durable yet is there, in thousandths.
        kept: u64,
    },
    /// A member of the ensemble is stopped.
    PauseMember(Who),
    /// A member of the ensemble and the others do not hear of each other. Clients do.
    CutOff {
        /// Which one.
        who: Who,
        /// Whether it hears nothing.
        inbound: bool,
        /// Whether nothing is heard of it.
        outbound: bool,
    },
    /// A member of the ensemble makes what is committed so many milliseconds later.
    Lag {
        /// Which one.
        who: Who,
        /// How much later.
        ms: u64,
    },
}

impl Trouble {
    /// Its name in a history.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Trouble::Cut(_) => "cut",
            Trouble::Hold { .. } => "hold",
            Trouble::Swallow { up: true, .. } => "swallowed requests",
            Trouble::Swallow { .. } => "swallowed replies",
            Trouble::Slow { .. } => "slow",
            Trouble::Pause(_) | Trouble::Suspend(_) => sneck_history::PAUSE,
            Trouble::Kill(_) => sneck_history::CRASH,
            Trouble::KillServer { .. } => "server killed",
            Trouble::PauseServer => "server paused",
            Trouble::Refuse => "refuse",
            Trouble::SlowDisk(_) => "slow disk",
            Trouble::Remove(_) => sneck_history::REMOVAL,
            Trouble::KillMember { who: Who::Leader, .. } => "leader killed",
            Trouble::KillMember { .. } => "member killed",
            Trouble::PauseMember(Who::Leader) => "leader paused",
            Trouble::PauseMember(_) => "member paused",
            Trouble::CutOff { who: Who::Leader, .. } => "leader cut off",
            Trouble::CutOff { .. } => "member cut off",
            Trouble::Lag { .. } => "member lags",
        }
    }

    /// The same where this client is left out; nothing, if it befell that one.
    fn without(self, left_out: usize) -> Option<Trouble> {
        let moved = |client: usize| match client {
            same if same == left_out => None,
            later if later > left_out => Some(later - 1),
            earlier => Some(earlier),
        };
        Some(match self {
            Trouble::Cut(client) => Trouble::Cut(moved(client)?),
            Trouble::Hold { client, up, down } => {
                Trouble::Hold { client: moved(client)?, up, down }
            }
            Trouble::Swallow { client, up } => Trouble::Swallow { client: moved(client)?, up },
            Trouble::Slow { client, ms } => Trouble::Slow { client: moved(client)?, ms },
            Trouble::Pause(client) => Trouble::Pause(moved(client)?),
            Trouble::Suspend(client) => Trouble::Suspend(moved(client)?),
            Trouble::Kill(client) => Trouble::Kill(moved(client)?),
            of_nobody => of_nobody,
        })
    }

    /// Whom it befalls, where that is known before it begins; otherwise the store.
    pub(crate) fn client(self) -> Option<usize> {
        match self {
            Trouble::Cut(client)
            | Trouble::Hold { client, .. }
            | Trouble::Swallow { client, .. }
            | Trouble::Slow { client, .. }
            | Trouble::Pause(client)
            | Trouble::Suspend(client)
            | Trouble::Kill(client) => Some(client),
            _ => None,
        }
    }
}

impl Fault {
    /// Whether it is on at this time.
    pub(crate) fn covers(&self, ms: u64) -> bool {
        (self.at_ms..self.at_ms + self.for_ms).contains(&ms)
    }

    /// When it is over.
    pub(crate) fn end_ms(&self) -> u64 {
        self.at_ms + self.for_ms
    }
}

impl Plan {
    /// Whether the first in a line may have to wait all the same, or the line does not tell whose turn it is.
    pub(crate) fn has_blurred_lines(&self) -> bool {
        self.shares() || self.has_pairs()
    }

    /// Whether anybody asks for two locks at once.
    pub(crate) fn has_pairs(&self) -> bool {
        let mut steps = self.clients.iter().flat_map(|client| client.tasks.iter().flatten());
        steps.any(|step| step.ask == Ask::Both)
    }

    /// Whether anybody shares places. What of the store's line is whose, it does not tell then.
    pub(crate) fn shares(&self) -> bool {
        self.clients.iter().any(|client| client.sharing.is_some())
    }

    /// The locks whose places may be shared: where any are, all that exclude.
    pub(crate) fn shared_locks(&self) -> BTreeSet<String> {
        let steps = self.clients.iter().flat_map(|client| client.tasks.iter().flatten());
        let locks = steps.map(|step| subject(step).0).filter(|lock| !lock.starts_with('p'));
        if self.shares() { locks.collect() } else { BTreeSet::new() }
    }

    /// How many servers there are.
    pub(crate) fn server_count(&self) -> u16 {
        self.servers.map_or(1, |servers| servers.members.into())
    }

    /// How much longer an ensemble takes for a request than one server does: there and back again, between
    /// members, on a disk, and until it is made.
    pub(crate) fn round_ms(&self) -> u64 {
        let round = |servers: Servers| 4 * servers.link_ms.1 + self.sync_ms.1 + servers.lag_ms.1;
        self.servers.map_or(0, round)
    }

    /// How long an ensemble takes until it serves again when nothing is wrong any more: until all have
    /// noticed what was, and have agreed on a leader.
    pub(crate) fn recovery_ms(&self) -> u64 {
        let recovery = |servers: Servers| {
            2 * servers.sync_limit * self.tick_ms + 4 * servers.elect_ms.1 + 2_000
        };
        self.servers.map_or(0, recovery)
    }

    /// Packets take at least so long: until then processes can run without looking at each other.
    pub(crate) fn window_ms(&self) -> u64 {
        self.latency_ms.0.max(1)
    }

    /// Leaves out a client, and what befalls it.
    pub(crate) fn leave_out(&mut self, client: usize) {
        self.clients.remove(client);
        let faults = std::mem::take(&mut self.faults).into_iter();
        self.faults = faults
            .filter_map(|fault| Some(Fault { what: fault.what.without(client)?, ..fault }))
            .collect();
    }

    /// When the last fault is over, of those that ever are.
    pub(crate) fn calm_ms(&self) -> u64 {
        let over = self.faults.iter().filter(|fault| fault.for_ms != FOREVER);
        over.map(Fault::end_ms).max().unwrap_or_default()
    }

    /// Whether something is the matter with a client that is never over.
    pub(crate) fn is_outcast(&self, client: usize) -> bool {
        let mut forever = self.faults.iter().filter(|fault| fault.for_ms == FOREVER);
        forever.any(|fault| fault.what.client() == Some(client))
    }

    /// How long packets sent now are on hold.
    pub(crate) fn held_until(&self, of: usize, is_up: bool, ms: u64) -> u64 {
        let mut until = ms;
        while let Some(fault) = self.faults.iter().find(|fault| {
            fault.covers(until)
                && matches!(fault.what, Trouble::Hold { client, up, down }
                    if client == of && if is_up { up } else { down })
        }) {
            until = fault.end_ms();
        }
        until
    }

    /// How much longer packets of a client take.
    pub(crate) fn slowness_ms(&self, of: usize, at_ms: u64) -> u64 {
        let slow =
            self.faults.iter().filter(|fault| fault.covers(at_ms)).filter_map(|fault| match fault
                .what
            {
                Trouble::Slow { client, ms } if client == of => Some(ms),
                _ => None,
            });
        slow.sum()
    }

    /// Whether a fault of a kind is on.
    pub(crate) fn any(&self, at_ms: u64, is: impl Fn(&Trouble) -> bool) -> bool {
        self.faults.iter().any(|fault| fault.covers(at_ms) && is(&fault.what))
    }

    /// Whether nothing had gone wrong for a client and the store for two sessions, nor did until then. What an
    /// operator does to others is nothing of it.
    pub(crate) fn is_calm(&self, client: usize, from_ms: u64, to_ms: u64) -> bool {
        let from_ms = from_ms.saturating_sub(2 * self.session_ms + 3_000 + self.recovery_ms());
        !self.faults.iter().any(|fault| {
            let concerns = fault.what.client().is_none_or(|of| of == client);
            let is_removal = matches!(fault.what, Trouble::Remove(_));
            concerns && !is_removal && fault.at_ms <= to_ms && fault.end_ms() >= from_ms
        })
    }

    /// How much longer the disk takes.
    pub(crate) fn sync_slowness_ms(&self, at_ms: u64) -> u64 {
        let slow = self.faults.iter().filter(|fault| fault.covers(at_ms));
        slow.map(|fault| if let Trouble::SlowDisk(ms) = fault.what { ms } else { 0 }).sum()
    }
}
