//! A server whose compactions fail: it says so, loses nothing, and makes up for it.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use sneck_server::log::{Disk, DiskFile, Folder, FolderDisk};
use sneck_server::{Compactions, Running, Server};
use tokio::time::timeout;

use crate::kill::{quick_folder, small_limits, start};
use crate::witnesses::Witnesses;

const SOON: Duration = Duration::from_secs(60);

/// A folder in which no snapshot can be begun, while it is so.
#[derive(Debug, Clone)]
struct NoRoomForSnapshots {
    folder: FolderDisk,
    full: Arc<AtomicBool>,
}

impl Disk for NoRoomForSnapshots {
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        if name.starts_with("snapshot.") && self.full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.folder.create(name)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.folder.open(name)
    }

    fn read(&self, name: &str) -> io::Result<(Box<dyn Read + Send>, u64)> {
        self.folder.read(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.folder.list()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.folder.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.folder.remove(name)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.folder.sync_dir()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }
}

/// A server that compacts as often as it can.
async fn start_small(folder: Folder) -> Running {
    let builder = Server::builder().listen(([127, 0, 0, 1], 0).into()).limits(small_limits());
    builder.data_in(folder).start().await.expect("the folder is good")
}

/// Waits until compactions are as they should be.
async fn until(server: &Running, so: impl Fn(&Compactions) -> bool) -> Compactions {
    let wait = async {
        let mut now = server.compactions();
        while !so(&now) {
            now = server.compactions_after(&now).await;
        }
        now
    };
    timeout(SOON, wait).await.expect("a compaction")
}

async fn work(server: &Running) -> Arc<Witnesses> {
    let address = server.addresses()[0];
    let witnesses = tokio::task::spawn_blocking(move || Witnesses::of(address, 400)).await.unwrap();
    assert!(witnesses.are_done(), "clients do not notice");
    Arc::new(witnesses)
}

/// A figure of `mntr`.
async fn figure(server: &Running, name: &str) -> u64 {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(server.addresses()[0]).await.unwrap();
    stream.write_all(b"mntr").await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("{name}: {text}"))
}

fn snapshots(folder: &Path) -> usize {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().starts_with("snapshot.")).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compaction_that_fails_is_told_and_tried_again() {
    let place = quick_folder();
    let full = Arc::new(AtomicBool::new(true));
    let disk =
        NoRoomForSnapshots { folder: FolderDisk::new(place.path()), full: Arc::clone(&full) };
    let server = start_small(Folder::on_disk(Arc::new(disk), SystemTime::now()).unwrap()).await;
    let first = work(&server).await;
    let failed = until(&server, |now| now.failed > 0).await;
    let why = failed.failing.unwrap();
    assert!(why.starts_with("a new snapshot cannot be written: "), "{why}");
    assert!(failed.done == 0 && failed.log_bytes > 0 && snapshots(place.path()) == 0);
    assert!(figure(&server, "zk_sneck_compactions_failed").await > 0);
    server.stop().await.expect("its log is well");

    // What was not compacted is all in the log.
    let disk =
        NoRoomForSnapshots { folder: FolderDisk::new(place.path()), full: Arc::clone(&full) };
    let server = start_small(Folder::on_disk(Arc::new(disk), SystemTime::now()).unwrap()).await;
    let (asked, address) = (Arc::clone(&first), server.addresses()[0]);
    tokio::task::spawn_blocking(move || asked.check(address)).await.expect("no lie");
    // Again and again, though no more log gathers; and so it is noticed that there is room.
    until(&server, |now| now.failed > 2).await;
    full.store(false, Ordering::SeqCst);
    let mended = until(&server, |now| now.done > 0).await;
    assert_eq!(mended.failing, None);
    assert!(snapshots(place.path()) > 0);
    assert!(figure(&server, "zk_sneck_compactions").await > 0);
    server.stop().await.expect("its log is well");
    let server = start(Folder::open(place.path(), SystemTime::now()).unwrap()).await;
    let (asked, address) = (Arc::clone(&first), server.addresses()[0]);
    tokio::task::spawn_blocking(move || asked.check_again(address)).await.expect("no lie");
    server.stop().await;
}
