//! Processes that do not outlive the test process, and a folder that does not either.
//!
//! A test process may be killed with -9, so no destructor can be relied on. A `sh` of ours reads
//! the pids of what we start from a pipe whose only long-lived writing end is in this process;
//! when the pipe closes, it kills those processes with all that they started, and removes the folder.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid,
};

/// Signals are ignored because Ctrl-C reaches every process of a terminal at once, and this one
/// has work to do after the others ended. Removing is retried while killed processes still write.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
pids=
while read -r verb pid; do
  case $verb in
    start) pids="$pids $pid" ;;
    gone) kept=; for p in $pids; do [ "$p" = "$pid" ] || kept="$kept $p"; done; pids=$kept ;;
  esac
done
for p in $pids; do kill -KILL "-$p"; done
n=0
until rm -rf -- "$1" || [ $n -ge 50 ]; do n=$((n + 1)); sleep 0.1; done
"#;

/// The shell that becomes the started program reports its own pid first, so that there is no
/// moment in which the program runs and the janitor does not know it. An empty line on standard
/// output says that it did, and that it let go of the pipe.
const LAUNCH: &str = r#"
log=$1; out=$2; shift 2
echo "start $$" >&2
exec 2>>"$log"
echo
[ "$out" = piped ] || exec >&2
exec "$@"
"#;

/// Owns a folder and the processes that work in it.
#[derive(Debug)]
pub(crate) struct Janitor {
    folder: PathBuf,
    shell: Child,
    pipe: Option<Arc<Mutex<File>>>,
}

impl Janitor {
    /// Makes a new folder whose name begins with `prefix`, under the system's temporary folder.
    pub(crate) fn new(prefix: &str) -> io::Result<Janitor> {
        let folder = tempfile::Builder::new().prefix(prefix).tempdir()?;
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT, "sneck-janitor"])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let pipe = shell.stdin.take().expect("stdin was asked for");
        let pipe = File::from(OwnedFd::from(pipe));
        Ok(Janitor { folder: folder.keep(), shell, pipe: Some(Arc::new(Mutex::new(pipe))) })
    }

    /// The folder, removed with the janitor.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts a program whose standard error, and standard output unless it is to be `piped`, go
    /// to the end of the file `log`.
    pub(crate) fn spawn<S: AsRef<OsStr>>(
        &self,
        program: impl AsRef<OsStr>,
        args: impl IntoIterator<Item = S>,
        log: &Path,
        piped: Piped,
    ) -> io::Result<Process> {
        let pipe = self.pipe.clone().expect("the pipe is open until drop");
        let report =
            pipe.lock().unwrap_or_else(PoisonError::into_inner).as_fd().try_clone_to_owned()?;
        let (stdin, out) = match piped {
            Piped::No => (Stdio::null(), "logged"),
            Piped::InAndOut => (Stdio::piped(), "piped"),
        };
        let child = Command::new("sh")
            .args(["-c", LAUNCH, "sneck-launch"])
            .arg(log)
            .arg(out)
            .arg(program)
            .args(args)
            .current_dir(&self.folder)
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::from(report))
            .process_group(0)
            .spawn()?;
        let mut process = Process { child, pipe: Arc::downgrade(&pipe) };
        let stdout = process.child.stdout.as_mut().expect("stdout was asked for");
        stdout.read_exact(&mut [0])?;
        Ok(process)
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        // Closing the only writing end is what makes the shell act.
        self.pipe = None;
        // The shell ends within its bounded number of tries; there is nothing to do with its code.
        let _ = self.shell.wait();
    }
}

/// Whether a program's standard input and output come to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piped {
    /// Nothing to read, and the output goes to the log.
    No,
    /// Both are pipes, taken from [`Process::child`].
    InAndOut,
}

/// A started program; killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) child: Child,
    pipe: Weak<Mutex<File>>,
}

impl Process {
    /// The program's pid: the launching shell became the program.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub(crate) fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Sends a signal by pid. The pid is ours until [`Process::try_wait`] has seen the end.
    ///
    /// After `STOP` it returns when the last thread has stopped: until then one of them may still
    /// answer a client, and a JVM has many.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.expect("a child's pid is positive");
        kill_process(pid, signal)?;
        if signal == Signal::STOP {
            // Whoever is dead has stopped too; it stays to be waited for.
            let stopped = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            waitid(WaitId::Pid(pid), stopped)?;
        }
        Ok(())
    }

    /// Kills it with -9, stopped or not, and what it started, and returns when it is gone.
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        // Told before the pid can be reused, which it can be from the moment of `wait`. A janitor
        // that is gone needs no telling.
        if let Some(pipe) = self.pipe.upgrade() {
            let mut pipe = pipe.lock().unwrap_or_else(PoisonError::into_inner);
            writeln!(pipe, "gone {}", self.child.id())?;
        }
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            // Children of its own may outlive it. Mostly there is none, and no group then either.
            let _ = kill_process_group(group, Signal::KILL);
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A failure means the janitor's shell was killed by somebody; the child is dead anyway.
        let _ = self.kill();
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use rustix::process::test_kill_process;

    use super::*;

    /// Whether a process runs. One that is dead and not reaped, as some containers leave orphans,
    /// does not.
    fn lives(pid: u32) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let is_dead =
            stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with(['Z', 'X']));
        let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        !is_dead && test_kill_process(pid).is_ok()
    }

    fn wait_until(mut done: impl FnMut() -> bool) {
        let give_up = Instant::now() + Duration::from_secs(20);
        while !done() {
            assert!(Instant::now() < give_up, "the condition did not come true in 20 s");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn drop_kills_and_removes() {
        let janitor = Janitor::new("sneck-janitor-").unwrap();
        let folder = janitor.folder().to_owned();
        let log = folder.join("log");
        let process = janitor.spawn("sleep", ["1000"], &log, Piped::No).unwrap();
        let pid = process.pid();
        assert!(lives(pid));
        drop(process);
        assert!(!lives(pid));
        drop(janitor);
        assert!(!folder.exists());
    }

    #[test]
    fn what_it_started_goes_with_it() {
        let janitor = Janitor::new("sneck-janitor-").unwrap();
        let log = janitor.folder().join("log");
        let script = "sleep 1000 & echo $!; wait";
        let child = || {
            let process = janitor.spawn("sh", ["-c", script], &log, Piped::No).unwrap();
            let mut pid = None;
            wait_until(|| {
                pid = std::fs::read_to_string(&log).unwrap().lines().last().map(str::to_owned);
                pid.is_some()
            });
            (process, pid.unwrap().parse().unwrap())
        };
        let (process, pid) = child();
        assert!(lives(pid));
        drop(process);
        wait_until(|| !lives(pid));
        std::fs::write(&log, "").unwrap();
        let (_process, pid) = child();
        drop(janitor);
        wait_until(|| !lives(pid));
    }

    /// As when the test process is killed with -9: no destructor runs, only the pipe closes.
    #[test]
    fn closing_the_pipe_is_enough() {
        let mut janitor = Janitor::new("sneck-janitor-").unwrap();
        let folder = janitor.folder().to_owned();
        let log = folder.join("log");
        let script = "trap '' HUP INT TERM; echo up; sleep 1000";
        let mut process = janitor.spawn("sh", ["-c", script], &log, Piped::No).unwrap();
        process.signal(Signal::STOP).unwrap();
        janitor.pipe = None;
        wait_until(|| process.try_wait().unwrap().is_some());
        wait_until(|| !folder.exists());
    }
}
