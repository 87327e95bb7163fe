//! The terminal the command shares with us and the shell.

use nix::sys::signal::{SigSet, Signal};
use rustix::process::{Pid, getpgrp};
use rustix::stdio::stdin;
use rustix::termios::{isatty, tcgetpgrp, tcsetpgrp};

/// Our controlling terminal, on standard input.
///
/// The command is in a process group of its own, and only the group in the foreground may read the
/// terminal and gets its Ctrl-C. So the foreground is lent to the command's group.
#[derive(Clone, Copy)]
pub(crate) struct Terminal(());

impl Terminal {
    /// The terminal, if standard input is one, and the one that controls us.
    pub(crate) fn of_stdin() -> Option<Self> {
        (isatty(stdin()) && tcgetpgrp(stdin()).is_ok()).then_some(Terminal(()))
    }

    /// Whether our own group is in the foreground, so that the terminal is ours to lend.
    pub(crate) fn is_ours(self) -> bool {
        // Our own group is number 0 where its leader is outside our container; then the foreground is
        // some other's, and `rustix` could not even ask.
        match Pid::from_raw(nix::unistd::getpgrp().as_raw()) {
            Some(group) => self.is_of(group),
            None => false,
        }
    }

    /// Whether this group is in the foreground.
    pub(crate) fn is_of(self, group: Pid) -> bool {
        tcgetpgrp(stdin()) == Ok(group)
    }

    /// Puts a group into the foreground.
    pub(crate) fn give(self, group: Pid) {
        // A group in the background that touches the terminal is stopped by TTOU, unless it blocks
        // that signal; and whoever takes the foreground back is in the background.
        let mut blocked = SigSet::empty();
        blocked.add(Signal::SIGTTOU);
        let Ok(before) = blocked.thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK) else {
            return;
        };
        // It fails when the group or the terminal has just gone; then there is nothing to lend.
        let _ = tcsetpgrp(stdin(), group);
        let _ = before.thread_set_mask();
    }

    /// Puts our own group into the foreground, if `lent` is there now.
    pub(crate) fn take_back_from(self, lent: Pid) {
        if self.is_of(lent) {
            self.give(getpgrp());
        }
    }
}
