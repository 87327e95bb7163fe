//! A Java program that takes locks with Apache Curator, to stand in one line with.
//!
//! It speaks a line at a time; what it can be told is said in `CuratorPeer.java`.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{ChildStdin, Command};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::sync::mpsc;

use crate::janitor::{Janitor, Piped, Process};
use crate::jars::{Jars, first_error, java_folder, lock, remove, require, target_folder};
use crate::skip::StartError;

/// The peer's name in skips and in `SNECK_REQUIRE`.
pub const BACKEND: &str = "curator";

/// Far more than any answer takes that comes at all.
const ANSWER_MAX: Duration = Duration::from_secs(90);

const JARS: Jars = Jars { name: "curator-5.9.0", select: &["-Pcurator"], backend: BACKEND };

/// Fetches Curator and compiles the peer, so that the first test need not.
///
/// # Errors
///
/// [`StartError::Unavailable`] where this machine has no JDK, or no jars and no way to fetch them.
pub fn prepare() -> Result<(), StartError> {
    class_path().map(drop)
}

/// A running Java process with a Curator client; killed when dropped.
#[derive(Debug)]
pub struct Peer {
    process: Process,
    stdin: ChildStdin,
    lines: mpsc::UnboundedReceiver<String>,
    /// Lines that came while another was waited for.
    unread: Vec<String>,
    janitor: Janitor,
}

impl Peer {
    /// Starts a peer and returns when it has a session.
    ///
    /// # Errors
    ///
    /// As [`prepare`], and [`StartError::Failed`] when it gets no session.
    pub async fn start(
        connect_string: &str,
        session_timeout: Duration,
    ) -> Result<Peer, StartError> {
        let class_path = tokio::task::spawn_blocking(class_path).await;
        let class_path = class_path.expect("compiling does not panic")?;
        let janitor = Janitor::new("sneck-curator-")?;
        let timeout_ms = session_timeout.as_millis().to_string();
        let args: [OsString; 8] = [
            "-XX:TieredStopAtLevel=1".into(),
            "-XX:+UseSerialGC".into(),
            "-XX:-UsePerfData".into(),
            "-Xmx96m".into(),
            "-cp".into(),
            class_path,
            "sneck.testkit.CuratorPeer".into(),
            connect_string.into(),
        ];
        let args = args.into_iter().chain([timeout_ms.into()]);
        let log = janitor.folder().join("curator.log");
        let mut process = janitor.spawn("java", args, &log, Piped::InAndOut)?;
        let stdin = process.child.stdin.take().expect("stdin was asked for");
        let stdout = process.child.stdout.take().expect("stdout was asked for");
        let (sender, lines) = mpsc::unbounded_channel();
        std::thread::Builder::new().name("curator-peer".to_owned()).spawn(move || {
            // Ends with the process, whose end of the pipe closes then, or with the receiver.
            BufReader::new(stdout)
                .lines()
                .map_while(Result::ok)
                .all(|line| sender.send(line).is_ok())
        })?;
        let mut peer = Peer { process, stdin, lines, unread: Vec::new(), janitor };
        peer.answer("state CONNECTED").await.map_err(StartError::Failed)?;
        Ok(peer)
    }

    /// Takes the lock, and returns when it is held.
    ///
    /// # Panics
    ///
    /// As all that follows: with the peer's log, when the answer is an error or does not come.
    pub async fn lock(&mut self, path: &str) {
        self.begin_lock(path);
        self.held(path).await;
    }

    /// Gets in line and does not wait.
    pub fn begin_lock(&mut self, path: &str) {
        self.say(&format!("lock {path}"));
    }

    /// Returns when the lock asked for is held.
    pub async fn held(&mut self, path: &str) {
        self.expect(&format!("held {path}")).await;
    }

    /// Whether `held` would return at once.
    pub fn is_held(&mut self, path: &str) -> bool {
        let held = format!("held {path}");
        while let Ok(line) = self.lines.try_recv() {
            self.unread.push(line);
        }
        self.unread.contains(&held)
    }

    /// Gives the lock back.
    pub async fn unlock(&mut self, path: &str) {
        self.say(&format!("unlock {path}"));
        self.expect(&format!("free {path}")).await;
    }

    /// The names of the nodes in line, in the order in which Curator would grant.
    pub async fn queue(&mut self, path: &str) -> Vec<String> {
        self.say(&format!("queue {path}"));
        let answer = self.expect(&format!("queue {path}")).await;
        answer.split(' ').skip(2).map(str::to_owned).collect()
    }

    /// Begins to add one to the number in `file` so many times, each time under the lock.
    pub fn begin_count(&mut self, path: &str, file: &Path, times: u32) {
        self.say(&format!("count {path} {} {times}", file.display()));
    }

    /// Returns when the counting is done.
    pub async fn counted(&mut self, path: &str) {
        self.expect(&format!("counted {path}")).await;
    }

    /// Closes the session, and with it gives up every lock.
    pub async fn exit(mut self) {
        self.say("exit");
        self.expect("bye").await;
    }

    /// Kills the peer with -9; its session is left to expire.
    pub async fn kill(self) {
        tokio::task::spawn_blocking(move || drop(self)).await.expect("killing does not panic");
    }

    /// Stops the peer's clock (SIGSTOP).
    pub fn pause(&self) {
        self.process.signal(Signal::STOP).expect("a child of ours takes signals");
    }

    /// Lets a paused peer go on.
    pub fn resume(&self) {
        self.process.signal(Signal::CONT).expect("a child of ours takes signals");
    }

    /// The pid of the Java process.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What Curator logged.
    pub fn log(&self) -> String {
        let log = self.janitor.folder().join("curator.log");
        std::fs::read_to_string(log).unwrap_or_default()
    }

    fn say(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").expect("the peer lives while its pipe does");
    }

    async fn expect(&mut self, beginning: &str) -> String {
        match self.answer(beginning).await {
            Ok(line) => line,
            Err(reason) => panic!("{reason}"),
        }
    }

    /// Takes the oldest line that begins with these words, or that tells an error about the path.
    async fn answer(&mut self, beginning: &str) -> Result<String, String> {
        let path = beginning.split(' ').nth(1).unwrap_or_default();
        let error = format!("error {path}");
        let give_up = Instant::now() + ANSWER_MAX;
        loop {
            let answers = |line: &String| begins(line, beginning) || begins(line, &error);
            if let Some(at) = self.unread.iter().position(answers) {
                let line = self.unread.remove(at);
                if begins(&line, beginning) {
                    return Ok(line);
                }
                return Err(format!("Curator says `{line}`:\n{}", self.log()));
            }
            let left = give_up.saturating_duration_since(Instant::now());
            match tokio::time::timeout(left, self.lines.recv()).await {
                Ok(Some(line)) => self.unread.push(line),
                Ok(None) => return Err(format!("Curator ended:\n{}", self.log())),
                Err(_) => return Err(format!("no `{beginning}` came:\n{}", self.log())),
            }
        }
    }
}

/// Whether a line begins with these words, the last of them whole.
fn begins(line: &str, words: &str) -> bool {
    line.strip_prefix(words).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

/// Jars and compiled classes, as Java takes them.
fn class_path() -> Result<OsString, StartError> {
    let lib = JARS.obtain()?;
    let servers = target_folder().join("servers").canonicalize()?;
    let classes = servers.join("curator-peer");
    let _lock = lock(&servers.join("curator-peer.lock"))?;
    let source = java_folder().join("src/sneck/testkit/CuratorPeer.java");
    let text = std::fs::read(&source)?;
    // What was compiled lies beside the classes, so that a changed source is compiled anew.
    if std::fs::read(classes.join("CuratorPeer.java")).ok().as_ref() != Some(&text) {
        compile(&source, &lib, &classes)?;
        std::fs::write(classes.join("CuratorPeer.java"), text)?;
    }
    Ok(joined(&classes, &lib))
}

fn joined(classes: &Path, lib: &Path) -> OsString {
    let mut class_path = classes.as_os_str().to_owned();
    class_path.push(":");
    class_path.push(lib.join("*"));
    class_path
}

fn compile(source: &Path, lib: &Path, classes: &Path) -> Result<(), StartError> {
    require(BACKEND, "javac", &["-version"])?;
    remove(classes)?;
    let output = Command::new("javac")
        .args(["--release", "11", "-cp"])
        .arg(lib.join("*"))
        .arg("-d")
        .arg(classes)
        .arg(source)
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    // A compiler that refuses our own source is no lack of this machine's.
    Err(StartError::Failed(format!("javac: {}", first_error(&output))))
}
