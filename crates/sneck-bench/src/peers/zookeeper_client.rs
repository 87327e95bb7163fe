//! The lock of the crate `zookeeper-client`, with the names that Curator gives to places.
//!
//! It is released by dropping it, in the background: whoever locks again stands in line behind the
//! place that is being given up.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use zookeeper_client::{Acls, Client, CreateMode, Error, LockOptions, LockPrefix};

use super::contestant::Contestant;
use crate::figure::median;
use crate::raw::SESSION_TIMEOUT_MS;
use crate::scene::processor_time;

/// One runtime of two workers, and a session for each that stands in line.
#[derive(Debug)]
pub(crate) struct ZookeeperClient {
    runtime: Runtime,
    addr: SocketAddr,
    sessions: Vec<Client>,
}

impl ZookeeperClient {
    pub(crate) fn connect(addr: SocketAddr) -> io::Result<ZookeeperClient> {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let mut client = ZookeeperClient { runtime, addr, sessions: Vec::new() };
        client.open(1)?;
        Ok(client)
    }

    fn open(&mut self, sessions: usize) -> io::Result<()> {
        while self.sessions.len() < sessions {
            let timeout = Duration::from_millis(SESSION_TIMEOUT_MS.unsigned_abs().into());
            let connect = async {
                let mut connector = Client::connector();
                connector = connector.with_session_timeout(timeout);
                connector.connect(&self.addr.to_string()).await
            };
            let client = self.runtime.block_on(connect).map_err(io::Error::other)?;
            self.sessions.push(client);
        }
        Ok(())
    }

    fn together(
        &self,
        locks: impl Iterator<Item = (Client, String)>,
        times: usize,
    ) -> io::Result<()> {
        let mut tasks = JoinSet::new();
        for (client, dir) in locks {
            let task = async move { cycles(&client, &dir, times).await.map(drop) };
            tasks.spawn_on(task, self.runtime.handle());
        }
        let done = self.runtime.block_on(tasks.join_all());
        done.into_iter().collect::<Result<(), _>>().map_err(io::Error::other)
    }
}

impl Contestant for ZookeeperClient {
    fn name(&self) -> &'static str {
        "zookeeper-client"
    }

    fn one_after_another(&mut self, times: usize) -> io::Result<f64> {
        let client = self.sessions[0].clone();
        let work = self.runtime.spawn(async move { cycles(&client, "/crate/cycle", times).await });
        self.runtime.block_on(work)?.map(median).map_err(io::Error::other)
    }

    fn many(&mut self, tasks: usize, times: usize) -> io::Result<()> {
        let session = &self.sessions[0];
        let locks = (0..tasks).map(|task| (session.clone(), format!("/crate/many-{task}")));
        self.together(locks, times)
    }

    fn in_line(&mut self, sessions: usize, times: usize) -> io::Result<()> {
        self.open(sessions)?;
        let sessions = &self.sessions[..sessions];
        self.together(
            sessions.iter().map(|session| (session.clone(), "/crate/line".to_owned())),
            times,
        )
    }

    fn crowd(&mut self, tasks: usize) -> io::Result<()> {
        let session = &self.sessions[0];
        self.together((0..tasks).map(|_| (session.clone(), "/crate/crowd".to_owned())), 1)
    }

    fn processor_time(&self) -> io::Result<Duration> {
        Ok(processor_time())
    }
}

/// Locks and unlocks so many times; what each took, in microseconds.
async fn cycles(client: &Client, dir: &str, times: usize) -> Result<Vec<f64>, Error> {
    let mut took = Vec::with_capacity(times);
    for _ in 0..times {
        let began = Instant::now();
        let above = CreateMode::Persistent.with_acls(Acls::anyone_all());
        let options = LockOptions::new(Acls::anyone_all()).with_ancestor_options(above)?;
        drop(client.lock(LockPrefix::new_curator(dir, "lock-")?, b"", options).await?);
        took.push(began.elapsed().as_secs_f64() * 1e6);
    }
    Ok(took)
}
