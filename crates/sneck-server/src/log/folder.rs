//! The data folder: whose it is, who has it open, and at which zxid it began.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::fs::FlockOperation;

use super::disk::{Disk, FolderDisk, write_all_at};
use super::error::OpenError;

/// Names the format of the folder and the zxid it began at.
const MARKER: &str = "sneck-data";
const MARKER_TEMPORARY: &str = "sneck-data.tmp";
const MARKER_BYTES_MAX: u64 = 4096;
const FIRST_LINE: &str = "a data folder of sneck's server";
const VERSION: u32 = 1;
const LOCK: &str = "lock";
/// Files that a new folder may have: ours from a start that was cut short, and what a file system
/// has in its root.
const HARMLESS: [&str; 3] = [LOCK, MARKER_TEMPORARY, "lost+found"];

/// 2024-01-01, from where the zxids of new folders are counted.
const EPOCH: Duration = Duration::from_secs(1_704_067_200);

/// A data folder that this process has for itself, until the last clone is gone.
#[derive(Debug, Clone)]
pub struct Folder {
    disk: Arc<dyn Disk>,
    floor: i64,
    // Kept for its drop, which lets others have the folder.
    _lock: Option<Arc<FolderLock>>,
}

/// The locked file.
#[derive(Debug)]
struct FolderLock(File);

impl Drop for FolderLock {
    /// Says so, rather than only closing the file: a child that another thread is just starting
    /// has the file open, too, until it becomes another program. An error here could only mean
    /// that the lock is gone already.
    fn drop(&mut self) {
        let _ = rustix::fs::flock(&self.0, FlockOperation::Unlock);
    }
}

impl Folder {
    /// Opens the folder at `path`, and makes it if it is not there.
    ///
    /// A new one begins at a zxid made of `now`: see [`Folder::floor`].
    ///
    /// # Errors
    ///
    /// [`OpenError::InUse`], [`OpenError::Foreign`], [`OpenError::Newer`], [`OpenError::Damaged`]
    /// and [`OpenError::Io`]; but for the last, none of them changes anything.
    pub fn open(path: &Path, now: SystemTime) -> Result<Folder, OpenError> {
        let made_in = create_folder(path).map_err(failed("create the folder", path))?;
        let disk = FolderDisk::new(path);
        // Looked at first without the lock, for somebody else's folder is not to get a lock file.
        inspect(&disk)?;
        let lock = lock(path)?;
        let folder = Folder::enter(Arc::new(disk), now, Some(Arc::new(lock)))?;
        // Last, as most file systems have written these down with what is in the new folder by now.
        for parent in made_in {
            sync_folder(&parent).map_err(failed("sync", &parent))?;
        }
        Ok(folder)
    }

    /// Opens the folder at `path`, which has to be one of ours already.
    ///
    /// # Errors
    ///
    /// As [`Folder::open`], and [`OpenError::Missing`]; then nothing has been made there.
    pub fn open_existing(path: &Path) -> Result<Folder, OpenError> {
        let missing = || OpenError::Missing { folder: path.to_owned() };
        let disk = FolderDisk::new(path);
        match inspect(&disk) {
            Ok(Some(_)) => {}
            Ok(None) => return Err(missing()),
            Err(OpenError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Err(missing());
            }
            Err(error) => return Err(error),
        }
        let lock = lock(path)?;
        // The time is that of no folder: this one has begun, and nobody else can remove it now.
        Folder::enter(Arc::new(disk), SystemTime::UNIX_EPOCH, Some(Arc::new(lock)))
    }

    /// Opens a folder on a disk that nobody else uses.
    ///
    /// # Errors
    ///
    /// As [`Folder::open`], but for [`OpenError::InUse`].
    pub fn on_disk(disk: Arc<dyn Disk>, now: SystemTime) -> Result<Folder, OpenError> {
        Folder::enter(disk, now, None)
    }

    fn enter(
        disk: Arc<dyn Disk>,
        now: SystemTime,
        lock: Option<Arc<FolderLock>>,
    ) -> Result<Folder, OpenError> {
        let floor = match inspect(disk.as_ref())? {
            Some(floor) => floor,
            None => {
                let floor = floor_at(now);
                let path = disk.path(MARKER);
                write_marker(disk.as_ref(), floor).map_err(failed("create", &path))?;
                floor
            }
        };
        // Also when it was there: who created it may have died before it was durable.
        disk.sync_dir().map_err(failed("sync", &disk.path("")))?;
        Ok(Folder { disk, floor, _lock: lock })
    }

    /// The zxid at which the folder began: the seconds since 2024 in the upper half, and parts of a
    /// second in the lower one.
    ///
    /// A server whose folder was wiped goes on above every zxid it ever gave out, as long as it
    /// wrote less than 2^32 times a second: clients that come back are told that their session is
    /// gone, rather than refused for having seen the future, and fencing tokens only grow.
    pub fn floor(&self) -> i64 {
        self.floor
    }

    /// The files in it.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }
}

/// For `map_err`: what failed on which path.
pub(crate) fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_owned();
    move |source| OpenError::Io { doing, path, source }
}

/// The zxid before the first one of what begins now, be it a folder or a server without one: the time
/// since 2024, with the seconds in the upper half and parts of a second in the lower one.
pub(crate) fn floor_at(now: SystemTime) -> i64 {
    // A clock that was never set still gives a zxid above 0, and below 2^63 in 2092 and after.
    const MIN: u128 = 1 << 32;
    const MAX: u128 = (i32::MAX as u128) << 32;
    let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let nanos = since_1970.saturating_sub(EPOCH).as_nanos();
    let floor = ((nanos << 32) / 1_000_000_000).clamp(MIN, MAX);
    i64::try_from(floor).expect("less than 2^63")
}

/// Makes a folder and those above it that are missing; gives those in which one was made, which are
/// still to be synced.
fn create_folder(path: &Path) -> io::Result<Vec<PathBuf>> {
    let missing = path.ancestors().take_while(|folder| {
        let is_here = folder.as_os_str().is_empty();
        !is_here && !folder.is_dir()
    });
    let made_in = missing.filter_map(Path::parent).map(Path::to_owned).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    Ok(made_in)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let is_here = path.as_os_str().is_empty();
    File::open(if is_here { Path::new(".") } else { path })?.sync_all()
}

/// The zxid the folder began at, or `None` if it is new.
fn inspect(disk: &dyn Disk) -> Result<Option<i64>, OpenError> {
    let folder = disk.path("");
    let names = disk.list().map_err(failed("list", &folder))?;
    if names.iter().any(|name| name == MARKER) {
        return read_marker(disk).map(Some);
    }
    match names.into_iter().find(|name| !HARMLESS.contains(&name.as_str())) {
        Some(found) => Err(OpenError::Foreign { folder, found }),
        None => Ok(None),
    }
}

fn read_marker(disk: &dyn Disk) -> Result<i64, OpenError> {
    let path = disk.path(MARKER);
    let mut text = String::new();
    disk.read(MARKER)
        .and_then(|(file, _)| file.take(MARKER_BYTES_MAX).read_to_string(&mut text))
        .map_err(failed("read", &path))?;
    let damaged = |path: PathBuf| OpenError::Damaged { path, offset: 0, what: "not its text" };
    let mut lines = text.lines();
    let version = match (lines.next(), lines.next()) {
        (Some(FIRST_LINE), Some(line)) => field(line, "version ").and_then(|v| v.parse().ok()),
        _ => None,
    };
    match version {
        Some(VERSION) => {}
        Some(version) if version > VERSION => return Err(OpenError::Newer { path, version }),
        _ => return Err(damaged(path)),
    }
    let floor = lines.next().and_then(|line| field(line, "first zxid 0x"));
    floor.and_then(|hex| i64::from_str_radix(hex, 16).ok()).ok_or_else(|| damaged(path))
}

fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.strip_prefix(name)
}

fn write_marker(disk: &dyn Disk, floor: i64) -> io::Result<()> {
    let text = format!("{FIRST_LINE}\nversion {VERSION}\nfirst zxid {floor:#x}\n");
    let file = disk.create(MARKER_TEMPORARY)?;
    write_all_at(file.as_ref(), text.as_bytes(), 0)?;
    file.sync_data()?;
    disk.rename(MARKER_TEMPORARY, MARKER)
}

/// Takes the lock that ends with the process, however that ends.
fn lock(folder: &Path) -> Result<FolderLock, OpenError> {
    let path = folder.join(LOCK);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(&path).map_err(failed("open", &path))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let pid = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
            return Err(OpenError::InUse { folder: folder.to_owned(), pid });
        }
        Err(errno) => return Err(failed("lock", &path)(errno.into())),
    }
    let told = file.set_len(0).and_then(|()| file.rewind());
    told.and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed("write", &path))?;
    Ok(FolderLock(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn zxids_of_new_folders_follow_the_clock() {
        assert_eq!(floor_at(at(1_704_067_200 + 5)), 5 << 32);
        assert_eq!(floor_at(at(0)), 1 << 32);
        assert!(floor_at(at(u64::from(u32::MAX) * 9)) > 0);
        assert!(floor_at(SystemTime::UNIX_EPOCH - Duration::from_secs(1)) > 0);
        let later = at(1_704_067_200 + 5) + Duration::from_millis(500);
        assert_eq!(floor_at(later), (5 << 32) + (1 << 31), "a restart within a second");
    }

    #[test]
    fn a_folder_keeps_its_first_zxid_and_a_wiped_one_begins_above() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let first = Folder::open(&path, at(1_800_000_000)).unwrap().floor();
        assert_eq!(Folder::open(&path, at(1_900_000_000)).unwrap().floor(), first);
        assert_eq!(Folder::open(&path, at(0)).unwrap().floor(), first);
        fs::remove_dir_all(&path).unwrap();
        assert!(Folder::open(&path, at(1_800_000_001)).unwrap().floor() > first);
    }

    #[test]
    fn every_folder_that_gets_a_new_one_is_to_be_synced() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b/c");
        let above = [parent.path().join("a/b"), parent.path().join("a"), parent.path().to_owned()];
        assert_eq!(create_folder(&path).unwrap(), above);
        assert_eq!(create_folder(&path).unwrap(), <[PathBuf; 0]>::default());
        assert!(above.iter().all(|folder| sync_folder(folder).is_ok()));
        assert!(
            sync_folder(Path::new("")).is_ok(),
            "as the parent of a folder right here is named"
        );
    }

    #[test]
    fn what_has_to_be_there_is_not_made() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a");
        let missing = |error| matches!(error, OpenError::Missing { folder } if folder == path);
        assert!(missing(Folder::open_existing(&path).unwrap_err()));
        assert!(!path.exists());
        fs::create_dir(&path).unwrap();
        assert!(missing(Folder::open_existing(&path).unwrap_err()));
        assert_eq!(contents(&path), []);
        let floor = Folder::open(&path, at(1_800_000_000)).unwrap().floor();
        let first = Folder::open_existing(&path).unwrap();
        assert_eq!(first.floor(), floor);
        assert!(matches!(Folder::open_existing(&path), Err(OpenError::InUse { .. })));
    }

    #[test]
    fn one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = Folder::open(folder.path(), at(1_800_000_000)).unwrap();
        let clone = first.clone();
        drop(first);
        let error = Folder::open(folder.path(), at(1_800_000_000)).unwrap_err();
        let OpenError::InUse { pid, .. } = &error else { panic!("{error}") };
        assert_eq!(*pid, Some(std::process::id()));
        assert!(error.to_string().contains(&std::process::id().to_string()));
        drop(clone);
        Folder::open(folder.path(), at(1_800_000_000)).unwrap();
    }

    /// All names and contents.
    fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
        let mut contents: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                (name, fs::read(entry.path()).unwrap())
            })
            .collect();
        contents.sort();
        contents
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let newer = format!("{FIRST_LINE}\nversion 2\nsomething else\n");
        let cases = [
            ("myid", "1\n", "Foreign"),
            ("log.0000000000000001", "", "Foreign"),
            (MARKER, &newer, "Newer"),
            (MARKER, "", "Damaged"),
            (MARKER, "a data folder of sneck's server\nversion 1\nfirst zxid\n", "Damaged"),
            (MARKER, "a data folder of sneck's server\nversion one\n", "Damaged"),
        ];
        for (name, content, expected) in cases {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join(name), content).unwrap();
            let before = contents(folder.path());
            let error = Folder::open(folder.path(), at(1_800_000_000)).unwrap_err();
            assert!(format!("{error:?}").starts_with(expected), "{name}: {error:?}");
            assert_eq!(contents(folder.path()), before);
        }
    }

    #[test]
    fn a_start_that_was_cut_short_is_no_foreign_folder() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(LOCK), "99999").unwrap();
        fs::write(folder.path().join(MARKER_TEMPORARY), "a data fol").unwrap();
        fs::create_dir(folder.path().join("lost+found")).unwrap();
        Folder::open(folder.path(), at(1_800_000_000)).unwrap();
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "").unwrap();
        let error = Folder::open(&path, at(1_800_000_000)).unwrap_err();
        assert!(error.to_string().contains("file"), "{error}");
    }
}
