//! A child process that is spoken to, and answers, a line at a time.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Write};
use std::process::ChildStdin;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::sync::mpsc;

use crate::janitor::{Janitor, Piped, Process};
use crate::skip::StartError;

/// Far more than any answer takes that comes at all.
const ANSWER_MAX: Duration = Duration::from_secs(90);

/// A running program; killed when dropped. A command is a line of words that begins with a verb and a
/// path, and so is an answer, which repeats the path; `error PATH REASON` answers what fails.
#[derive(Debug)]
pub(crate) struct PeerProcess {
    /// Whose library it is, for messages.
    name: &'static str,
    process: Process,
    stdin: ChildStdin,
    lines: mpsc::UnboundedReceiver<String>,
    /// Lines that came while another was waited for.
    unread: Vec<String>,
    janitor: Janitor,
}

impl PeerProcess {
    /// Starts the program and returns when it has a session, which it tells by a line that begins with
    /// `greeting`.
    ///
    /// # Errors
    ///
    /// [`StartError::Failed`] when it gets none.
    pub(crate) async fn start(
        name: &'static str,
        program: OsString,
        args: impl IntoIterator<Item = OsString>,
        greeting: &str,
    ) -> Result<PeerProcess, StartError> {
        let janitor = Janitor::new(&format!("sneck-{}-", name.to_lowercase()))?;
        let log = janitor.folder().join("log");
        let mut process = janitor.spawn(program, args, &log, Piped::InAndOut)?;
        let stdin = process.child.stdin.take().expect("stdin was asked for");
        let stdout = process.child.stdout.take().expect("stdout was asked for");
        let (sender, lines) = mpsc::unbounded_channel();
        std::thread::Builder::new().name("peer".to_owned()).spawn(move || {
            // Ends with the process, whose end of the pipe closes then, or with the receiver.
            BufReader::new(stdout)
                .lines()
                .map_while(Result::ok)
                .all(|line| sender.send(line).is_ok())
        })?;
        let unread = Vec::new();
        let mut peer = PeerProcess { name, process, stdin, lines, unread, janitor };
        peer.answer(greeting).await.map_err(StartError::Failed)?;
        Ok(peer)
    }

    /// Sends a command.
    ///
    /// # Panics
    ///
    /// When the program has ended.
    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").expect("the peer lives while its pipe does");
    }

    /// Takes the oldest line that begins with these words, once there is one.
    ///
    /// # Panics
    ///
    /// With the program's log, when the answer is an error or does not come.
    pub(crate) async fn expect(&mut self, beginning: &str) -> String {
        match self.answer(beginning).await {
            Ok(line) => line,
            Err(reason) => panic!("{reason}"),
        }
    }

    /// Takes the line that is one of these two, once there is one.
    ///
    /// # Panics
    ///
    /// As [`PeerProcess::expect`].
    pub(crate) async fn expect_either(&mut self, one: &str, other: &str) -> String {
        match self.answer_of(&[one, other]).await {
            Ok(line) => line,
            Err(reason) => panic!("{reason}"),
        }
    }

    /// Takes the oldest line that begins with these letters, be they a whole word or not.
    ///
    /// # Panics
    ///
    /// With the program's log, when none comes.
    pub(crate) async fn expect_starting(&mut self, letters: &str) -> String {
        let fits = |line: &str| line.starts_with(letters).then_some(Ok(()));
        match self.first(letters, fits).await {
            Ok(line) => line,
            Err(reason) => panic!("{reason}"),
        }
    }

    /// The words behind these, in the line that begins with them.
    ///
    /// # Panics
    ///
    /// As [`PeerProcess::expect`].
    pub(crate) async fn words(&mut self, beginning: &str) -> Vec<String> {
        let answer = self.expect(beginning).await;
        answer[beginning.len()..].split_whitespace().map(str::to_owned).collect()
    }

    /// Whether a line has come that says just this.
    pub(crate) fn has_said(&mut self, line: &str) -> bool {
        while let Ok(line) = self.lines.try_recv() {
            self.unread.push(line);
        }
        self.unread.iter().any(|said| said == line)
    }

    /// Closes the session, and with it gives up every lock.
    ///
    /// # Panics
    ///
    /// As [`PeerProcess::expect`].
    pub(crate) async fn exit(mut self) {
        self.say("exit");
        self.expect("bye").await;
    }

    /// Kills the program with -9; its session is left to expire.
    pub(crate) async fn kill(self) {
        tokio::task::spawn_blocking(move || drop(self)).await.expect("killing does not panic");
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal).expect("a child of ours takes signals");
    }

    /// Whose library it is.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.janitor.folder().join("log")).unwrap_or_default()
    }

    /// Takes the conversation apart, for whoever has more to do than wait for one answer at a time.
    pub(crate) fn into_halves(self) -> (Speaker, Listener) {
        let PeerProcess { process, stdin, lines, unread, janitor, .. } = self;
        let speaker = Speaker { process, stdin, janitor };
        (speaker, Listener { unread: unread.into(), lines })
    }

    /// Takes the oldest line that begins with these words, once there is one.
    ///
    /// # Errors
    ///
    /// With the program's log, when the answer is an error or does not come.
    pub(super) async fn answer(&mut self, beginning: &str) -> Result<String, String> {
        self.answer_of(&[beginning]).await
    }

    /// Takes the oldest line that begins with one of these, or that tells an error about the path,
    /// which is the same in all of them.
    async fn answer_of(&mut self, beginnings: &[&str]) -> Result<String, String> {
        let path = beginnings[0].split(' ').nth(1).unwrap_or_default();
        let error = format!("error {path}");
        let answers = |line: &str| {
            let good = beginnings.iter().any(|beginning| begins(line, beginning));
            good.then_some(Ok(())).or_else(|| begins(line, &error).then_some(Err(())))
        };
        self.first(beginnings[0], answers).await
    }

    /// Takes the oldest line that is an answer, a good one or a bad one; `wanted` is for messages.
    async fn first(
        &mut self,
        wanted: &str,
        answers: impl Fn(&str) -> Option<Result<(), ()>>,
    ) -> Result<String, String> {
        let name = self.name;
        let give_up = Instant::now() + ANSWER_MAX;
        loop {
            let found = self.unread.iter().enumerate();
            let found = found.filter_map(|(at, line)| Some((at, answers(line)?))).next();
            if let Some((at, verdict)) = found {
                let line = self.unread.remove(at);
                return match verdict {
                    Ok(()) => Ok(line),
                    Err(()) => Err(format!("{name} says `{line}`:\n{}", self.log())),
                };
            }
            let left = give_up.saturating_duration_since(Instant::now());
            match tokio::time::timeout(left, self.lines.recv()).await {
                Ok(Some(line)) => self.unread.push(line),
                Ok(None) => return Err(format!("{name} ended:\n{}", self.log())),
                Err(_) => return Err(format!("no `{wanted}` came:\n{}", self.log())),
            }
        }
    }
}

/// Where a program is told what to do, and the program itself; killed when dropped.
#[derive(Debug)]
pub struct Speaker {
    // Dropped before the folder it works in.
    process: Process,
    stdin: ChildStdin,
    janitor: Janitor,
}

impl Speaker {
    /// Sends a command.
    ///
    /// # Errors
    ///
    /// When the program has ended.
    pub fn say(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.stdin, "{line}")
    }

    /// Sends a signal, such as STOP and CONT.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        self.process.signal(signal)
    }

    /// Kills the program with -9, and returns when it is gone.
    ///
    /// # Errors
    ///
    /// When it was gone before.
    pub fn kill(&mut self) -> io::Result<()> {
        self.process.kill()
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.janitor.folder().join("log")).unwrap_or_default()
    }
}

/// What a program says.
#[derive(Debug)]
pub struct Listener {
    unread: VecDeque<String>,
    lines: mpsc::UnboundedReceiver<String>,
}

impl Listener {
    /// The next line, whatever it is about; none once the program has ended. A call that is dropped
    /// takes nothing away.
    pub async fn next(&mut self) -> Option<String> {
        match self.unread.pop_front() {
            Some(line) => Some(line),
            None => self.lines.recv().await,
        }
    }
}

/// Whether a line begins with these words, the last of them whole.
fn begins(line: &str, words: &str) -> bool {
    line.strip_prefix(words).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}
