//! Leaving for an Apache ensemble: one file from which all its servers begin.
//!
//! The file goes into `version-2` of the data folder of *every* server, before its first start:
//! a majority of empty servers would outvote one that has it.

use std::error::Error;
use std::fmt;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use sneck_wire::Acl;

use super::encode::WriteError;
use super::image::{Image, NodeRecord};
use super::snapshots::{Snapshots, TEMPORARY, file_name};
use crate::log::{Disk, FolderDisk};

/// The folder below a server's data folder that has the files of this format.
const VERSION_FOLDER: &str = "version-2";
/// What a server's folder may have besides: its number, and what a file system has in its root.
const HARMLESS: [&str; 3] = [VERSION_FOLDER, "myid", "lost+found"];
/// The nodes that every server has.
const BUILT_IN: [&str; 4] = ["/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"];

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The file.
    pub path: PathBuf,
    /// Servers that begin with it go on above this.
    pub zxid: i64,
    /// How many sessions can be resumed.
    pub sessions: usize,
    /// How many nodes there are.
    pub nodes: usize,
    /// How many of them have a time to live. A server takes these for nodes of a session that is
    /// gone, unless it runs with `zookeeper.extendedTypesEnabled=true`.
    pub ttl_nodes: usize,
}

/// Why nothing was exported.
#[derive(Debug)]
#[non_exhaustive]
pub enum ExportError {
    /// The folder has something already. Data of a server would be mixed with these.
    NotEmpty {
        /// Something that is in it.
        found: PathBuf,
    },
    /// The folder cannot be made or read.
    Folder {
        /// Which one.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// The snapshot cannot be written.
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: WriteError,
    },
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotEmpty { found } => {
                write!(f, "the folder is not empty: it has {}", found.display())
            }
            Self::Folder { path, .. } => write!(f, "cannot use the folder {}", path.display()),
            Self::Write { path, .. } => write!(f, "cannot write {}", path.display()),
        }
    }
}

impl Error for ExportError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NotEmpty { .. } => None,
            Self::Folder { source, .. } => Some(source),
            Self::Write { source, .. } => Some(source),
        }
    }
}

/// Writes `version-2/snapshot.<zxid>` into `folder`, which is made if it is not there, and may have
/// nothing in it but a server's `myid`.
///
/// # Errors
///
/// See [`ExportError`]. Nothing is left then of what was written.
pub fn export(image: &Image, folder: &Path) -> Result<Exported, ExportError> {
    let path = folder.join(VERSION_FOLDER);
    for (folder, harmless) in [(folder, &HARMLESS[..]), (&path, &[TEMPORARY])] {
        if let Some(found) = occupant(folder, harmless)? {
            return Err(ExportError::NotEmpty { found });
        }
    }
    let is_new = !folder.exists();
    let file = path.join(file_name(image.zxid));
    if let Err(error) = write(image, folder, &file) {
        // What cannot be removed either is in nobody's way, unless the file is whole; and then the
        // next try finds and names it.
        let _ = fs::remove_file(&file);
        let _ = fs::remove_dir(&path);
        if is_new {
            let _ = fs::remove_dir(folder);
        }
        return Err(error);
    }
    let ttl_nodes = image.nodes.iter().filter(|node| node.has_ttl()).count();
    let (sessions, nodes) = (image.sessions.len(), image.nodes.len());
    Ok(Exported { path: file, zxid: image.zxid, sessions, nodes, ttl_nodes })
}

/// What a folder has that it may not have; nothing in one that is not there.
fn occupant(folder: &Path, harmless: &[&str]) -> Result<Option<PathBuf>, ExportError> {
    let names = match FolderDisk::new(folder).list() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        names => names.map_err(|source| ExportError::Folder { path: folder.to_owned(), source })?,
    };
    let occupant = names.into_iter().find(|name| !harmless.contains(&name.as_str()));
    Ok(occupant.map(|name| folder.join(name)))
}

fn write(image: &Image, folder: &Path, file: &Path) -> Result<(), ExportError> {
    let path = folder.join(VERSION_FOLDER);
    let in_folder = |source| ExportError::Folder { path: path.clone(), source };
    // Data are for the user who serves them.
    DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(in_folder)?;
    let failed = |source| ExportError::Write { path: file.to_owned(), source };
    Snapshots::new(&FolderDisk::new(&path)).save(image).map_err(failed)?;
    FolderDisk::new(folder).sync_dir().map_err(in_folder)
}

/// As [`export`], but of an empty tree: for those who want nothing but zxids that go on above
/// `zxid`, so that fencing tokens grow and clients that keep running are not refused.
///
/// # Errors
///
/// See [`ExportError`].
pub fn seed(zxid: i64, folder: &Path) -> Result<Exported, ExportError> {
    let open: Arc<[Acl]> = Acl::open().into();
    let node = |path: &str| NodeRecord {
        path: path.to_owned(),
        data: Some(Bytes::new()),
        acl: if path == "/zookeeper/config" { Acl::read_only().into() } else { Arc::clone(&open) },
        czxid: 0,
        mzxid: 0,
        ctime: 0,
        mtime: 0,
        version: 0,
        creates: BUILT_IN.iter().filter(|child| is_parent(path, child)).count() as i32,
        aversion: 0,
        owner: 0,
        pzxid: 0,
    };
    let nodes = BUILT_IN.iter().map(|path| node(path)).collect();
    export(&Image { zxid, sessions: Vec::new(), nodes }, folder)
}

fn is_parent(path: &str, child: &str) -> bool {
    let (parent, name) = child.rsplit_once('/').unwrap_or_default();
    !name.is_empty() && parent == path.trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_in_use_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let exported = seed(0x5_0000_0001, folder.path()).unwrap();
        assert_eq!(exported.path, folder.path().join("version-2/snapshot.500000001"));
        assert_eq!((exported.nodes, exported.sessions, exported.ttl_nodes), (4, 0, 0));
        let error = seed(0x5_0000_0002, folder.path()).unwrap_err();
        assert!(error.to_string().contains("snapshot.500000001"), "{error}");
        fs::remove_file(exported.path).unwrap();
        for found in ["version-2/log.1", "zoo.cfg"] {
            let found = folder.path().join(found);
            fs::write(&found, "").unwrap();
            let error = seed(1, folder.path()).unwrap_err();
            assert!(error.to_string().contains(found.to_str().unwrap()), "{error}");
            fs::remove_file(found).unwrap();
        }
        // A server's number, and what a crash has left, are in nobody's way.
        fs::write(folder.path().join("myid"), "1").unwrap();
        fs::write(folder.path().join("version-2/snapshot.tmp"), "ZKSN").unwrap();
        seed(1, folder.path()).unwrap();
        assert!(!folder.path().join("version-2/snapshot.tmp").exists());
    }

    #[test]
    fn what_fails_leaves_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let new = parent.path().join("new");
        let no_root = Image { zxid: 1, sessions: Vec::new(), nodes: Vec::new() };
        assert!(matches!(export(&no_root, &new), Err(ExportError::Write { .. })));
        assert!(!new.exists());
        fs::create_dir(&new).unwrap();
        export(&no_root, &new).unwrap_err();
        assert_eq!(fs::read_dir(&new).unwrap().count(), 0);
        let file = parent.path().join("file");
        fs::write(&file, "precious").unwrap();
        assert!(matches!(seed(1, &file), Err(ExportError::Folder { .. })));
        assert_eq!(fs::read(&file).unwrap(), b"precious");
    }

    #[test]
    fn parents() {
        assert!(is_parent("/", "/zookeeper") && is_parent("/zookeeper", "/zookeeper/quota"));
        assert!(!is_parent("/", "/") && !is_parent("/", "/zookeeper/quota"));
    }
}
