//! The two ways out: data on standard output, talk on standard error. Nothing else prints.

use crate::failure::Failure;
use crate::secret::Secrets;
use crate::visible::visible;
use serde::Serialize;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Prints, with no secret in it. Shared by everything that talks.
pub(crate) struct Printer {
    loudness: Loudness,
    state: Mutex<State>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Loudness {
    Quiet,
    Normal,
    Verbose,
}

struct State {
    secrets: Secrets,
    /// Whether the last line on the terminal is a status line.
    status: bool,
}

impl Printer {
    /// A printer that is as loud as `-q` and `-v` say.
    pub(crate) fn new(quiet: bool, verbose: bool, secrets: Secrets) -> Self {
        let loudness = match (quiet, verbose) {
            (true, _) => Loudness::Quiet,
            (false, true) => Loudness::Verbose,
            (false, false) => Loudness::Normal,
        };
        Printer { loudness, state: Mutex::new(State { secrets, status: false }) }
    }

    /// Learns the secrets of a URL.
    pub(crate) fn hide(&self, text: &str) {
        self.state().secrets.learn(text);
    }

    /// A line of data.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(crate) fn data(&self, line: &str) -> Result<(), Failure> {
        self.raw_data(format!("{}\n", visible(line)).as_bytes())
    }

    /// A value as one line of JSON.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let line = serde_json::to_string(value)
            .map_err(|error| Failure::system("cannot write JSON", error))?;
        self.data(&line)
    }

    /// Data as it is: help, completions and manual pages, which no stranger has written.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(crate) fn raw_data(&self, data: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(data).and_then(|()| stdout.flush()).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::broken_pipe(),
            _ => Failure::system("cannot write to standard output", error),
        })
    }

    /// Something worth knowing.
    pub(crate) fn say(&self, text: &str) {
        if self.loudness >= Loudness::Normal {
            self.talk(&[&format!("sneck: {text}")]);
        }
    }

    /// Something worth changing, and how.
    pub(crate) fn warn(&self, text: &str, hint: &str) {
        if self.loudness >= Loudness::Normal {
            self.talk(&[&format!("sneck: {text}"), &format!("hint: {hint}")]);
        }
    }

    /// Something for those who asked for details.
    pub(crate) fn detail(&self, text: &str) {
        if self.loudness >= Loudness::Verbose {
            self.talk(&[&format!("sneck: {text}")]);
        }
    }

    /// Why a command came to nothing.
    pub(crate) fn failure(&self, failure: &Failure) {
        let silent = failure.is_expected() && self.loudness == Loudness::Quiet;
        if silent || failure.text().is_empty() {
            self.clear_status();
            return;
        }
        let text = format!("sneck: {}", failure.text());
        match failure.hint().map(|hint| format!("hint: {hint}")) {
            Some(hint) => self.talk(&[&text, &hint]),
            None => self.talk(&[&text]),
        }
    }

    /// Text of clap's about wrong usage, which has its own layout.
    pub(crate) fn usage(&self, text: &str) {
        let lines: Vec<&str> = text.trim_end().lines().collect();
        self.talk(&lines);
    }

    /// Whether a status line would be seen, and is wanted.
    pub(crate) fn shows_status(&self) -> bool {
        self.loudness >= Loudness::Normal && io::stderr().is_terminal()
    }

    /// Replaces the status line.
    pub(crate) fn status(&self, text: &str) {
        if !self.shows_status() {
            return;
        }
        let columns = rustix::termios::tcgetwinsize(io::stderr())
            .map_or(80, |size| usize::from(size.ws_col))
            .max(20);
        let mut state = self.state();
        let text: String = visible(&state.secrets.hide(text)).chars().take(columns - 1).collect();
        // Nothing to be done about a standard error that cannot be written.
        let _ = write!(io::stderr(), "\r\x1b[K{text}");
        state.status = true;
    }

    /// Removes the status line.
    pub(crate) fn clear_status(&self) {
        let mut state = self.state();
        if std::mem::take(&mut state.status) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }

    fn talk(&self, lines: &[&str]) {
        self.clear_status();
        let state = self.state();
        let lines: Vec<String> =
            lines.iter().map(|line| visible(&state.secrets.hide(line))).collect();
        // One write, so that the lines of several processes do not mix.
        let _ = io::stderr().write_all(format!("{}\n", lines.join("\n")).as_bytes());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
