//! Why a log cannot be opened, and why one has stopped.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// What a replay function found wrong with an entry or an image.
pub type ReplayError = Box<dyn Error + Send + Sync>;

/// Why a folder cannot be opened. Unless it is [`OpenError::Io`], nothing in it was changed.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process, or another log of this one, has the folder open.
    InUse {
        /// The folder.
        folder: PathBuf,
        /// The process that has it, where it has said so.
        pid: Option<u32>,
    },
    /// There is no folder of ours where one has to be.
    Missing {
        /// Where.
        folder: PathBuf,
    },
    /// The folder has files, and is not one of ours.
    Foreign {
        /// The folder.
        folder: PathBuf,
        /// One of the files that should not be there.
        found: String,
    },
    /// The folder or a file in it was written by a newer release.
    Newer {
        /// The folder or file.
        path: PathBuf,
        /// The version of its format.
        version: u32,
    },
    /// A file is not as it was written, and not because its end was torn by a crash.
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the first wrong byte may be.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// What was written between two points in time is missing.
    Gap {
        /// The file that should follow without a gap.
        path: PathBuf,
        /// Everything up to here is known.
        known_zxid: i64,
        /// Everything after this is in the file.
        after_zxid: i64,
    },
    /// No snapshot can be read, and the log does not reach back to the beginning.
    NoSnapshot {
        /// The newest of them.
        path: PathBuf,
        /// What is wrong with it.
        source: ReplayError,
    },
    /// An entry or an image is whole but cannot be applied.
    Replay {
        /// The zxid of the entry or image.
        zxid: i64,
        /// What the replay function said.
        source: ReplayError,
    },
    /// The file system failed.
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { folder, pid: Some(pid) } => {
                write!(f, "{} is in use by process {pid}", folder.display())
            }
            Self::InUse { folder, pid: None } => {
                write!(f, "{} is in use by another process", folder.display())
            }
            Self::Missing { folder } => {
                write!(f, "{} is not a data folder of this server", folder.display())
            }
            Self::Foreign { folder, found } => write!(
                f,
                "{} is not a data folder of this server, and not empty: it has `{}`",
                folder.display(),
                found.escape_debug()
            ),
            Self::Newer { path, version } => write!(
                f,
                "{} was written by a newer release, in version {version} of its format",
                path.display()
            ),
            Self::Damaged { path, offset, what } => {
                write!(f, "{} is damaged at byte {offset}: {what}", path.display())
            }
            Self::Gap { path, known_zxid, after_zxid } => write!(
                f,
                "{} begins after zxid {after_zxid:#x}, but only what was written up to \
                 {known_zxid:#x} is known: something in between is missing",
                path.display()
            ),
            Self::NoSnapshot { path, .. } => write!(
                f,
                "{} cannot be read, and neither can an older snapshot that the log continues",
                path.display()
            ),
            Self::Replay { zxid, .. } => write!(f, "what is stored at zxid {zxid:#x} is invalid"),
            Self::Io { doing, path, .. } => write!(f, "cannot {doing} {}", path.display()),
        }
    }
}

impl Error for OpenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Replay { source, .. } | Self::NoSnapshot { source, .. } => Some(source.as_ref()),
            _ => None,
        }
    }
}

/// What the file system refused a running log.
#[derive(Debug)]
pub struct Failure {
    /// What was being done.
    pub doing: &'static str,
    /// To which file or folder.
    pub path: PathBuf,
    /// What the file system said.
    pub source: io::Error,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}", self.doing, self.path.display())
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

/// Why a log takes nothing any more.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Stopped {
    /// It was closed, and everything in it is durable.
    Closed,
    /// A write or a sync failed. What was not durable by then may be lost or not: nobody can say,
    /// for after a failed sync the system may report the next one as a success without having
    /// written anything. Only recovery from what is on the disk tells.
    Failed(Arc<Failure>),
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the log is closed"),
            Self::Failed(_) => f.write_str("the log has stopped after a failure of the disk"),
        }
    }
}

impl Error for Stopped {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Closed => None,
            Self::Failed(failure) => Some(failure.as_ref()),
        }
    }
}

/// Why an entry was not taken.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum AppendError {
    /// The log takes nothing any more.
    Stopped(Stopped),
    /// The zxid is not above the one before it.
    NotAscending {
        /// The zxid of the entry.
        zxid: i64,
        /// The one before it.
        last_zxid: i64,
    },
    /// The payload is larger than a segment can hold.
    TooLarge {
        /// Bytes in the payload.
        bytes: usize,
        /// Bytes that would have been taken.
        bytes_max: usize,
    },
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped(stopped) => stopped.fmt(f),
            Self::NotAscending { zxid, last_zxid } => {
                write!(f, "zxid {zxid:#x} is not above {last_zxid:#x}")
            }
            Self::TooLarge { bytes, bytes_max } => {
                write!(f, "an entry of {bytes} bytes, {bytes_max} can be logged")
            }
        }
    }
}

impl Error for AppendError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Stopped(stopped) => stopped.source(),
            _ => None,
        }
    }
}
