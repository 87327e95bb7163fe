//! Locks on Redis, beside those of rslock, redis-py and Redisson on the same server in the same run.

mod alone;
mod commands;
mod contended;
mod contestant;
mod contestants;

use std::process::Command;
use std::time::Duration;

use crate::report::Report;
use crate::talk::say;
use contestants::Contestants;

/// How the server runs, for people.
pub(crate) const CONFIGURATION: &str = "one primary on loopback that keeps nothing on the disk; every client with what its \
     library has by default, and a term of 30 s; rslock 0.10.0, redis-py 8.1.0, Redisson 3.52.0; clients and server share \
     the processors";

/// For tables.
const SCENE: &str = "nothing on the disk";

/// How much to measure.
#[derive(Debug, Clone, Copy)]
struct Size {
    /// Odd, so that there is a middle one.
    rounds: usize,
    /// Locks one after the other, in a round of one side.
    locks: usize,
    /// How long several contend for one, in a round of one side.
    contended: Duration,
    /// Locks of each side before anything is measured, until a JVM's compilers have done their work.
    warm_up: usize,
}

impl Size {
    const QUICK: Size =
        Size { rounds: 9, locks: 100, contended: Duration::from_millis(250), warm_up: 1_000 };
    const FULL: Size =
        Size { rounds: 31, locks: 300, contended: Duration::from_millis(500), warm_up: 10_000 };
}

/// What the server calls itself.
pub(crate) fn release() -> String {
    let told = Command::new("redis-server").arg("--version").output();
    let told = told.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let told = told.unwrap_or_default();
    let version = told.split_whitespace().find_map(|word| word.strip_prefix("v="));
    format!("Redis {}", version.unwrap_or_default())
}

/// All of it, on a new server.
pub(crate) fn measure(quick: bool, report: &mut Report) -> Result<(), Box<dyn std::error::Error>> {
    let size = if quick { Size::QUICK } else { Size::FULL };
    let mut contestants = Contestants::start()?;
    say("warming up");
    contestants.warm_up(size.warm_up)?;
    say("one lock after another");
    report.add(alone::measure(&mut contestants, size)?);
    say("several for one lock");
    report.add(contended::measure(&mut contestants, size)?);
    say("what is on the wire");
    report.readings.extend(commands::measure(&mut contestants)?);
    Ok(())
}
