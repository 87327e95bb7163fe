//! What a session needs to know before it begins.

use crate::credentials::Credentials;
use crate::server::Server;
use crate::transport::{Connector, Tcp};
use sneck_core::{Clock, SystemClock};
use std::sync::Arc;
use std::time::Duration;

/// What a [`Session`](crate::Session) needs to know before it begins.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// The servers of the ensemble; tried in random order.
    pub servers: Vec<Server>,
    /// The session timeout to ask for; the servers may give another. 10 s.
    pub timeout: Duration,
    /// How long to try before opening a session fails. 5 s.
    pub connect_timeout: Duration,
    /// Whether to go on trying for that long while every server refuses connections, as servers do that
    /// are being started. Otherwise opening fails at once. A session that is open goes on in any case.
    /// `false`.
    pub retry_refused: bool,
    /// Sent first on every connection, in this order.
    pub credentials: Vec<Credentials>,
    /// A path that every path of the session is below; empty for none.
    pub chroot: String,
    /// How to reach a server: plain TCP, unless told otherwise.
    pub connector: Arc<dyn Connector>,
    /// What the store is called in messages; a URL made of the servers and the chroot, unless set.
    pub label: Option<Arc<str>>,
    /// The clock that deadlines go by.
    pub clock: Arc<dyn Clock>,
    /// Where the random order of servers and the jitter of pauses begin; of the operating system's
    /// choosing, unless set. For simulations: clients that share a seed fail and come back together.
    pub seed: Option<u64>,
    /// The bounds of the session.
    pub limits: SessionLimits,
}

impl SessionOptions {
    /// The defaults, for these servers.
    pub fn new(servers: Vec<Server>) -> Self {
        SessionOptions {
            servers,
            timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            retry_refused: false,
            credentials: Vec::new(),
            chroot: String::new(),
            connector: Arc::new(Tcp),
            label: None,
            clock: Arc::new(SystemClock),
            seed: None,
            limits: SessionLimits::default(),
        }
    }
}

/// The bounds of a session.
#[derive(Clone, Copy, Debug)]
pub struct SessionLimits {
    /// Requests on the wire whose answers have not come. 1,000, which is also where a server begins
    /// to hold back by default.
    pub in_flight_max: usize,
    /// Requests that wait for the wire. 100,000; one more fails at once.
    pub queue_max: usize,
    /// Bytes of requests that wait for the wire. 64 MiB; a request that would make it more fails at
    /// once.
    pub queue_bytes_max: usize,
    /// Bytes of one request. 1,048,575, the servers' own default (`jute.maxbuffer`); a larger one
    /// would cost the connection.
    pub request_bytes_max: usize,
    /// Bytes of one reply. 16 MiB; whoever asked for more gets an error instead.
    pub reply_bytes_max: usize,
    /// Events of one persistent watch that wait to be read. 1,024.
    pub events_max: usize,
}

impl Default for SessionLimits {
    fn default() -> Self {
        SessionLimits {
            in_flight_max: 1_000,
            queue_max: 100_000,
            queue_bytes_max: 64 << 20,
            request_bytes_max: sneck_wire::MAX_FRAME_DEFAULT,
            reply_bytes_max: 16 << 20,
            events_max: 1_024,
        }
    }
}
