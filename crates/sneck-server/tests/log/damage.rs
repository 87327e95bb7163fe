//! Real files that were cut, overwritten or flipped at each byte.

use std::fs;
use std::path::{Path, PathBuf};

use sneck_server::log::{Folder, LogOptions, OpenError};

use crate::notes::{NOW, count, small, start, write};

const BLOCK: usize = 4096;
const SEGMENT: &str = "log.0000000000000001";
/// How many batches of one block the segment has.
const ENTRIES: i64 = 9;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Killed,
    Closed,
}

/// A folder with one segment, and a copy of that to damage.
struct Written {
    folder: tempfile::TempDir,
    segment: Vec<u8>,
}

/// A folder in memory where that can be had: what is tried here thousands of times needs files,
/// not a disk.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn written(ended: Ended) -> Written {
    let folder = folder();
    let options = LogOptions { first_segment_bytes: 64 << 10, ..small() };
    let opened = Folder::open(folder.path(), NOW).unwrap();
    let (_, log) = start(&opened, &options).unwrap();
    // Entry 7 takes two blocks, so entry 9 ends with block 10.
    for number in 1..=ENTRIES {
        write(&log, opened.floor(), number).unwrap();
    }
    // A copy of the file as it is now is what a kill would leave.
    let mut segment = fs::read(folder.path().join(SEGMENT)).unwrap();
    log.close().unwrap();
    drop(opened);
    if ended == Ended::Closed {
        segment = fs::read(folder.path().join(SEGMENT)).unwrap();
    }
    Written { folder, segment }
}

impl Written {
    /// Opens the folder with this in place of the segment, and with no others.
    fn open_with(&self, segment: &[u8]) -> Result<i64, OpenError> {
        for name in names(self.folder.path()).iter().filter(|name| name.starts_with("log.")) {
            fs::remove_file(self.folder.path().join(name)).unwrap();
        }
        fs::write(self.path(), segment).unwrap();
        let folder = Folder::open(self.folder.path(), NOW).unwrap();
        let found = count(&folder);
        if found.is_err() {
            assert!(fs::read(self.path()).unwrap() == segment, "a refusal has changed the file");
        }
        found
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join(SEGMENT)
    }

    fn flipped(&self, at: usize) -> Result<i64, OpenError> {
        let mut segment = self.segment.clone();
        segment[at] ^= 0x40;
        self.open_with(&segment)
    }
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).collect()
}

/// Where the batch with this entry begins, and how many bytes of it count.
fn batch(number: i64) -> (usize, usize) {
    let blocks: usize = (1..number).map(|number| if number == 7 { 2 } else { 1 }).sum();
    (BLOCK * (1 + blocks), 64 + 12 + crate::notes::payload(number).len())
}

fn assert_damaged_at(found: Result<i64, OpenError>, expected: usize, context: &str) {
    match found {
        Err(OpenError::Damaged { path, offset, .. }) => {
            assert!(path.ends_with(SEGMENT), "{context}: {path:?}");
            assert_eq!(offset, expected as u64, "{context}");
        }
        other => panic!("{context}: {other:?}"),
    }
}

#[test]
fn a_flipped_byte_is_refused_or_was_never_acknowledged() {
    for ended in [Ended::Killed, Ended::Closed] {
        let written = written(ended);
        for number in ENTRIES - 2..=ENTRIES {
            let (begins, length) = batch(number);
            for at in begins..begins + length {
                let found = written.flipped(at);
                if number == ENTRIES && ended == Ended::Killed {
                    // Nothing tells the last batch of a log that was not closed from a torn write.
                    assert_eq!(found.unwrap(), ENTRIES - 1, "byte {at}");
                } else {
                    assert_damaged_at(found, begins, &format!("byte {at}"));
                }
            }
            // What rounds a batch up counts for nothing.
            assert_eq!(written.flipped(begins + length).unwrap(), ENTRIES);
        }
        for at in [0, 4, 8, 16, 24, 35] {
            assert_damaged_at(written.flipped(at), 0, "header");
        }
        assert_eq!(written.open_with(&written.segment).unwrap(), ENTRIES);
    }
}

#[test]
fn a_write_torn_at_each_byte_ends_the_log_before_it() {
    let written = written(Ended::Killed);
    let (begins, length) = batch(ENTRIES);
    let end = begins + length;
    for at in begins..=end {
        let mut segment = written.segment.clone();
        segment[at..].fill(0);
        // The last bytes of this payload are not zero, so all of it is missed.
        let expected = if at == end { ENTRIES } else { ENTRIES - 1 };
        assert_eq!(written.open_with(&segment).unwrap(), expected, "torn at {at}");
        let wiped = fs::read(written.path()).unwrap();
        let intact = if at == end { end } else { begins };
        assert!(wiped[intact..].iter().all(|byte| *byte == 0), "torn at {at}: not wiped");
        assert!(wiped[..intact] == segment[..intact], "torn at {at}: more was wiped");
    }
}

#[test]
fn a_file_that_was_cut_is_refused() {
    let written = written(Ended::Killed);
    let whole = written.segment.len();
    let (last, _) = batch(ENTRIES - 2);
    for length in (0..last).step_by(999).chain((last..whole).step_by(61)).chain([whole - 1]) {
        let offset = if length < BLOCK { 0 } else { length };
        assert_damaged_at(written.open_with(&written.segment[..length]), offset, "cut");
    }
    let mut longer = written.segment.clone();
    longer.push(0);
    assert_damaged_at(written.open_with(&longer), whole + 1, "longer");
}

/// A folder whose log has several segments.
fn several_segments() -> tempfile::TempDir {
    let folder = folder();
    let opened = Folder::open(folder.path(), NOW).unwrap();
    let (_, log) = start(&opened, &small()).unwrap();
    for number in 1..=90 {
        write(&log, opened.floor(), number).unwrap();
    }
    log.close().unwrap();
    folder
}

fn opened(folder: &tempfile::TempDir) -> Result<i64, OpenError> {
    count(&Folder::open(folder.path(), NOW).unwrap())
}

#[test]
fn a_missing_segment_is_noticed() {
    let folder = several_segments();
    assert_eq!(opened(&folder).unwrap(), 90);
    let segment = |id: u64| folder.path().join(format!("log.{id:016x}"));
    let aside = folder.path().join("aside");
    for (id, gap) in [(1, true), (2, false), (3, false)] {
        fs::rename(segment(id), &aside).unwrap();
        let error = opened(&folder).unwrap_err();
        assert_eq!(matches!(error, OpenError::Gap { .. }), gap, "{error:?}");
        let about = if gap { 2 } else { id };
        assert!(error.to_string().contains(&format!("log.{about:016x}")), "{error}");
        fs::rename(&aside, segment(id)).unwrap();
    }
    assert_eq!(opened(&folder).unwrap(), 90);
}

#[test]
fn the_end_of_an_earlier_segment_is_not_a_torn_write() {
    let folder = several_segments();
    let path = folder.path().join("log.0000000000000002");
    let whole = fs::read(&path).unwrap();
    // The last batch of the second segment: flipped, and not there at all.
    let last = whole.chunks(BLOCK).rposition(|block| block.starts_with(b"SNKB")).unwrap() * BLOCK;
    for wipe in [false, true] {
        let mut damaged = whole.clone();
        match wipe {
            true => damaged[last..].fill(0),
            false => damaged[last + 70] ^= 1,
        }
        fs::write(&path, &damaged).unwrap();
        let error = opened(&folder).unwrap_err();
        let OpenError::Damaged { path, offset, .. } = &error else { panic!("{error:?}") };
        assert!(path.ends_with("log.0000000000000002"), "{error}");
        assert_eq!(*offset, last as u64);
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(opened(&folder).unwrap(), 90);
}

/// What a torn batch says of the zxid before it is not proven by any checksum, and must not make
/// anybody skip what lies before.
#[test]
fn a_torn_first_batch_of_a_segment_hides_nothing() {
    let folder = folder();
    let opened_folder = Folder::open(folder.path(), NOW).unwrap();
    let (_, log) = start(&opened_folder, &small()).unwrap();
    write(&log, opened_folder.floor(), 1).unwrap();
    write(&log, opened_folder.floor(), 2).unwrap();
    log.archive().seal_and_rotate().unwrap();
    write(&log, opened_folder.floor(), 3).unwrap();
    let path = folder.path().join("log.0000000000000002");
    let mut torn = fs::read(&path).unwrap();
    torn[BLOCK + 32..BLOCK + 40].fill(0);
    log.close().unwrap();
    drop(opened_folder);
    fs::write(&path, torn).unwrap();
    assert_eq!(opened(&folder).unwrap(), 2);
}

#[test]
fn a_segment_of_a_newer_release_is_left_alone() {
    let written = written(Ended::Closed);
    let mut newer = written.segment.clone();
    newer[7] = 9;
    let crc = crc32c(&newer[..32]).to_be_bytes();
    newer[32..36].copy_from_slice(&crc);
    let error = written.open_with(&newer).unwrap_err();
    assert!(matches!(error, OpenError::Newer { version: 9, .. }), "{error:?}");
}

/// Castagnoli's checksum, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 }
        })
    })
}
