//! What stands between us and the command: the same program, started as `sneck __exec`, makes sure
//! that the command does not outlive us, and then becomes it.
//!
//! Between fork and exec only unsafe code can run in the parent's name, so this runs in the child's.
//! It is dispatched before the command line is parsed, and so has no place in help and completions.

use crate::exit;
use crate::failure::Failure;
use crate::terminal::Terminal;
use rustix::process::{getpgrp, getppid};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The hidden subcommand.
pub(crate) const VERB: &str = "__exec";

/// The arguments to `sneck` for running `command` as a child of the process `parent`.
pub(crate) fn arguments(parent: u32, foreground: bool, command: &[OsString]) -> Vec<OsString> {
    let place = if foreground { "foreground" } else { "background" };
    let own = [VERB.into(), parent.to_string().into(), place.into()];
    own.into_iter().chain(command.iter().cloned()).collect()
}

/// Becomes the command that `arguments`, without the verb, tell of. Returns only if that fails.
pub(crate) fn exec(arguments: &[OsString]) -> Failure {
    let [parent, place, program, rest @ ..] = arguments else {
        return Failure::usage("__exec is for sneck's own use");
    };
    if let Err(failure) = bind_to(parent) {
        return failure;
    }
    if place == "foreground"
        && let Some(terminal) = Terminal::of_stdin()
    {
        // Done here too, not only by the parent, as the command may read before the parent runs.
        terminal.give(getpgrp());
    }
    cannot_run(program, &Command::new(program).args(rest).exec())
}

/// Has the kernel kill this process when its parent dies, whatever the parent dies of.
fn bind_to(parent: &OsStr) -> Result<(), Failure> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .map_err(|error| Failure::system("cannot bind the command to sneck", error))?;
    // It may have died before that; then nobody holds the lock for us.
    let is_there = getppid().is_some_and(|pid| *parent == *pid.as_raw_nonzero().to_string());
    is_there.then_some(()).ok_or_else(|| Failure::new(exit::LOST, "sneck has died"))
}

/// What a shell would say, with a shell's exit code.
fn cannot_run(program: &OsStr, error: &io::Error) -> Failure {
    let (code, hint) = match error.kind() {
        io::ErrorKind::NotFound => (
            exit::NOT_FOUND,
            "it is looked for in $PATH, unless its name has a '/'; for a script, check the \
             interpreter in its first line",
        ),
        _ => (exit::NOT_EXECUTABLE, "check that it is a program, and its permissions"),
    };
    Failure::new(code, format!("cannot run {program:?}: {error}")).with_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_codes_are_those_of_shells() {
        let failure = |kind| cannot_run(OsStr::new("x"), &io::Error::from(kind)).code();
        assert_eq!(failure(io::ErrorKind::NotFound), 127);
        assert_eq!(failure(io::ErrorKind::PermissionDenied), 126);
    }

    #[test]
    fn arguments_of_the_command_stay_as_they_are() {
        let command = ["a", "--", "-x", ""].map(OsString::from);
        let arguments = arguments(7, true, &command);
        assert_eq!(arguments[..3], ["__exec", "7", "foreground"].map(OsString::from));
        assert_eq!(arguments[3..], command);
    }
}
