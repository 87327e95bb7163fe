//! The signals that come to us.

use crate::failure::Failure;
use nix::unistd::{Pid, getppid, getsid};
use rustix::process::{Signal, getpid, kill_process};
use std::fs;
use std::future::poll_fn;
use std::task::Poll;
use tokio::signal::unix::{self, SignalKind};

/// Signals that come to us and do not have their default effect any more.
pub(crate) struct Signals(Vec<(Signal, unix::Signal)>);

impl Signals {
    /// What is passed on to the command.
    pub(crate) const FORWARDED: [Signal; 8] = [
        Signal::INT,
        Signal::TERM,
        Signal::HUP,
        Signal::QUIT,
        Signal::USR1,
        Signal::USR2,
        Signal::CONT,
        Signal::TSTP,
    ];
    /// What ends waiting or holding.
    pub(crate) const ENDING: [Signal; 4] = [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT];

    /// Takes these signals over, and the news of a child. Those that were being ignored when the
    /// process began, as `nohup` and the `&` of a script have it, stay ignored, for the command too.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn take(signals: &[Signal]) -> Result<Self, Failure> {
        let ignored = ignored();
        let is_ignored = |signal: Signal| ignored >> (signal.as_raw() - 1) & 1 == 1;
        let taken = signals.iter().copied().filter(|signal| !is_ignored(*signal));
        let mut streams = Vec::new();
        for signal in taken.chain([Signal::CHILD]) {
            let stream = unix::signal(SignalKind::from_raw(signal.as_raw()));
            let stream = stream.map_err(|error| Failure::system("cannot take a signal", error))?;
            streams.push((signal, stream));
        }
        Ok(Signals(streams))
    }

    /// The next signal. Cancel safe.
    pub(crate) async fn next(&mut self) -> Signal {
        poll_fn(|context| {
            for (signal, stream) in &mut self.0 {
                if stream.poll_recv(context).is_ready() {
                    return Poll::Ready(*signal);
                }
            }
            Poll::Pending
        })
        .await
    }

    /// The next signal that ends waiting or holding; stops the process for one that asks for that.
    /// Cancel safe.
    pub(crate) async fn ending(&mut self) -> Signal {
        loop {
            match self.next().await {
                signal if Signals::ENDING.contains(&signal) => return signal,
                Signal::TSTP => {
                    stop();
                }
                _ => {}
            }
        }
    }
}

/// Stops this process, as the default effect of TSTP would; it returns when the process goes on, and
/// says whether it was stopped.
///
/// As with the default effect, nothing happens where nobody could make it go on: with no parent in the
/// same session there is no shell that watches over jobs.
pub(crate) fn stop() -> bool {
    is_of_our_session(getppid()) && kill_process(getpid(), Signal::STOP).is_ok()
}

/// Whether a process is in our session.
///
/// In a container a session is number 0 when its leader is outside, and so is the parent when that is
/// outside. `rustix` takes neither for a process id, so these calls are `nix`'s. Two sessions outside
/// cannot be told apart, and are taken for one: as a rule both processes came in together.
fn is_of_our_session(process: Pid) -> bool {
    let is_visible = process.as_raw() != 0;
    is_visible && getsid(Some(process)).is_ok_and(|theirs| getsid(None) == Ok(theirs))
}

/// The signals that this process ignores, as a mask. There is no safe way to ask but this; where it is
/// not to be had, none is.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignored_in(&status)
}

fn ignored_in(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        assert_eq!(ignored_in("Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t0\n"), 0x1001);
        assert_eq!(ignored_in(""), 0);
    }
}
