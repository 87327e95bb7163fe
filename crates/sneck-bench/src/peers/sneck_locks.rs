//! Sneck's own locks, as their users have them.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sneck::Locks;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use super::contestant::Contestant;
use crate::figure::median;
use crate::raw::SESSION_TIMEOUT_MS;
use crate::scene::processor_time;

/// In tables.
pub(super) const NAME: &str = "sneck";

/// One runtime of two workers, and a session for each that stands in line.
#[derive(Debug)]
pub(crate) struct SneckLocks {
    runtime: Runtime,
    url: String,
    sessions: Vec<Locks>,
    /// Whether its tasks share their places in line.
    coalesces: bool,
}

impl SneckLocks {
    pub(crate) fn connect(addr: SocketAddr) -> io::Result<SneckLocks> {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let url = format!("zk://{addr}/sneck?timeout={SESSION_TIMEOUT_MS}ms");
        let mut locks = SneckLocks { runtime, url, sessions: Vec::new(), coalesces: false };
        locks.open(1)?;
        Ok(locks)
    }

    /// The same, whose tasks share one place in line.
    pub(crate) fn connect_coalescing(addr: SocketAddr) -> io::Result<SneckLocks> {
        let mut locks = SneckLocks::connect(addr)?;
        locks.sessions = locks.sessions.drain(..).map(Locks::coalescing).collect();
        locks.coalesces = true;
        Ok(locks)
    }

    fn open(&mut self, sessions: usize) -> io::Result<()> {
        while self.sessions.len() < sessions {
            let locks = self.runtime.block_on(sneck::connect(&self.url));
            self.sessions.push(locks.map_err(io::Error::other)?);
        }
        Ok(())
    }

    /// Each task takes its lock so many times.
    fn together(&self, locks: impl Iterator<Item = sneck::Mutex>, times: usize) -> io::Result<()> {
        let mut tasks = JoinSet::new();
        for mutex in locks {
            let task = async move {
                for _ in 0..times {
                    mutex.lock().await?.unlock().await?;
                }
                Ok::<_, sneck::Error>(())
            };
            tasks.spawn_on(task, self.runtime.handle());
        }
        let done = self.runtime.block_on(tasks.join_all());
        done.into_iter().collect::<Result<(), _>>().map_err(io::Error::other)
    }
}

impl Contestant for SneckLocks {
    fn name(&self) -> &'static str {
        if self.coalesces { "sneck, coalescing" } else { NAME }
    }

    fn one_after_another(&mut self, times: usize) -> io::Result<f64> {
        let mutex = self.sessions[0].mutex("cycle");
        let work = self.runtime.spawn(async move {
            let mut took = Vec::with_capacity(times);
            for _ in 0..times {
                let began = Instant::now();
                mutex.lock().await?.unlock().await?;
                took.push(began.elapsed().as_secs_f64() * 1e6);
            }
            Ok::<_, sneck::Error>(median(took))
        });
        self.runtime.block_on(work)?.map_err(io::Error::other)
    }

    fn many(&mut self, tasks: usize, times: usize) -> io::Result<()> {
        let session = &self.sessions[0];
        self.together((0..tasks).map(|task| session.mutex(format!("many/{task}"))), times)
    }

    fn in_line(&mut self, sessions: usize, times: usize) -> io::Result<()> {
        self.open(sessions)?;
        let sessions = &self.sessions[..sessions];
        self.together(sessions.iter().map(|session| session.mutex("line")), times)
    }

    fn crowd(&mut self, tasks: usize) -> io::Result<()> {
        let session = &self.sessions[0];
        self.together((0..tasks).map(|_| session.mutex("crowd")), 1)
    }

    fn processor_time(&self) -> io::Result<Duration> {
        Ok(processor_time())
    }
}
