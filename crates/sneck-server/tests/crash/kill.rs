//! The whole server killed with -9 at every call that changes a file, of a run of 200 operations.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rustix::process::{Signal, getpid, kill_process};
use sneck_server::log::{Disk, DiskFile, Folder, FolderDisk};
use sneck_server::{Limits, Running, Server};

use crate::witnesses::Witnesses;

pub(crate) const OPERATIONS: usize = 200;
/// Tells the child its folder.
const FOLDER: &str = "SNECK_TEST_CRASH_FOLDER";
/// Tells the child at which call to die.
const DIES_AT: &str = "SNECK_TEST_CRASH_AT";
/// Tells the child of which thread's calls, if not of all.
const DIES_IN: &str = "SNECK_TEST_CRASH_IN";
const SAYS: &str = "listens on ";

/// Starts a server on a folder.
pub(crate) async fn start(folder: Folder) -> Running {
    let builder = Server::builder().listen(([127, 0, 0, 1], 0).into()).data_in(folder);
    builder.start().await.expect("the folder is good")
}

/// A server in a process of its own.
pub(crate) struct Process {
    pub(crate) child: Child,
    /// `None` if it did not live long enough to say so.
    pub(crate) address: Option<SocketAddr>,
}

impl Process {
    /// Starts it on a folder, to die at this call.
    pub(crate) fn start(folder: &Path, death: Death) -> Process {
        let mut command = Command::new(std::env::current_exe().unwrap());
        if let Some(thread) = death.thread {
            command.env(DIES_IN, thread);
        }
        let mut child = command
            .args(["kill::child", "--exact", "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder)
            .env(DIES_AT, death.call.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let said = out.lines().map_while(Result::ok).find_map(|line| {
            line.split_once(SAYS).map(|(_, address)| address.parse().expect("an address"))
        });
        Process { child, address: said }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the child does; of itself it is no test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Some(path) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let disk = MortalDisk {
        folder: FolderDisk::new(&path),
        calls: Arc::default(),
        dies_at: std::env::var(DIES_AT).unwrap().parse().unwrap(),
        dies_in: std::env::var(DIES_IN).ok(),
    };
    let limits = if disk.dies_in.is_some() { small_limits() } else { Limits::default() };
    let folder = Folder::on_disk(Arc::new(disk), SystemTime::now()).unwrap();
    let builder = Server::builder()
        .listen(([127, 0, 0, 1], 0).into())
        .tick(Duration::from_millis(100))
        .session_timeouts(Duration::from_millis(200), Duration::from_secs(60))
        .limits(limits)
        .data_in(folder);
    let server = builder.start().await.expect("the folder is good");
    // To the parent at once, past what gathers the output of tests.
    writeln!(io::stdout().lock(), "{SAYS}{}", server.connect_string()).unwrap();
    panic!("{}", server.failed().await);
}

/// A folder with a process that dies at a certain call.
#[derive(Debug, Clone)]
struct MortalDisk {
    folder: FolderDisk,
    calls: Arc<AtomicU64>,
    dies_at: u64,
    /// The one thread whose calls count, if not those of all.
    dies_in: Option<String>,
}

impl MortalDisk {
    /// Makes a call, unless it is the last.
    fn call<T>(&self, call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.call_or(call, || ())
    }

    /// Makes a call; or, if it is the last, does what may have been done of it, and dies.
    fn call_or<T>(
        &self,
        call: impl FnOnce() -> io::Result<T>,
        half: impl FnOnce(),
    ) -> io::Result<T> {
        if self.dies_in.is_some() && std::thread::current().name() != self.dies_in.as_deref() {
            return call();
        }
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        if number < self.dies_at {
            return call();
        }
        if number == self.dies_at {
            // Every other pair, as writes and syncs take turns.
            if (number / 2).is_multiple_of(2) {
                half();
            }
            kill_process(getpid(), Signal::KILL)?;
        }
        // What other threads do meanwhile must not get further.
        loop {
            std::thread::park();
        }
    }
}

#[derive(Debug)]
struct MortalFile {
    file: Box<dyn DiskFile>,
    disk: MortalDisk,
}

impl DiskFile for MortalFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let half = || drop(self.file.write_at(&bytes[..bytes.len() / 2], offset));
        self.disk.call_or(|| self.file.write_at(bytes, offset), half)
    }

    fn sync_data(&self) -> io::Result<()> {
        let half = || drop(self.file.sync_data());
        self.disk.call_or(|| self.file.sync_data(), half)
    }
}

impl Disk for MortalDisk {
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = self.call(|| self.folder.create(name))?;
        Ok(Box::new(MortalFile { file, disk: self.clone() }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = self.folder.open(name)?;
        Ok(Box::new(MortalFile { file, disk: self.clone() }))
    }

    fn read(&self, name: &str) -> io::Result<(Box<dyn Read + Send>, u64)> {
        self.folder.read(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.folder.list()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.call(|| self.folder.rename(from, to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.call(|| self.folder.remove(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.call(|| self.folder.sync_dir())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }
}

/// A folder in memory where there is one: a process that is killed leaves its page cache, so the disk
/// plays no part, and this makes it a matter of seconds.
pub(crate) fn quick_folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Limits of a server that compacts as often as it can.
pub(crate) fn small_limits() -> Limits {
    let mut limits = Limits::default();
    (limits.frame_bytes_max, limits.compact_bytes) = (32 << 10, 32 << 10);
    limits.compact_retry = Duration::from_millis(20);
    limits
}

/// At which of its calls a server dies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Death {
    pub(crate) call: u64,
    /// Of the calls of this thread, if not of all.
    pub(crate) thread: Option<&'static str>,
}

impl Death {
    pub(crate) const NEVER: Death = Death { call: u64::MAX, thread: None };
}

/// Kills one server in a run of so many operations, and checks the next.
async fn try_call(death: Death, operations: usize) -> Outcome {
    let folder = quick_folder();
    let process = Process::start(folder.path(), death);
    let Some(address) = process.address else {
        // It died while it began, so there is nothing but that the next one can.
        drop(process);
        start(Folder::open(folder.path(), SystemTime::now()).unwrap()).await.stop().await;
        return Outcome::default();
    };
    let witnesses = tokio::task::spawn_blocking(move || Witnesses::of(address, operations));
    let witnesses = Arc::new(witnesses.await.unwrap());
    drop(process);
    let server = start(Folder::open(folder.path(), SystemTime::now()).unwrap()).await;
    let (asked, address) = (Arc::clone(&witnesses), server.addresses()[0]);
    tokio::task::spawn_blocking(move || asked.check(address)).await.expect("no lie");
    server.stop().await;
    assert!(!folder.path().join("snapshot.tmp").exists(), "half a snapshot is cleaned up");
    let (acknowledged, seen) = (witnesses.acknowledged(), witnesses.seen());
    Outcome { done: witnesses.are_done(), acknowledged, seen }
}

/// What the clients of a server came to.
#[derive(Debug, Default)]
struct Outcome {
    /// Whether everything was done before it died.
    done: bool,
    acknowledged: usize,
    seen: usize,
}

/// What came of all tries.
struct Tally {
    calls: u64,
    /// Steps and views, of all tries together.
    acknowledged: usize,
    seen: usize,
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { calls, acknowledged, seen } = self;
        write!(f, "{calls} calls, after {acknowledged} steps and {seen} views in all")
    }
}

/// Kills servers at one call after the other, until one has everything done before it.
async fn kill_at_every_call(thread: Option<&'static str>, operations: usize) -> Tally {
    const AT_ONCE: u64 = 3;
    let (mut calls, mut acknowledged, mut seen) = (0, 0, 0);
    loop {
        let try_one = |call| tokio::spawn(try_call(Death { call, thread }, operations));
        let several: Vec<_> = (calls..calls + AT_ONCE).map(try_one).collect();
        let mut done = true;
        for (at, one) in (calls..).zip(several) {
            let outcome = one.await.unwrap_or_else(|error| panic!("call {at}: {error}"));
            done &= outcome.done;
            (acknowledged, seen) = (acknowledged + outcome.acknowledged, seen + outcome.seen);
        }
        calls += AT_ONCE;
        if done {
            break;
        }
    }
    assert!(seen > acknowledged / 2, "{seen} views");
    Tally { calls, acknowledged, seen }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_every_call() {
    let tally = kill_at_every_call(None, OPERATIONS).await;
    println!("killed at every call: {tally}");
    assert!(tally.calls > 200, "{tally}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_every_call_of_compactions() {
    // Enough for a third snapshot, which makes the first go, and the segments before the second.
    let tally = kill_at_every_call(Some("sneck-compact"), 1_200).await;
    println!("killed at every call of compactions: {tally}");
    assert!(tally.calls > 20, "{tally}");
}
