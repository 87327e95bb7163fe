//! Waiting for a lock, and saying how it goes.

use crate::args::WaitArgs;
use crate::asked::{Asked, Line, Patience};
use crate::entry::Entry;
use crate::exit;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::store::Store;
use sneck::{Contender, ErrorKind, Guard, Name, Progress};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch;
use tokio::time::timeout;

/// Asking for locks.
pub(crate) struct Wait<'a> {
    store: &'a Store,
    asked: &'a Asked,
    args: &'a WaitArgs,
    printer: &'a Printer,
    /// What `-w` counts from, however often the place in line is lost.
    began: Instant,
}

/// What is known of the wait just now.
#[derive(Clone, Default)]
struct View {
    waiting: bool,
    ahead: Option<u32>,
    holder: Option<Contender>,
    /// Why the store cannot be asked.
    trouble: Option<sneck::Error>,
}

/// How long to look for who holds the lock, which is only told, before doing without.
const LOOK_MAX: Duration = Duration::from_secs(5);

impl<'a> Wait<'a> {
    /// Will ask for the lock as the command line says.
    pub(crate) fn new(
        store: &'a Store,
        asked: &'a Asked,
        args: &'a WaitArgs,
        printer: &'a Printer,
    ) -> Self {
        Wait { store, asked, args, printer, began: Instant::now() }
    }

    /// Gets the lock. When the place in line is lost, it asks again: the session may have ended while
    /// this machine slept or the network was away, which is no reason for a job not to run.
    ///
    /// When the future is dropped, the place is given up.
    ///
    /// # Errors
    /// When the lock is not had in time, with the exit code for that, and for all that asking again
    /// would not help against.
    pub(crate) async fn lock(&self) -> Result<Guard, Failure> {
        let (view, seen) = watch::channel(View::default());
        let line = self.line(view);
        loop {
            let result = tokio::select! {
                biased;
                result = line.acquire(self.patience()) => result,
                never = self.tell(seen.clone()) => never,
            };
            self.printer.clear_status();
            match result {
                Ok(Some(guard)) => return Ok(guard),
                Ok(None) => return Err(self.conflict(self.holder().await)),
                Err(error) if error.kind() == ErrorKind::Lost => {
                    self.printer.say(&format!("{error}; asking again"));
                }
                Err(error) if error.kind() == ErrorKind::Timeout => {
                    let trouble = seen.borrow().trouble.clone();
                    return Err(match trouble {
                        Some(trouble) => trouble.into(),
                        None => match self.known_holder(&error) {
                            None => self.conflict(self.holder().await),
                            holder => self.conflict(holder),
                        },
                    });
                }
                Err(error) if error.kind() == ErrorKind::Deadlock => {
                    let failure = Failure::from(error).expected();
                    let code = self.args.conflict_exit_code.unwrap_or(failure.code());
                    return Err(failure.with_code(code));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn patience(&self) -> Patience {
        match self.args.wait {
            // Waiting for no time at all is not waiting, as with flock(1).
            _ if self.args.nonblock => Patience::Once,
            Some(Duration::ZERO) => Patience::Once,
            Some(wait) => Patience::Within(wait.saturating_sub(self.began.elapsed())),
            None => Patience::Forever,
        }
    }

    fn line(&self, view: watch::Sender<View>) -> Line {
        self.asked.line(self.store, &self.args.note, move |progress| {
            view.send_modify(|view| match progress {
                Progress::Waiting(waiting) => {
                    *view = View {
                        waiting: true,
                        ahead: waiting.ahead,
                        holder: waiting.holder.clone(),
                        trouble: None,
                    };
                }
                Progress::Trouble(error) => view.trouble = Some(error.clone()),
                _ => {}
            });
        })
    }

    /// Says how it goes, for as long as it is polled.
    async fn tell<T>(&self, mut seen: watch::Receiver<View>) -> T {
        let status = self.printer.shows_status();
        let mut said = false;
        loop {
            let mut view = seen.borrow_and_update().clone();
            if view.waiting && view.trouble.is_none() && view.holder.is_none() {
                view.holder = self.holder().await.map(|(_, holder)| holder);
            }
            if let Some(text) = view.text(&self.asked.quoted(), SystemTime::now()) {
                match status {
                    true => self.printer.status(&text),
                    false if !said => self.printer.detail(&text),
                    false => {}
                }
                said = true;
            }
            // On a terminal once a second, for the age of the hold; else only when there is news.
            let tick = if status { Duration::from_secs(1) } else { Duration::from_secs(3_600) };
            let _ = timeout(tick, seen.changed()).await;
        }
    }

    /// The holder that the library has learnt of. Of several locks it may be one that we had a place
    /// in front for.
    fn known_holder(&self, error: &sneck::Error) -> Option<(Name, Contender)> {
        match self.asked.names() {
            [name] => Some((name.clone(), error.holder()?.clone())),
            _ => None,
        }
    }

    async fn holder(&self) -> Option<(Name, Contender)> {
        timeout(LOOK_MAX, self.asked.holder(self.store)).await.ok()?
    }

    fn conflict(&self, holder: Option<(Name, Contender)>) -> Failure {
        let text = match holder {
            Some((name, holder)) => {
                let holder = Entry::holder(&holder, SystemTime::now()).sentence();
                self.asked.taken(&name, &holder)
            }
            // It has been released in the meantime.
            None => format!("{} not had in time", self.asked.label()),
        };
        Failure::new(self.args.conflict_exit_code.unwrap_or(exit::CONFLICT), text)
            .with_hint("see who is in line with `sneck who`; wait for it with -w, or without -n")
            .expected()
    }
}

impl View {
    fn text(&self, names: &str, now: SystemTime) -> Option<String> {
        if let Some(trouble) = &self.trouble {
            return Some(format!("waiting for {names}: the store cannot be reached: {trouble}"));
        }
        if !self.waiting {
            return None;
        }
        let ahead = match self.ahead {
            Some(1) => ", next in line".to_owned(),
            Some(ahead) => format!(", {ahead} ahead"),
            None => String::new(),
        };
        let holder = match &self.holder {
            Some(holder) => format!(", held by {}", Entry::holder(holder, now).sentence()),
            None => String::new(),
        };
        Some(format!("waiting for {names}{ahead}{holder}"))
    }
}

/// The failure of a wait that a signal has ended.
pub(crate) fn interrupted(signal: rustix::process::Signal) -> Failure {
    Failure::new(exit::of_signal(signal.as_raw()), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_and_the_holder_in_one_line() {
        let text = |view: View| view.text("\"a\"", SystemTime::now());
        assert_eq!(text(View::default()), None);
        let holder = Some(Contender::new("lock-1", b"10.0.0.1"));
        let view = View { waiting: true, ahead: Some(1), holder, trouble: None };
        assert_eq!(
            text(view.clone()).as_deref(),
            Some("waiting for \"a\", next in line, held by 10.0.0.1")
        );
        let view = View { ahead: Some(3), holder: None, ..view };
        assert_eq!(text(view).as_deref(), Some("waiting for \"a\", 3 ahead"));
    }
}
