//! On a terminal: the status line, Ctrl-C, reading, and job control.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod stage;

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use sneck_testkit::or_skip;
use sneck_testkit::zookeeper::{self, Version};
use stage::{Running, line, sneck, until, until_in_line, url};

const V: Version = Version::V3_9;

/// A terminal, and a program in a session of its own on it.
struct Terminal {
    ours: File,
    child: Child,
    shown: Arc<Mutex<String>>,
    reader: JoinHandle<()>,
}

impl Terminal {
    /// Runs `program` on a new terminal that controls it.
    fn run<I: AsRef<OsStr>>(url: &str, program: impl IntoIterator<Item = I>) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let size = Winsize { ws_row: 24, ws_col: 200, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&ours, size).unwrap();
        let path = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
        let theirs = || OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait", "env", "--default-signal", "--"]).args(program);
        command.env("SNECK_SERVER", url).env("USER", "tester").env_remove("SNECK_CONFIG");
        let child = command.stdin(theirs()).stdout(theirs()).stderr(theirs()).spawn().unwrap();
        let ours = File::from(ours);
        let shown = Arc::new(Mutex::new(String::new()));
        let (mut source, sink) = (ours.try_clone().unwrap(), shown.clone());
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4_096];
            while let Ok(length @ 1..) = source.read(&mut buffer) {
                sink.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..length]));
            }
        });
        Terminal { ours, child, shown, reader }
    }

    fn shown(&self) -> String {
        self.shown.lock().unwrap().clone()
    }

    #[track_caller]
    fn until_shows(&self, text: &str) {
        let mut shown = String::new();
        let began = std::time::Instant::now();
        while !shown.contains(text) {
            assert!(began.elapsed() < stage::BOUND, "no {text:?} in {shown:?}");
            std::thread::sleep(std::time::Duration::from_millis(3));
            shown = self.shown();
        }
    }

    fn press(&mut self, keys: &str) {
        self.ours.write_all(keys.as_bytes()).unwrap();
    }

    #[track_caller]
    fn ends(mut self) -> (Option<i32>, String) {
        let mut status = None;
        until("the program ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        // Reading fails once nobody has the other side open any more.
        until("all has been read", || self.reader.is_finished());
        (status.unwrap().code(), self.shown())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const SNECK: &str = env!("CARGO_BIN_EXE_sneck");
const CTRL_C: &str = "\x03";
const CTRL_Z: &str = "\x1a";

#[tokio::test]
async fn waiting_shows_place_and_holder_and_ctrl_c_leaves() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    let mut holder = Running::start(sneck(&url, ["hold", "a"]));
    holder.line("");
    let mut terminal = Terminal::run(&url, [SNECK, "run", "a", "--", "echo", "never"]);
    terminal.until_shows("waiting for \"a\", next in line, held by tester at ");
    until_in_line(&url, "a", 2);
    let second = Terminal::run(&url, [SNECK, "run", "a", "--", "echo", "second"]);
    // The one ahead is not the holder, so the holder has been looked up.
    second.until_shows("waiting for \"a\", 2 ahead, held by tester at ");
    second.until_shows("running sneck hold");
    terminal.press(CTRL_C);
    let (code, shown) = terminal.ends();
    assert_eq!(code, Some(130), "{shown:?}");
    assert!(!shown.contains("never\r") && shown.ends_with("\r\x1b[K"), "cleared: {shown:?}");
    holder.signal(Signal::TERM);
    let (code, shown) = second.ends();
    assert_eq!(code, Some(0), "{shown:?}");
    assert!(shown.ends_with("\r\x1b[Ksecond\r\n"), "{shown:?}");
}

#[tokio::test]
async fn the_command_reads_the_terminal_and_gets_ctrl_c() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    let script =
        "trap 'echo caught; exit 9' INT; read x; echo got $x; while :; do sleep 0.01; done";
    let mut terminal = Terminal::run(&url, [SNECK, "run", "a", "--", "sh", "-c", script]);
    terminal.press("hello\n");
    terminal.until_shows("got hello");
    terminal.press(CTRL_C);
    let (code, shown) = terminal.ends();
    assert_eq!(code, Some(9), "{shown:?}");
    assert_eq!(shown.matches("caught").count(), 1, "{shown:?}");
    assert!(line(&url, "a").is_empty());
}

#[tokio::test]
async fn a_shell_can_stop_it_and_have_it_go_on() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    let script = format!(
        "set -m
         {SNECK} run a -- sh -c 'echo up; read x; echo got $x; exit 4'
         echo stopped $?
         read y; echo shell got $y
         fg
         echo done $?"
    );
    let mut terminal = Terminal::run(&url, ["bash", "-c", &script]);
    terminal.until_shows("up");
    terminal.press(CTRL_Z);
    terminal.until_shows("stopped 14");
    // The terminal is the shell's again.
    terminal.press("one\n");
    terminal.until_shows("shell got one");
    terminal.press("two\n");
    terminal.until_shows("got two");
    terminal.until_shows("done 4");
    let (code, shown) = terminal.ends();
    assert_eq!(code, Some(0), "{shown:?}");
    assert!(line(&url, "a").is_empty());
}

#[tokio::test]
async fn without_a_shell_ctrl_z_stops_nothing_for_good() {
    let url = url(or_skip!(zookeeper::shared(V).await));
    let script = "echo up; read x; echo got $x";
    let mut terminal = Terminal::run(&url, [SNECK, "run", "a", "--", "sh", "-c", script]);
    terminal.until_shows("up");
    terminal.press(CTRL_Z);
    terminal.until_shows("^Z");
    terminal.press("on\n");
    terminal.until_shows("got on");
    let (code, shown) = terminal.ends();
    assert_eq!(code, Some(0), "{shown:?}");
}
