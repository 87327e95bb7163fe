//! What kind of cluster to start.

use super::Cluster;
use crate::skip::StartError;

/// Describes a cluster; [`Builder::start`] starts it.
///
/// Left alone it is one node that lets everybody in.
#[derive(Debug, Clone)]
pub struct Builder {
    pub(super) nodes: usize,
    pub(super) heap_mb: u32,
    pub(super) authentication: bool,
    pub(super) optimised: bool,
    pub(super) sync_to_disk: bool,
    pub(super) settings: Vec<(String, String)>,
}

impl Builder {
    /// One node.
    pub fn new() -> Builder {
        Builder {
            nodes: 1,
            heap_mb: 256,
            authentication: false,
            optimised: false,
            sync_to_disk: false,
            settings: Vec::new(),
        }
    }

    /// How many nodes.
    pub fn nodes(mut self, nodes: usize) -> Builder {
        assert!((1..=5).contains(&nodes), "a cluster of the testkit has 1 to 5 nodes");
        self.nodes = nodes;
        self
    }

    /// The heap of each JVM.
    pub fn heap_mb(mut self, heap_mb: u32) -> Builder {
        self.heap_mb = heap_mb;
        self
    }

    /// Asks clients for a password, and checks what they may do; see [`SUPERUSER`](super::SUPERUSER).
    pub fn authentication(mut self) -> Builder {
        self.authentication = true;
        self
    }

    /// Lets the JVM use both of its compilers, for measurements. It starts later.
    pub fn optimised(mut self) -> Builder {
        self.optimised = true;
        self
    }

    /// Has every write on the disk before it is answered. Otherwise a node that is killed forgets what it has
    /// answered in the last tenth of a second, as Cassandra's do by default.
    pub fn sync_to_disk(mut self) -> Builder {
        self.sync_to_disk = true;
        self
    }

    /// Sets a line of `cassandra.yaml`, for example `paxos_variant: v2`.
    pub fn setting(mut self, name: &str, value: &str) -> Builder {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts the nodes, and returns when they serve and see each other.
    ///
    /// # Errors
    ///
    /// [`StartError::Unavailable`] where this machine has no Java, or no jars and no way to fetch
    /// them; [`StartError::Failed`], with the end of the log, for all else.
    pub async fn start(self) -> Result<Cluster, StartError> {
        Cluster::start(self).await
    }
}

impl Default for Builder {
    fn default() -> Builder {
        Builder::new()
    }
}
