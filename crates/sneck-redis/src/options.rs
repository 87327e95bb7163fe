//! How to reach Redis, and what locks are like there.

use crate::secret::Secret;
use crate::tls::TlsOptions;
use sneck_core::{Clock, Error, ErrorKind, SystemClock};
use std::sync::Arc;
use std::time::Duration;

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// How the servers stand to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Topology {
    /// One primary.
    Single,
    /// The nodes are sentinels, which know where the primary of this name is.
    Sentinel {
        /// What the sentinels call it.
        primary: String,
    },
    /// The nodes are some of a cluster.
    Cluster,
    /// The nodes are primaries that know nothing of each other; a majority of them decides.
    Quorum,
}

/// Waiting for replicas before a grant is believed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replicas {
    /// How many must have it.
    pub number: u32,
    /// For how long they are waited for.
    pub within: Duration,
}

/// How to reach Redis, and what locks are like there.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RedisOptions {
    /// The servers.
    pub nodes: Vec<Node>,
    /// How they stand to each other.
    pub topology: Topology,
    /// How to speak TLS with them; in plain text when absent.
    pub tls: Option<TlsOptions>,
    /// The user of the access control list; the default user where it is empty.
    pub user: String,
    /// The password.
    pub password: Secret,
    /// The password of the sentinels, which need not be that of the servers.
    pub sentinel_password: Secret,
    /// The number of the database.
    pub database: u32,
    /// What all keys begin with. Clients share locks when they share servers, database and prefix.
    pub prefix: String,
    /// How long a place lasts without renewal; a third of it passes between two renewals.
    pub term: Duration,
    /// How many replicas must have a grant before it is believed in.
    pub replicas: Option<Replicas>,
    /// How long to try to connect.
    pub connect_timeout: Duration,
    /// The clock that deadlines are computed on.
    pub clock: Arc<dyn Clock>,
}

impl RedisOptions {
    /// The least term: below it the allowance for clocks and the network would be most of it.
    pub const TERM_MIN: Duration = Duration::from_millis(100);
    /// The greatest term: a holder that died blocks its lock for so long.
    pub const TERM_MAX: Duration = Duration::from_secs(24 * 3600);

    /// Locks on one primary.
    pub fn new(nodes: Vec<Node>) -> Self {
        RedisOptions {
            nodes,
            topology: Topology::Single,
            tls: None,
            user: String::new(),
            password: Secret::default(),
            sentinel_password: Secret::default(),
            database: 0,
            prefix: "sneck".to_owned(),
            term: Duration::from_secs(10),
            replicas: None,
            connect_timeout: Duration::from_secs(5),
            clock: Arc::new(SystemClock),
        }
    }

    /// Whether these can work at all.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`], naming the option that cannot.
    pub fn check(&self) -> Result<(), Error> {
        let invalid = |text: String| Err(Error::new(ErrorKind::Invalid, text));
        if self.nodes.is_empty() {
            return invalid("no server is named".to_owned());
        }
        if !(Self::TERM_MIN..=Self::TERM_MAX).contains(&self.term) {
            let (min, max) = (Self::TERM_MIN, Self::TERM_MAX);
            return invalid(format!("term={:?} is not within {min:?} and {max:?}", self.term));
        }
        if self.prefix.is_empty() || self.prefix.contains(['{', '}']) {
            return invalid(format!("prefix={:?}: braces decide the slot of a key", self.prefix));
        }
        match self.topology {
            Topology::Cluster if self.database != 0 => {
                invalid("a cluster has database 0 only".to_owned())
            }
            Topology::Cluster | Topology::Quorum if self.replicas.is_some() => {
                invalid("replicas can be waited for on a single primary only".to_owned())
            }
            Topology::Quorum if self.nodes.len() < 3 => {
                invalid("a majority needs at least three servers".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// For how much of the term a grant may be believed in: clocks drift, by one percent at most, and
    /// a timer may be two milliseconds late.
    pub(crate) fn validity(&self) -> Duration {
        self.term - self.term / 100 - Duration::from_millis(2)
    }

    /// How long an answer is waited for. A question that comes later to the server is refused there.
    pub(crate) fn answer_timeout(&self) -> Duration {
        (self.term / 4).min(Duration::from_secs(2))
    }

    /// The servers, for messages: without secrets.
    pub(crate) fn label(&self) -> Arc<str> {
        let nodes: Vec<String> = self.nodes.iter().map(ToString::to_string).collect();
        let nodes = nodes.join(",");
        let s = if self.tls.is_some() { "s" } else { "" };
        Arc::from(match &self.topology {
            Topology::Single => format!("redis{s}://{nodes}/{}", self.database),
            Topology::Sentinel { primary } => {
                format!("redis{s}+sentinel://{nodes}/{primary}/{}", self.database)
            }
            Topology::Cluster => format!("redis{s}+cluster://{nodes}"),
            Topology::Quorum => format!("redlock{s}://{nodes}/{}", self.database),
        })
    }
}

impl std::fmt::Display for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}
