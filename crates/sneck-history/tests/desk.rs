//! The arbiter with real clients: threads, and processes that are killed.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use sneck_history::{
    CLIENTS_MAX, CRASH, Count, Desk, Event, Header, HistoryReader, LINE_BYTES_MAX, Mode, Report,
    Store, Teller, judge, monotonic_ns,
};

/// A folder of this test alone, which goes away with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let unique = format!("sneck-history-{name}-{}-{}", std::process::id(), monotonic_ns());
        let path = std::env::temp_dir().join(unique);
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn report(path: &Path) -> Report {
    judge(HistoryReader::new(BufReader::new(File::open(path).unwrap())).unwrap()).unwrap()
}

fn acquire(attempt: u64) -> Event {
    let (lock, mode, session) = ("a".to_owned(), Mode::Exclusive, None);
    Event::Acquire { attempt, lock, mode, session, no_wait: false, together: None }
}

/// A client that takes a lock a few times, and adds to what it protects.
fn take_turns(socket: &Path, client: u32, turns: u64, lock: &Mutex<u64>) {
    let mut teller = Teller::connect(socket, Some(client)).unwrap();
    for turn in 0..turns {
        let attempt = u64::from(client) * 1000 + turn;
        teller.tell(acquire(attempt)).unwrap();
        let mut last = lock.lock().unwrap();
        *last += 1;
        let token = *last;
        teller.tell(Event::Granted { attempt, token, session: None, until_ns: None }).unwrap();
        let read = teller.read("a", attempt, Some(token)).unwrap();
        let write = teller.write("a", attempt, Some(token), Some(read.version)).unwrap();
        assert!(read.admitted && write.admitted);
        teller.tell(Event::Release { attempt }).unwrap();
        drop(last);
        teller.tell(Event::Released { attempt }).unwrap();
    }
}

#[test]
fn many_clients_make_one_history() {
    let folder = Folder::new("many");
    let (socket, file) = (folder.path("socket"), folder.path("history.jsonl"));
    let output = File::create_new(&file).unwrap();
    let desk = Desk::open(&socket, &Header::new(Store::Other), output).unwrap();
    let lock = Mutex::new(0);
    std::thread::scope(|scope| {
        for client in 1..=8 {
            let (socket, lock) = (&socket, &lock);
            scope.spawn(move || take_turns(socket, client, 20, lock));
        }
    });
    Teller::connect(&socket, None).unwrap().tell(Event::Quiet).unwrap();
    assert_eq!(desk.close().unwrap(), 8 * 20 * 6 + 1);
    let report = report(&file);
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.count(Count::Writes), 160);
}

#[test]
fn what_a_broken_lock_does_is_seen() {
    let folder = Folder::new("broken");
    let (socket, file) = (folder.path("socket"), folder.path("history.jsonl"));
    let output = File::create_new(&file).unwrap();
    let desk = Desk::open(&socket, &Header::new(Store::Other), output).unwrap();
    let mut one = Teller::connect(&socket, Some(1)).unwrap();
    let mut two = Teller::connect(&socket, Some(2)).unwrap();
    for (teller, attempt) in [(&mut one, 1), (&mut two, 2)] {
        teller.tell(acquire(attempt)).unwrap();
        teller.tell(Event::Granted { attempt, token: 9, session: None, until_ns: None }).unwrap();
    }
    assert!(one.write("a", 1, Some(9), Some(0)).unwrap().admitted);
    assert!(two.write("a", 2, Some(9), Some(0)).unwrap().admitted, "the fence sees equal tokens");
    desk.close().unwrap();
    let found: Vec<_> = report(&file).totals.keys().map(|property| property.code()).collect();
    assert_eq!(found, ["P1", "P2", "P3"]);
}

#[test]
fn after_the_end_nothing_is_written() {
    let folder = Folder::new("closed");
    let (socket, file) = (folder.path("socket"), folder.path("history.jsonl"));
    let output = File::create_new(&file).unwrap();
    let desk = Desk::open(&socket, &Header::new(Store::Other), output).unwrap();
    let mut teller = Teller::connect(&socket, Some(1)).unwrap();
    teller.tell(acquire(1)).unwrap();
    assert_eq!(desk.close().unwrap(), 1);
    let error = teller.tell(Event::Queued { attempt: 1 }).unwrap_err();
    assert!(error.to_string().contains("closed"), "{error}");
    assert_eq!(report(&file).count(Count::Entries), 1);
}

/// A disk that is full after the header.
struct Full(bool);

impl std::io::Write for Full {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if std::mem::replace(&mut self.0, true) {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_history_that_cannot_be_written_is_over() {
    let folder = Folder::new("full");
    let socket = folder.path("socket");
    let desk = Desk::open(&socket, &Header::new(Store::Other), Full(false)).unwrap();
    let mut teller = Teller::connect(&socket, Some(1)).unwrap();
    for _ in 0..2 {
        let error = teller.tell(acquire(1)).unwrap_err();
        assert!(error.to_string().contains("cannot be written"), "{error}");
    }
    assert!(desk.close().is_err());
}

#[test]
fn messages_are_bounded_and_clients_are_counted() {
    let folder = Folder::new("bounds");
    let (socket, file) = (folder.path("socket"), folder.path("history.jsonl"));
    let output = File::create_new(&file).unwrap();
    let desk = Desk::open(&socket, &Header::new(Store::Other), output).unwrap();
    let mut endless = UnixStream::connect(&socket).unwrap();
    endless.write_all(&vec![b'x'; LINE_BYTES_MAX + 1]).unwrap();
    let mut answer = Vec::new();
    // The arbiter hangs up; whether by an end or by a reset depends on what it had read.
    let _ = endless.read_to_end(&mut answer);
    assert!(answer.is_empty());
    let mut nonsense = UnixStream::connect(&socket).unwrap();
    nonsense.write_all(b"{\"say\":\"hello\"}\n").unwrap();
    let mut answer = [0; 12];
    nonsense.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"{\"refused\":{");
    drop(nonsense);
    let mut clients = Vec::new();
    let refused = (0..=CLIENTS_MAX as u32 + 2).find_map(|client| {
        let mut teller = Teller::connect(&socket, Some(client)).unwrap();
        let told = teller.tell(acquire(u64::from(client)));
        clients.push(teller);
        told.err()
    });
    assert!(refused.is_some(), "{} clients were let in", clients.len());
    desk.close().unwrap();
}

/// An arbiter in a process of its own, killed with the test.
struct Process(Child);

impl Process {
    fn start(socket: &Path, file: &Path) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sneck-history"));
        command
            .arg("arbitrate")
            .args([socket, file])
            .arg(r#"{"sneck_history":1,"store":"memory"}"#);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // It says so when it listens.
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert!(said.contains("listens"), "{said}");
        Process(child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_killed_arbiter_leaves_a_whole_history() {
    let folder = Folder::new("killed");
    let (socket, file) = (folder.path("socket"), folder.path("history.jsonl"));
    let arbiter = Process::start(&socket, &file);
    let mut teller = Teller::connect(&socket, Some(1)).unwrap();
    for attempt in 1..=50 {
        teller.tell(acquire(attempt)).unwrap();
    }
    drop(arbiter);
    assert!(teller.tell(acquire(51)).is_err());
    assert_eq!(report(&file).count(Count::Attempts), 50);
}

#[test]
fn the_command_line_writes_and_judges() {
    let folder = Folder::new("command");
    let (socket, file) = (folder.path("socket"), folder.path("history.jsonl"));
    let mut arbiter = Process::start(&socket, &file);
    let mut teller = Teller::connect(&socket, Some(1)).unwrap();
    let mut observer = Teller::connect(&socket, None).unwrap();
    teller.tell(acquire(1)).unwrap();
    teller.tell(Event::Granted { attempt: 1, token: 1, session: None, until_ns: None }).unwrap();
    observer.tell(Event::Fault { fault: 1, kind: CRASH.into(), client: Some(1) }).unwrap();
    observer.tell(Event::Quiet).unwrap();
    drop(arbiter.0.stdin.take());
    assert!(arbiter.0.wait().unwrap().success());

    let check = |file: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sneck-history"));
        let output = command.arg("check").arg(file).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let (code, text) = check(&file);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("4  entries") && text.contains(": clean"), "{text}");

    let goldens = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    let (code, text) = check(&goldens.join("P7-bypass.jsonl"));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("P7: attempt 2 of client 2 had its place in the line"), "{text}");

    let (code, text) = check(&folder.path("nothing"));
    assert_eq!(code, Some(2), "{text}");
}
