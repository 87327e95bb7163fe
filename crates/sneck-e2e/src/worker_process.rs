//! A worker process as its test sees it.

use rustix::process::{Pid, Signal, kill_process};
use sneck::Instant;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// A running worker; killed when dropped.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    unread: Vec<Said>,
}

/// Something a worker said, and when.
#[derive(Clone, Debug)]
pub struct Said {
    /// On the machine's clock.
    pub at: Instant,
    /// The words of the line.
    pub words: Vec<String>,
}

impl Said {
    /// The word at this place as a number.
    ///
    /// # Panics
    /// When it is none.
    pub fn number(&self, at: usize) -> u64 {
        self.words[at].parse().unwrap_or_else(|_| panic!("{self:?} has no number at {at}"))
    }
}

/// Far more than any answer takes that comes at all.
const ANSWER_MAX: Duration = Duration::from_secs(120);

impl Worker {
    /// Starts the program `worker` and waits until it has a session.
    ///
    /// # Panics
    /// When it gets none.
    pub async fn start(worker: &str, url: &str) -> Worker {
        let mut child = Command::new(worker)
            .arg(url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the worker was built");
        let stdin = child.stdin.take().expect("piped");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut worker = Worker { child, stdin, lines, unread: Vec::new() };
        worker.wait_for(&["ready"]).await;
        worker
    }

    /// Sends a command.
    pub async fn send(&mut self, command: &str) {
        let line = format!("{command}\n");
        self.stdin.write_all(line.as_bytes()).await.expect("the worker reads its input");
    }

    /// Sends a command and waits for a line that begins with these words.
    pub async fn ask(&mut self, command: &str, begins: &[&str]) -> Said {
        self.send(command).await;
        self.wait_for(begins).await
    }

    /// The next line that begins with these words. Others stay to be read.
    ///
    /// # Panics
    /// When the worker ends, or says `error`, or nothing fitting for two minutes.
    pub async fn wait_for(&mut self, begins: &[&str]) -> Said {
        self.wait_for_long(begins, Duration::ZERO).await
    }

    /// As [`Worker::wait_for`], for what takes so long by itself.
    ///
    /// # Panics
    /// As `wait_for`.
    pub async fn wait_for_long(&mut self, begins: &[&str], work: Duration) -> Said {
        let fits = |said: &Said| said.words.iter().zip(begins).filter(|(a, b)| a == b).count();
        if let Some(at) = self.unread.iter().position(|said| fits(said) == begins.len()) {
            return self.unread.remove(at);
        }
        loop {
            let said = self.next(begins, ANSWER_MAX + work).await;
            if fits(&said) == begins.len() {
                return said;
            }
            assert_ne!(said.words[0], "error", "waiting for {begins:?}: {:?}", said.words);
            self.unread.push(said);
        }
    }

    async fn next(&mut self, wanted: &[&str], patience: Duration) -> Said {
        let line = match tokio::time::timeout(patience, self.lines.next_line()).await {
            Ok(Ok(Some(line))) => line,
            other => panic!("waiting for {wanted:?}: {other:?}; unread {:?}", self.unread),
        };
        let mut words = line.split(' ').map(str::to_owned);
        let at = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
        Said { at: Instant::from_nanos(at), words: words.collect() }
    }

    /// What was said and not waited for, so far.
    pub fn unread(&self) -> &[Said] {
        &self.unread
    }

    /// The process id.
    ///
    /// # Panics
    /// When it has ended.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("the worker runs")
    }

    /// Sends a signal, such as STOP, CONT or KILL.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).expect("the worker runs");
    }

    /// Kills it with SIGKILL and waits until it is gone.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("the worker runs");
    }
}
