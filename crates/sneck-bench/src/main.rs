//! What a lock of sneck costs, beside a bare socket that does the same on the same server.
//!
//! Run as `cargo xtask bench [--quick]`. Absolute times say more about the machine than about sneck, so
//! every figure is a ratio: both sides take turns in short rounds of one run, and the ratio is the
//! median of the rounds' ratios. Where the rounds disagree too much, the run says so instead of a ratio.

mod client;
mod figure;
mod hand_off;
mod latency;
mod machine;
mod many;
mod raw;
mod report;
mod scene;
mod talk;
mod traffic;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use sneck_testkit::zookeeper::Version;

use scene::{Disk, Scene, Size};
use talk::{answer, say};

/// Measure what a lock of sneck costs on a real ZooKeeper, beside a bare socket.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask bench")]
struct Arguments {
    /// Less than a minute instead of less than five.
    #[arg(long)]
    quick: bool,
    /// The folder for the results as JSON.
    #[arg(long, value_name = "FOLDER", default_value = "target/bench")]
    out: PathBuf,
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
    let size = if arguments.quick { Size::QUICK } else { Size::FULL };
    let began = Instant::now();
    let version = Version::V3_9;
    let mut report = report::Report::new(arguments.quick, machine::describe(version));
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
    report.finish(began.elapsed(), machine::load());
    let file = report.write(&arguments.out)?;
    answer(report.table());
    say(format_args!("written to {}", file.display()));
    Ok(())
}
