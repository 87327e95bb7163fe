//! `cargo xtask bench`: what a lock costs, and how it compares with those of other libraries, and
//! sneck's own server with Apache's, in a release build of the crate that measures it. What only some of it
//! needs is a feature of that crate.

use std::process::Command;

use clap::{Args, ValueEnum};

use crate::talk::say;
use crate::workspace::{cargo, root};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What to measure.
    #[arg(value_enum, default_value_t = Subject::Locks)]
    subject: Subject,
    /// About a minute instead of several, once it is built.
    #[arg(long)]
    quick: bool,
    /// Only a part of the server's figures, such as pairs; can be given more than once.
    #[arg(long, value_name = "PART")]
    only: Vec<String>,
    /// Only a part of where there are very many, such as held; can be given more than once.
    #[arg(long, value_name = "PART")]
    scale: Vec<String>,
    /// Only beside these libraries, such as curator,kazoo.
    #[arg(long, value_name = "LIBRARY", value_delimiter = ',')]
    peers: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Subject {
    /// A lock on a real ZooKeeper, beside a bare socket.
    Locks,
    /// Sneck's own server, beside Apache's.
    Server,
    /// A lock that one process keeps and hands on, beside tokio's mutex.
    Sharing,
    /// Very many locks, waiters and sessions on sneck's own server.
    Scale,
    /// A lock on either server, beside those of other libraries.
    Peers,
    /// A lock on Redis, beside those of rslock, redis-py and Redisson.
    Redis,
    /// A lock on Cassandra.
    Cassandra,
}

/// Builds and runs it; the table goes to standard output, every round to `target/bench`.
pub(crate) fn run(arguments: &Arguments) -> bool {
    let target = root().join("target");
    let mut bench = cargo();
    bench.args(["run", "--quiet", "--release", "--package", "sneck-bench"]);
    let feature = match arguments.subject {
        Subject::Locks | Subject::Server | Subject::Sharing | Subject::Scale => None,
        Subject::Peers => Some("peers"),
        Subject::Redis => Some("redis"),
        Subject::Cassandra => Some("cassandra"),
    };
    if let Some(feature) = feature {
        bench.args(["--features", feature]);
    }
    bench.arg("--").arg("--out").arg(target.join("bench"));
    if arguments.quick {
        bench.arg("--quick");
    }
    for part in &arguments.only {
        bench.args(["--only", part]);
    }
    for part in &arguments.scale {
        bench.args(["--scale", part]);
    }
    for peer in &arguments.peers {
        bench.args(["--peers", peer]);
    }
    let subject = match arguments.subject {
        Subject::Locks => return done(bench.arg("locks")),
        Subject::Sharing => return done(bench.arg("sharing")),
        Subject::Redis => return done(bench.arg("redis")),
        Subject::Cassandra => return done(bench.arg("cassandra")),
        Subject::Server => "server",
        Subject::Scale => "scale",
        Subject::Peers => "peers",
    };
    // The server is measured as users have it: the binary, as a process of its own.
    let mut binary = cargo();
    binary.args(["build", "--quiet", "--release", "--package", "sneck-cli"]);
    bench.arg(subject).arg("--sneck").arg(target.join("release/sneck"));
    done(&mut binary) && done(&mut bench)
}

fn done(command: &mut Command) -> bool {
    match command.status() {
        Ok(status) => status.success(),
        Err(error) => {
            say(format_args!("cargo: {error}"));
            false
        }
    }
}
