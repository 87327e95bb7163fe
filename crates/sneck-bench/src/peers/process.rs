//! Locks of libraries in other languages, taken by processes that are told what to do.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use sneck_testkit::peer::Peer;
use sneck_testkit::{StartError, curator, etcd, kazoo};
use tokio::runtime::Runtime;

use super::contestant::Contestant;
use crate::raw::SESSION_TIMEOUT_MS;
use crate::server::process::processor_time;
use crate::talk::say;

/// A library in another language: the processes in which it runs.
#[derive(Debug)]
pub(crate) struct Process {
    library: Library,
    addr: SocketAddr,
    /// The first does all but standing in line with others.
    peers: Vec<Peer>,
    /// Where the library has a store of its own.
    etcd: Option<etcd::Server>,
    runtime: Runtime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Library {
    /// Whose threads run beside each other: one process has all the sessions that stand in line.
    Curator,
    /// Whose threads do not, so that each session is a process.
    Kazoo,
    /// The one of etcd, whose sessions are in one process, too.
    Etcd,
}

impl Process {
    pub(crate) fn curator(addr: SocketAddr) -> io::Result<Process> {
        Process::start(Library::Curator, addr, None)
    }

    pub(crate) fn kazoo(addr: SocketAddr) -> io::Result<Process> {
        Process::start(Library::Kazoo, addr, None)
    }

    /// With a server of its own. Nothing where this machine has none.
    pub(crate) fn etcd() -> io::Result<Option<Process>> {
        match Runtime::new()?.block_on(etcd::Server::start()) {
            Ok(server) => Process::start(Library::Etcd, server.addr(), Some(server)).map(Some),
            Err(StartError::Unavailable(missing)) => {
                say(missing);
                Ok(None)
            }
            Err(error) => Err(io::Error::other(error.to_string())),
        }
    }

    fn start(
        library: Library,
        addr: SocketAddr,
        etcd: Option<etcd::Server>,
    ) -> io::Result<Process> {
        let (peers, runtime) = (Vec::new(), Runtime::new()?);
        let mut process = Process { library, addr, peers, etcd, runtime };
        process.open(1)?;
        Ok(process)
    }

    fn open(&mut self, peers: usize) -> io::Result<()> {
        let timeout = Duration::from_millis(SESSION_TIMEOUT_MS.unsigned_abs().into());
        let addr = self.addr.to_string();
        let etcd = self.etcd.as_ref();
        while self.peers.len() < peers {
            let peer = self.runtime.block_on(async {
                match self.library {
                    Library::Curator => curator::start_optimised(&addr, timeout).await,
                    Library::Kazoo => kazoo::start(&addr, timeout, "bench").await,
                    Library::Etcd => etcd::peer(etcd.expect("it has one"), timeout).await,
                }
            });
            self.peers.push(peer.map_err(|error: StartError| io::Error::other(error.to_string()))?);
        }
        Ok(())
    }
}

impl Contestant for Process {
    fn name(&self) -> &'static str {
        match self.library {
            Library::Curator => "Curator",
            Library::Kazoo => "kazoo",
            Library::Etcd => "etcd",
        }
    }

    fn slowness(&self) -> usize {
        match self.library {
            Library::Curator | Library::Etcd => 1,
            Library::Kazoo => 10,
        }
    }

    fn one_after_another(&mut self, times: usize) -> io::Result<f64> {
        let path = format!("/{}/cycle", self.name());
        let peer = &mut self.peers[0];
        peer.begin_cycle(&path, times);
        Ok(self.runtime.block_on(peer.cycled(&path)).as_secs_f64() * 1e6)
    }

    fn many(&mut self, tasks: usize, times: usize) -> io::Result<()> {
        let path = format!("/{}/many", self.name());
        self.runtime.block_on(self.peers[0].many(&path, tasks, times));
        Ok(())
    }

    fn in_line(&mut self, sessions: usize, times: usize) -> io::Result<()> {
        let path = format!("/{}/line", self.name());
        if self.library != Library::Kazoo {
            self.runtime.block_on(self.peers[0].contend(&path, sessions, times));
            return Ok(());
        }
        self.open(sessions)?;
        let peers = &mut self.peers[..sessions];
        peers.iter_mut().for_each(|peer| peer.begin_cycle(&path, times));
        self.runtime.block_on(async {
            for peer in peers {
                peer.cycled(&path).await;
            }
        });
        Ok(())
    }

    fn crowd(&mut self, tasks: usize) -> io::Result<()> {
        let path = format!("/{}/crowd", self.name());
        self.runtime.block_on(self.peers[0].crowd(&path, tasks, 1));
        Ok(())
    }

    fn processor_time(&self) -> io::Result<Duration> {
        processor_time(self.peers[0].pid())
    }
}
