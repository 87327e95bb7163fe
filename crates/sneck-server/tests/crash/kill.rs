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
use sneck_server::{Running, Server};

use crate::witnesses::Witnesses;

pub(crate) const OPERATIONS: usize = 200;
/// Tells the child its folder.
const FOLDER: &str = "SNECK_TEST_CRASH_FOLDER";
/// Tells the child at which call to die.
const DIES_AT: &str = "SNECK_TEST_CRASH_AT";
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
    /// Starts it on a folder, to die at call `dies_at`.
    pub(crate) fn start(folder: &Path, dies_at: u64) -> Process {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["kill::child", "--exact", "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder)
            .env(DIES_AT, dies_at.to_string())
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
    let dies_at = std::env::var(DIES_AT).unwrap().parse().unwrap();
    let disk = MortalDisk::new(&path, dies_at);
    let folder = Folder::on_disk(Arc::new(disk), SystemTime::now()).unwrap();
    let builder = Server::builder()
        .listen(([127, 0, 0, 1], 0).into())
        .tick(Duration::from_millis(100))
        .session_timeouts(Duration::from_millis(200), Duration::from_secs(60))
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
}

impl MortalDisk {
    fn new(path: &Path, dies_at: u64) -> MortalDisk {
        MortalDisk { folder: FolderDisk::new(path), calls: Arc::default(), dies_at }
    }

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

/// Kills one server, and checks the next.
async fn try_call(dies_at: u64) -> Outcome {
    let folder = quick_folder();
    let process = Process::start(folder.path(), dies_at);
    let Some(address) = process.address else {
        // It died while it began, so there is nothing but that the next one can.
        drop(process);
        start(Folder::open(folder.path(), SystemTime::now()).unwrap()).await.stop().await;
        return Outcome::default();
    };
    let witnesses = tokio::task::spawn_blocking(move || Witnesses::of(address, OPERATIONS));
    let witnesses = Arc::new(witnesses.await.unwrap());
    drop(process);
    let server = start(Folder::open(folder.path(), SystemTime::now()).unwrap()).await;
    let (asked, address) = (Arc::clone(&witnesses), server.addresses()[0]);
    tokio::task::spawn_blocking(move || asked.check(address)).await.expect("no lie");
    server.stop().await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_every_call() {
    const AT_ONCE: u64 = 3;
    let (mut calls, mut acknowledged, mut seen) = (0, 0, 0);
    loop {
        let several: Vec<_> =
            (calls..calls + AT_ONCE).map(|at| tokio::spawn(try_call(at))).collect();
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
    println!("killed at each of {calls} calls, after {acknowledged} steps and {seen} views in all");
    assert!(calls > 200 && seen > acknowledged / 2, "{calls} calls, {seen} views");
}
