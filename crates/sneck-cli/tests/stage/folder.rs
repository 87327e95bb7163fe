//! A folder for `local:`, and the server in it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

use super::{runs, until};

/// A folder for a server of a test's own, which is ended with the test.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        Folder(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn text(&self) -> &str {
        self.path().to_str().unwrap()
    }

    /// With a session that nobody could wait for to end.
    pub(crate) fn url(&self) -> String {
        format!("local:{}?timeout=10m", self.text())
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path().join("socket")
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path().join("log")).unwrap_or_default()
    }

    /// The last server there was.
    pub(crate) fn pid(&self) -> String {
        fs::read_to_string(self.path().join("data/lock")).unwrap().trim().to_owned()
    }

    pub(crate) fn kill(&self, signal: Signal) {
        let pid = self.pid();
        let number = Pid::from_raw(pid.parse().unwrap()).unwrap();
        kill_process(number, signal).unwrap();
        until("the server has ended", || !runs(&pid));
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Asked rather than read from a file, so that no other process can be meant.
        if let Ok(stream) = UnixStream::connect(self.socket())
            && let Ok(peer) = rustix::net::sockopt::socket_peercred(&stream)
        {
            let _ = kill_process(peer.pid, Signal::KILL);
        }
    }
}
