//! Sneck as its users have it: a runtime and a session on it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use sneck::Locks;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::raw::SESSION_TIMEOUT_MS;

/// Which runtime drives the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// tokio's default kind, with two workers; the caller is a task on it.
    TwoWorkers,
    /// A single thread, for the caller too.
    OneThread,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::TwoWorkers => "sneck, 2 workers",
            Kind::OneThread => "sneck, 1 thread",
        }
    }
}

/// A client of sneck.
#[derive(Debug)]
pub(crate) struct Client {
    runtime: Runtime,
    pub(crate) locks: Locks,
}

impl Client {
    /// On ZooKeeper, in a session that no round outlasts.
    pub(crate) fn connect(addr: SocketAddr, kind: Kind) -> io::Result<Client> {
        Client::open(&format!("zk://{addr}/bench?timeout={SESSION_TIMEOUT_MS}ms"), kind)
    }

    pub(crate) fn open(url: &str, kind: Kind) -> io::Result<Client> {
        let runtime = match kind {
            Kind::TwoWorkers => {
                Builder::new_multi_thread().worker_threads(2).enable_all().build()?
            }
            Kind::OneThread => Builder::new_current_thread().enable_all().build()?,
        };
        let locks = runtime.block_on(sneck::connect(url)).map_err(io::Error::other)?;
        Ok(Client { runtime, locks })
    }

    /// Runs a future as a task of the runtime, not on the thread that waits for it.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, sneck::Error>> + Send + 'static,
    ) -> io::Result<T> {
        self.wait_for(self.spawn(work))
    }

    /// Begins a task of the runtime.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, sneck::Error>> + Send + 'static,
    ) -> Task<T> {
        self.runtime.spawn(work)
    }

    /// Waits for the end of a task.
    pub(crate) fn wait_for<T>(&self, task: Task<T>) -> io::Result<T> {
        self.runtime.block_on(task).map_err(io::Error::other)?.map_err(io::Error::other)
    }
}

/// What runs on a client's runtime.
pub(crate) type Task<T> = JoinHandle<Result<T, sneck::Error>>;
