//! How much of everything the server is willing to hold.

use std::time::Duration;

/// Named limits. The defaults suit one machine; none of them can be switched off, only set high.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The longest frame to accept, in bytes. What a peer announces is never reserved: memory is
    /// taken for the bytes that have come. A server with a data folder does not start with more than
    /// 4 MiB.
    pub frame_bytes_max: usize,
    /// Bytes of long requests, which are those above 16 KiB, that have begun to come or wait to be
    /// looked at, of all connections together. Who sends more of one then is hung up on.
    pub request_bytes_max: usize,
    /// Open connections in all. Those above are closed at once.
    pub connections_max: usize,
    /// Open TCP connections from one address. Those above are closed at once.
    pub connections_per_peer_max: usize,
    /// How long a connection may take to send its first frame.
    pub handshake_timeout: Duration,
    /// Requests of one connection that are not answered yet. Above it the connection is not read.
    pub requests_in_flight_max: usize,
    /// Bytes of replies and events that wait to be read by one client. Above it the connection is
    /// closed: the session lives on, but its events can no longer be kept in order for it.
    pub outbox_bytes_max: usize,
    /// Bytes of replies and events that wait to be read by all clients together. Above it the
    /// connection for which most is waiting is closed.
    pub backlog_bytes_max: usize,
    /// The longest reply that lists children, data of several nodes, or ephemeral nodes, in bytes.
    /// A request that asks for more fails with a marshalling error, before anything is gathered.
    pub reply_bytes_max: usize,
    /// Sessions that are not over. A client that would open one more is hung up on.
    pub sessions_max: usize,
    /// Watches in all. A request that would leave one more is refused as throttled.
    pub watches_max: usize,
    /// Watches of one connection. A request that would leave one more is refused as throttled.
    pub watches_per_connection_max: usize,
    /// Bytes of the paths that are watched in all. A request that would add to them above it is
    /// refused as throttled.
    pub watch_bytes_max: usize,
    /// Bytes of the paths that one connection watches. A request that would add to them above it is
    /// refused as throttled.
    pub watch_bytes_per_connection_max: usize,
    /// Nodes in the tree. Creating one more is refused as over quota.
    pub nodes_max: usize,
    /// Bytes of data, paths and access lists in the tree, about. Adding to them above it is refused as over quota.
    pub tree_bytes_max: usize,
    /// Ephemeral nodes of one session, which all go at once when it ends. Creating one more is refused
    /// as over quota.
    pub ephemerals_per_session_max: usize,
    /// Entries in one access list, after `auth` was replaced by what it stands for. Longer ones are
    /// refused as invalid.
    pub acl_entries_max: usize,
    /// Bytes of log that are in no snapshot before a new one is made of them, in a data folder. Where
    /// the last snapshot is longer than this, as much as it is long; and never less than a segment of
    /// the log, which has room for nine of the largest transactions.
    pub compact_bytes: u64,
    /// How long after a compaction that has failed to try again. It doubles with each failure that
    /// follows, up to 64 times as long.
    pub compact_retry: Duration,
    /// Identities that one connection may prove. One more fails to authenticate.
    pub identities_max: usize,
    /// Bytes of the identities that one connection may prove. More fail to authenticate.
    pub identity_bytes_max: usize,
}

impl Limits {
    /// The most bytes that one transaction may take when written down. A request has room for less,
    /// but `auth` in an access list stands for all identities of a connection.
    pub(crate) fn txn_bytes_max(&self) -> usize {
        self.frame_bytes_max + self.frame_bytes_max / 2 + 64 * 1_024
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes_max: sneck_wire::MAX_FRAME_DEFAULT,
            request_bytes_max: 64 << 20,
            connections_max: 20_000,
            connections_per_peer_max: 15_000,
            handshake_timeout: Duration::from_secs(10),
            requests_in_flight_max: 1_000,
            outbox_bytes_max: 64 << 20,
            backlog_bytes_max: 256 << 20,
            reply_bytes_max: 16 << 20,
            sessions_max: 100_000,
            watches_max: 4_000_000,
            watches_per_connection_max: 1_000_000,
            watch_bytes_max: 256 << 20,
            watch_bytes_per_connection_max: 64 << 20,
            nodes_max: 4_000_000,
            tree_bytes_max: 4 << 30,
            ephemerals_per_session_max: 100_000,
            acl_entries_max: 1_000,
            compact_bytes: 64 << 20,
            compact_retry: Duration::from_secs(5),
            identities_max: 64,
            identity_bytes_max: 16 << 10,
        }
    }
}
