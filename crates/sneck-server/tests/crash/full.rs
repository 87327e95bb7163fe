//! Disks that are full, and disks that fail.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sneck_server::Server;
use sneck_server::log::Folder;
use sneck_testkit::{StartError, Unavailable, or_skip};

use crate::kill::start;
use crate::simulated_disk::{Call, Fault, Loss, SimulatedDisk};
use crate::witnesses::Witnesses;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
/// So many steps would need more than the disk has.
const OPERATIONS: usize = 2_000;

/// A file system of a few megabytes.
struct SmallDisk {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl SmallDisk {
    fn mount(megabytes: u32) -> Result<SmallDisk, StartError> {
        let folder = tempfile::tempdir().unwrap();
        let disk = SmallDisk { path: folder.path().to_owned(), _folder: folder };
        disk.try_mount(&format!("size={megabytes}m"))?;
        Ok(disk)
    }

    /// More room, as when somebody has cleaned up.
    fn grow(&self, megabytes: u32) {
        self.try_mount(&format!("remount,size={megabytes}m")).unwrap();
    }

    fn try_mount(&self, options: &str) -> Result<(), Unavailable> {
        let unavailable = |reason| Unavailable { backend: "small-disk", reason };
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "sneck-test"])
            .arg(&self.path)
            .output()
            .map_err(|error| unavailable(format!("cannot run mount: {error}")))?;
        match mount.status.success() {
            true => Ok(()),
            false => Err(unavailable(String::from_utf8_lossy(&mount.stderr).trim().to_owned())),
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, for a server of a test that failed may still have its files open.
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).status();
    }
}

async fn start_at(path: &Path) -> sneck_server::Running {
    start(Folder::open(path, SystemTime::now()).unwrap()).await
}

/// Runs until nothing more can be written; then with more room again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_loses_nothing() {
    let disk = or_skip!(SmallDisk::mount(3));
    let data = disk.path.join("data");
    let server = start_at(&data).await;
    let address = server.addresses()[0];
    let witnesses = tokio::task::spawn_blocking(move || Witnesses::of(address, OPERATIONS));
    let witnesses = Arc::new(witnesses.await.unwrap());
    assert!(!witnesses.are_done() && witnesses.acknowledged() > 50, "it was full at some time");
    let failure = server.failed().await;
    assert!(failure.contains("No space left"), "{failure}");
    assert!(failure.contains(&data.display().to_string()), "{failure}");
    assert!(server.stop().await.is_none(), "it has not pretended to end well");

    // As long as the disk is full it starts or says why not, and does no harm either way.
    let again = Folder::open(&data, SystemTime::now()).unwrap();
    let again = Server::builder().data_in(again).start().await;
    match again {
        Ok(server) => drop(server.stop().await),
        Err(refused) => {
            let source = std::error::Error::source(&refused).map(ToString::to_string);
            let source = source.unwrap_or_default();
            assert!(source.contains("No space left"), "{refused}: {source}");
        }
    }
    disk.grow(64);
    let server = start_at(&data).await;
    let (asked, address) = (Arc::clone(&witnesses), server.addresses()[0]);
    tokio::task::spawn_blocking(move || asked.check(address)).await.expect("no lie");
    server.stop().await;
}

/// A call of each kind fails, early and late; then the disk loses power on top of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_disk_loses_nothing() {
    for (call, code) in [(Call::Sync, EIO), (Call::Write, ENOSPC), (Call::Write, EIO)] {
        for from in [300_u64, 311, 340, 377] {
            let plan =
                move |number, kind| (number >= from && kind == call).then_some(Fault::Error(code));
            let disk = SimulatedDisk::new(Box::new(plan));
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
            let folder = Folder::on_disk(Arc::new(disk.clone()), now).unwrap();
            let server = start(folder).await;
            let address = server.addresses()[0];
            let witnesses = tokio::task::spawn_blocking(move || Witnesses::of(address, 400));
            let witnesses = Arc::new(witnesses.await.unwrap());
            assert!(!witnesses.are_done() && witnesses.acknowledged() > 1, "{call:?} {from}");
            let failure = server.failed().await;
            assert!(failure.contains("/simulated/log."), "{failure}");
            assert!(server.stop().await.is_none());
            for loss in [Loss::ProcessOnly, Loss::Everything, Loss::Some(from)] {
                let left = disk.reboot(loss, Box::new(|_, _| None));
                let server = start(Folder::on_disk(Arc::new(left), now).unwrap()).await;
                let (asked, address) = (Arc::clone(&witnesses), server.addresses()[0]);
                tokio::task::spawn_blocking(move || asked.check(address)).await.expect("no lie");
                server.stop().await;
            }
        }
    }
}
