//! A running cluster: where it is, and how to hurt it.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::launch::{Launch, Ports};
use super::mutant::Statements;
use super::{BACKEND, Builder, JARS};
use crate::janitor::{Janitor, Process};
use crate::mutation::{Mutant, Mutation};
use crate::skip::StartError;

/// Far more than a start takes on a busy machine, so that only a real failure reaches it.
const SERVING_MAX: Duration = Duration::from_secs(180);
/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(50);
/// How long a node that listens may take to take a connection.
const CONNECT_MAX: Duration = Duration::from_millis(500);

/// The nodes of one cluster, counted from 0.
///
/// Dropping it kills the nodes by pid and removes their data.
#[derive(Debug)]
pub struct Cluster {
    // In the order in which they must be dropped.
    nodes: Mutex<Vec<Node>>,
    janitor: Janitor,
    // Last, so that nobody else takes the ports while a node may still hold them.
    ports: Ports,
    authentication: bool,
    /// What stands before a node that is alone, where its statements are changed.
    mutant: Option<Mutant>,
}

#[derive(Debug)]
struct Node {
    launch: Launch,
    process: Option<Process>,
    paused: bool,
}

impl Cluster {
    pub(super) async fn start(builder: Builder) -> Result<Cluster, StartError> {
        let lib = blocking(|| JARS.obtain()).await?;
        let janitor = Janitor::new("sneck-cassandra-")?;
        let ports = Ports::lease()?;
        let mut nodes = Vec::new();
        for index in 0..builder.nodes {
            let launch = Launch::write(&builder, index, &ports, &lib, &janitor)?;
            nodes.push(Node { launch, process: None, paused: false });
        }
        let nodes = Mutex::new(nodes);
        let authentication = builder.authentication;
        // Nodes tell clients where the others are, past any line.
        let mutation = Mutation::of(BACKEND).filter(|_| builder.nodes == 1);
        let mutant = mutation.map(|it| Mutant::start(ports.client_addr(0), Statements(it)));
        let mutant = mutant.transpose()?;
        let cluster = Cluster { nodes, janitor, ports, authentication, mutant };
        // Each joins a ring that stands: nodes that come up side by side make rings of their own first.
        for index in 0..builder.nodes {
            cluster.spawn(index)?;
            if let Err(reason) = cluster.serving().await {
                return Err(StartError::Failed(format!("{reason}\n{}", cluster.log_tails())));
            }
        }
        Ok(cluster)
    }

    /// How many nodes it has.
    pub fn nodes(&self) -> usize {
        self.lock().len()
    }

    /// The client address of one node.
    pub fn addr(&self, node: usize) -> SocketAddr {
        let mutant = self.mutant.as_ref().map(Mutant::addr);
        mutant.unwrap_or_else(|| self.ports.client_addr(node))
    }

    /// All client addresses, as a client takes them: `127.0.0.1:p,127.0.0.2:p`.
    pub fn contact_points(&self) -> String {
        let addrs: Vec<String> =
            (0..self.nodes()).map(|node| self.addr(node).to_string()).collect();
        addrs.join(",")
    }

    /// The folder with the nodes' data and logs, removed on drop.
    pub fn folder(&self) -> &Path {
        self.janitor.folder()
    }

    /// What one node has logged since its first start.
    pub fn log(&self, node: usize) -> String {
        self.lock()[node].launch.read_log()
    }

    /// The pid of one node's JVM, while it runs.
    pub fn pid(&self, node: usize) -> Option<u32> {
        self.lock()[node].process.as_ref().map(Process::pid)
    }

    /// Kills one node with -9, and returns when it is gone.
    pub async fn kill(&self, node: usize) {
        let process = {
            let node = &mut self.lock()[node];
            node.paused = false;
            node.process.take()
        };
        // Killing waits for the end, which is no work for a runtime's thread.
        blocking(move || drop(process)).await;
    }

    /// Starts one node that is down, on the data it left. Does not wait until it serves.
    pub async fn start_node(&self, node: usize) {
        self.spawn(node).expect("java started before");
    }

    fn spawn(&self, node: usize) -> io::Result<()> {
        let node = &mut self.lock()[node];
        assert!(node.process.is_none(), "the node runs already");
        node.process = Some(node.launch.spawn(&self.janitor)?);
        Ok(())
    }

    /// Stops one node's clock (SIGSTOP): its sockets stay open and say nothing.
    pub async fn pause(&self, node: usize) {
        self.signal(node, Signal::STOP);
    }

    /// Lets a paused node go on.
    pub async fn resume(&self, node: usize) {
        self.signal(node, Signal::CONT);
    }

    fn signal(&self, node: usize, signal: Signal) {
        let node = &mut self.lock()[node];
        let process = node.process.as_ref().expect("the node runs");
        process.signal(signal).expect("a child of ours takes signals");
        node.paused = signal == Signal::STOP;
    }

    /// Lets every paused node go on, starts those that are down, and waits until all serve.
    ///
    /// # Panics
    ///
    /// With the end of their logs, when they do not.
    pub async fn heal(&self) {
        for index in 0..self.nodes() {
            let (down, paused) = {
                let node = &self.lock()[index];
                (node.process.is_none(), node.paused)
            };
            match (down, paused) {
                (true, _) => self.start_node(index).await,
                (false, true) => self.resume(index).await,
                (false, false) => {}
            }
        }
        self.wait_until_serving().await;
    }

    /// Waits until all nodes that run serve and see each other.
    ///
    /// # Panics
    ///
    /// With the end of their logs, when they do not.
    pub async fn wait_until_serving(&self) {
        if let Err(reason) = self.serving().await {
            panic!("{reason}\n{}", self.log_tails());
        }
    }

    async fn serving(&self) -> Result<(), String> {
        let give_up = Instant::now() + SERVING_MAX;
        loop {
            let Some(reason) = self.missing()? else { return Ok(()) };
            if Instant::now() >= give_up {
                return Err(format!("{reason} after {SERVING_MAX:?}"));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// What is still missing before the cluster serves.
    fn missing(&self) -> Result<Option<String>, String> {
        let mut nodes = self.lock();
        let runs: Vec<usize> = nodes
            .iter()
            .enumerate()
            .filter(|(_, node)| node.process.is_some() && !node.paused)
            .map(|(index, _)| index)
            .collect();
        for &index in &runs {
            let node = &mut nodes[index];
            if let Some(process) = &mut node.process
                && let Ok(Some(status)) = process.try_wait()
            {
                return Err(format!("node {index} ended with {status}"));
            }
            let log = node.launch.read_log();
            let blind = runs.iter().find(|&&other| other != index && !self.sees(&log, other));
            if let Some(other) = blind {
                return Ok(Some(format!("node {index} does not see node {other}")));
            }
            if TcpStream::connect_timeout(&self.addr(index), CONNECT_MAX).is_err() {
                return Ok(Some(format!("node {index} takes no clients")));
            }
        }
        let logged = |text| nodes.iter().any(|node| node.launch.read_log().contains(text));
        if self.authentication && !logged("Created default superuser role") {
            return Ok(Some("there is no superuser".to_owned()));
        }
        Ok(None)
    }

    /// Whether a node takes another for alive and for a part of the ring, by the last words on it in its log.
    fn sees(&self, log: &str, other: usize) -> bool {
        let addr = self.ports.storage_addr(other);
        let follows = |last: &str, first: &str| {
            let first = log.rfind(&format!("/{addr} {first}"));
            log.rfind(&format!("/{addr} {last}"))
                .is_some_and(|last| first.is_none_or(|first| first < last))
        };
        follows("is now UP", "is now DOWN") && follows("state NORMAL", "is now part of the cluster")
    }

    fn log_tails(&self) -> String {
        let nodes = self.lock();
        let tails = nodes.iter().enumerate();
        let tails: Vec<String> =
            tails.map(|(at, node)| format!("-- node {at}\n{}", node.launch.log_tail())).collect();
        tails.join("\n")
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Node>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("the work does not panic")
}
