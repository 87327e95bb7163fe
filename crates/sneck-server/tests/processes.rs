//! Sessions over the Unix socket and the processes they belong to: real ones, which end.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::env;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use sneck_server::{Running, Server};
use sneck_wire::jute::Reader;
use sneck_wire::{ConnectReply, ConnectRequest, Secret, encode_frame};

const SOON: Duration = Duration::from_secs(30);
/// Far longer than anything here waits.
const TIMEOUT_MS: i32 = 3_600_000;

/// Tells this program, started as a child of itself, what to be.
const ROLE: &str = "SNECK_TEST_ROLE";
const SOCKET: &str = "SNECK_TEST_SOCKET";

/// Opens a session, or resumes the one of this id.
fn greet(stream: &mut UnixStream, session: i64, password: &[u8]) -> ConnectReply {
    let request = ConnectRequest {
        protocol: 0,
        last_zxid_seen: 0,
        timeout_ms: TIMEOUT_MS,
        session_id: session,
        password: Secret::from(password),
        read_only: Some(false),
    };
    let mut out = BytesMut::new();
    encode_frame(&mut out, |out| request.encode(out));
    stream.write_all(&out).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut frame).unwrap();
    ConnectReply::decode(&mut Reader::new(&frame)).unwrap()
}

/// What a child does. For all others this is a test that finds nothing to do.
#[test]
#[expect(clippy::zombie_processes, reason = "the heir is to outlive its parent")]
fn child() {
    let Ok(role) = env::var(ROLE) else { return };
    let mut stream = UnixStream::connect(env::var(SOCKET).unwrap()).unwrap();
    let reply = greet(&mut stream, 0, b"");
    match role.as_str() {
        // Holds its connection until its input ends or it is killed.
        "client" => {}
        // Breaks it, and lives.
        "broken" => drop(stream.shutdown(std::net::Shutdown::Both)),
        // Leaves it to a child of its own, which does nothing with it, and ends.
        "parent" => {
            let heir = OwnedFd::from(stream.try_clone().unwrap());
            let heir = Command::new("cat").stdin(heir).stdout(Stdio::null()).spawn().unwrap();
            println!("\nheir {}", heir.id());
        }
        other => panic!("{other}"),
    }
    let password: Vec<String> =
        reply.password.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    println!("\npassword {}\nsession {}", password.concat(), reply.session_id);
    if role != "parent" {
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    }
}

/// A child, and what it has said.
struct Process(Child, String);

impl Process {
    fn start(role: &str, socket: &Path) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "child", "--nocapture"]).env(ROLE, role).env(SOCKET, socket);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let stdout = child.stdout.as_mut().unwrap();
        while !said.contains("session ") || !said.ends_with('\n') {
            let mut byte = [0];
            assert_eq!(stdout.read(&mut byte).unwrap(), 1, "{said}");
            said.push(char::from(byte[0]));
        }
        Process(child, said)
    }

    fn told(&self, what: &str) -> &str {
        self.1.lines().find_map(|line| line.strip_prefix(what)).unwrap()
    }

    fn session(&self) -> i64 {
        self.told("session ").parse().unwrap()
    }

    fn password(&self) -> Vec<u8> {
        let hex = self.told("password ");
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (0..hex.len()).step_by(2).map(byte).collect()
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

struct World {
    server: Running,
    _folder: tempfile::TempDir,
}

impl World {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::builder()
            .socket(folder.path().join("private/socket"))
            .tick(Duration::from_millis(100))
            .session_timeouts(Duration::from_millis(200), Duration::from_secs(3_600))
            .start()
            .await
            .unwrap();
        World { server, _folder: folder }
    }

    fn socket(&self) -> &Path {
        self.server.socket().unwrap()
    }

    /// Whether there is this session, as the server itself tells it.
    fn lives(&self, session: i64) -> bool {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        stream.write_all(b"dump").unwrap();
        let mut dump = String::new();
        stream.read_to_string(&mut dump).unwrap();
        assert!(dump.contains("SessionTracker"), "{dump}");
        dump.contains(&format!("\t{session:#x}\n"))
    }

    fn until_ended(&self, session: i64) {
        let began = Instant::now();
        while self.lives(session) {
            assert!(began.elapsed() < SOON, "session {session:#x} goes on");
            std::thread::sleep(Duration::from_millis(3));
        }
    }

    /// Returns once the server has seen the end of a process that ended just now.
    fn settle(&self) {
        let last = Process::start("client", self.socket());
        let session = last.session();
        assert!(self.lives(session));
        last.kill();
        self.until_ended(session);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_end_with_their_process() {
    let world = World::start().await;
    let processes: Vec<_> =
        ["client", "client", "broken"].map(|role| Process::start(role, world.socket())).into();
    let sessions: Vec<_> = processes.iter().map(Process::session).collect();
    world.settle();
    assert!(sessions.iter().all(|session| world.lives(*session)), "all processes live");
    for (process, session) in processes.into_iter().zip(&sessions) {
        assert!(world.lives(*session));
        process.kill();
        world.until_ended(*session);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_connection_is_worth_more_than_the_process_that_made_it() {
    let world = World::start().await;
    let mut parent = Process::start("parent", world.socket());
    let (session, heir) = (parent.session(), parent.told("heir ").parse().unwrap());
    assert!(parent.0.wait().unwrap().success());
    world.settle();
    assert!(world.lives(session), "somebody has its connection");
    let heir = rustix::process::Pid::from_raw(heir).unwrap();
    rustix::process::kill_process(heir, rustix::process::Signal::KILL).unwrap();
    world.settle();
    assert!(world.lives(session), "nobody knows whose it is: it lasts for its time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_another_process_has_resumed_is_that_ones() {
    let world = World::start().await;
    let first = Process::start("client", world.socket());
    let session = first.session();
    let mut own = UnixStream::connect(world.socket()).unwrap();
    let resumed = greet(&mut own, session, &first.password());
    assert_eq!(resumed.session_id, session);
    first.kill();
    world.settle();
    assert!(world.lives(session), "it is ours by now");
    drop(own);
    world.settle();
    assert!(world.lives(session), "and we live");
}
