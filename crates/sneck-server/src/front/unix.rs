//! Clients of the same user, over a Unix socket that nobody else can reach.

use std::fs;
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _,
};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::UnixListener;

use super::Door;
use crate::core::Peer;

const PAUSE: Duration = Duration::from_millis(50);

/// The file of a socket we listen on; gone when dropped, unless another one is there by then.
#[derive(Debug)]
pub(crate) struct Socket {
    path: PathBuf,
    inode: u64,
}

impl Socket {
    /// Listens at `path`. Its folder is made for this user alone, and refused if others may look
    /// into it: between the making of a socket and the setting of its mode anybody could connect.
    /// What a server that has crashed left there is replaced.
    pub(crate) fn bind(path: &Path) -> io::Result<(UnixListener, Self)> {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        if fs::metadata(folder)?.mode() & 0o077 != 0 {
            let text = format!("others have access to the folder {}", folder.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        remove_stale(path)?;
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        let inode = fs::symlink_metadata(path)?.ino();
        Ok((listener, Self { path: path.to_owned(), inode }))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|now| now.ino() == self.inode) {
            // If it cannot be removed, the next server finds it stale.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes a socket on which nobody listens. Anything else that is there stays.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(found) if !found.file_type().is_socket() => {
            let text = format!("{} is there and is no socket", path.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
        Ok(_) => {
            let text = format!("a server listens on {} already", path.display());
            Err(io::Error::new(io::ErrorKind::AddrInUse, text))
        }
    }
}

/// Accepts connections for as long as the task lives.
pub(crate) async fn listen(listener: UnixListener, door: Door) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => door.enter(stream, Peer::Local),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn private_folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        folder
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let folder = private_folder();
        let path = folder.path().join("socket");
        // The listener of the standard library leaves its file behind, as a crash does.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let (listener, socket) = Socket::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(Socket::bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop((listener, socket));
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn other_files_and_open_folders_are_refused() {
        let folder = private_folder();
        let path = folder.path().join("file");
        fs::write(&path, "precious").unwrap();
        assert_eq!(Socket::bind(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let other = folder.path().join("socket");
        assert_eq!(Socket::bind(&other).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }
}
