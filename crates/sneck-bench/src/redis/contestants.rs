//! The server and all who take locks on it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use sneck_testkit::StartError;
use sneck_testkit::redis::{Builder, Library, Peer, Servers};
use tokio::runtime::{self, Runtime};

use super::contestant::{Contestant, Foreign, Rslock, TERM};
use crate::client::{Client, Kind};
use crate::talk::say;

/// The server and all who take locks on it; sneck is the first.
#[derive(Debug)]
pub(crate) struct Contestants {
    pub(crate) all: Vec<Box<dyn Contestant>>,
    server: Servers,
    // The peers are spoken to on this one.
    _runtime: Arc<Runtime>,
}

impl Contestants {
    /// Starts the server, and whoever can be had on this machine.
    pub(crate) fn start() -> Result<Contestants, Box<dyn std::error::Error>> {
        let runtime = Arc::new(Runtime::new()?);
        let server = runtime.block_on(Builder::new().start()).map_err(told)?;
        let addr = server.addr(0);
        let term = TERM.as_secs();
        let ours = Client::open(&format!("redis://{addr}?term={term}s"), Kind::TwoWorkers)?;
        let like_ours =
            runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let theirs = Rslock::new(like_ours, &format!("redis://{addr}"));
        let mut all: Vec<Box<dyn Contestant>> = vec![Box::new(ours), Box::new(theirs)];
        for library in [Library::RedisPy, Library::Redisson] {
            match runtime.block_on(Peer::start(library, addr)) {
                Ok(peer) => {
                    let (name, runtime) = (library.name(), runtime.clone());
                    all.push(Box::new(Foreign { name, runtime, peer }));
                }
                Err(StartError::Unavailable(missing)) => say(missing),
                Err(error) => return Err(told(error).into()),
            }
        }
        Ok(Contestants { all, server, _runtime: runtime })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.server.addr(0)
    }

    /// Lets everybody become quick.
    pub(crate) fn warm_up(&mut self, locks: usize) -> io::Result<()> {
        for contestant in &mut self.all {
            contestant.cycle("warm-up", locks)?;
        }
        Ok(())
    }

    /// One round: everybody once. Who begins is another in each round, so that nobody always follows the
    /// same one.
    pub(crate) fn round<T>(
        &mut self,
        number: usize,
        mut turn: impl FnMut(&mut dyn Contestant) -> io::Result<T>,
    ) -> io::Result<Vec<T>> {
        let count = self.all.len();
        let mut results: Vec<(usize, T)> = Vec::with_capacity(count);
        for at in (0..count).map(|at| (at + number) % count) {
            results.push((at, turn(&mut *self.all[at])?));
        }
        results.sort_by_key(|(at, _)| *at);
        Ok(results.into_iter().map(|(_, result)| result).collect())
    }
}

fn told(error: StartError) -> String {
    error.to_string()
}
