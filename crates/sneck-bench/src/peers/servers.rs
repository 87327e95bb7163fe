//! The servers on which locks are compared.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use sneck_testkit::zookeeper::{Builder, Ensemble, Version};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::raw::SESSION_TIMEOUT_MS;
use crate::server::contestant::{Sneck, socket_in};

/// Which server, and whether it waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    /// ZooKeeper that does not wait for the disk: what is left is the cost of clients.
    Quick,
    /// ZooKeeper as it runs in production.
    Standalone,
    /// Three of them.
    Ensemble,
    /// `sneck serve` with its data on the disk.
    Sneck,
}

impl Store {
    pub(crate) const ALL: [Store; 4] =
        [Store::Quick, Store::Standalone, Store::Ensemble, Store::Sneck];

    /// For tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Store::Quick => "ZooKeeper, fsync off",
            Store::Standalone => "ZooKeeper, fsync on",
            Store::Ensemble => "three ZooKeepers, fsync on",
            Store::Sneck => "sneck serve, fsync on",
        }
    }
}

/// A server that runs.
#[derive(Debug)]
pub(crate) struct Server {
    addr: SocketAddr,
    _running: Running,
}

#[derive(Debug)]
#[expect(dead_code, reason = "held so that they go on running")]
enum Running {
    ZooKeeper(Ensemble, Runtime),
    Sneck(Sneck, TempDir),
}

impl Server {
    pub(crate) fn start(
        store: Store,
        binary: &Path,
        version: Version,
    ) -> Result<Server, Box<dyn std::error::Error>> {
        if store == Store::Sneck {
            let folder = tempfile::Builder::new().prefix("sneck-bench-").tempdir()?;
            let socket = socket_in(folder.path())?;
            let sneck = Sneck::start(binary, &folder.path().join("data"), &socket)?;
            return Ok(Server { addr: sneck.addr, _running: Running::Sneck(sneck, folder) });
        }
        let runtime = Runtime::new()?;
        let timeout = Duration::from_millis(SESSION_TIMEOUT_MS.unsigned_abs().into());
        let builder = Builder::new(version)
            .nodes(if store == Store::Ensemble { 3 } else { 1 })
            .tick_ms(2_000)
            .session_timeout_max(timeout)
            .container_check_interval(Duration::from_secs(3_600))
            .heap_mb(1_024)
            .optimised();
        let builder = if store == Store::Quick { builder } else { builder.sync_to_disk() };
        let ensemble = runtime.block_on(builder.start()).map_err(|error| error.to_string())?;
        // Whoever may choose would choose another each; a follower is what most clients have.
        let node = match store {
            Store::Ensemble => runtime.block_on(ensemble.followers())[0],
            _ => 0,
        };
        let addr = ensemble.addr(node);
        Ok(Server { addr, _running: Running::ZooKeeper(ensemble, runtime) })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }
}
