//! Snapshots in a data folder: made of the log, kept, damaged and passed over.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use sneck_server::log::{Folder, Log, LogOptions, OpenError, ReplayError};
use sneck_server::snapshot::{Compactor, Image, NodeRecord, Pace, Replica, Restored, restore};

use crate::format::node;

/// A counter with a name for each entry that was counted.
#[derive(Debug)]
struct Counted {
    first: i64,
    last: i64,
}

impl Replica for Counted {
    fn restore(image: Option<Image>, floor: i64) -> Result<Counted, ReplayError> {
        let last = image.map_or(floor, |image| floor + image.nodes.len() as i64 - 1);
        Ok(Counted { first: floor, last })
    }

    fn replay(&mut self, zxid: i64, _: &[u8]) -> Result<(), ReplayError> {
        assert_eq!(zxid, self.last + 1);
        self.last = zxid;
        Ok(())
    }

    fn into_image(self) -> Image {
        let nodes = (self.first..=self.last).map(|zxid| match zxid - self.first {
            0 => node("/"),
            number => NodeRecord { czxid: zxid, ..node(&format!("/{number:08}")) },
        });
        Image { nodes: nodes.collect(), ..Image::default() }
    }
}

fn options() -> LogOptions {
    LogOptions { first_segment_bytes: 64 << 10, segment_bytes: 256 << 10, ..LogOptions::default() }
}

fn open(folder: &Folder) -> (i64, Log) {
    let Restored { replica, recovery, .. } = restore::<Counted>(folder).unwrap();
    assert_eq!(recovery.zxid, replica.last);
    (replica.last, recovery.start(&options(), |_| {}).unwrap())
}

fn append(log: &Log, count: i64) {
    let last = log.durable().zxid();
    for zxid in last + 1..=last + count {
        log.append(zxid, b"entry").unwrap();
        log.durable().wait(zxid).unwrap();
    }
}

fn snapshots(folder: &Path) -> Vec<String> {
    named(folder, "snapshot.")
}

fn named(folder: &Path, prefix: &str) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with(prefix)).collect();
    names.sort();
    names
}

/// A folder with two snapshots and something in the log after them.
fn compacted() -> (tempfile::TempDir, i64) {
    let path = tempfile::tempdir().unwrap();
    let folder = Folder::open(path.path(), SystemTime::now()).unwrap();
    let (first, log) = open(&folder);
    let compactor = Compactor::start::<Counted>(log.archive(), Pace::ON_REQUEST, |_| {}).unwrap();
    let nothing = compactor.compact_now().unwrap();
    assert_eq!((nothing.zxid, nothing.snapshot_bytes), (first, 0));
    for round in 1..=3 {
        append(&log, 30);
        let compacted = compactor.compact_now().unwrap();
        assert_eq!(compacted.zxid, first + 30 * round);
        assert!(compacted.snapshot_bytes > 0);
        // The first snapshot leaves the log as it is, for it may be damaged later.
        assert_eq!(compacted.segments_removed > 0, round > 1);
    }
    let kept = [first + 60, first + 90].map(|zxid| format!("snapshot.{zxid:x}"));
    assert_eq!(snapshots(path.path()), kept);
    assert_eq!(compactor.compact_now().unwrap().snapshot_bytes, 0);
    append(&log, 5);
    drop(compactor);
    log.close().unwrap();
    assert!(named(path.path(), "log.").len() <= 3);
    (path, first)
}

fn reopened(path: &Path) -> Result<Restored<Counted>, OpenError> {
    restore::<Counted>(&Folder::open(path, SystemTime::now()).unwrap())
}

#[test]
fn the_log_is_replaced_by_snapshots() {
    let (path, first) = compacted();
    let restored = reopened(path.path()).unwrap();
    assert_eq!(restored.replica.last, first + 95);
    assert_eq!(restored.recovery.entries, 5);
    assert!(restored.damaged.is_empty());
}

#[test]
fn a_damaged_snapshot_is_passed_over_while_the_log_reaches_back() {
    let (path, first) = compacted();
    let names = snapshots(path.path());
    let newest = path.path().join(&names[1]);
    let mut bytes = fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&newest, &bytes).unwrap();
    let restored = reopened(path.path()).unwrap();
    assert_eq!(restored.replica.last, first + 95);
    assert_eq!(restored.recovery.entries, 35);
    assert_eq!(restored.damaged.len(), 1);
    drop(restored);

    // The older one gone too, nothing is left to begin with, and that is said.
    fs::write(path.path().join(&names[0]), b"ZKSN").unwrap();
    let before: Vec<_> = named(path.path(), "");
    let error = reopened(path.path()).unwrap_err();
    let OpenError::NoSnapshot { path: named_path, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*named_path, newest);
    assert_eq!(named(path.path(), ""), before);

    // Without any, the log shows that something is missing.
    for name in &names {
        fs::remove_file(path.path().join(name)).unwrap();
    }
    assert!(matches!(reopened(path.path()), Err(OpenError::Gap { .. })));
}

#[test]
fn a_snapshot_under_a_wrong_name_is_not_believed() {
    let (path, first) = compacted();
    let names = snapshots(path.path());
    // Nodes in it are newer than the name says, and entries would be applied to them twice.
    let named = path.path().join(format!("snapshot.{:x}", first + 70));
    fs::rename(path.path().join(&names[1]), &named).unwrap();
    let restored = reopened(path.path()).unwrap();
    assert_eq!((restored.replica.last, restored.recovery.entries), (first + 95, 35));
    assert_eq!(restored.damaged[0].0, named);
}

#[test]
fn a_compaction_after_a_damaged_snapshot_mends_the_folder() {
    let (path, first) = compacted();
    let names = snapshots(path.path());
    fs::write(path.path().join(&names[1]), b"").unwrap();
    let folder = Folder::open(path.path(), SystemTime::now()).unwrap();
    let (_, log) = open(&folder);
    let compactor = Compactor::start::<Counted>(log.archive(), Pace::ON_REQUEST, |_| {}).unwrap();
    assert_eq!(compactor.compact_now().unwrap().zxid, first + 95);
    let kept = [first + 60, first + 95].map(|zxid| format!("snapshot.{zxid:x}"));
    assert_eq!(snapshots(path.path()), kept);
}

#[test]
fn a_long_log_is_compacted_unasked() {
    let path = tempfile::tempdir().unwrap();
    let folder = Folder::open(path.path(), SystemTime::now()).unwrap();
    let (_, log) = open(&folder);
    append(&log, 40);
    let pace = Pace { log_bytes: 64 << 10, ..Pace::ON_REQUEST };
    let (told, outcomes) = std::sync::mpsc::channel();
    let report = move |outcome: &Result<_, _>| told.send(outcome.is_ok()).unwrap();
    let _compactor = Compactor::start::<Counted>(log.archive(), pace, report).unwrap();
    let first = outcomes.recv_timeout(std::time::Duration::from_secs(60));
    assert_eq!(first, Ok(true));
    assert_eq!(snapshots(path.path()).len(), 1);
}
