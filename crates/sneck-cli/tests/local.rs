//! `local:`: the server that the processes of a user share, and who starts it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod stage;

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use stage::folder::Folder;
use stage::{BOUND, Done, Running, bare, done, line, runs, sneck, until, until_in_line};

fn held(url: &str) -> (Running, u64) {
    let mut holder = Running::start(sneck(url, ["hold", "a"]));
    let token = holder.line("").parse().unwrap();
    (holder, token)
}

#[track_caller]
fn assert_fails(done: &Done, code: i32, says: &str) {
    assert_eq!((done.code, done.stdout.as_str()), (Some(code), ""), "{done:?}");
    assert!(done.stderr.contains(says) && done.stderr.contains("\nhint: "), "{done:?}");
}

#[test]
fn nothing_has_to_be_there() {
    let folder = Folder::new();
    let nested = folder.path().join("a/b");
    let run = || {
        let mut command =
            bare(["run", "hello", "--", "sh", "-c", "echo $SNECK_TOKEN $SNECK_SERVER"]);
        command.env("SNECK_LOCAL_DIR", &nested);
        let done = done(command);
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
        let (token, server) = done.stdout.trim().split_once(' ').unwrap();
        assert_eq!(server, format!("local:{}", nested.display()), "the same to every process");
        token.parse::<u64>().unwrap()
    };
    let first = run();
    assert_eq!(fs::metadata(&nested).unwrap().permissions().mode() & 0o777, 0o700);
    let pid = fs::read_to_string(nested.join("data/lock")).unwrap();
    assert!(run() > first);
    assert_eq!(fs::read_to_string(nested.join("data/lock")).unwrap(), pid, "it is the same server");
    kill_process(Pid::from_raw(pid.trim().parse().unwrap()).unwrap(), Signal::TERM).unwrap();
    until("the server has ended", || !runs(pid.trim()));
}

#[test]
fn who_is_killed_frees_the_lock_at_once() {
    let folder = Folder::new();
    let url = folder.url();
    let (holder, token) = held(&url);
    let waiter = Running::start(sneck(&url, ["run", "a", "--", "sh", "-c", "echo $SNECK_TOKEN"]));
    let other = Running::start(sneck(&url, ["run", "a", "--", "true"]));
    until_in_line(&url, "a", 3);
    // A place in line is given up by death, too.
    other.signal(Signal::KILL);
    until_in_line(&url, "a", 2);
    holder.signal(Signal::KILL);
    assert_eq!(holder.wait().code, None);
    // That comes to an end in time is what is asserted: the session would have gone on for minutes.
    let waiter = waiter.wait();
    assert_eq!(waiter.code, Some(0), "{waiter:?}");
    assert!(waiter.stdout.trim().parse::<u64>().unwrap() > token);
}

#[test]
fn who_stands_still_keeps_the_lock() {
    let folder = Folder::new();
    let url = folder.url();
    let (holder, token) = held(&url);
    holder.signal(Signal::STOP);
    // The end of another process is seen meanwhile, so this one's would be.
    let (other, _) = {
        let mut other = Running::start(sneck(&url, ["hold", "b"]));
        let token = other.line("");
        (other, token)
    };
    other.signal(Signal::KILL);
    until_in_line(&url, "b", 0);
    assert_eq!(line(&url, "a")[0]["token"], token);
    holder.signal(Signal::CONT);
    holder.signal(Signal::TERM);
    assert_eq!(holder.wait().code, Some(0));
}

#[test]
fn a_lock_outlives_the_server() {
    let folder = Folder::new();
    let url = folder.url();
    let (mut holder, token) = held(&url);
    let waiter = Running::start(sneck(&url, ["run", "a", "--", "sh", "-c", "echo $SNECK_TOKEN"]));
    until_in_line(&url, "a", 2);
    for signal in [Signal::KILL, Signal::TERM] {
        folder.kill(signal);
        // Whoever comes first starts it again: one of those that are there, or this one.
        until_in_line(&url, "a", 2);
        assert_eq!(line(&url, "a")[0]["token"], token);
        assert!(!holder.has_ended());
    }
    holder.signal(Signal::TERM);
    assert_eq!(holder.wait().code, Some(0));
    let waiter = waiter.wait();
    assert_eq!(waiter.code, Some(0), "{waiter:?}");
    assert!(waiter.stdout.trim().parse::<u64>().unwrap() > token);
}

#[test]
fn of_many_that_start_a_server_one_has_it() {
    let folder = Folder::new();
    let url = folder.url();
    let start = || -> Vec<Running> {
        let one = || Running::start(sneck(&url, ["run", "a", "--", "true"]));
        (0..8).map(|_| one()).collect()
    };
    for round in 1..=2 {
        for one in start() {
            let done = one.wait();
            assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
        }
        assert_eq!(folder.log().matches(": serving").count(), round, "{}", folder.log());
        // What a crash leaves: its socket is there, and nobody listens.
        folder.kill(Signal::KILL);
        assert!(folder.socket().exists());
    }
}

#[test]
fn a_server_without_sessions_ends_and_is_started_again() {
    let folder = Folder::new();
    let mut server = Running::start(bare([
        "serve",
        "-v",
        "--local",
        folder.text(),
        "--exit-when-idle",
        "300ms",
    ]));
    assert_eq!(server.line("local:"), folder.text());
    let (holder, token) = held(&folder.url());
    assert!(!server.has_ended());
    holder.signal(Signal::TERM);
    assert_eq!(holder.wait().code, Some(0));
    let ended = server.wait();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("no sessions"), "{ended:?}");
    assert!(!folder.socket().exists());
    let (_again, next) = held(&folder.url());
    assert!(next > token);
}

#[test]
fn the_server_has_nothing_of_whoever_started_it() {
    let folder = Folder::new();
    // Its descriptor 9 is the pipe that is read here, as in a script whose output is piped.
    let mut command = Command::new("sh");
    command.args(["-c", "exec 9>&1 1>/dev/null; exec \"$0\" run a -- true"]);
    command.arg(env!("CARGO_BIN_EXE_sneck"));
    command.env("SNECK_SERVER", folder.url()).env("HUSH", "hunter2").env("HOME", "/");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdout.take().unwrap();
    let (tell, ended) = mpsc::channel();
    std::thread::spawn(move || tell.send(pipe.read_to_end(&mut Vec::new())));
    ended.recv_timeout(BOUND).expect("the pipe ends with the command").unwrap();
    assert!(child.wait().unwrap().success());
    let pid = folder.pid();
    assert!(runs(&pid));
    let about = |what: &str| PathBuf::from(format!("/proc/{pid}/{what}"));
    assert_eq!(fs::read_link(about("cwd")).unwrap(), Path::new("/"));
    assert_eq!(fs::read_link(about("fd/0")).unwrap(), Path::new("/dev/null"));
    for output in ["fd/1", "fd/2"] {
        assert_eq!(fs::read_link(about(output)).unwrap(), folder.path().join("log"));
    }
    let environment = fs::read(about("environ")).unwrap();
    assert!(!String::from_utf8_lossy(&environment).contains("hunter2"));
    // The fields after the name: state, parent, group, session.
    let stat = fs::read_to_string(about("stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    assert_eq!((fields[2], fields[3]), (pid.as_str(), pid.as_str()), "a session of its own");
    let mut command = sneck(&folder.url(), ["doctor", "--json"]);
    command.env("SNECK_LOCAL_DIR", "/nonexistent");
    let doctor: Value = serde_json::from_str(&done(command).stdout).unwrap();
    let text = doctor.to_string();
    let wanted = [format!("pid {pid}"), folder.text().to_owned() + "/data"];
    let wanted = wanted.iter().map(String::as_str).chain(["sneck's embedded server"]);
    assert!(wanted.into_iter().all(|wanted| text.contains(wanted)), "{text}");
    assert_eq!(doctor["ok"], true);
}

#[test]
fn every_look_at_it() {
    let folder = Folder::new();
    let url = folder.url();
    let listed = done(sneck(&url, ["ls"]));
    assert_eq!((listed.code, listed.stdout.as_str()), (Some(0), ""), "{listed:?}");
    let (_holder, token) = held(&url);
    let listed = done(sneck(&url, ["ls", "--json"]));
    let names: Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(names[0]["name"], "a", "{listed:?}");
    assert_eq!(line(&url, "a")[0]["token"], token);
    assert_eq!(done(sneck(&url, ["run", "-n", "a", "--", "true"])).code, Some(75));
}

#[test]
fn a_server_that_is_there_is_enough() {
    let folder = Folder::new();
    let detach = || done(bare(["serve", "--detach", "--local", folder.text()]));
    let url = format!("local:{}\n", folder.text());
    for _ in 0..2 {
        let done = detach();
        assert_eq!((done.code, done.stdout.as_str(), done.stderr.as_str()), (Some(0), &*url, ""));
    }
    assert_eq!(folder.log().matches(": serving").count(), 1);
    let other = done(bare(["serve", "--local", folder.text()]));
    assert_fails(&other, 73, "listens on");
    // A server that has the data and is elsewhere is waited for in vain, and named.
    folder.kill(Signal::TERM);
    assert!(folder.log().contains("stopping, on signal 15"), "{}", folder.log());
}

#[test]
fn folders_that_cannot_be() {
    let folder = Folder::new();
    let ls = |path: &Path| done(sneck(&format!("local:{}", path.display()), ["ls"]));
    let open = folder.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
    assert_fails(&ls(&open), 77, "others have access");
    assert_eq!(fs::read_dir(&open).unwrap().count(), 0, "nothing was made there");
    let file = folder.path().join("file");
    fs::write(&file, "precious").unwrap();
    assert_fails(&ls(&file), 77, "is no folder");
    assert_fails(&ls(&file.join("below")), 77, "file");
    assert_eq!(fs::read(&file).unwrap(), b"precious");
    let long = folder.path().join("x".repeat(100));
    assert_fails(&ls(&long), 64, "bytes");
    assert!(!long.exists());
    for path in [&open, &file, &long] {
        let path = path.to_str().unwrap();
        let code = if path.len() > 100 { 64 } else { 77 };
        for args in [&["serve", "--local", path][..], &["serve", "--detach", "--local", path]] {
            let done = done(bare(args));
            assert_eq!((done.code, done.stdout.as_str()), (Some(code), ""), "{done:?}");
        }
    }
    // Somebody else's, which only root can make.
    let theirs = folder.path().join("theirs");
    fs::create_dir(&theirs).unwrap();
    fs::set_permissions(&theirs, fs::Permissions::from_mode(0o700)).unwrap();
    if std::os::unix::fs::chown(&theirs, Some(65_534), None).is_ok() {
        assert_fails(&ls(&theirs), 77, "user 65534");
    }
}

#[test]
fn data_that_cannot_be_used_stay_as_they_are() {
    for (text, code, says) in [
        ("a data folder of sneck's server\nversion 99\n", 69, "newer release"),
        ("rubbish", 65, "is damaged"),
    ] {
        let folder = Folder::new();
        let marker = folder.path().join("data/sneck-data");
        fs::create_dir(marker.parent().unwrap()).unwrap();
        fs::write(&marker, text).unwrap();
        assert_fails(&done(sneck(&folder.url(), ["ls"])), code, says);
        assert_eq!(fs::read_to_string(&marker).unwrap(), text);
        assert!(!folder.socket().exists());
    }
}

#[test]
fn a_disk_without_room() {
    let folder = Folder::new();
    // A limit on the size of files is the one full disk that is to be had on demand.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" ls"]);
    command.arg(env!("CARGO_BIN_EXE_sneck")).env("SNECK_SERVER", folder.url());
    let done = done(command);
    assert_eq!((done.code, done.stdout.as_str()), (Some(69), ""), "{done:?}");
    assert!(done.stderr.contains("no server could be started"), "{done:?}");
    assert!(done.stderr.contains(folder.text()), "{done:?}");
    let (_holder, _) = held(&folder.url());
}

#[test]
fn wrong_options() {
    for args in [
        &["--detach"][..],
        &["--background"],
        &["--local", "/a", "--data", "/b"],
        &["--local", "/a", "--socket", "/b/c"],
        &["--local", "/a", "--detach", "--json"],
        &["--local", "/a", "/b"],
        &["--exit-when-idle", "soon"],
    ] {
        let done = done(bare([&["serve"], args].concat()));
        assert_eq!((done.code, done.stdout.as_str()), (Some(64), ""), "{args:?} {done:?}");
    }
    for (url, says) in [("local:?timeout=soon", "timeout=soon"), ("local:/a?color=red", "color")] {
        assert_fails(&done(sneck(url, ["ls"])), 64, says);
    }
    let embedded = done(sneck("embedded:", ["ls"]));
    assert_fails(&embedded, 64, "no folder");
    assert_fails(&done(sneck("embedded:/a", ["doctor"])), 64, "within one process");
}

#[test]
fn a_folder_of_one_process() {
    let folder = Folder::new();
    let url = format!("embedded:{}/store", folder.text());
    let (holder, token) = held(&url);
    let other = done(sneck(&url, ["ls"]));
    assert_fails(&other, 69, &format!("in use by process {}", holder.pid().as_raw_nonzero()));
    assert!(other.stderr.contains("local:"), "{other:?}");
    holder.signal(Signal::TERM);
    assert_eq!(holder.wait().code, Some(0));
    let (_next, next) = held(&url);
    assert!(next > token);
}
