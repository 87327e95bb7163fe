//! A server that starts again after a long history: how long until it answers.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sneck_testkit::zookeeper::Version;
use sneck_wire::Request;

use super::contestant::{Apache, Sneck, socket_in};
use super::{SCENE, Size};
use crate::figure::Figure;
use crate::raw::Raw;
use crate::scene::RAW_DIR;

/// Nodes whose data are written again and again, and how much that is each time.
const NODES: usize = 1_000;
const DATA_BYTES: usize = 1_024;
const ON_THE_WAY: usize = 500;
/// How often to look for new segments of the log; the server keeps each for far longer than that.
const LOOK_EVERY: Duration = Duration::from_millis(5);
const MIB: usize = 1 << 20;

/// Whether the server may have its snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Snapshots {
    /// As it makes them by itself while the history is written.
    Kept,
    /// None at all: everything has to be read from the log.
    Missing,
}

/// Both servers after the same writes, killed and started again.
pub(crate) fn measure(
    binary: &Path,
    version: Version,
    size: Size,
) -> Result<Vec<Figure>, Box<dyn std::error::Error>> {
    let folder = tempfile::Builder::new().prefix("sneck-bench-").tempdir()?;
    let ours = Ours { binary, folder: folder.path(), socket: socket_in(folder.path())? };
    ours.write(size.history_mib)?;
    let mut figures = Vec::new();
    for snapshots in [Snapshots::Kept, Snapshots::Missing] {
        let theirs = Apache::start(version, properties(snapshots))?;
        write(theirs.addr(), size.history_mib)?;
        let mut rounds = Vec::new();
        for _ in 0..size.restarts {
            let ours = ours.restart(snapshots)?;
            let began = Instant::now();
            theirs.restart();
            answers(theirs.addr())?;
            rounds.push((ours, began.elapsed().as_secs_f64() * 1e3));
        }
        figures.push(Figure {
            what: match snapshots {
                Snapshots::Kept => "start after a long history, with snapshots",
                Snapshots::Missing => "start after a long history, from the log alone",
            },
            unit: "ms",
            scene: SCENE,
            ours: "sneck serve",
            theirs: "ZooKeeper",
            rounds,
        });
    }
    Ok(figures)
}

/// More transactions than a run has, so that no snapshot comes in between.
fn properties(snapshots: Snapshots) -> &'static [(&'static str, &'static str)] {
    match snapshots {
        Snapshots::Kept => &[],
        Snapshots::Missing => &[("zookeeper.snapCount", "1000000000")],
    }
}

/// Sets the data of some nodes in turn until this much was written.
fn write(addr: SocketAddr, mib: usize) -> io::Result<()> {
    let mut raw = Raw::connect(addr)?;
    raw.make(RAW_DIR)?;
    let path = |at: usize| format!("{RAW_DIR}/{}", at % NODES);
    for at in 0..NODES {
        raw.make(&path(at))?;
    }
    let data = Bytes::from(vec![b'x'; DATA_BYTES]);
    let writes = mib * MIB / DATA_BYTES;
    for at in 0..writes + ON_THE_WAY {
        if at < writes {
            raw.put(&Request::SetData { path: path(at), data: Some(data.clone()), version: -1 });
        }
        if at >= ON_THE_WAY {
            if !raw.has_frame() {
                raw.flush()?;
            }
            raw.frame()?.reply()?;
        }
    }
    Ok(())
}

/// Waits for the answer to a first request.
fn answers(addr: SocketAddr) -> io::Result<()> {
    let path = format!("{RAW_DIR}/{}", NODES - 1);
    Raw::connect(addr)?.call(&Request::GetData { path, watch: false }).map(drop)
}

/// Our server's folder, and beside it one with every segment of the log there ever was.
#[derive(Debug)]
struct Ours<'a> {
    binary: &'a Path,
    folder: &'a Path,
    socket: PathBuf,
}

impl Ours<'_> {
    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log_alone(&self) -> PathBuf {
        self.folder.join("log-alone")
    }

    /// Writes the history. The server removes segments that a snapshot has made superfluous, so they
    /// get a second name as soon as they are there.
    fn write(&self, mib: usize) -> io::Result<()> {
        let sneck = Sneck::start(self.binary, &self.data(), &self.socket)?;
        fs::create_dir(self.log_alone())?;
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let keeper = scope.spawn(|| {
                let mut kept = BTreeSet::new();
                while !done.load(Ordering::Relaxed) {
                    link_log(&self.data(), &self.log_alone(), &mut kept)?;
                    std::thread::sleep(LOOK_EVERY);
                }
                link_log(&self.data(), &self.log_alone(), &mut kept)
            });
            let written = write(sneck.addr, mib);
            done.store(true, Ordering::Relaxed);
            keeper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            written
        })
    }

    /// Starts the server, which was killed, and says after how many milliseconds it answers.
    fn restart(&self, snapshots: Snapshots) -> io::Result<f64> {
        let mut data = self.data();
        if snapshots == Snapshots::Missing {
            // The server goes on in the folder, so that each start has its own.
            data = self.folder.join("log-alone-once");
            fs::create_dir(&data)?;
            for file in fs::read_dir(self.log_alone())? {
                let file = file?;
                fs::copy(file.path(), data.join(file.file_name()))?;
            }
        }
        let began = Instant::now();
        let sneck = Sneck::start(self.binary, &data, &self.socket)?;
        answers(sneck.addr)?;
        let took = began.elapsed().as_secs_f64() * 1e3;
        drop(sneck);
        if snapshots == Snapshots::Missing {
            fs::remove_dir_all(&data)?;
        }
        Ok(took)
    }
}

/// Gives what makes up the log a name in another folder, too.
fn link_log(from: &Path, to: &Path, kept: &mut BTreeSet<std::ffi::OsString>) -> io::Result<()> {
    for file in fs::read_dir(from)? {
        let name = file?.file_name();
        let text = name.to_string_lossy();
        let belongs = (text.starts_with("log.") && text != "log.tmp") || text == "sneck-data";
        if !belongs || kept.contains(&name) {
            continue;
        }
        fs::hard_link(from.join(&name), to.join(&name))?;
        kept.insert(name);
    }
    Ok(())
}
