//! The command, as a child process in a group of its own.

use crate::exec;
use crate::exit;
use crate::failure::Failure;
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, kill_process_group, test_kill_process_group, waitpgid, waitpid,
};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// A child process and its group, whose number is the child's.
pub(crate) struct Child {
    pid: Pid,
    exit_code: Option<u8>,
}

/// What has become of the child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It has ended and been reaped. The exit code is its own, or 128 and the signal's number.
    Ended(u8),
    /// It has been stopped, as by Ctrl-Z.
    Stopped,
}

impl Child {
    /// Starts the command. `environment` is added to ours.
    ///
    /// Must be called on the main thread: the kernel binds the child to the *thread* that made it.
    ///
    /// # Errors
    /// When the system has no room for a process. That the command cannot be run is told by its exit
    /// code.
    pub(crate) fn start(
        command: &[OsString],
        environment: &[(&str, String)],
        foreground: bool,
    ) -> Result<Self, Failure> {
        let failed = |error| Failure::system("cannot start a process", error);
        let child = Command::new(own_program().map_err(failed)?)
            .arg0("sneck")
            .args(exec::arguments(std::process::id(), foreground, command))
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| Failure::new(exit::INTERNAL, "the child has no number"))?;
        Ok(Child { pid, exit_code: None })
    }

    /// Its group.
    pub(crate) fn group(&self) -> Pid {
        self.pid
    }

    /// The exit code, once it has been reaped.
    pub(crate) fn exit_code(&self) -> Option<u8> {
        self.exit_code
    }

    /// The next change, if there has been one. Asked after each SIGCHLD, of which one may stand for
    /// several, until there is none.
    ///
    /// # Errors
    /// When somebody else has reaped the child.
    pub(crate) fn change(&mut self) -> Result<Option<Change>, Failure> {
        if self.exit_code.is_some() {
            return Ok(None);
        }
        let waited = loop {
            match waitpid(Some(self.pid), WaitOptions::NOHANG | WaitOptions::UNTRACED) {
                Err(Errno::INTR) => {}
                waited => break waited,
            }
        };
        let status = match waited {
            Ok(None) => return Ok(None),
            Ok(Some((_, status))) => status,
            Err(error) => return Err(Failure::system("cannot wait for the command", error)),
        };
        if status.stopped() {
            return Ok(Some(Change::Stopped));
        }
        let code = match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => u8::try_from(code).unwrap_or(u8::MAX),
            (None, Some(signal)) => exit::of_signal(signal),
            (None, None) => return Ok(None),
        };
        self.exit_code = Some(code);
        Ok(Some(Change::Ended(code)))
    }

    /// Signals the whole group. That nobody is left there is no error.
    pub(crate) fn signal(&self, signal: Signal) {
        let _ = kill_process_group(self.pid, signal);
    }

    /// Has the children's children become ours when their parents die, so that the end of the whole
    /// group can be seen: another parent may not reap them soon. Only for a group that is to end; as
    /// long as all is well, who the command starts is none of our business.
    pub(crate) fn adopt_orphans(&self) {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    }

    /// Whether anybody is left in the group, after the command itself has been reaped.
    pub(crate) fn group_is_alive(&self) -> bool {
        while let Ok(Some(_)) = waitpgid(self.pid, WaitOptions::NOHANG) {}
        // Without permission to signal somebody, somebody is there.
        test_kill_process_group(self.pid) != Err(Errno::SRCH)
    }
}

/// The program that is running, even if its file has been replaced since.
fn own_program() -> std::io::Result<PathBuf> {
    let link = PathBuf::from("/proc/self/exe");
    if link.exists() { Ok(link) } else { std::env::current_exe() }
}
