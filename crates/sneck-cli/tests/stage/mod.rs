//! What every test stands on: the binary, run against a real server, and what it says.

pub(crate) mod folder;

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use sneck_testkit::zookeeper::Ensemble;

/// The bound of every wait: reached only when something is broken.
pub(crate) const BOUND: Duration = Duration::from_secs(40);

/// Waits for a condition.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < BOUND, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// A part of the server for one test alone, as a URL.
pub(crate) fn url(server: &Ensemble) -> String {
    url_at(&server.connect_string())
}

/// The same at this address.
pub(crate) fn url_at(address: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("zk://{address}/cli-{}-{number}?timeout=4s", std::process::id())
}

/// The binary, with no configuration but this server.
pub(crate) fn sneck<I: AsRef<OsStr>>(server: &str, args: impl IntoIterator<Item = I>) -> Command {
    let mut command = bare(args);
    command.env("SNECK_SERVER", server);
    command
}

/// The binary, with no configuration at all.
pub(crate) fn bare<I: AsRef<OsStr>>(args: impl IntoIterator<Item = I>) -> Command {
    // A test run may itself be in the background of a script, with INT and QUIT ignored, which the
    // binary would rightly respect.
    let mut command = Command::new("env");
    command.args(["--default-signal", "--", env!("CARGO_BIN_EXE_sneck")]);
    command.args(args);
    command.env_remove("SNECK_SERVER").env_remove("SNECK_CONFIG");
    // A folder that nobody can make, not even root.
    command.env("SNECK_LOCAL_DIR", "/dev/null/sneck");
    command.env("XDG_CONFIG_HOME", "/nonexistent").env("USER", "tester");
    command.stdin(Stdio::null());
    command
}

/// A running `sneck`. It is killed when dropped.
pub(crate) struct Running {
    child: Child,
    stdout: Stream,
    stderr: Stream,
}

/// What has come out of a finished `sneck`.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Running {
    /// Starts it.
    pub(crate) fn start(mut command: Command) -> Self {
        // A group of its own, as a shell would give it.
        command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = Stream::read(child.stdout.take().unwrap());
        let stderr = Stream::read(child.stderr.take().unwrap());
        Running { child, stdout, stderr }
    }

    /// Its standard input, if that is a pipe.
    pub(crate) fn write(&mut self, text: &str) {
        self.child.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Ends its standard input.
    pub(crate) fn end_input(&mut self) {
        self.child.stdin.take();
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    pub(crate) fn stdout(&self) -> String {
        self.stdout.text()
    }

    pub(crate) fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits until standard output holds a whole line that begins so, and returns its rest.
    #[track_caller]
    pub(crate) fn line(&mut self, start: &str) -> String {
        let began = Instant::now();
        loop {
            let ended = self.child.try_wait().unwrap();
            let text = self.stdout();
            let whole = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
            if let Some(rest) = whole.filter_map(|line| line.strip_prefix(start)).next() {
                return rest.trim().to_owned();
            }
            let vain = ended.is_some() || began.elapsed() > BOUND;
            assert!(!vain, "no {start:?} in {text:?}, {:?}, {ended:?}", self.stderr());
            std::thread::sleep(Duration::from_millis(3));
        }
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait(mut self) -> Done {
        let mut status = None;
        let stderr = self.stderr.clone_text();
        until(&format!("sneck ends; it said {}", stderr.lock().unwrap()), || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let code = status.unwrap().code();
        Done { code, stdout: self.stdout.finish(), stderr: self.stderr.finish() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Runs it to its end.
#[track_caller]
pub(crate) fn done(command: Command) -> Done {
    Running::start(command).wait()
}

/// Text that a thread reads as it comes.
struct Stream {
    text: Arc<Mutex<String>>,
    reader: JoinHandle<()>,
}

impl Stream {
    fn read(mut source: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let sink = text.clone();
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4_096];
            while let Ok(length @ 1..) = source.read(&mut buffer) {
                sink.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..length]));
            }
        });
        Stream { text, reader }
    }

    fn clone_text(&self) -> Arc<Mutex<String>> {
        self.text.clone()
    }

    fn text(&self) -> String {
        self.text.lock().unwrap().clone()
    }

    /// The text, once nobody writes any more; a process left in the background may go on writing.
    fn finish(&mut self) -> String {
        let began = Instant::now();
        while !self.reader.is_finished() && began.elapsed() < Duration::from_secs(2) {
            std::thread::sleep(Duration::from_millis(3));
        }
        self.text()
    }
}

/// Whether a process runs. One that is dead and not reaped does not.
pub(crate) fn runs(pid: &str) -> bool {
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = state.rsplit_once(") ").map(|(_, rest)| rest.starts_with(['Z', 'X']));
    let number = Pid::from_raw(pid.parse().unwrap()).unwrap();
    state == Some(false) && test_kill_process(number).is_ok()
}

/// Whether a process is stopped.
pub(crate) fn is_stopped(pid: &str) -> bool {
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    state.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
}

/// The lines of a file that may not be there yet.
pub(crate) fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// The line for a lock, as `sneck who --json` has it.
#[track_caller]
pub(crate) fn line(server: &str, name: &str) -> Vec<serde_json::Value> {
    let who = done(sneck(server, ["who", "--json", name]));
    assert_eq!(who.code, Some(0), "{who:?}");
    let value: serde_json::Value = serde_json::from_str(&who.stdout).unwrap();
    value["line"].as_array().unwrap().clone()
}

/// Waits until that many are in line, the holder included.
#[track_caller]
pub(crate) fn until_in_line(server: &str, name: &str, count: usize) {
    until(&format!("{count} are in line"), || line(server, name).len() == count);
}
