//! The kinds of fault there are, whom they befall, and where they cannot be had.

use std::fmt;

use sneck_history::{CLOCK, CRASH, PAUSE, REMOVAL};

use crate::servers::StoreKind;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A client is killed with -9; another takes its seat.
    ClientKilled,
    /// A client that holds a lock is killed with -9; another takes its seat.
    HolderKilled,
    /// A client is stopped for less than its session lasts.
    ShortPause,
    /// A client is stopped for longer than its session lasts.
    LongPause,
    /// A client is stopped for longer than its session lasts, while it holds a lock.
    HolderPaused,
    /// All connections of a client are reset.
    Cut,
    /// Nothing passes between a client and all servers, and no connection is reset.
    Partition,
    /// What a client sends is lost, what it is sent arrives.
    RequestsLost,
    /// What a client sends arrives and is carried out, the answers are lost.
    RepliesLost,
    /// The server makes the client's node, and the answer is lost with the connection.
    CreateSwallowed,
    /// The server deletes the client's node, and the answer is lost with the connection.
    DeleteSwallowed,
    /// A transaction of the client is carried out, and the answer is lost with the connection.
    MultiSwallowed,
    /// Watch events come late, and replies overtake them.
    EventsLate,
    /// Every frame takes its time, one after the other.
    Slow,
    /// Every byte comes in a packet of its own.
    Bytewise,
    /// The servers hear that the client has no more to send.
    HalfClosed,
    /// Nobody listens where the client connects, and its connections are reset.
    Refused,
    /// An operator closes the client's session by its id.
    SessionClosed,
    /// An operator deletes the node of a holder.
    HolderRemoved,
    /// An operator deletes the node of a waiter.
    WaiterRemoved,
    /// An operator deletes a lock's node with all below it.
    ParentRemoved,
    /// A client's clock leaps ahead.
    ClockAhead,
    /// A client's clock runs twice as fast.
    ClockFast,
    /// A client's clock runs at half its rate.
    ClockSlow,
    /// A follower is killed with -9 and started again.
    FollowerKilled,
    /// The leader, or the only server, is killed with -9 and started again.
    LeaderKilled,
    /// All servers are killed with -9 and started again.
    AllKilled,
    /// A follower is stopped.
    FollowerStopped,
    /// The leader, or the only server, is stopped.
    LeaderStopped,
    /// A follower is cut off from the other servers, and not from its clients.
    FollowerCutOff,
    /// The leader is cut off from the other servers, and not from its clients.
    LeaderCutOff,
    /// One server after the other is ended and started again.
    RollingRestart,
    /// Every sync of the leader's disk takes long.
    SlowDisk,
    /// A sync of the leader's disk fails.
    FailingDisk,
    /// The leader's disk is full.
    FullDisk,
    /// Hundreds of connections come at once, and say nothing.
    Storm,
    /// The port gets what is no protocol.
    Garbage,
    /// The server carries out what a client asks for, and the answer is lost with the connection.
    AnswersSwallowed,
    /// An operator has the store forget everything.
    Flushed,
    /// An operator deletes all that the store keeps of a lock.
    LockRemoved,
    /// One of the keys of a lock is deleted, as by an eviction.
    KeyRemoved,
    /// The server is killed with -9 and started again without its data.
    DataLost,
    /// An operator ends all connections at the server.
    ConnectionsEnded,
    /// An operator has all commands wait.
    CommandsHeldUp,
    /// An operator has the server forget the scripts that clients call.
    ScriptsForgotten,
}

/// Whom a kind of fault befalls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Befalls {
    /// One client.
    Client,
    /// Those clients who have certain places in line.
    Line,
    /// The store as a whole.
    Store,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 45] = [
        Kind::ClientKilled,
        Kind::HolderKilled,
        Kind::ShortPause,
        Kind::LongPause,
        Kind::HolderPaused,
        Kind::Cut,
        Kind::Partition,
        Kind::RequestsLost,
        Kind::RepliesLost,
        Kind::CreateSwallowed,
        Kind::DeleteSwallowed,
        Kind::MultiSwallowed,
        Kind::EventsLate,
        Kind::Slow,
        Kind::Bytewise,
        Kind::HalfClosed,
        Kind::Refused,
        Kind::SessionClosed,
        Kind::HolderRemoved,
        Kind::WaiterRemoved,
        Kind::ParentRemoved,
        Kind::ClockAhead,
        Kind::ClockFast,
        Kind::ClockSlow,
        Kind::FollowerKilled,
        Kind::LeaderKilled,
        Kind::AllKilled,
        Kind::FollowerStopped,
        Kind::LeaderStopped,
        Kind::FollowerCutOff,
        Kind::LeaderCutOff,
        Kind::RollingRestart,
        Kind::SlowDisk,
        Kind::FailingDisk,
        Kind::FullDisk,
        Kind::Storm,
        Kind::Garbage,
        Kind::AnswersSwallowed,
        Kind::Flushed,
        Kind::LockRemoved,
        Kind::KeyRemoved,
        Kind::DataLost,
        Kind::ConnectionsEnded,
        Kind::CommandsHeldUp,
        Kind::ScriptsForgotten,
    ];

    /// Whom it befalls.
    pub fn befalls(self) -> Befalls {
        match self {
            Kind::HolderKilled
            | Kind::HolderPaused
            | Kind::HolderRemoved
            | Kind::WaiterRemoved
            | Kind::ParentRemoved
            | Kind::Flushed
            | Kind::LockRemoved
            | Kind::KeyRemoved
            | Kind::DataLost => Befalls::Line,
            Kind::FollowerKilled
            | Kind::LeaderKilled
            | Kind::AllKilled
            | Kind::FollowerStopped
            | Kind::LeaderStopped
            | Kind::FollowerCutOff
            | Kind::LeaderCutOff
            | Kind::RollingRestart
            | Kind::SlowDisk
            | Kind::FailingDisk
            | Kind::FullDisk
            | Kind::Storm
            | Kind::Garbage
            | Kind::ConnectionsEnded
            | Kind::CommandsHeldUp
            | Kind::ScriptsForgotten => Befalls::Store,
            _ => Befalls::Client,
        }
    }

    /// What it is called in histories. What stands before a colon is how it is judged.
    pub fn name(self) -> String {
        let (class, name) = self.words();
        if class.is_empty() { name.to_owned() } else { format!("{class}: {name}") }
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Kind::ClientKilled => (CRASH, "killed with -9"),
            Kind::HolderKilled => (CRASH, "a holder killed with -9"),
            Kind::ShortPause => (PAUSE, "shorter than a session"),
            Kind::LongPause => (PAUSE, "longer than a session"),
            Kind::HolderPaused => (PAUSE, "of a holder, longer than a session"),
            Kind::Cut => ("", "connections cut"),
            Kind::Partition => ("", "partition both ways"),
            Kind::RequestsLost => ("", "partition, requests lost"),
            Kind::RepliesLost => ("", "partition, replies lost"),
            Kind::CreateSwallowed => ("", "answer to a create swallowed"),
            Kind::DeleteSwallowed => ("", "answer to a delete swallowed"),
            Kind::MultiSwallowed => ("", "answer to a transaction swallowed"),
            Kind::EventsLate => ("", "events late"),
            Kind::Slow => ("", "slow network"),
            Kind::Bytewise => ("", "frames byte by byte"),
            Kind::HalfClosed => ("", "connections half closed"),
            Kind::Refused => ("", "ports refused"),
            Kind::SessionClosed => (REMOVAL, "session closed by its id"),
            Kind::HolderRemoved => (REMOVAL, "node of a holder"),
            Kind::WaiterRemoved => (REMOVAL, "node of a waiter"),
            Kind::ParentRemoved => (REMOVAL, "node of a lock and all below it"),
            Kind::ClockAhead => (CLOCK, "leaps ahead"),
            Kind::ClockFast => (CLOCK, "twice as fast"),
            Kind::ClockSlow => (CLOCK, "half as fast"),
            Kind::FollowerKilled => ("", "follower killed"),
            Kind::LeaderKilled => ("", "leader killed"),
            Kind::AllKilled => ("", "all servers killed"),
            Kind::FollowerStopped => ("", "follower stopped"),
            Kind::LeaderStopped => ("", "leader stopped"),
            Kind::FollowerCutOff => ("", "follower cut off"),
            Kind::LeaderCutOff => ("", "leader cut off"),
            Kind::RollingRestart => ("", "rolling restart"),
            Kind::SlowDisk => ("", "syncs of the disk slow"),
            Kind::FailingDisk => ("", "sync of the disk failed"),
            Kind::FullDisk => ("", "disk full"),
            Kind::Storm => ("", "storm of connections"),
            Kind::Garbage => ("", "garbage to the port"),
            Kind::AnswersSwallowed => ("", "answers swallowed with the connection"),
            Kind::Flushed => (REMOVAL, "everything forgotten"),
            Kind::LockRemoved => (REMOVAL, "all that is kept of a lock"),
            Kind::KeyRemoved => (REMOVAL, "one key of a lock"),
            Kind::DataLost => (REMOVAL, "restart without data"),
            Kind::ConnectionsEnded => ("", "connections ended by an operator"),
            Kind::CommandsHeldUp => ("", "commands held up by an operator"),
            Kind::ScriptsForgotten => ("", "scripts forgotten"),
        }
    }

    /// Why it cannot be had on such a store, if it cannot.
    pub fn missing(self, store: StoreKind) -> Option<&'static str> {
        let of_an_ensemble = matches!(
            self,
            Kind::FollowerKilled
                | Kind::FollowerStopped
                | Kind::FollowerCutOff
                | Kind::LeaderCutOff
                | Kind::RollingRestart
        );
        match store {
            StoreKind::ZooKeeper if self.is_of_others() => Some(NOT_HERE),
            StoreKind::ZooKeeper => None,
            _ if of_an_ensemble => Some("there is one server only"),
            StoreKind::Embedded if self.is_of_others() => Some(NOT_HERE),
            StoreKind::Embedded => None,
            StoreKind::Redis => self.missing_without_nodes(),
            StoreKind::Cassandra if self.is_of_redis() => Some("it is a fault of Redis"),
            StoreKind::Cassandra => self.missing_without_nodes().or_else(|| {
                self.needs_strace().then_some("its tests of nodes do what can be done")
            }),
        }
    }

    /// What is done to stores other than ZooKeeper in place of finer things.
    fn is_of_others(self) -> bool {
        matches!(self, Kind::AnswersSwallowed | Kind::LockRemoved) || self.is_of_redis()
    }

    /// What is a command of Redis, or asks for what is known of its keys and files.
    fn is_of_redis(self) -> bool {
        matches!(
            self,
            Kind::Flushed
                | Kind::KeyRemoved
                | Kind::DataLost
                | Kind::ConnectionsEnded
                | Kind::CommandsHeldUp
                | Kind::ScriptsForgotten
        )
    }

    fn missing_without_nodes(self) -> Option<&'static str> {
        match self {
            Kind::CreateSwallowed
            | Kind::DeleteSwallowed
            | Kind::MultiSwallowed
            | Kind::EventsLate => Some("proxies know the frames of ZooKeeper only"),
            Kind::SessionClosed => Some("there are no sessions"),
            Kind::HolderRemoved | Kind::WaiterRemoved | Kind::ParentRemoved => {
                Some("a place is no node")
            }
            Kind::AllKilled => Some("there is one server only"),
            _ => None,
        }
    }

    /// Why it cannot be had with clients that are programs with some library, if it cannot.
    pub fn missing_of_strangers(self) -> Option<&'static str> {
        match self {
            Kind::ClockAhead | Kind::ClockFast | Kind::ClockSlow => {
                Some("the clocks of other libraries cannot be reached")
            }
            Kind::MultiSwallowed => Some("a mutex needs no transaction"),
            Kind::KeyRemoved => Some("a lock of others is one key"),
            _ => None,
        }
    }

    /// Whether it needs `strace`, and the right to trace a process.
    pub fn needs_strace(self) -> bool {
        matches!(self, Kind::SlowDisk | Kind::FailingDisk | Kind::FullDisk)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// Why faults of other stores are not made on ZooKeeper.
const NOT_HERE: &str = "there are finer faults of the kind here";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_is_listed_once_under_a_name_of_its_own() {
        let names: BTreeSet<String> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), Kind::ALL.len());
    }

    #[test]
    fn what_is_excused_is_said_by_the_class() {
        let class = |class: &str| {
            let begins = |kind: &&Kind| kind.name().starts_with(&format!("{class}:"));
            Kind::ALL.iter().filter(begins).count()
        };
        assert_eq!([CRASH, PAUSE, REMOVAL, CLOCK].map(class), [2, 3, 8, 3]);
    }
}
