//! `cargo xtask servers`: real servers for as long as this process runs.

use std::ffi::OsString;
use std::os::unix::fs::FileTypeExt;

use clap::{Args, Subcommand, ValueEnum};
use sneck_testkit::zookeeper::{Builder, Ensemble, Version};
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
    let Kind::Zookeeper(wanted) = &arguments.kind;
    let version = Version::from(wanted.version);
    say(format_args!("starting ZooKeeper {}", version.release()));
    let builder = Builder::new(version).nodes(usize::from(wanted.nodes)).tick_ms(wanted.tick);
    tokio::select! {
        // Also while they start: dropping the start ends what there is of it.
        asked = asked_to_end() => asked,
        served = serve(builder, &wanted.command) => served,
    }
}

/// Without a command, returns only if the servers do not start.
async fn serve(builder: Builder, command: &[OsString]) -> bool {
    let ensemble = match builder.start().await {
        Ok(ensemble) => ensemble,
        Err(error) => {
            say(format_args!("no servers: {error}"));
            return false;
        }
    };
    for server in 0..ensemble.nodes() {
        let (addr, pid) = (ensemble.addr(server), ensemble.pid(server).unwrap_or_default());
        say(format_args!("server {server}: {addr}, pid {pid}"));
    }
    if let Some((program, arguments)) = command.split_first() {
        return run_with(&ensemble, program, arguments).await;
    }
    say(format_args!("data and logs are in {} while they run", ensemble.folder().display()));
    say("Ctrl-C ends them");
    answer(ensemble.connect_string());
    // Keeps the ensemble alive until the caller drops this future.
    std::future::pending().await
}

async fn run_with(ensemble: &Ensemble, program: &OsString, arguments: &[OsString]) -> bool {
    let url = format!("zk://{}", ensemble.connect_string());
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
