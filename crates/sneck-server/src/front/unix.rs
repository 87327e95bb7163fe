//! Clients of the same user, over a Unix socket that nobody else can reach.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _,
    PermissionsExt as _,
};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use tokio::net::UnixListener;

use super::Door;

const PAUSE: Duration = Duration::from_millis(50);

/// The file of a socket we listen on; gone when dropped.
#[derive(Debug)]
pub(crate) struct Socket {
    path: PathBuf,
    /// Kept for its drop. Of two servers that find a stale socket both would remove it, one of them
    /// that of the other.
    _lock: File,
}

impl Socket {
    /// Listens at `path`. Its folder is made for this user alone, and refused if it is somebody else's
    /// or if others may look into it: between the making of a socket and the setting of its mode
    /// anybody could connect. What a server that has crashed left there is replaced.
    ///
    /// Beside the socket there is a file of the same name that ends in `.lock`, for as long as the
    /// folder: a lock that is removed could be held by two.
    pub(crate) fn bind(path: &Path) -> io::Result<(UnixListener, Self)> {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        check_folder(folder)?;
        let lock = lock(path)?;
        remove_stale(path)?;
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        Ok((listener, Self { path: path.to_owned(), _lock: lock }))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // If it cannot be removed, the next server finds it stale.
        let _ = fs::remove_file(&self.path);
    }
}

fn check_folder(folder: &Path) -> io::Result<()> {
    let found = fs::metadata(folder)?;
    let (owner, we) = (found.uid(), rustix::process::geteuid().as_raw());
    let denied = |text| Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    if owner != we {
        let folder = folder.display();
        return denied(format!("the folder {folder} is user {owner}'s, and we are user {we}"));
    }
    if found.mode() & 0o077 != 0 {
        return denied(format!("others have access to the folder {}", folder.display()));
    }
    Ok(())
}

/// Takes the lock that ends with the process, however that ends.
fn lock(path: &Path) -> io::Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let mut options = File::options();
    let file = options.write(true).create(true).truncate(false).mode(0o600).open(name)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => Err(in_use(path)),
        Err(errno) => Err(errno.into()),
    }
}

fn in_use(path: &Path) -> io::Error {
    let text = format!("a server listens on {} already", path.display());
    io::Error::new(io::ErrorKind::AddrInUse, text)
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
        Ok(_) => Err(in_use(path)),
    }
}

/// Accepts connections for as long as the task lives.
pub(crate) async fn listen(listener: UnixListener, door: Door) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => door.enter_local(stream),
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
    async fn of_many_that_find_a_stale_socket_one_has_it() {
        let folder = private_folder();
        let path = folder.path().join("socket");
        let runtime = tokio::runtime::Handle::current();
        let bind = || {
            let _runtime = runtime.enter();
            Socket::bind(&path)
        };
        for _ in 0..50 {
            drop(std::os::unix::net::UnixListener::bind(&path));
            let bound: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(bind)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            let winners: Vec<_> = bound.into_iter().filter_map(Result::ok).collect();
            assert_eq!(winners.len(), 1);
            UnixStream::connect(&path).unwrap();
        }
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
