//! A server of sneck's, a runtime for its clients, and what both use.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use sneck::Locks;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use super::told;
use crate::curve::Curve;
use crate::open_files;
use crate::scene::processor_time;
use crate::server::contestant::{Listen, Sneck, socket_in};
use crate::server::process;

/// The default of `sneck serve`.
const TICK: &str = "2s";
/// How much is begun at the same time.
const AT_ONCE: usize = 256;
/// Longer than anything takes here that comes to an end.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// A new server without clients.
pub(super) struct Stage {
    pub(super) runtime: Runtime,
    server: Option<Sneck>,
    binary: PathBuf,
    folder: TempDir,
    before: Memory,
}

/// Memory in use, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory {
    client: f64,
    server: f64,
}

/// The curves of what many of something cost.
pub(super) struct Costs {
    client_bytes: Curve,
    server_bytes: Curve,
    client_time: Curve,
    server_time: Curve,
    requests: Curve,
}

impl Stage {
    pub(super) fn set(binary: &Path) -> io::Result<Stage> {
        open_files::allow_many()?;
        let folder = tempfile::Builder::new().prefix("sneck-bench-").tempdir()?;
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let before = Memory { client: 0.0, server: 0.0 };
        let binary = binary.to_owned();
        let mut stage = Stage { runtime, server: None, binary, folder, before };
        stage.start("127.0.0.1:0")?;
        // What a first client costs, one of many does not.
        let locks = stage.connect()?;
        stage.run(async move { locks.mutex("warm-up").lock().await?.unlock().await })?;
        stage.begin()?;
        Ok(stage)
    }

    /// What is in use by now belongs to nothing that is counted.
    pub(super) fn begin(&mut self) -> io::Result<()> {
        self.before = self.memory()?;
        Ok(())
    }

    fn start(&mut self, addr: &str) -> io::Result<()> {
        let socket = socket_in(self.folder.path())?;
        let data = self.folder.path().join("data");
        let listen = Listen { addr, tick: TICK };
        self.server = Some(Sneck::start_at(&self.binary, &data, &socket, listen)?);
        Ok(())
    }

    /// Kills the server with -9 and starts it again on its data and its address. Says when it was killed.
    pub(super) fn restart(&mut self) -> io::Result<Instant> {
        let addr = self.server().addr.to_string();
        let killed = Instant::now();
        self.server = None;
        self.start(&addr)?;
        Ok(killed)
    }

    pub(super) fn server(&self) -> &Sneck {
        self.server.as_ref().unwrap_or_else(|| unreachable!("a stage has a server"))
    }

    /// A session of its own.
    pub(super) fn connect(&self) -> io::Result<Locks> {
        let url = self.url();
        self.run(async move { sneck::connect(&url).await })
    }

    pub(super) fn url(&self) -> String {
        format!("zk://{}/scale", self.server().addr)
    }

    pub(super) fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, sneck::Error>> + Send + 'static,
    ) -> io::Result<T> {
        self.runtime.block_on(self.runtime.spawn(work))?.map_err(told)
    }

    /// Does the same for many, some of them at once.
    pub(super) fn each<T, W>(&self, items: impl IntoIterator<Item = W>) -> io::Result<Vec<T>>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, sneck::Error>> + Send + 'static,
    {
        let mut items = items.into_iter();
        self.runtime.block_on(async {
            let mut tasks = JoinSet::new();
            let mut done = Vec::new();
            loop {
                while tasks.len() < AT_ONCE
                    && let Some(work) = items.next()
                {
                    tasks.spawn(work);
                }
                let Some(one) = tasks.join_next().await else { return Ok(done) };
                done.push(one?.map_err(told)?);
            }
        })
    }

    // ----- what is seen -----

    /// What the server says of itself under this name.
    pub(super) fn figure(&self, name: &str) -> io::Result<u64> {
        let mut stream = TcpStream::connect(self.server().addr)?;
        stream.write_all(b"mntr")?;
        stream.shutdown(Shutdown::Write)?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('\t'));
        line.and_then(|number| number.parse().ok()).ok_or_else(|| told(format!("no {name}")))
    }

    /// Returns when the server says so.
    pub(super) fn until(&self, name: &str, holds: impl Fn(u64) -> bool) -> io::Result<()> {
        let began = Instant::now();
        loop {
            let now = self.figure(name)?;
            if holds(now) {
                return Ok(());
            }
            if began.elapsed() > WAIT_MAX {
                return Err(told(format!("{name} has stayed at {now}")));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn memory(&self) -> io::Result<Memory> {
        let bytes = |pid| Ok::<_, io::Error>(process::resident_mib(pid)? * f64::from(1 << 20));
        Ok(Memory { client: bytes(std::process::id())?, server: bytes(self.server().pid())? })
    }

    /// Notes what `many` cost while nothing happens.
    pub(super) fn note(&self, many: usize, idle: Duration, costs: &mut Costs) -> io::Result<()> {
        // What was begun together has its timers at about the same time; let that be over.
        thread::sleep(Duration::from_secs(1));
        let each = many as f64;
        let memory = self.memory()?;
        costs.client_bytes.put(many, (memory.client - self.before.client) / each);
        costs.server_bytes.put(many, (memory.server - self.before.server) / each);
        let used = || {
            Ok::<_, io::Error>([processor_time(), process::processor_time(self.server().pid())?])
        };
        let (began, before) = (Instant::now(), used()?);
        let received = self.figure("zk_packets_received")?;
        thread::sleep(idle);
        let requests = self.figure("zk_packets_received")?.saturating_sub(received) as f64;
        let (seconds, after) = (began.elapsed().as_secs_f64(), used()?);
        let ns = |of: usize| after[of].saturating_sub(before[of]).as_secs_f64() * 1e9 / seconds;
        costs.client_time.put(many, ns(0) / each);
        costs.server_time.put(many, ns(1) / each);
        costs.requests.put(many, requests / seconds);
        Ok(())
    }
}

impl Costs {
    /// `one` of those that there are many of, and all of `them`.
    pub(super) fn of(one: &str, them: &str) -> Costs {
        let curve = |what: String, unit| Curve::new(&what, unit, them);
        let time = "ns per second";
        Costs {
            client_bytes: curve(format!("memory of the client for {one}"), "bytes"),
            server_bytes: curve(format!("memory of the server for {one}"), "bytes"),
            client_time: curve(format!("processor of the client for {one}, idle"), time),
            server_time: curve(format!("processor of the server for {one}, idle"), time),
            requests: curve(format!("requests in all with {them}, idle"), "per second"),
        }
    }

    pub(super) fn into_curves(self) -> Vec<Curve> {
        let Costs { client_bytes, server_bytes, client_time, server_time, requests } = self;
        vec![client_bytes, server_bytes, client_time, server_time, requests]
    }
}
