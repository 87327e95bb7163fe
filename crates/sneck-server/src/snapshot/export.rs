//! Leaving for an Apache ensemble: one file from which all its servers begin.
//!
//! The file goes into `version-2` of the data folder of *every* server, before its first start:
//! a majority of empty servers would outvote one that has it.

use std::error::Error;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use sneck_wire::Acl;

use super::encode::WriteError;
use super::image::{Image, NodeRecord};
use super::snapshots::{Snapshots, file_name};
use crate::log::{Disk, FolderDisk};

/// The folder below a server's data folder that has the files of this format.
const VERSION_FOLDER: &str = "version-2";
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
    /// The folder has data of a server already, which would be mixed with these.
    NotEmpty {
        /// One of its files.
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
                write!(f, "the folder has data of a server already: {}", found.display())
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

/// Writes `version-2/snapshot.<zxid>` into `folder`, which is made if it is not there.
///
/// # Errors
///
/// See [`ExportError`].
pub fn export(image: &Image, folder: &Path) -> Result<Exported, ExportError> {
    let path = folder.join(VERSION_FOLDER);
    let in_folder = |source| ExportError::Folder { path: path.clone(), source };
    fs::create_dir_all(&path).map_err(in_folder)?;
    let disk = FolderDisk::new(&path);
    let names = disk.list().map_err(in_folder)?;
    let of_a_server = |name: &&String| name.starts_with("snapshot.") || name.starts_with("log.");
    if let Some(found) = names.iter().find(of_a_server) {
        return Err(ExportError::NotEmpty { found: path.join(found) });
    }
    let file = path.join(file_name(image.zxid));
    let failed = |source| ExportError::Write { path: file.clone(), source };
    Snapshots::new(&disk).save(image).map_err(failed)?;
    let ttl_nodes = image.nodes.iter().filter(|node| node.has_ttl()).count();
    let (sessions, nodes) = (image.sessions.len(), image.nodes.len());
    Ok(Exported { path: file, zxid: image.zxid, sessions, nodes, ttl_nodes })
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
        fs::write(folder.path().join("version-2/log.1"), "").unwrap();
        assert!(matches!(seed(1, folder.path()), Err(ExportError::NotEmpty { .. })));
    }

    #[test]
    fn parents() {
        assert!(is_parent("/", "/zookeeper") && is_parent("/zookeeper", "/zookeeper/quota"));
        assert!(!is_parent("/", "/") && !is_parent("/", "/zookeeper/quota"));
    }
}
