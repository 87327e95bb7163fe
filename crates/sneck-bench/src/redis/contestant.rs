//! One library that takes locks on Redis.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rslock::LockManager;
use sneck_testkit::redis::Peer;
use tokio::runtime::Runtime;

use crate::client::Client;
use crate::contention::{self, Contention};

/// The term of locks where one has to be given: longer than anything here takes.
pub(crate) const TERM: Duration = Duration::from_secs(30);

/// One library that takes locks on Redis, as its documentation shows it.
pub(crate) trait Contestant: fmt::Debug {
    /// For tables.
    fn name(&self) -> &'static str;

    /// Takes and gives back a lock so often; the microseconds of each.
    fn cycle(&mut self, lock: &str, times: usize) -> io::Result<Vec<f64>>;

    /// So many tasks or threads of one client for one lock, for so long.
    fn contend(
        &mut self,
        lock: &str,
        contenders: usize,
        length: Duration,
    ) -> io::Result<Contention>;
}

impl Contestant for Client {
    fn name(&self) -> &'static str {
        "sneck"
    }

    fn cycle(&mut self, lock: &str, times: usize) -> io::Result<Vec<f64>> {
        contention::cycle(self, lock, times)
    }

    fn contend(
        &mut self,
        lock: &str,
        contenders: usize,
        length: Duration,
    ) -> io::Result<Contention> {
        contention::contend(self, lock, contenders, length)
    }
}

/// rslock, on a runtime like sneck's.
#[derive(Debug)]
pub(crate) struct Rslock {
    runtime: Runtime,
    manager: LockManager,
}

impl Rslock {
    pub(crate) fn new(runtime: Runtime, url: &str) -> Rslock {
        Rslock { runtime, manager: LockManager::new(vec![url]) }
    }
}

impl Contestant for Rslock {
    fn name(&self) -> &'static str {
        "rslock"
    }

    fn cycle(&mut self, lock: &str, times: usize) -> io::Result<Vec<f64>> {
        let (manager, lock) = (self.manager.clone(), lock.to_owned());
        let took = self.runtime.spawn(async move {
            let mut took_us = Vec::with_capacity(times);
            for _ in 0..times {
                let began = Instant::now();
                manager.acquire(lock.as_str(), TERM).await?.release().await;
                took_us.push(began.elapsed().as_secs_f64() * 1e6);
            }
            Ok::<_, rslock::LockError>(took_us)
        });
        self.runtime.block_on(took).map_err(io::Error::other)?.map_err(io::Error::other)
    }

    fn contend(
        &mut self,
        lock: &str,
        contenders: usize,
        length: Duration,
    ) -> io::Result<Contention> {
        let began = Instant::now();
        let contender = |_| {
            let (manager, lock) = (self.manager.clone(), lock.to_owned());
            self.runtime.spawn(async move {
                let mut waits_us = Vec::new();
                while began.elapsed() < length {
                    let asked = Instant::now();
                    let guard = manager.acquire(lock.as_str(), TERM).await?;
                    waits_us.push(asked.elapsed().as_secs_f64() * 1e6);
                    guard.release().await;
                }
                Ok::<_, rslock::LockError>(waits_us)
            })
        };
        let tasks: Vec<_> = (0..contenders).map(contender).collect();
        let mut waits_us = Vec::new();
        for task in tasks {
            let mine = self.runtime.block_on(task).map_err(io::Error::other)?;
            waits_us.extend(mine.map_err(io::Error::other)?);
        }
        Ok(Contention { took: began.elapsed(), waits_us })
    }
}

/// A library in another language, in a process of its own.
#[derive(Debug)]
pub(crate) struct Foreign {
    pub(crate) name: &'static str,
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) peer: Peer,
}

impl Contestant for Foreign {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cycle(&mut self, lock: &str, times: usize) -> io::Result<Vec<f64>> {
        Ok(self.runtime.block_on(self.peer.cycle(lock, times)))
    }

    fn contend(
        &mut self,
        lock: &str,
        contenders: usize,
        length: Duration,
    ) -> io::Result<Contention> {
        let (took, waits_us) = self.runtime.block_on(self.peer.contend(lock, contenders, length));
        Ok(Contention { took, waits_us })
    }
}
