//! A command that runs under a lock: signals go to it, and it ends before the lock could be
//! somebody else's.

use crate::args::OnRevoke;
use crate::child::{Change, Child};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::schedule::{Bounds, Schedule, Step};
use crate::signals::{Signals, stop};
use crate::terminal::Terminal;
use rustix::process::{Signal, kill_current_process_group};
use sneck::{Clock, Guard, Instant, Loss, SystemClock};
use std::ffi::OsString;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// A command that runs under a lock.
pub(crate) struct Supervisor<'a> {
    guard: &'a Guard,
    lost: Pin<Box<dyn Future<Output = Loss> + 'a>>,
    loss: Option<Loss>,
    /// Resolves when somebody asks for the lock; gone once the command has been told.
    revoked: Option<Pin<Box<dyn Future<Output = ()> + 'a>>>,
    on_revoke: OnRevoke,
    signals: &'a mut Signals,
    schedule: Schedule,
    child: Child,
    terminal: Option<Terminal>,
}

/// How the command has ended.
#[derive(Debug)]
pub(crate) enum End {
    /// By itself, under the lock, with this exit code.
    Ended(u8),
    /// The lock was lost, or was about to be; the text says why.
    Lost(String),
}

impl<'a> Supervisor<'a> {
    /// Timers of the runtime stand still while the machine is suspended; naps are short enough for
    /// the clock that counts suspend to be looked at soon.
    const NAP_MAX: Duration = Duration::from_secs(1);
    /// There is no event for a group that becomes empty, so it is asked for.
    const GROUP_POLL: Duration = Duration::from_millis(2);
    /// How long to wait for a killed group to be gone. A dead process may linger in it for as long as
    /// a negligent parent does not reap it, and does nothing there.
    const GROUP_GONE_MAX: Duration = Duration::from_millis(500);

    /// Starts the command.
    ///
    /// # Errors
    /// When the system cannot.
    pub(crate) fn start(
        guard: &'a Guard,
        signals: &'a mut Signals,
        bounds: Option<Bounds>,
        on_revoke: OnRevoke,
        command: &[OsString],
        environment: &[(&str, String)],
    ) -> Result<Self, Failure> {
        // Where there is no session to lose, there is nothing to prepare for.
        let bounds = bounds.unwrap_or(Bounds { grace: Duration::ZERO, reserve: Duration::ZERO });
        let terminal = Terminal::of_stdin();
        let foreground = terminal.is_some_and(Terminal::is_ours);
        let child = Child::start(command, environment, foreground)?;
        let lost = Box::pin(guard.lost());
        let revoked: Pin<Box<dyn Future<Output = ()> + 'a>> =
            Box::pin(guard.revocation_requested());
        Ok(Supervisor {
            guard,
            lost,
            loss: None,
            revoked: Some(revoked),
            on_revoke,
            signals,
            schedule: Schedule::new(bounds),
            child,
            terminal,
        })
    }

    /// The group of the command.
    pub(crate) fn group(&self) -> u32 {
        self.child.group().as_raw_nonzero().get().unsigned_abs()
    }

    /// Looks after the command until it has ended and has been reaped.
    ///
    /// # Errors
    /// When the system refuses what cannot be done without.
    pub(crate) async fn run(mut self, printer: &Printer) -> Result<End, Failure> {
        loop {
            while let Some(change) = self.child.change()? {
                if change == Change::Stopped {
                    self.child_has_stopped();
                }
            }
            // The clock decides before any signal is looked at: after a long stop, the signal to go on
            // must not reach a command that has lost its lock.
            let wake = match self.step() {
                Step::Wait(wake) => wake,
                Step::Terminate => {
                    self.terminate(printer);
                    continue;
                }
                Step::Kill => {
                    self.child.signal(Signal::KILL);
                    continue;
                }
            };
            if let Some(code) = self.child.exit_code() {
                return Ok(self.finish(code).await);
            }
            let nap = wake.since(SystemClock.now()).min(Self::NAP_MAX);
            tokio::select! {
                biased;
                loss = &mut self.lost, if self.loss.is_none() => self.loss = Some(loss),
                signal = self.signals.next() => self.signal(signal),
                () = asked_back(self.revoked.as_mut()) => self.asked_back(printer),
                () = tokio::time::sleep(nap) => {}
            }
        }
    }

    fn step(&mut self) -> Step {
        let deadline = self.guard.is_held().then(|| self.guard.deadline());
        self.schedule.step(SystemClock.now(), deadline.filter(|_| self.loss.is_none()))
    }

    fn terminate(&mut self, printer: &Printer) {
        self.child.adopt_orphans();
        self.child.signal(Signal::TERM);
        // A group that is stopped could not act on it.
        self.child.signal(Signal::CONT);
        printer.say(match self.guard.is_held() {
            true => "the store does not answer and the lock may soon be lost; ending the command",
            false => "the lock is lost; ending the command",
        });
    }

    /// Tells the command that somebody wants the lock. Once: it is a request, and when to end is up to
    /// the command.
    fn asked_back(&mut self, printer: &Printer) {
        self.revoked = None;
        match self.on_revoke {
            OnRevoke::Signal(signal) => {
                printer.say("somebody asks for the lock; telling the command");
                self.child.signal(signal);
            }
            OnRevoke::None => printer.say("somebody asks for the lock; the command goes on"),
        }
    }

    fn signal(&mut self, signal: Signal) {
        match signal {
            // Only a reason to look.
            Signal::CHILD => {}
            Signal::CONT => self.go_on(),
            Signal::TSTP => {
                self.child.signal(Signal::TSTP);
                // With the terminal, it goes on even if there is no shell that could stop us: then
                // nobody could have it go on later.
                if stop() || self.terminal.is_some_and(Terminal::is_ours) {
                    self.go_on();
                }
            }
            signal => self.child.signal(signal),
        }
    }

    /// The command was stopped. On a terminal that was most likely Ctrl-Z, and the shell has to see
    /// *us* stopped to take the terminal back; without one, whoever stopped it can let it go on.
    ///
    /// While we are stopped the lock is not kept. That is well, as the command does not run.
    fn child_has_stopped(&mut self) {
        let Some(terminal) = self.terminal else { return };
        terminal.take_back_from(self.child.group());
        // To everybody in our group, as Ctrl-Z would have been, so that the rest of a pipeline stops
        // too. It comes back to us, to be handled as one that somebody has sent.
        let _ = kill_current_process_group(Signal::TSTP);
    }

    /// Lets the command go on, if it still has its lock.
    fn go_on(&mut self) {
        if self.step_is_final() {
            return;
        }
        if let Some(terminal) = self.terminal.filter(|terminal| terminal.is_ours()) {
            terminal.give(self.child.group());
        }
        self.child.signal(Signal::CONT);
    }

    /// Whether the command has been, or is just now to be, told to end.
    fn step_is_final(&mut self) -> bool {
        self.schedule.is_ending() || !self.guard.is_held()
    }

    /// The command has been reaped; the rest of its group may live on, but not without the lock.
    async fn finish(mut self, code: u8) -> End {
        if let Some(terminal) = self.terminal {
            terminal.take_back_from(self.child.group());
        }
        if !self.step_is_final() {
            return End::Ended(code);
        }
        let mut gone_by: Option<Instant> = None;
        while self.child.group_is_alive() {
            let now = SystemClock.now();
            if gone_by.is_some_and(|gone_by| now >= gone_by) {
                break;
            }
            match self.step() {
                Step::Wait(_) => {}
                Step::Terminate => {
                    self.child.adopt_orphans();
                    self.child.signal(Signal::TERM);
                }
                Step::Kill => {
                    self.child.signal(Signal::KILL);
                    gone_by.get_or_insert(now + Self::GROUP_GONE_MAX);
                }
            }
            tokio::time::sleep(Self::GROUP_POLL).await;
        }
        if self.loss.is_none() {
            self.loss = tokio::time::timeout(Duration::ZERO, &mut self.lost).await.ok();
        }
        // Ended in time, and so before the loss, it has none to show.
        End::Lost(self.loss.unwrap_or(Loss::DeadlinePassed).to_string())
    }
}

/// Resolves when somebody asks for the lock, unless that is known already.
async fn asked_back(revoked: Option<&mut Pin<Box<dyn Future<Output = ()> + '_>>>) {
    match revoked {
        Some(revoked) => revoked.await,
        None => std::future::pending().await,
    }
}
