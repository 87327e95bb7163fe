//! Running servers: where they are, what they say, and how to hurt them.

use std::fmt::Write as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::sync::OnceCell;

use super::builder::{Builder, Clients};
use super::mutant::Scripts;
use super::resp::{self, Reply};
use super::{BACKEND, PRIMARY, cluster};
use crate::janitor::{Janitor, Piped, Process};
use crate::mutation::{Mutant, Mutation};
use crate::port::Port;
use crate::skip::{StartError, Unavailable};
use crate::tls::Material;

/// Far more than anything takes, so that only a real failure reaches it.
const SOON: Duration = Duration::from_secs(60);
/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(20);

/// Running servers, counted from 0: primaries, then replicas, then sentinels.
///
/// Dropping it kills the servers by pid and removes their data.
#[derive(Debug)]
pub struct Servers {
    pub(super) builder: Builder,
    // The processes are dropped before the folder they work in, and the ports last.
    nodes: Mutex<Vec<Node>>,
    janitor: Janitor,
    ports: Vec<Port>,
    /// The second port of each server of a cluster, for its peers.
    pub(super) bus_ports: Vec<Port>,
    /// The port for TLS of each server that is no sentinel, and the certificates.
    secure_ports: Vec<Port>,
    material: Option<Material>,
    /// What stands before each server, where its scripts are changed.
    mutants: Vec<Mutant>,
}

#[derive(Debug)]
struct Node {
    config: PathBuf,
    log: PathBuf,
    is_sentinel: bool,
    process: Option<Process>,
}

/// The server that the tests of this process share; each keeps to a prefix of its own.
///
/// # Errors
///
/// As [`Builder::start`].
pub async fn shared() -> Result<&'static Servers, StartError> {
    static SHARED: OnceCell<Servers> = OnceCell::const_new();
    SHARED.get_or_try_init(|| Builder::new().start()).await
}

impl Servers {
    pub(super) async fn start(builder: Builder) -> Result<Servers, StartError> {
        let version = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status();
        if !version.is_ok_and(|status| status.success()) {
            let reason = "redis-server is not installed; Debian has it in redis-server".to_owned();
            return Err(Unavailable { backend: BACKEND, reason }.into());
        }
        let janitor = Janitor::new("sneck-redis-")?;
        let servers = builder.primaries * (1 + builder.replicas);
        let lease = |count| (0..count).map(|_| Port::lease()).collect::<io::Result<Vec<_>>>();
        let ports = lease(servers + builder.sentinels)?;
        let bus_ports = lease(if builder.cluster { servers } else { 0 })?;
        let secure_ports = lease(if builder.tls.is_some() { servers } else { 0 })?;
        let material = builder.tls.map(|_| Material::generate(janitor.folder())).transpose()?;
        let nodes = Mutex::default();
        let mutants = mutants(&builder, &ports)?;
        let this =
            Servers { builder, nodes, janitor, ports, bus_ports, secure_ports, material, mutants };
        for server in 0..this.ports.len() {
            let node = this.write(server)?;
            this.lock().push(node);
            this.start_server(server);
        }
        match this.serving().await {
            Ok(()) => Ok(this),
            Err(reason) => Err(StartError::Failed(format!("{reason}\n{}", this.log_tails()))),
        }
    }

    async fn serving(&self) -> Result<(), String> {
        for server in 0..self.ports.len() {
            self.wait_for("an answer to PING", async || {
                // One that asks for a password serves those who have it.
                match resp::ask(self.addr(server), &["PING"]).await {
                    Ok(Reply::Text(text)) => text == "PONG",
                    Ok(Reply::Error(error)) => error.starts_with("NOAUTH"),
                    _ => false,
                }
            })
            .await?;
        }
        if self.builder.cluster {
            cluster::join(self).await?;
        }
        let (primaries, replicas) = (self.builder.primaries, self.builder.replicas);
        for replica in primaries..primaries * (1 + replicas) {
            self.wait_for("a replica that is in step", async || {
                let info = self.ask(replica, &["INFO", "replication"]).await;
                info.text().contains("master_link_status:up")
            })
            .await?;
        }
        for sentinel in self.sentinels() {
            self.wait_for("a sentinel that knows its peers", async || {
                let knows = self.ask(sentinel, &["SENTINEL", "CKQUORUM", PRIMARY]).await;
                let replicas = self.ask(sentinel, &["SENTINEL", "REPLICAS", PRIMARY]).await;
                knows.text().starts_with("OK") && replicas.list().len() == self.builder.replicas
            })
            .await?;
        }
        Ok(())
    }

    /// Writes the configuration of one server.
    fn write(&self, server: usize) -> io::Result<Node> {
        let folder = self.janitor.folder().join(format!("server-{server}"));
        std::fs::create_dir_all(&folder)?;
        let is_sentinel = self.sentinels().contains(&server);
        let mut text = format!("bind 127.0.0.1\nport {}\n", self.ports[server].number());
        let mut line = |text_of_line: std::fmt::Arguments<'_>| {
            writeln!(text, "{text_of_line}").expect("writing to a string");
        };
        line(format_args!("dir {}", folder.display()));
        if is_sentinel {
            let port = self.ports[0].number();
            let quorum = self.builder.sentinels / 2 + 1;
            line(format_args!("sentinel monitor {PRIMARY} 127.0.0.1 {port} {quorum}"));
            line(format_args!("sentinel down-after-milliseconds {PRIMARY} 1000"));
            line(format_args!("sentinel failover-timeout {PRIMARY} 5000"));
        } else {
            line(format_args!("save \"\""));
            line(format_args!("repl-diskless-sync-delay 0"));
            let primaries = self.builder.primaries;
            if self.builder.cluster {
                line(format_args!("cluster-enabled yes"));
                line(format_args!("cluster-port {}", self.bus_ports[server].number()));
                line(format_args!("cluster-node-timeout 2000"));
            } else if server >= primaries {
                let primary = self.ports[(server - primaries) % primaries].number();
                line(format_args!("replicaof 127.0.0.1 {primary}"));
            }
            if let (Some(clients), Some(material)) = (self.builder.tls, &self.material) {
                let key_store = material.server_key_store.display();
                line(format_args!("tls-port {}", self.secure_ports[server].number()));
                line(format_args!("tls-cert-file {key_store}"));
                line(format_args!("tls-key-file {key_store}"));
                line(format_args!("tls-ca-cert-file {}", material.ca.display()));
                let asks = if clients == Clients::Certified { "yes" } else { "no" };
                line(format_args!("tls-auth-clients {asks}"));
            }
            for (name, value) in &self.builder.settings {
                line(format_args!("{name} {value}"));
            }
        }
        let config = folder.join("redis.conf");
        std::fs::write(&config, text)?;
        Ok(Node { config, log: folder.join("server.log"), is_sentinel, process: None })
    }

    /// Where a client finds them, as a URL of sneck.
    pub fn url(&self) -> String {
        let join = |servers: std::ops::Range<usize>| {
            servers.map(|server| self.addr(server).to_string()).collect::<Vec<_>>().join(",")
        };
        let primaries = 0..self.builder.primaries;
        match (self.builder.cluster, self.builder.sentinels, self.builder.primaries) {
            (true, ..) => format!("redis+cluster://{}", join(primaries)),
            (_, 1.., _) => format!("redis+sentinel://{}/{PRIMARY}", join(self.sentinels())),
            (.., 1) => format!("redis://{}", join(primaries)),
            _ => format!("redlock://{}", join(primaries)),
        }
    }

    /// The address of one server.
    pub fn addr(&self, server: usize) -> SocketAddr {
        let mutant = self.mutants.get(server).map(Mutant::addr);
        mutant.unwrap_or_else(|| local(&self.ports[server]))
    }

    /// The address of one server for TLS.
    ///
    /// # Panics
    ///
    /// When it speaks none.
    pub fn secure_addr(&self, server: usize) -> SocketAddr {
        local(&self.secure_ports[server])
    }

    /// The certificates, where they speak TLS.
    pub fn tls(&self) -> Option<&Material> {
        self.material.as_ref()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ports.len()
    }

    /// Whether there are none, which never is.
    pub fn is_empty(&self) -> bool {
        self.ports.is_empty()
    }

    /// The pid of one server, while it runs.
    pub fn pid(&self, server: usize) -> Option<u32> {
        self.lock()[server].process.as_ref().map(Process::pid)
    }

    /// The folder with the servers' data and logs, removed on drop.
    pub fn folder(&self) -> &Path {
        self.janitor.folder()
    }

    /// Asks one server a command.
    ///
    /// # Panics
    ///
    /// When it does not answer.
    pub async fn ask(&self, server: usize, command: &[&str]) -> Reply {
        match resp::ask(self.addr(server), command).await {
            Ok(reply) => reply,
            Err(error) => panic!("server {server}: {command:?}: {error}\n{}", self.log_tails()),
        }
    }

    /// One field of `INFO` of one server.
    pub async fn info(&self, server: usize, field: &str) -> String {
        let info = self.ask(server, &["INFO", "everything"]).await;
        let mut lines = info.text().lines().filter_map(|line| line.split_once(':'));
        lines
            .find(|(name, _)| *name == field)
            .map(|(_, value)| value.to_owned())
            .unwrap_or_default()
    }

    /// Kills one server with -9, and returns when it is gone.
    pub fn kill(&self, server: usize) {
        let process = self.lock()[server].process.take();
        drop(process);
    }

    /// Deletes what one server that is down has kept of its data.
    ///
    /// # Errors
    ///
    /// When it cannot be deleted.
    pub fn forget(&self, server: usize) -> io::Result<()> {
        let log = self.folder().join(format!("server-{server}")).join("appendonlydir");
        match std::fs::remove_dir_all(log) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Starts one server that is down, on the data it left. Does not wait until it serves.
    pub fn start_server(&self, server: usize) {
        let node = &mut self.lock()[server];
        assert!(node.process.is_none(), "server {server} runs already");
        let config = node.config.clone().into_os_string();
        let args = if node.is_sentinel { vec![config, "--sentinel".into()] } else { vec![config] };
        let process = self.janitor.spawn("redis-server", args, &node.log, Piped::No);
        node.process = Some(process.expect("redis-server can be run"));
    }

    /// Stops one server's clock (SIGSTOP): its sockets stay open and say nothing.
    pub fn pause(&self, server: usize) {
        self.signal(server, Signal::STOP);
    }

    /// Lets a paused server go on.
    pub fn resume(&self, server: usize) {
        self.signal(server, Signal::CONT);
    }

    /// Waits until a condition is true.
    ///
    /// # Panics
    ///
    /// With the ends of the logs, when it does not come true.
    pub async fn until(&self, what: &str, look: impl AsyncFnMut() -> bool) {
        if let Err(reason) = self.wait_for(what, look).await {
            panic!("{reason}\n{}", self.log_tails());
        }
    }

    pub(super) async fn wait_for(
        &self,
        what: &str,
        mut look: impl AsyncFnMut() -> bool,
    ) -> Result<(), String> {
        let give_up = Instant::now() + SOON;
        while !look().await {
            if Instant::now() > give_up {
                return Err(format!("waited {SOON:?} for {what}"));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    fn sentinels(&self) -> std::ops::Range<usize> {
        self.ports.len() - self.builder.sentinels..self.ports.len()
    }

    fn signal(&self, server: usize, signal: Signal) {
        let nodes = self.lock();
        let process = nodes[server].process.as_ref().expect("the server runs");
        process.signal(signal).expect("a child of ours takes signals");
    }

    fn log_tails(&self) -> String {
        let nodes = self.lock();
        let tails = nodes.iter().enumerate().map(|(server, node)| {
            let log = std::fs::read_to_string(&node.log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(20)..].join("\n");
            format!("--- the log of server {server} ends so:\n{tail}")
        });
        tails.collect::<Vec<_>>().join("\n")
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Node>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn local(port: &Port) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port.number()))
}

/// One before each server, where this process is run under a breakage; sentinels and the nodes of a cluster
/// tell clients where the others are, past any line.
fn mutants(builder: &Builder, ports: &[Port]) -> io::Result<Vec<Mutant>> {
    let Some(mutation) = Mutation::of(BACKEND) else { return Ok(Vec::new()) };
    if builder.cluster || builder.sentinels > 0 {
        return Ok(Vec::new());
    }
    let before = |port| Mutant::start(local(port), Scripts::new(mutation.clone(), local(port)));
    ports.iter().map(before).collect()
}
