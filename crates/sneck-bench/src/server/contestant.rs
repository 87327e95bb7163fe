//! The two servers that are compared: the one of sneck, as a process of its own, and Apache's.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sneck_testkit::zookeeper::{Builder, Ensemble, Version};
use tokio::runtime::Runtime;

use crate::raw::SESSION_TIMEOUT_MS;
use crate::server::process;

/// A twentieth of the session timeout that the bench asks for, and so the least that grants it.
const TICK: &str = "30s";

/// Kills a process when the one that started this shell is gone, in whatever way it went.
const WATCH: &str = r#"trap '' HUP INT TERM; read -r line || kill -KILL "$1""#;

/// Where `sneck serve` listens, and its tick.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listen<'a> {
    pub(crate) addr: &'a str,
    pub(crate) tick: &'a str,
}

/// `sneck serve` on a folder.
#[derive(Debug)]
pub(crate) struct Sneck {
    process: Child,
    watcher: Child,
    pub(crate) addr: SocketAddr,
    pub(crate) socket: PathBuf,
}

impl Sneck {
    /// Starts the binary on a folder, which may be there, and returns when it says where it is.
    pub(crate) fn start(binary: &Path, data: &Path, socket: &Path) -> io::Result<Sneck> {
        Sneck::start_at(binary, data, socket, Listen { addr: "127.0.0.1:0", tick: TICK })
    }

    /// The same at an address, with a tick.
    pub(crate) fn start_at(
        binary: &Path,
        data: &Path,
        socket: &Path,
        listen: Listen<'_>,
    ) -> io::Result<Sneck> {
        let mut process = Command::new(binary)
            .args(["serve", "--listen", listen.addr, "--tick", listen.tick])
            .arg("--data")
            .arg(data)
            .arg("--socket")
            .arg(socket)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let addr = announced(&mut process);
        let watcher = watch(process.id());
        match (addr, watcher) {
            (Ok(addr), Ok(watcher)) => {
                Ok(Sneck { process, watcher, addr, socket: socket.to_owned() })
            }
            (Err(error), _) | (_, Err(error)) => {
                // It is of no use any more, and perhaps has ended by itself.
                let _ = process.kill();
                process.wait()?;
                Err(error)
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Sneck {
    fn drop(&mut self) {
        // Told before the pid can be another's. A watcher that is gone needs no telling.
        if let Some(mut pipe) = self.watcher.stdin.take() {
            let _ = writeln!(pipe);
        }
        let _ = self.watcher.wait();
        // A crash, as far as the server is concerned: what it leaves is what a crash leaves.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The address in the URL that the server prints once it serves.
fn announced(process: &mut Child) -> io::Result<SocketAddr> {
    let stdout = process.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let addr = line.trim_end().strip_prefix("zk://").and_then(|addr| addr.parse().ok());
    addr.ok_or_else(|| io::Error::other(format!("the server did not start; it printed {line:?}")))
}

fn watch(pid: u32) -> io::Result<Child> {
    Command::new("sh")
        .args(["-c", WATCH, "watch", &pid.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

/// Apache's server, standalone, that waits for the disk.
#[derive(Debug)]
pub(crate) struct Apache {
    ensemble: Ensemble,
    runtime: Runtime,
}

impl Apache {
    /// Starts it on an empty folder, with these system properties besides.
    pub(crate) fn start(
        version: Version,
        properties: &[(&str, &str)],
    ) -> Result<Apache, Box<dyn std::error::Error>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let timeout = Duration::from_millis(SESSION_TIMEOUT_MS.unsigned_abs().into());
        let builder = Builder::new(version)
            .tick_ms(2_000)
            .session_timeout_max(timeout)
            .heap_mb(1_024)
            .optimised()
            .sync_to_disk();
        let builder =
            properties.iter().fold(builder, |builder, (name, value)| builder.property(name, value));
        let ensemble = runtime.block_on(builder.start()).map_err(|error| error.to_string())?;
        Ok(Apache { ensemble, runtime })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.ensemble.addr(0)
    }

    pub(crate) fn pid(&self) -> io::Result<u32> {
        self.ensemble.pid(0).ok_or_else(|| io::Error::other("Apache's server has ended"))
    }

    /// How often it has synced its log so far.
    pub(crate) fn syncs(&self) -> f64 {
        self.runtime.block_on(self.ensemble.metric(0, "zk_cnt_fsynctime"))
    }

    /// Kills it, starts it again on what it has, and returns when it serves.
    pub(crate) fn restart(&self) {
        self.runtime.block_on(self.ensemble.restart(0));
    }
}

/// Both, on folders of the same file system.
#[derive(Debug)]
pub(crate) struct Contestants {
    pub(crate) sneck: Sneck,
    pub(crate) apache: Apache,
    pub(crate) folder: tempfile::TempDir,
}

impl Contestants {
    pub(crate) fn start(
        binary: &Path,
        version: Version,
    ) -> Result<Contestants, Box<dyn std::error::Error>> {
        let folder = tempfile::Builder::new().prefix("sneck-bench-").tempdir()?;
        let sneck = Sneck::start(binary, &folder.path().join("data"), &socket_in(folder.path())?)?;
        Ok(Contestants { sneck, apache: Apache::start(version, &[])?, folder })
    }

    /// How many syncs each has made so far.
    pub(crate) fn syncs(&self) -> io::Result<[f64; 2]> {
        Ok([process::batches(self.sneck.pid())? as f64, self.apache.syncs()])
    }

    /// The processor time that each has used so far, in seconds.
    pub(crate) fn processor_s(&self) -> io::Result<[f64; 2]> {
        let of = |pid| process::processor_time(pid).map(|time| time.as_secs_f64());
        Ok([of(self.sneck.pid())?, of(self.apache.pid()?)?])
    }
}

/// Where a socket may be: in a folder for this user alone.
pub(crate) fn socket_in(folder: &Path) -> io::Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let private = folder.join("private");
    fs::create_dir_all(&private)?;
    fs::set_permissions(&private, fs::Permissions::from_mode(0o700))?;
    Ok(private.join("socket"))
}
