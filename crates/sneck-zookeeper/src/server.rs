//! One server of an ensemble.

use std::fmt;

/// One server of an ensemble: a host name or address, and a port.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Server {
    /// A name to be resolved at each attempt, or an address; IPv6 without brackets.
    pub host: String,
    /// The client port.
    pub port: u16,
}

impl Server {
    /// The port of ZooKeeper's sample configuration.
    pub const PORT_DEFAULT: u16 = 2181;

    /// A server.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Server { host: host.into(), port }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
