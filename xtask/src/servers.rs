//! `cargo xtask servers`: real servers for as long as this process runs.

use std::any::Any;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use sneck_testkit::zookeeper::{self, Version};
use sneck_testkit::{StartError, cassandra, redis};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::talk::{answer, say};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Debug, Subcommand)]
enum Kind {
    /// Apache ZooKeeper on loopback.
    Zookeeper(Zookeeper),
    /// Apache Cassandra on loopback; its nodes listen on 127.0.0.1, 127.0.0.2 and so on.
    Cassandra(Cassandra),
    /// One Redis server on loopback, with replicas if wanted.
    Redis(Redis),
    /// A Redis primary, its replicas, and three sentinels.
    RedisSentinel(Redis),
    /// A Redis cluster of three primaries.
    RedisCluster(Redis),
}

#[derive(Debug, Args)]
struct Zookeeper {
    /// How many servers.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=9))]
    nodes: u8,
    /// Which release line.
    #[arg(long, value_enum, default_value = "3.9")]
    version: Line,
    /// The server's tick in milliseconds; sessions last between 2 and 20 of them.
    #[arg(long, value_name = "MS", default_value_t = 2_000)]
    tick: u32,
    /// Run this command with SNECK_SERVER naming the servers, and end them when it ends.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

#[derive(Debug, Args)]
struct Cassandra {
    /// How many nodes.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=5))]
    nodes: u8,
    /// Ask for a password: cassandra, of the user cassandra.
    #[arg(long)]
    authentication: bool,
    /// Run this command with SNECK_SERVER naming the nodes, and end them when it ends.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

#[derive(Debug, Args)]
struct Redis {
    /// How many replicas each primary has; one where there are sentinels, unless said otherwise.
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=5))]
    replicas: Option<u8>,
    /// Run this command with SNECK_SERVER naming the servers, and end them when it ends.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Line {
    #[value(name = "3.8")]
    V3_8,
    #[value(name = "3.9")]
    V3_9,
}

impl From<Line> for Version {
    fn from(line: Line) -> Version {
        match line {
            Line::V3_8 => Version::V3_8,
            Line::V3_9 => Version::V3_9,
        }
    }
}

/// Starts the servers, and either runs a command with them or prints the connect string and waits to be
/// told to end them.
pub(crate) async fn run(arguments: &Arguments) -> bool {
    tokio::select! {
        // Also while they start: dropping the start ends what there is of it.
        asked = asked_to_end() => asked,
        served = serve(&arguments.kind) => served,
    }
}

/// Without a command, returns only if the servers do not start.
async fn serve(kind: &Kind) -> bool {
    let (started, command) = match kind {
        Kind::Zookeeper(wanted) => (wanted.start().await, &wanted.command),
        Kind::Cassandra(wanted) => (wanted.start().await, &wanted.command),
        Kind::Redis(wanted) => (wanted.start(redis::Builder::new(), 0).await, &wanted.command),
        Kind::RedisSentinel(wanted) => {
            (wanted.start(redis::Builder::new().sentinels(3), 1).await, &wanted.command)
        }
        Kind::RedisCluster(wanted) => {
            let cluster = redis::Builder::new().cluster().primaries(3);
            (wanted.start(cluster, 0).await, &wanted.command)
        }
    };
    let running = match started {
        Ok(running) => running,
        Err(error) => {
            say(format_args!("no servers: {error}"));
            return false;
        }
    };
    for (server, (addr, pid)) in running.servers.iter().enumerate() {
        say(format_args!("server {server}: {addr}, pid {}", pid.unwrap_or_default()));
    }
    if let Some((program, arguments)) = command.split_first() {
        return run_with(&running, program, arguments).await;
    }
    say(format_args!("data and logs are in {} while they run", running.folder.display()));
    say("Ctrl-C ends them");
    answer(&running.connect_string);
    // Keeps the servers alive until the caller drops this future.
    std::future::pending().await
}

/// Servers that end when this is dropped.
struct Running {
    servers: Vec<(SocketAddr, Option<u32>)>,
    connect_string: String,
    /// What `SNECK_SERVER` is to be.
    url: String,
    folder: PathBuf,
    _owner: Box<dyn Any + Send>,
}

impl Zookeeper {
    async fn start(&self) -> Result<Running, StartError> {
        let version = Version::from(self.version);
        say(format_args!("starting ZooKeeper {}", version.release()));
        let builder = zookeeper::Builder::new(version).nodes(usize::from(self.nodes));
        let ensemble = builder.tick_ms(self.tick).start().await?;
        let servers = 0..ensemble.nodes();
        Ok(Running {
            servers: servers.map(|at| (ensemble.addr(at), ensemble.pid(at))).collect(),
            connect_string: ensemble.connect_string(),
            url: format!("zk://{}", ensemble.connect_string()),
            folder: ensemble.folder().to_owned(),
            _owner: Box::new(ensemble),
        })
    }
}

impl Cassandra {
    async fn start(&self) -> Result<Running, StartError> {
        say(format_args!("starting Cassandra {}", cassandra::RELEASE));
        let mut builder = cassandra::Builder::new().nodes(usize::from(self.nodes));
        let mut user = String::new();
        if self.authentication {
            builder = builder.authentication();
            user = format!("{}:{}@", cassandra::SUPERUSER.0, cassandra::SUPERUSER.1);
        }
        let cluster = builder.start().await?;
        let (servers, replicas) = (0..cluster.nodes(), self.nodes.min(3));
        let points = cluster.contact_points();
        Ok(Running {
            servers: servers.map(|at| (cluster.addr(at), cluster.pid(at))).collect(),
            url: format!("cassandra://{user}{points}/sneck?create=keyspace&replicas={replicas}"),
            connect_string: points,
            folder: cluster.folder().to_owned(),
            _owner: Box::new(cluster),
        })
    }
}

impl Redis {
    async fn start(&self, builder: redis::Builder, replicas: u8) -> Result<Running, StartError> {
        say("starting Redis");
        let replicas = self.replicas.unwrap_or(replicas);
        let servers = builder.replicas(usize::from(replicas)).start().await?;
        Ok(Running {
            servers: (0..servers.len()).map(|at| (servers.addr(at), servers.pid(at))).collect(),
            connect_string: servers.url(),
            url: servers.url(),
            folder: servers.folder().to_owned(),
            _owner: Box::new(servers),
        })
    }
}

async fn run_with(running: &Running, program: &OsString, arguments: &[OsString]) -> bool {
    let url = &running.url;
    say(format_args!("SNECK_SERVER={url}"));
    let mut command = tokio::process::Command::new(program);
    let command = command.args(arguments).env("SNECK_SERVER", url).kill_on_drop(true);
    match command.status().await {
        Ok(status) if status.success() => true,
        Ok(status) => {
            say(format_args!("the command ended with {status}"));
            false
        }
        Err(error) => {
            say(format_args!("cannot run {}: {error}", program.display()));
            false
        }
    }
}

/// Returns on Ctrl-C, on SIGTERM, and when the program at the other end of a pipe on standard
/// input closes it.
async fn asked_to_end() -> bool {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        say("cannot listen for signals");
        return false;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        () = end_of_input() => {}
    }
    say("ending the servers");
    true
}

async fn end_of_input() {
    let (sender, ended) = oneshot::channel();
    // Only a pipe: a terminal's Ctrl-D is a slip, and a background job has no input from the start.
    let piped = std::fs::metadata("/dev/stdin").is_ok_and(|stdin| stdin.file_type().is_fifo());
    if !piped {
        return std::future::pending().await;
    }
    std::thread::spawn(move || {
        // What is sent is of no interest, and a failed read is an end as well.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = sender.send(());
    });
    let _ = ended.await;
}
