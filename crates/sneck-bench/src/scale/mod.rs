//! What becomes of memory, of idle processors and of hand-offs where there are very many locks, waiters or
//! sessions, on sneck's own server.
//!
//! Each part runs in a process of its own: what another part has used and given back would be counted as memory
//! in use.

mod held;
mod pictures;
mod sessions;
mod stage;
mod waiting;

use std::error::Error;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::ValueEnum;
use serde_json::Value;

use crate::curve::Curve;
use crate::talk::{answer, say};
use stage::Stage;

pub(crate) use pictures::draw;

/// How everything runs, for people.
pub(crate) const CONFIGURATION: &str = "`sneck serve` on loopback with its data on the disk, waiting for it, tick 2 s; sessions of 10 s, \
                                        which is the default; the client is one process with a runtime of two workers; both share the processors";

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Locks held by one session.
    Held,
    /// Waiters on one line, each with a place of its own.
    Waiting,
    /// Tasks that share the places of a hundred sessions on one line.
    Coalesced,
    /// A line that is long behind those who get the lock.
    Behind,
    /// Sessions of one process.
    Sessions,
}

/// How much to measure.
#[derive(Debug, Clone, Copy)]
struct Size {
    held: &'static [usize],
    /// With a place for each, everybody who comes lists all who are there.
    waiting: &'static [usize],
    coalesced: &'static [usize],
    behind: &'static [usize],
    sessions: &'static [usize],
    /// How long nothing happens while processors are looked at.
    idle: Duration,
}

const QUICK: Size = Size {
    held: &[1_000, 10_000],
    waiting: &[100, 1_000],
    coalesced: &[1_000, 10_000],
    behind: &[1_000, 10_000],
    sessions: &[100, 1_000],
    idle: Duration::from_secs(5),
};
const FULL: Size = Size {
    held: &[1_000, 10_000, 100_000],
    waiting: &[100, 1_000, 10_000],
    coalesced: &[1_000, 10_000, 100_000],
    behind: &[1_000, 10_000, 100_000],
    sessions: &[100, 1_000, 10_000],
    idle: Duration::from_secs(20),
};

/// Measures one part in a process of its own.
pub(crate) fn measure(
    binary: &Path,
    quick: bool,
    part: Part,
) -> Result<Vec<Curve>, Box<dyn Error>> {
    let name = part.to_possible_value().map(|value| value.get_name().to_owned());
    let name = name.unwrap_or_default();
    say(format_args!("{name}"));
    let mut child = Command::new(std::env::current_exe()?);
    child.arg("scale").arg("--alone").arg("--scale").arg(&name).arg("--sneck").arg(binary);
    if quick {
        child.arg("--quick");
    }
    let output = child.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("{name}: {}", output.status).into());
    }
    curves_in(&serde_json::from_slice(&output.stdout)?)
}

/// Draws the pictures of a report that was written before.
pub(crate) fn draw_again(report: &Path, folder: &Path) -> Result<(), Box<dyn Error>> {
    let report: Value = serde_json::from_slice(&fs::read(report)?)?;
    Ok(draw(&curves_in(&report["curves"])?, folder, false)?)
}

fn curves_in(list: &Value) -> Result<Vec<Curve>, Box<dyn Error>> {
    let curves = list.as_array().into_iter().flatten().map(Curve::from_json);
    Ok(curves.collect::<Option<_>>().ok_or("curves are expected")?)
}

/// Measures one part in this process, and answers with its curves.
pub(crate) fn alone(binary: &Path, quick: bool, part: Part) -> Result<(), Box<dyn Error>> {
    let size = if quick { QUICK } else { FULL };
    let mut stage = Stage::set(binary)?;
    let curves = match part {
        Part::Held => held::measure(&stage, size.held, size.idle)?,
        Part::Waiting => waiting::each_in_line(&mut stage, size.waiting, size.idle)?,
        Part::Coalesced => waiting::coalesced(&mut stage, size.coalesced, size.idle)?,
        Part::Behind => waiting::ahead_of(&stage, size.behind)?,
        Part::Sessions => sessions::measure(&mut stage, size.sessions, size.idle)?,
    };
    answer(Value::Array(curves.iter().map(Curve::to_json).collect()));
    Ok(())
}

fn told(error: impl Into<Box<dyn Error + Send + Sync>>) -> io::Error {
    io::Error::other(error)
}
