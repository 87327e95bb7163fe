//! What kind of ensemble to start.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Ensemble, Version};
use crate::skip::StartError;

/// Which certificate the TLS port shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// For `localhost` and `127.0.0.1`, signed by the private CA.
    Good,
    /// Signed by the private CA, for a host of another name.
    WrongHostName,
}

/// Describes an ensemble; [`Builder::start`] starts it.
///
/// Left alone it is one server with a tick of half a second that does not wait for the disk.
#[derive(Debug, Clone)]
pub struct Builder {
    pub(super) version: Version,
    pub(super) nodes: usize,
    pub(super) tick_ms: u32,
    pub(super) init_limit: u32,
    pub(super) sync_limit: u32,
    pub(super) session_timeout_ms_min: Option<u32>,
    pub(super) session_timeout_ms_max: Option<u32>,
    pub(super) client_connections_max: u32,
    pub(super) certificate: Option<Certificate>,
    pub(super) links: bool,
    pub(super) heap_mb: u32,
    pub(super) properties: Vec<(String, String)>,
    pub(super) counters: Vec<(String, i32)>,
    pub(super) preloaded: Option<PathBuf>,
    pub(super) optimised: bool,
}

impl Builder {
    /// One server of this version.
    pub fn new(version: Version) -> Builder {
        Builder {
            version,
            nodes: 1,
            tick_ms: 500,
            init_limit: 40,
            sync_limit: 10,
            session_timeout_ms_min: None,
            session_timeout_ms_max: None,
            client_connections_max: 0,
            certificate: None,
            links: false,
            heap_mb: 128,
            // Tests kill processes, not machines: what was written reaches the page cache, which
            // outlives the process, and a sync of the disk would only slow every test down.
            properties: vec![("zookeeper.forceSync".to_owned(), "no".to_owned())],
            counters: Vec::new(),
            preloaded: None,
            optimised: false,
        }
    }

    /// How many servers; 1 is a standalone one.
    pub fn nodes(mut self, nodes: usize) -> Builder {
        assert!((1..=9).contains(&nodes), "an ensemble of the testkit has 1 to 9 servers");
        self.nodes = nodes;
        self
    }

    /// The server's tick: sessions expire on its multiples, and limits are counted in it.
    pub fn tick_ms(mut self, tick_ms: u32) -> Builder {
        self.tick_ms = tick_ms;
        self
    }

    /// Ticks a follower may take to join its leader.
    pub fn init_limit(mut self, ticks: u32) -> Builder {
        self.init_limit = ticks;
        self
    }

    /// Ticks a follower may lag behind its leader before it gives up.
    pub fn sync_limit(mut self, ticks: u32) -> Builder {
        self.sync_limit = ticks;
        self
    }

    /// The least session timeout granted; two ticks unless given.
    pub fn session_timeout_min(mut self, timeout: Duration) -> Builder {
        self.session_timeout_ms_min = Some(whole_ms(timeout));
        self
    }

    /// The greatest session timeout granted; twenty ticks unless given.
    pub fn session_timeout_max(mut self, timeout: Duration) -> Builder {
        self.session_timeout_ms_max = Some(whole_ms(timeout));
        self
    }

    /// Connections allowed per client address; 0, the default, is no limit.
    pub fn client_connections_max(mut self, connections: u32) -> Builder {
        self.client_connections_max = connections;
        self
    }

    /// Adds a TLS port with this certificate; see [`Ensemble::secure_connect_string`].
    pub fn tls(mut self, certificate: Certificate) -> Builder {
        self.certificate = Some(certificate);
        self
    }

    /// Leads the servers' traffic among themselves through links that
    /// [`Ensemble::isolate`] can cut.
    pub fn links(mut self, links: bool) -> Builder {
        self.links = links;
        self
    }

    /// The JVM's heap.
    pub fn heap_mb(mut self, heap_mb: u32) -> Builder {
        self.heap_mb = heap_mb;
        self
    }

    /// Sets a Java system property, for example `zookeeper.extendedTypesEnabled`.
    pub fn property(mut self, name: &str, value: &str) -> Builder {
        self.properties.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Makes every write wait for the disk, as in production. For measurements.
    pub fn sync_to_disk(self) -> Builder {
        self.property("zookeeper.forceSync", "yes")
    }

    /// Lets the JVM use all of its compilers, as in production. It starts no faster and takes many
    /// requests to become quick. For measurements.
    pub fn optimised(mut self) -> Builder {
        self.optimised = true;
        self
    }

    /// The digest of the superuser, as `super:` and the base64 of the SHA-1 of `super:password`.
    pub fn super_digest(self, digest: &str) -> Builder {
        self.property("zookeeper.DigestAuthenticationProvider.superDigest", digest)
    }

    /// How often empty containers are reaped; a minute unless given.
    pub fn container_check_interval(self, interval: Duration) -> Builder {
        self.property("znode.container.checkIntervalMs", &whole_ms(interval).to_string())
    }

    /// Lets the servers begin with the persistent node `path`, below which this many children were
    /// created before: the next sequential one gets that number.
    ///
    /// Servers before 3.6 let the counter wrap to negative numbers; later ones stay at 2147483647.
    ///
    /// # Panics
    ///
    /// On what is no path of a node.
    pub fn counter(mut self, path: &str, creates: i32) -> Builder {
        sneck_wire::path::validate(path).expect("the path of a node");
        assert!(path != "/", "the root's counter is a matter of the servers");
        self.counters.push((path.to_owned(), creates));
        self
    }

    /// Lets each server begin with a copy of the files in `folder/version-2`, as if an operator had
    /// put them into its data folder before its first start.
    pub fn preload(mut self, folder: &Path) -> Builder {
        self.preloaded = Some(folder.to_owned());
        self
    }

    /// Starts the servers, and returns when they serve.
    ///
    /// # Errors
    ///
    /// [`StartError::Unavailable`] where this machine has no Java, or no jars and no way to fetch
    /// them; [`StartError::Failed`], with the end of the server's log, for all else.
    pub async fn start(self) -> Result<Ensemble, StartError> {
        Ensemble::start(self).await
    }
}

fn whole_ms(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).expect("a timeout of less than 49 days")
}
