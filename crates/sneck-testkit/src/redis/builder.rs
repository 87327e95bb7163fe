//! What kind of servers to start.

use super::Servers;
use crate::skip::StartError;

/// Who may connect over TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clients {
    /// Everybody.
    All,
    /// Those with a certificate of the right authority.
    Certified,
}

/// Describes servers; [`Builder::start`] starts them.
///
/// Left alone it is one server that writes to no disk.
#[derive(Debug, Clone)]
pub struct Builder {
    pub(super) primaries: usize,
    pub(super) replicas: usize,
    pub(super) sentinels: usize,
    pub(super) cluster: bool,
    pub(super) tls: Option<Clients>,
    pub(super) settings: Vec<(String, String)>,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder::new()
    }
}

impl Builder {
    /// One server.
    pub fn new() -> Builder {
        Builder {
            primaries: 1,
            replicas: 0,
            sentinels: 0,
            cluster: false,
            tls: None,
            settings: Vec::new(),
        }
    }

    /// So many primaries that know nothing of each other, unless they are a [cluster](Builder::cluster).
    pub fn primaries(mut self, primaries: usize) -> Builder {
        self.primaries = primaries;
        self
    }

    /// So many replicas for each primary. They come after all primaries, in the same order.
    pub fn replicas(mut self, replicas: usize) -> Builder {
        self.replicas = replicas;
        self
    }

    /// So many sentinels that watch the first primary, which they call [`PRIMARY`](super::PRIMARY).
    /// They come last.
    pub fn sentinels(mut self, sentinels: usize) -> Builder {
        self.sentinels = sentinels;
        self
    }

    /// Makes the servers a cluster, each primary with as many slots as any other.
    pub fn cluster(mut self) -> Builder {
        self.cluster = true;
        self
    }

    /// Has the servers speak TLS, too, each on a [second port](Servers::secure_addr).
    pub fn tls(mut self, clients: Clients) -> Builder {
        self.tls = Some(clients);
        self
    }

    /// A line of the servers' configuration, for example `maxmemory-policy`.
    pub fn setting(mut self, name: &str, value: &str) -> Builder {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts the servers, and returns when they serve.
    ///
    /// # Errors
    ///
    /// [`StartError::Unavailable`] where this machine has no Redis; [`StartError::Failed`], with the
    /// ends of the servers' logs, for all else.
    pub async fn start(self) -> Result<Servers, StartError> {
        Servers::start(self).await
    }
}
