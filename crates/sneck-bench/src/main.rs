//! What a lock of sneck costs, beside a bare socket that does the same on the same server.
//!
//! Run as `cargo xtask bench [--quick]`, as `cargo xtask bench peers` for locks of other libraries, as
//! `cargo xtask bench server` for the figures of sneck's own server beside Apache's, and as `cargo xtask bench
//! redis` and `cargo xtask bench cassandra` for locks on these. Absolute times say more about the machine than
//! about sneck, so every figure of these is a ratio: both sides take turns in short rounds of one run, and the
//! ratio is the median of the rounds' ratios. Where the rounds disagree too much, the run says so instead of a
//! ratio.
//!
//! `cargo xtask bench scale` has nobody beside it. It says what becomes of memory, of idle processors and of
//! hand-offs where there are very many locks, waiters or sessions, and these are read off as they are.

#[cfg(feature = "cassandra")]
mod cassandra;
mod client;
#[cfg(any(feature = "redis", feature = "cassandra"))]
mod contention;
mod curve;
mod figure;
mod hand_off;
mod latency;
mod machine;
mod many;
mod open_files;
#[cfg(feature = "peers")]
mod peers;
mod picture;
mod raw;
mod reading;
#[cfg(feature = "redis")]
mod redis;
mod report;
mod scale;
mod scene;
mod server;
mod sharing;
mod talk;
mod traffic;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use sneck_testkit::zookeeper::Version;

use scene::{Disk, Scene, Size};
use talk::{answer, say};

/// Measure what a lock of sneck costs on real servers, or sneck's own server beside Apache's.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask bench")]
struct Arguments {
    /// What to measure.
    #[arg(value_enum, default_value_t = Subject::Locks)]
    subject: Subject,
    /// Less than a minute instead of less than five.
    #[arg(long)]
    quick: bool,
    /// The folder for the results as JSON.
    #[arg(long, value_name = "FOLDER", default_value = "target/bench")]
    out: PathBuf,
    /// The binary of sneck, for its server.
    #[arg(long, value_name = "FILE", default_value = "target/release/sneck")]
    sneck: PathBuf,
    /// Only this of the server's figures; can be given more than once.
    #[arg(long = "only", value_name = "PART", value_enum)]
    parts: Vec<server::Part>,
    /// Only this where there are very many; can be given more than once.
    #[arg(long = "scale", value_name = "PART", value_enum)]
    scale_parts: Vec<scale::Part>,
    /// Measure nothing, and draw the pictures of very many from a file that was written before, or put together
    /// from several.
    #[arg(long, value_name = "FILE", hide = true)]
    draw: Option<PathBuf>,
    /// Measure one such part in this process, and print its curves as JSON.
    #[arg(long, hide = true)]
    alone: bool,
    /// Only beside these libraries; by default beside all.
    #[cfg(feature = "peers")]
    #[arg(long, value_name = "LIBRARY", value_enum, value_delimiter = ',')]
    peers: Vec<peers::Peer>,
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
    #[cfg(feature = "peers")]
    Peers,
    /// A lock on Redis, beside other libraries.
    #[cfg(feature = "redis")]
    Redis,
    /// A lock on Cassandra.
    #[cfg(feature = "cassandra")]
    Cassandra,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("not measured: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let began = Instant::now();
    if let (true, [part]) = (arguments.alone, &*arguments.scale_parts) {
        return scale::alone(&arguments.sneck, arguments.quick, *part);
    }
    if let Some(file) = &arguments.draw {
        return scale::draw_again(file, &arguments.out);
    }
    let version = Version::V3_9;
    let zookeeper = format!("ZooKeeper {}", version.release());
    let (name, configuration, server) = match arguments.subject {
        Subject::Locks => ("zookeeper", scene::CONFIGURATION, zookeeper),
        Subject::Sharing => ("sharing", scene::CONFIGURATION, zookeeper),
        Subject::Server => ("server", server::CONFIGURATION, zookeeper),
        Subject::Scale => ("scale", scale::CONFIGURATION, "sneck serve".to_owned()),
        #[cfg(feature = "peers")]
        Subject::Peers => ("peers", peers::CONFIGURATION, zookeeper),
        #[cfg(feature = "redis")]
        Subject::Redis => ("redis", redis::CONFIGURATION, redis::release()),
        #[cfg(feature = "cassandra")]
        Subject::Cassandra => ("cassandra", cassandra::CONFIGURATION, cassandra::release()),
    };
    let machine = machine::describe(&server);
    let mut report = report::Report::new(name, configuration, arguments.quick, machine);
    match arguments.subject {
        Subject::Locks => locks(arguments.quick, version, &mut report)?,
        Subject::Sharing => sharing::measure(arguments.quick, version, &mut report)?,
        Subject::Server => {
            let size = if arguments.quick { server::Size::QUICK } else { server::Size::FULL };
            for part in all_unless(&arguments.parts) {
                server::measure(&arguments.sneck, version, size, *part, &mut report)?;
                // What was measured is not lost with what fails after it.
                report.finish(began.elapsed(), machine::load());
                report.write(&arguments.out)?;
            }
        }
        Subject::Scale => {
            for part in all_unless(&arguments.scale_parts) {
                let curves = scale::measure(&arguments.sneck, arguments.quick, *part)?;
                report.curves.extend(curves);
                // What was measured is not lost with what fails after it.
                report.finish(began.elapsed(), machine::load());
                report.write(&arguments.out)?;
            }
        }
        #[cfg(feature = "peers")]
        Subject::Peers => {
            let size = if arguments.quick { peers::Size::QUICK } else { peers::Size::FULL };
            let peers = all_unless(&arguments.peers);
            peers::measure(&arguments.sneck, version, peers, size, &mut report)?;
            // What was measured is not lost with what fails after it.
            report.finish(began.elapsed(), machine::load());
            report.write(&arguments.out)?;
            peers::crash(&arguments.sneck, version, peers, size, &mut report)?;
        }
        #[cfg(feature = "redis")]
        Subject::Redis => redis::measure(arguments.quick, &mut report)?,
        #[cfg(feature = "cassandra")]
        Subject::Cassandra => cassandra::measure(arguments.quick, &mut report)?,
    }
    report.finish(began.elapsed(), machine::load());
    let file = report.write(&arguments.out)?;
    #[cfg(feature = "peers")]
    if arguments.subject == Subject::Peers {
        peers::draw(report.figures(), &arguments.out, arguments.quick)?;
    }
    if arguments.subject == Subject::Scale {
        scale::draw(&report.curves, &arguments.out, arguments.quick)?;
    }
    answer(report.table());
    say(format_args!("written to {}", file.display()));
    Ok(())
}

/// Those that were named, or all if none was.
fn all_unless<T: ValueEnum>(named: &[T]) -> &[T] {
    if named.is_empty() { T::value_variants() } else { named }
}

fn locks(
    quick: bool,
    version: Version,
    report: &mut report::Report,
) -> Result<(), Box<dyn std::error::Error>> {
    let size = if quick { Size::QUICK } else { Size::FULL };
    for disk in [Disk::NotWaitedFor, Disk::WaitedFor] {
        let mut scene = Scene::set(version, disk)?;
        say(format_args!("{}: warming up", scene.name()));
        latency::warm_up(&mut scene, size.warm_up)?;
        say(format_args!("{}: one lock after another", scene.name()));
        report.add(latency::measure(&mut scene, size)?);
        say(format_args!("{}: from one session to another", scene.name()));
        report.add(hand_off::measure(&mut scene, size)?);
        say(format_args!("{}: many locks at once", scene.name()));
        report.add(many::measure(&mut scene, size)?);
        if disk == Disk::NotWaitedFor {
            say("what is on the wire");
            report.traffic = Some(traffic::measure(&scene)?);
        }
    }
    Ok(())
}
