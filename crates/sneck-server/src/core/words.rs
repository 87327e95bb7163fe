//! The four-letter words: questions of people and of monitoring, which need no session.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use sneck_wire::ErrorCode;

use super::{ConnectionId, Core, Peer};
use crate::refusals::{Limit, Refusals};

/// The version announced. Clients and tools draw conclusions from the first three numbers.
pub(crate) const VERSION: &str =
    concat!("3.9.5-sneck-", env!("CARGO_PKG_VERSION"), ", built on unknown");

/// Declares the words once, so that spelling and meaning cannot drift apart.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// A question of four letters, sent in place of a session's first frame.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Word {
            $($(#[$doc])* $name,)*
        }

        impl Word {
            /// Every word.
            pub const ALL: &'static [Word] = &[$(Word::$name,)*];

            /// The four letters.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Word::$name => $text,)*
                }
            }
        }
    };
}

words! {
    /// Is it running?
    Ruok = "ruok";
    /// The server in a few lines.
    Srvr = "srvr";
    /// The server in a few lines, with its connections.
    Stat = "stat";
    /// Figures, one per line.
    Mntr = "mntr";
    /// The configuration.
    Conf = "conf";
    /// The environment.
    Envi = "envi";
    /// Does it accept writes?
    Isro = "isro";
    /// How many watches there are.
    Wchs = "wchs";
    /// The connections, one by one.
    Cons = "cons";
    /// The sessions and their ephemeral nodes.
    Dump = "dump";
    /// The watches, by session.
    Wchc = "wchc";
    /// The watches, by path.
    Wchp = "wchp";
}

impl Word {
    /// The word that the first bytes of a connection are, if they are one.
    pub fn from_bytes(bytes: [u8; 4]) -> Option<Self> {
        Self::ALL.iter().copied().find(|word| word.text().as_bytes() == bytes)
    }

    /// Whether the answer names clients and paths, or makes work for the server.
    const fn tells_of_others(self) -> bool {
        matches!(self, Self::Cons | Self::Dump | Self::Wchc | Self::Wchp)
    }
}

/// Which words are answered, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Allowed {
    /// Those that tell nothing of others to everybody, the others to this machine only.
    ByDefault,
    /// These, to everybody.
    Only(BTreeSet<Word>),
}

impl Allowed {
    fn allows(&self, word: Word, peer: Peer) -> bool {
        match self {
            Self::ByDefault => !word.tells_of_others() || peer.is_near(),
            Self::Only(words) => words.contains(&word),
        }
    }
}

/// What has gone through the server.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Traffic {
    pub(crate) received: u64,
    pub(crate) sent: u64,
    /// Requests that are answered but wait for the disk.
    pub(crate) outstanding: usize,
    /// Compactions that have succeeded, and that have failed.
    pub(crate) compactions: u64,
    pub(crate) compactions_failed: u64,
    pub(crate) refusals: Refusals,
    latency_ms_max: u64,
    latency_ms_sum: u64,
    latency_count: u64,
    latency_ms_min: Option<u64>,
}

impl Traffic {
    /// Notes how long a reply took.
    pub(crate) fn replied_after(&mut self, ms: u64) {
        self.latency_ms_max = self.latency_ms_max.max(ms);
        self.latency_ms_min = Some(self.latency_ms_min.map_or(ms, |min| min.min(ms)));
        self.latency_ms_sum += ms;
        self.latency_count += 1;
    }

    fn latency_ms_mean(&self) -> f64 {
        // Figures for people: a loss of precision after 2^52 milliseconds does not matter.
        #[allow(clippy::cast_precision_loss)]
        let (sum, count) = (self.latency_ms_sum as f64, self.latency_count.max(1) as f64);
        sum / count
    }
}

impl Core {
    /// The answer to a word.
    pub(super) fn speak(&self, connection: ConnectionId, word: Word) -> String {
        let peer = self.connections.get(&connection).map_or(Peer::Local, |known| known.peer);
        if !self.settings.words.allows(word, peer) {
            return format!(
                "{} is not executed because it is not in the whitelist.\n",
                word.text()
            );
        }
        // All others are short, and a monitor must not miss them.
        let bytes_max = match word.tells_of_others() {
            true => self.settings.limits.reply_bytes_max,
            false => usize::MAX,
        };
        let mut out = Answer { text: String::new(), room: bytes_max };
        let written = match word {
            Word::Ruok => write!(out, "imok"),
            Word::Isro => write!(out, "rw"),
            Word::Srvr => self.write_summary(&mut out, false),
            Word::Stat => self.write_summary(&mut out, true),
            Word::Mntr => self.write_figures(&mut out),
            Word::Conf => self.write_settings(&mut out),
            Word::Envi => write_environment(&mut out),
            Word::Cons => self.write_connections(&mut out),
            Word::Dump => self.write_sessions(&mut out),
            Word::Wchs => self.write_watch_counts(&mut out),
            Word::Wchc => self.write_watches(&mut out, Word::Wchc),
            Word::Wchp => self.write_watches(&mut out, Word::Wchp),
        };
        if written.is_err() {
            self.refuse_at(Limit::ReplyBytes, ErrorCode::MARSHALLING_ERROR);
            out.text.push_str("\n(there is more than an answer may have)\n");
        }
        out.text
    }

    fn write_summary(&self, out: &mut Answer, with_connections: bool) -> std::fmt::Result {
        let traffic = &self.traffic;
        writeln!(out, "Zookeeper version: {VERSION}")?;
        if with_connections {
            writeln!(out, "Clients:")?;
            self.write_connections(out)?;
        }
        let (min, max) = (traffic.latency_ms_min.unwrap_or(0), traffic.latency_ms_max);
        writeln!(out, "Latency min/avg/max: {min}/{:.4}/{max}", traffic.latency_ms_mean())?;
        writeln!(out, "Received: {}", traffic.received)?;
        writeln!(out, "Sent: {}", traffic.sent)?;
        writeln!(out, "Connections: {}", self.connections.len())?;
        writeln!(out, "Outstanding: {}", traffic.outstanding)?;
        writeln!(out, "Zxid: {:#x}", self.zxid)?;
        writeln!(out, "Mode: standalone")?;
        writeln!(out, "Node count: {}", self.tree.len())
    }

    fn write_figures(&self, out: &mut Answer) -> std::fmt::Result {
        let traffic = &self.traffic;
        let figures: [(&str, String); 16] = [
            ("zk_version", VERSION.to_owned()),
            ("zk_server_state", "standalone".to_owned()),
            ("zk_avg_latency", format!("{:.4}", traffic.latency_ms_mean())),
            ("zk_max_latency", traffic.latency_ms_max.to_string()),
            ("zk_min_latency", traffic.latency_ms_min.unwrap_or(0).to_string()),
            ("zk_packets_received", traffic.received.to_string()),
            ("zk_packets_sent", traffic.sent.to_string()),
            ("zk_num_alive_connections", self.connections.len().to_string()),
            ("zk_outstanding_requests", traffic.outstanding.to_string()),
            ("zk_znode_count", self.tree.len().to_string()),
            ("zk_watch_count", self.watches.len().to_string()),
            ("zk_ephemerals_count", self.tree.ephemerals().to_string()),
            ("zk_approximate_data_size", self.tree.bytes().to_string()),
            ("zk_global_sessions", self.sessions.len().to_string()),
            ("zk_sneck_compactions", traffic.compactions.to_string()),
            ("zk_sneck_compactions_failed", traffic.compactions_failed.to_string()),
        ];
        figures.iter().try_for_each(|(name, value)| writeln!(out, "{name}\t{value}"))?;
        Limit::ALL.iter().try_for_each(|limit| {
            writeln!(out, "zk_sneck_refused_at_{limit}\t{}", traffic.refusals.at(*limit))
        })
    }

    fn write_settings(&self, out: &mut Answer) -> std::fmt::Result {
        let settings = &self.settings;
        writeln!(out, "tickTime={}", settings.tick_ms)?;
        writeln!(out, "maxClientCnxns={}", settings.limits.connections_per_peer_max)?;
        writeln!(out, "minSessionTimeout={}", settings.timeout_ms_min)?;
        writeln!(out, "maxSessionTimeout={}", settings.timeout_ms_max)?;
        writeln!(out, "jute.maxbuffer={}", settings.limits.frame_bytes_max)?;
        writeln!(out, "serverId=0")
    }

    fn write_connections(&self, out: &mut Answer) -> std::fmt::Result {
        for connection in self.connections.values() {
            match connection.peer {
                Peer::Tcp(address) => write!(out, " /{address}")?,
                Peer::Process(_) | Peer::Local => write!(out, " local")?,
            }
            match connection.session {
                Some(session) => {
                    let timeout_ms = self.sessions.get(session).map_or(0, |s| s.timeout_ms);
                    writeln!(out, "[1](sid={session:#x},to={timeout_ms})")?;
                }
                None => writeln!(out, "[0]()")?,
            }
        }
        writeln!(out)
    }

    fn write_sessions(&self, out: &mut Answer) -> std::fmt::Result {
        writeln!(out, "SessionTracker dump:")?;
        writeln!(
            out,
            "Session Sets ({})/({}):",
            self.sessions.by_tick().len(),
            self.sessions.len()
        )?;
        for (at_ms, ids) in self.sessions.by_tick() {
            writeln!(out, "{} expire at {at_ms} ms of the server's time:", ids.len())?;
            ids.iter().try_for_each(|id| writeln!(out, "\t{id:#x}"))?;
        }
        writeln!(out, "ephemeral nodes dump:")?;
        let owners =
            self.sessions.iter().filter(|(id, _)| self.tree.owned_by(*id).next().is_some());
        let owners: Vec<_> = owners.map(|(id, _)| id).collect();
        writeln!(out, "Sessions with Ephemerals ({}):", owners.len())?;
        for id in owners {
            writeln!(out, "{id:#x}:")?;
            self.tree.owned_by(id).try_for_each(|path| writeln!(out, "\t{path}"))?;
        }
        Ok(())
    }

    fn write_watch_counts(&self, out: &mut Answer) -> std::fmt::Result {
        let (connections, paths) = self.watches.spread();
        writeln!(out, "{connections} connections watching {paths} paths")?;
        writeln!(out, "Total watches:{}", self.watches.len())
    }

    fn write_watches(&self, out: &mut Answer, by: Word) -> std::fmt::Result {
        let mut groups: BTreeMap<Cow<'_, str>, BTreeSet<Cow<'_, str>>> = BTreeMap::new();
        // Counted before they are gathered: there may be far more of them than can be told.
        let mut room = out.room;
        let mut is_cut = false;
        for (connection, path) in self.watches.each() {
            let session = self.connections.get(&connection).and_then(|known| known.session);
            let session = format!("{:#x}", session.unwrap_or(0));
            let line = path.len() + session.len();
            is_cut = line > room;
            if is_cut {
                break;
            }
            room -= line;
            let (key, value) = match by {
                Word::Wchp => (Cow::Borrowed(path), Cow::Owned(session)),
                _ => (Cow::Owned(session), Cow::Borrowed(path)),
            };
            groups.entry(key).or_default().insert(value);
        }
        for (key, values) in groups {
            writeln!(out, "{key}")?;
            values.iter().try_for_each(|value| writeln!(out, "\t{value}"))?;
        }
        if is_cut { Err(std::fmt::Error) } else { Ok(()) }
    }
}

/// A text that takes only so many bytes. Writing more is the one way in which writing to it fails.
struct Answer {
    text: String,
    room: usize,
}

impl std::fmt::Write for Answer {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.room = self.room.checked_sub(text.len()).ok_or(std::fmt::Error)?;
        self.text.push_str(text);
        Ok(())
    }
}

fn write_environment(out: &mut Answer) -> std::fmt::Result {
    writeln!(out, "Environment:")?;
    writeln!(out, "zookeeper.version={VERSION}")?;
    writeln!(out, "os.name={}", std::env::consts::OS)?;
    writeln!(out, "os.arch={}", std::env::consts::ARCH)
}
