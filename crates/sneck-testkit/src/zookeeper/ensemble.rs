//! A running ensemble: where it is, what it says of itself, and how to hurt it.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::four_letter::{self, Mode};
use super::launch::{Launch, Ports};
use super::link::Links;
use super::{Builder, Version};
use crate::janitor::{Janitor, Process};
use crate::skip::StartError;
use crate::tls::Material;

/// Far more than a start or an election takes, so that only a real failure reaches it.
const SERVING_MAX: Duration = Duration::from_secs(90);
/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(20);
/// Attempts at a start when somebody else took a port in between.
const START_ATTEMPTS_MAX: u32 = 3;

/// One server, or several that elect a leader; servers are counted from 0.
///
/// Dropping it kills the servers by pid and removes their data.
#[derive(Debug)]
pub struct Ensemble {
    version: Version,
    addrs: Vec<SocketAddr>,
    owned: Option<Owned>,
}

/// What an ensemble started by this process has, in the order in which it must be dropped.
#[derive(Debug)]
struct Owned {
    nodes: Mutex<Vec<Node>>,
    links: Option<Links>,
    material: Option<Material>,
    secure: Vec<SocketAddr>,
    janitor: Janitor,
    // Last, so that nobody else takes the ports while a server may still hold them.
    _ports: Vec<Ports>,
}

#[derive(Debug)]
struct Node {
    launch: Launch,
    process: Option<Process>,
    paused: bool,
}

impl Ensemble {
    pub(super) async fn start(builder: Builder) -> Result<Ensemble, StartError> {
        let jars = builder.version.jars();
        let lib = blocking(move || jars.obtain()).await?;
        let mut attempt = 1;
        loop {
            let ensemble = Ensemble::launch(&builder, &lib)?;
            let Err(reason) = ensemble.serving().await else { return Ok(ensemble) };
            let logs = ensemble.log_tails();
            let clash = logs.contains("Address already in use");
            if !clash || attempt == START_ATTEMPTS_MAX {
                return Err(StartError::Failed(format!("{reason}\n{logs}")));
            }
            attempt += 1;
        }
    }

    fn launch(builder: &Builder, lib: &Path) -> Result<Ensemble, StartError> {
        let janitor = Janitor::new("sneck-zookeeper-")?;
        let ports: Vec<Ports> =
            (0..builder.nodes).map(|_| Ports::lease(builder)).collect::<io::Result<_>>()?;
        let material = match builder.certificate {
            Some(_) => Some(Material::generate(janitor.folder())?),
            None => None,
        };
        let pairs = ports.iter().map(|ports| [ports.quorum.number(), ports.election.number()]);
        let links = match builder.links {
            true => Some(Links::open(&pairs.collect::<Vec<_>>())?),
            false => None,
        };
        let mut nodes = Vec::new();
        for index in 0..builder.nodes {
            let launch = Launch::write(builder, index, &ports, lib, &janitor, material.as_ref())?;
            let process = Some(launch.spawn(&janitor)?);
            nodes.push(Node { launch, process, paused: false });
        }
        let addrs: Vec<SocketAddr> = ports.iter().map(Ports::client_addr).collect();
        let secure = ports.iter().filter_map(|ports| ports.secure.as_ref());
        let secure = secure.map(|port| SocketAddr::from(([127, 0, 0, 1], port.number()))).collect();
        let nodes = Mutex::new(nodes);
        let owned = Owned { nodes, links, material, secure, janitor, _ports: ports };
        Ok(Ensemble { version: builder.version, addrs, owned: Some(owned) })
    }

    /// Servers that somebody else started and will end: they can be asked, not hurt.
    ///
    /// # Errors
    ///
    /// When the connect string is not a list of `address:port`.
    pub fn attach(version: Version, connect_string: &str) -> Result<Ensemble, StartError> {
        let addrs: Result<Vec<SocketAddr>, _> = connect_string.split(',').map(str::parse).collect();
        match addrs {
            Ok(addrs) => Ok(Ensemble { version, addrs, owned: None }),
            Err(error) => Err(StartError::Failed(format!("`{connect_string}`: {error}"))),
        }
    }

    /// The version it runs.
    pub fn version(&self) -> Version {
        self.version
    }

    /// How many servers it has.
    pub fn nodes(&self) -> usize {
        self.addrs.len()
    }

    /// All client addresses, as a client takes them: `127.0.0.1:p1,127.0.0.1:p2`.
    pub fn connect_string(&self) -> String {
        join(&self.addrs)
    }

    /// The client address of one server.
    pub fn addr(&self, server: usize) -> SocketAddr {
        self.addrs[server]
    }

    /// All TLS addresses; empty unless asked for with [`Builder::tls`].
    pub fn secure_connect_string(&self) -> String {
        self.owned.as_ref().map(|owned| join(&owned.secure)).unwrap_or_default()
    }

    /// The certificates, where there is a TLS port.
    pub fn tls(&self) -> Option<&Material> {
        self.owned.as_ref()?.material.as_ref()
    }

    /// The folder with the servers' data and logs, removed on drop.
    ///
    /// # Panics
    ///
    /// On an attached ensemble, as everything that needs to own the servers does.
    pub fn folder(&self) -> &Path {
        self.owned().janitor.folder()
    }

    /// What one server has logged since its first start.
    pub fn log(&self, server: usize) -> String {
        let log = self.nodes_of(self.owned())[server].launch.log.clone();
        std::fs::read_to_string(log).unwrap_or_default()
    }

    /// The pid of one server's JVM, while it runs.
    pub fn pid(&self, server: usize) -> Option<u32> {
        self.nodes_of(self.owned())[server].process.as_ref().map(Process::pid)
    }

    /// Kills one server with -9, and returns when it is gone.
    pub async fn kill(&self, server: usize) {
        let process = {
            let node = &mut self.nodes_of(self.owned())[server];
            node.paused = false;
            node.process.take()
        };
        // Killing waits for the end, which is no work for a runtime's thread.
        blocking(move || drop(process)).await;
    }

    /// Starts one server that is down, on the data it left. Does not wait until it serves.
    pub async fn start_server(&self, server: usize) {
        let owned = self.owned();
        let node = &mut self.nodes_of(owned)[server];
        assert!(node.process.is_none(), "server {server} runs already");
        node.process = Some(node.launch.spawn(&owned.janitor).expect("java started before"));
    }

    /// Kills one server, starts it again and waits until all serve.
    pub async fn restart(&self, server: usize) {
        self.kill(server).await;
        self.start_server(server).await;
        self.wait_until_serving().await;
    }

    /// Stops one server's clock (SIGSTOP): its sockets stay open and say nothing.
    pub async fn pause(&self, server: usize) {
        self.signal(server, Signal::STOP);
    }

    /// Lets a paused server go on.
    pub async fn resume(&self, server: usize) {
        self.signal(server, Signal::CONT);
    }

    fn signal(&self, server: usize, signal: Signal) {
        let node = &mut self.nodes_of(self.owned())[server];
        let process = node.process.as_ref().expect("the server runs");
        process.signal(signal).expect("a child of ours takes signals");
        node.paused = signal == Signal::STOP;
    }

    /// Cuts one server off from the others, not from its clients, and without a reset.
    ///
    /// # Panics
    ///
    /// Unless the ensemble was built with [`Builder::links`].
    pub async fn isolate(&self, server: usize) {
        self.links().isolate(server);
    }

    /// Ends [`Ensemble::isolate`].
    pub async fn heal(&self, server: usize) {
        self.links().heal(server);
    }

    /// The server that leads (a standalone one leads itself), waited for while there is none.
    pub async fn leader(&self) -> usize {
        self.wait_for("a leader", async || {
            let modes = self.modes().await;
            modes.iter().position(|mode| matches!(mode, Some(Mode::Leader | Mode::Standalone)))
        })
        .await
    }

    /// The servers that follow at this moment.
    pub async fn followers(&self) -> Vec<usize> {
        let modes = self.modes().await;
        (0..modes.len()).filter(|&server| modes[server] == Some(Mode::Follower)).collect()
    }

    /// Returns when every server that runs and is neither paused nor isolated serves clients.
    ///
    /// # Panics
    ///
    /// With the ends of the logs, when that does not come true.
    pub async fn wait_until_serving(&self) {
        if let Err(reason) = self.serving().await {
            panic!("{reason}\n{}", self.log_tails());
        }
    }

    /// Asks one server a four-letter word, and asks again while it does not answer.
    pub async fn four_letter(&self, server: usize, word: &str) -> String {
        self.wait_for(word, async || {
            let answer = four_letter::ask(self.addr(server), word).await.ok()?;
            // A server between two elections answers every word with this one sentence.
            (!answer.contains("not currently serving requests")).then_some(answer)
        })
        .await
    }

    /// One value of `mntr`, by its whole name, for example `zk_watch_count`.
    ///
    /// # Panics
    ///
    /// When the server has no such metric.
    pub async fn metric(&self, server: usize, name: &str) -> f64 {
        let mntr = self.four_letter(server, "mntr").await;
        four_letter::metric(&mntr, name)
            .unwrap_or_else(|| panic!("no metric `{name}` among:\n{mntr}"))
    }

    /// The summary of watches that one server keeps.
    pub async fn wchs(&self, server: usize) -> String {
        self.four_letter(server, "wchs").await
    }

    async fn modes(&self) -> Vec<Option<Mode>> {
        let mut modes = Vec::new();
        for (server, &addr) in self.addrs.iter().enumerate() {
            let serves = self.is_expected(server) && self.is_open_for_tls(server).await;
            modes.push(if serves { four_letter::mode(addr).await } else { None });
        }
        modes
    }

    /// Whether the TLS port, where there is one, takes connections; a server opens it last.
    async fn is_open_for_tls(&self, server: usize) -> bool {
        let port = self.owned.as_ref().and_then(|owned| owned.secure.get(server));
        match port {
            Some(port) => tokio::net::TcpStream::connect(port).await.is_ok(),
            None => true,
        }
    }

    /// Whether this server should serve, as far as we know what was done to it.
    fn is_expected(&self, server: usize) -> bool {
        let Some(owned) = &self.owned else { return true };
        let node = &self.nodes_of(owned)[server];
        let isolated = owned.links.as_ref().is_some_and(|links| links.is_isolated(server));
        node.process.is_some() && !node.paused && !isolated
    }

    async fn serving(&self) -> Result<(), String> {
        let give_up = Instant::now() + SERVING_MAX;
        loop {
            let modes = self.modes().await;
            let all = (0..modes.len()).all(|at| modes[at].is_some() || !self.is_expected(at));
            let leads =
                |mode: &&Option<Mode>| matches!(mode, Some(Mode::Leader | Mode::Standalone));
            if all && (self.owned.is_none() || modes.iter().filter(leads).count() == 1) {
                return Ok(());
            }
            if let Some(server) = self.ended() {
                return Err(format!("server {server} ended by itself"));
            }
            if Instant::now() > give_up {
                return Err(format!("not serving after {SERVING_MAX:?}: {modes:?}"));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// A server that should run and does not.
    fn ended(&self) -> Option<usize> {
        let mut nodes = self.nodes_of(self.owned.as_ref()?);
        nodes.iter_mut().position(|node| {
            let end = node.process.as_mut().map(Process::try_wait);
            matches!(end, Some(Ok(Some(_))))
        })
    }

    async fn wait_for<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let give_up = Instant::now() + SERVING_MAX;
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(
                Instant::now() < give_up,
                "waited {SERVING_MAX:?} for {what} of {}\n{}",
                self.connect_string(),
                self.log_tails()
            );
            tokio::time::sleep(POLL).await;
        }
    }

    fn log_tails(&self) -> String {
        let Some(owned) = &self.owned else { return String::new() };
        let nodes = self.nodes_of(owned);
        let tails = nodes.iter().enumerate().map(|(server, node)| {
            format!("--- the log of server {server} ends so:\n{}", node.launch.log_tail())
        });
        tails.collect::<Vec<_>>().join("\n")
    }

    fn owned(&self) -> &Owned {
        self.owned.as_ref().expect("only the process that started a server can do this to it")
    }

    fn links(&self) -> &Links {
        self.owned().links.as_ref().expect("the ensemble was built with links")
    }

    fn nodes_of<'a>(&self, owned: &'a Owned) -> MutexGuard<'a, Vec<Node>> {
        owned.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn join(addrs: &[SocketAddr]) -> String {
    addrs.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(",")
}

/// Runs what blocks where it may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("the work does not panic")
}
