//! Being a process in the background: of nobody's session, with nothing open that is somebody else's.

use crate::exit;
use crate::failure::Failure;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The program that is running, even if its file has been replaced since.
pub(crate) const OWN_PROGRAM: &str = "/proc/self/exe";

/// The log is begun anew above this, and the one before is kept.
const LOG_BYTES_MAX: u64 = 256 << 10;

/// Leaves the session, and with it the terminal, and closes what was left open by whoever has started
/// us: a pipe that a script reads would not end before we do. To be called before anything else is
/// opened. Standard input, output and error stay, until [`Log::take_over`].
///
/// # Errors
/// When the process leads a group, which no child does that is started for this.
pub(crate) fn begin() -> Result<(), Failure> {
    rustix::process::setsid()
        .map_err(|error| Failure::system("cannot leave the session", error))?;
    close_the_rest();
    // No folder is kept busy.
    std::env::set_current_dir("/").map_err(|error| Failure::system("cannot go to /", error))
}

/// Closes all but standard input, output and error.
pub(crate) fn close_the_rest() {
    // Where there is no such list, what is open stays open.
    let Ok(listed) = fs::read_dir("/proc/self/fd") else { return };
    let names = listed.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let open: Vec<i32> = names.filter_map(|name| name.parse().ok()).collect();
    for descriptor in open.into_iter().filter(|descriptor| *descriptor > 2) {
        // One of them was the list's own, and is closed by now.
        let _ = nix::unistd::close(descriptor);
    }
}

/// What a server in the background has to say.
pub(crate) struct Log {
    file: File,
    path: PathBuf,
}

impl Log {
    /// Opens the log, and begins a new one if it has become long.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let failed = |error: io::Error| {
            let text = format!("cannot write {}: {error}", path.display());
            Failure::new(exit::CANNOT_HAVE, text)
        };
        if fs::metadata(path).is_ok_and(|file| file.len() > LOG_BYTES_MAX) {
            fs::rename(path, path.with_extension("old")).map_err(failed)?;
        }
        let mut options = File::options();
        let file = options.append(true).create(true).mode(0o600).open(path).map_err(failed)?;
        Ok(Log { file, path: path.to_owned() })
    }

    /// Writes a line. That there is no room for it is no reason not to serve.
    pub(crate) fn note(&self, text: &str) {
        let now = humantime::format_rfc3339_seconds(SystemTime::now());
        let line = format!("{now} process {}: {text}\n", std::process::id());
        let _ = (&self.file).write_all(line.as_bytes());
    }

    /// Makes the log standard output and error, so that nobody waits for the end of these.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn take_over(&self) -> Result<(), Failure> {
        let both = rustix::stdio::dup2_stdout(&self.file)
            .and_then(|()| rustix::stdio::dup2_stderr(&self.file));
        both.map_err(|error| {
            Failure::system(&format!("cannot log to {}", self.path.display()), error)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        Log::open(&path).unwrap().note("first");
        Log::open(&path).unwrap().note("second");
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(text.ends_with(": second\n") && text.contains(&std::process::id().to_string()));
        fs::write(&path, vec![b'x'; LOG_BYTES_MAX as usize + 1]).unwrap();
        Log::open(&path).unwrap().note("third");
        assert!(fs::read_to_string(&path).unwrap().ends_with(": third\n"));
        assert!(fs::metadata(&path).unwrap().len() < 100);
        assert_eq!(fs::metadata(folder.path().join("log.old")).unwrap().len(), LOG_BYTES_MAX + 1);
    }
}
