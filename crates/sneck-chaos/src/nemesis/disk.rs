//! Disks that are slow, fail or are full: calls of a server's process that `strace` tampers with.
//!
//! A device that does so needs modules of the kernel; this needs the right to trace a process.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::servers::Servers;

/// How long each sync takes on a slow disk.
const SYNC: Duration = Duration::from_millis(150);
/// What `strace` is given to attach to all threads of a server.
const ATTACH_MAX: Duration = Duration::from_secs(20);
/// What it is given to let go of them.
const DETACH_MAX: Duration = Duration::from_secs(5);
/// What the folders are called that servers keep their logs in: ZooKeeper's and ours, and that of Redis.
const DATA: [&str; 2] = ["data", "appendonlydir"];
const POLL: Duration = Duration::from_millis(20);

/// Why calls cannot be tampered with here, if they cannot.
pub async fn missing() -> Option<String> {
    let mut probe = Command::new("strace");
    probe.args(["-o", "/dev/null", "-e", "inject=fsync:error=EIO", "true"]);
    match probe.stdout(Stdio::null()).stderr(Stdio::null()).status().await {
        Ok(status) if status.success() => None,
        Ok(status) => Some(format!("strace cannot tamper with calls here: {status}")),
        Err(error) => Some(format!("no strace: {error}")),
    }
}

/// Lets each sync of a server take long.
pub(super) async fn slow(servers: &Servers, server: usize, length: Duration) -> Result<(), String> {
    let inject = format!("inject=fsync,fdatasync:delay_enter={}", SYNC.as_micros());
    let tampering = Tampering::begin(servers, server, &["-e", &inject]).await?;
    tokio::time::sleep(length).await;
    tampering.end().await;
    Ok(())
}

/// Lets a sync of a server fail, waits for what it does about that, and starts it again.
pub(super) async fn fail(servers: &Servers, server: usize, most: Duration) -> Result<(), String> {
    tamper_and_restart(servers, server, most, &["-e", "inject=fsync,fdatasync:error=EIO"]).await
}

/// Lets what a server writes to its log find no room, waits for what it does, and starts it again.
pub(super) async fn fill(servers: &Servers, server: usize, most: Duration) -> Result<(), String> {
    let pid = servers.pid(server).ok_or("the server does not run")?;
    let logs = open_logs(pid);
    let mut options = vec!["-e", "inject=write,pwrite64,writev,fallocate,ftruncate:error=ENOSPC"];
    for log in &logs {
        options.extend(["-P", log]);
    }
    tamper_and_restart(servers, server, most, &options).await
}

async fn tamper_and_restart(
    servers: &Servers,
    server: usize,
    most: Duration,
    options: &[&str],
) -> Result<(), String> {
    let tampering = Tampering::begin(servers, server, options).await?;
    let give_up = Instant::now() + most;
    while servers.told(server).await.is_some() && Instant::now() < give_up {
        tokio::time::sleep(POLL).await;
    }
    tampering.end().await;
    servers.kill(server).await;
    servers.start_again(server).await;
    Ok(())
}

/// The files that a server writes its transactions to.
fn open_logs(pid: u32) -> Vec<String> {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let paths = files.filter_map(|file| std::fs::read_link(file.path()).ok());
    let is_data = |path: &std::path::PathBuf| {
        path.components().any(|part| DATA.iter().any(|folder| part.as_os_str() == *folder))
    };
    paths.filter(is_data).filter_map(|path| path.to_str().map(str::to_owned)).collect()
}

/// A tracer at work.
struct Tampering(Child);

impl Tampering {
    async fn begin(servers: &Servers, server: usize, options: &[&str]) -> Result<Self, String> {
        let pid = servers.pid(server).ok_or("the server does not run")?;
        let mut strace = Command::new("strace");
        strace.args(["-f", "-o", "/dev/null", "-p", &pid.to_string()]).args(options);
        strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = strace.spawn().map_err(|error| format!("strace: {error}"))?;
        let stderr = child.stderr.take().ok_or("strace has no standard error")?;
        let mut lines = BufReader::new(stderr).lines();
        let attached = async {
            while let Ok(Some(line)) = lines.next_line().await {
                if line.contains("attached") {
                    return Ok(());
                }
            }
            Err("strace does not attach".to_owned())
        };
        let late = || Err(format!("strace does not attach in {ATTACH_MAX:?}"));
        tokio::time::timeout(ATTACH_MAX, attached).await.unwrap_or_else(|_| late())?;
        // It goes on telling of threads; a pipe that nobody reads would stop it in the end.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Tampering(child))
    }

    /// Lets the server go, and returns when that is done.
    async fn end(mut self) {
        let pid = self.0.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        if let Some(pid) = pid {
            // One that has ended with its server needs no telling.
            let _ = kill_process(pid, Signal::INT);
        }
        // A server that dies under it can leave it waiting for a thread that never stops. The kernel takes
        // its hands off whatever a dead tracer has traced.
        if tokio::time::timeout(DETACH_MAX, self.0.wait()).await.is_err() {
            let _ = self.0.kill().await;
        }
    }
}
