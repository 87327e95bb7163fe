//! `serve`: the server, and what its clients see of its end.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod stage;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Resource, Rlimit, Signal, prlimit};
use serde_json::Value;
use stage::{Running, bare, done, line, sneck, until_in_line};

/// A server, and the URL it has printed.
fn serve(args: &[&str]) -> (Running, String) {
    let mut server = Running::start(bare([&["serve"], args].concat()));
    let url = server.line("");
    assert!(url.starts_with("zk://"), "{url}");
    (server, url)
}

/// The same on this folder, and on the port of this URL if there was one before.
fn serve_folder(folder: &Path, before: Option<&str>) -> (Running, String) {
    let address = before.map_or("127.0.0.1:0", |url| url.strip_prefix("zk://").unwrap());
    serve(&["--listen", address, "--data", folder.to_str().unwrap()])
}

/// Holds the lock until its input ends, and says its token.
fn holder(url: &str) -> (Running, u64) {
    let mut command = sneck(url, ["run", "a", "--", "sh", "-c", "echo $SNECK_TOKEN; read line"]);
    command.stdin(Stdio::piped());
    let mut holder = Running::start(command);
    let token = holder.line("").parse().unwrap();
    (holder, token)
}

/// Runs `echo $SNECK_TOKEN` under the lock.
fn token(url: &str) -> u64 {
    let done = done(sneck(url, ["run", "a", "--", "sh", "-c", "echo $SNECK_TOKEN"]));
    assert_eq!(done.code, Some(0), "{done:?}");
    done.stdout.trim().parse().unwrap()
}

/// All names and contents.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let mut contents: Vec<_> = entries
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    contents.sort();
    contents
}

#[test]
fn locks_without_a_zookeeper() {
    let (server, url) = serve(&["--listen", "127.0.0.1:0"]);
    let (mut holder, first) = holder(&url);
    let held = line(&url, "a");
    assert_eq!((held.len(), &held[0]["token"]), (1, &first.into()));
    assert_eq!(done(sneck(&url, ["run", "-n", "a", "--", "true"])).code, Some(75));
    holder.write("\n");
    assert_eq!(holder.wait().code, Some(0));
    assert!(token(&url) > first);
    let doctor = done(sneck(&url, ["doctor", "--json"]));
    let doctor: Value = serde_json::from_str(&doctor.stdout).unwrap();
    assert_eq!(doctor["ok"], true, "{doctor}");
    server.signal(Signal::TERM);
    let done = server.wait();
    assert_eq!((done.code, done.stdout), (Some(0), format!("{url}\n")), "data is the URL alone");
    assert!(done.stderr.contains("in memory only"), "{}", done.stderr);
    assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
}

/// What is there over HTTP: the status line, and all that follows the head.
fn http(address: &str, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(stage::BOUND)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[test]
fn figures_for_prometheus() {
    let zero = "127.0.0.1:0";
    let mut server = Running::start(bare(["serve", "--json", "--listen", zero, "--metrics", zero]));
    let json: Value = serde_json::from_str(&server.line("")).unwrap();
    let (url, address) = (json["url"].as_str().unwrap(), json["metrics"].as_str().unwrap());
    let (_holder, _) = holder(url);
    let get = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let (status, text) = http(address, &get);
    assert_eq!(status, "HTTP/1.1 200 OK");

    // Of each figure there is help, type, sample, in this order, and no other line.
    let lines: Vec<&str> = text.lines().collect();
    assert!(text.ends_with('\n') && lines.len().is_multiple_of(3), "{text}");
    let mut figures = BTreeMap::new();
    for figure in lines.chunks(3) {
        let (name, value) = figure[2].rsplit_once(' ').unwrap();
        let bare = name.split('{').next().unwrap();
        assert!(figure[0].starts_with(&format!("# HELP {bare} ")), "{figure:?}");
        let kinds = ["counter", "gauge"].map(|kind| format!("# TYPE {bare} {kind}"));
        assert!(kinds.iter().any(|kind| kind == figure[1]), "{figure:?}");
        let value: f64 = value.parse().unwrap();
        assert!(figures.insert(bare.to_owned(), value).is_none(), "{name} is told twice");
    }
    assert_eq!(figures["sneck_build_info"].to_string(), "1");
    assert!(figures["zk_global_sessions"] >= 1.0 && figures["zk_ephemerals_count"] >= 1.0);

    // Everything that `mntr` counts is told.
    let client = url.strip_prefix("zk://").unwrap();
    let mut stream = TcpStream::connect(client).unwrap();
    stream.write_all(b"mntr").unwrap();
    let mut mntr = String::new();
    stream.read_to_string(&mut mntr).unwrap();
    for (name, value) in mntr.lines().filter_map(|line| line.split_once('\t')) {
        assert_eq!(figures.contains_key(name), value.parse::<f64>().is_ok(), "{name}");
    }

    // Nothing else is there.
    assert_eq!(http(address, &get.replace("GET", "HEAD")), (status, String::new()));
    for (request, status) in [
        (get.replace("/metrics", "/"), "HTTP/1.1 404 Not Found"),
        (get.replace("GET", "POST"), "HTTP/1.1 405 Method Not Allowed"),
        ("nonsense\r\n\r\n".to_owned(), "HTTP/1.1 400 Bad Request"),
        (
            "GET /".to_owned() + &"x".repeat(8 * 1024),
            "HTTP/1.1 431 Request Header Fields Too Large",
        ),
    ] {
        assert_eq!(http(address, &request).0, status);
    }
    let taken = done(bare(["serve", "--listen", zero, "--metrics", address]));
    assert_eq!(taken.code, Some(73), "{taken:?}");
}

#[test]
fn each_ending_signal_is_a_clean_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut last = 0;
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT] {
        let (server, url) = serve_folder(folder.path(), None);
        let token = token(&url);
        assert!(token > last);
        last = token;
        server.signal(signal);
        let done = server.wait();
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
    }
}

#[test]
fn quiet_verbose_and_json() {
    let (quiet, _) = serve(&["-q", "--listen", "127.0.0.1:0"]);
    quiet.signal(Signal::TERM);
    assert_eq!(quiet.wait().stderr, "");
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let (data, socket) = (folder.path().join("data"), folder.path().join("socket"));
    let mut command = bare(["serve", "-v", "--json", "--listen", "127.0.0.1:0"]);
    command.args(["--listen", "127.0.0.1:0", "--data"]).arg(&data).arg("--socket").arg(&socket);
    let mut server = Running::start(command);
    let json: Value = serde_json::from_str(&server.line("")).unwrap();
    let addresses = json["addresses"].as_array().unwrap();
    let address =
        |index: usize| -> SocketAddr { addresses[index].as_str().unwrap().parse().unwrap() };
    assert_eq!(json["url"], format!("zk://{},{}", address(0), address(1)));
    assert!(address(0) != address(1) && addresses.len() == 2);
    assert_eq!(json["data"], data.to_str().unwrap());
    assert_eq!(json["socket"], socket.to_str().unwrap());
    assert_eq!(json["pid"], server.pid().as_raw_nonzero().get());
    assert!(std::os::unix::net::UnixStream::connect(&socket).is_ok());
    token(&format!("zk://{}", address(1)));
    server.signal(Signal::INT);
    let done = server.wait();
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stderr.contains(socket.to_str().unwrap()) && !done.stderr.contains("memory"));
    assert!(!socket.exists());
}

#[test]
fn a_lock_outlives_a_server_that_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let (server, url) = serve_folder(folder.path(), None);
    let with_timeout = format!("{url}?timeout=30s");
    let (mut first, token) = holder(&with_timeout);
    let waiter =
        Running::start(sneck(&with_timeout, ["run", "a", "--", "sh", "-c", "echo $SNECK_TOKEN"]));
    until_in_line(&url, "a", 2);
    let before = line(&url, "a");
    server.signal(Signal::KILL);
    assert_eq!(server.wait().code, None);
    let (server, again) = serve_folder(folder.path(), Some(&url));
    assert_eq!(again, url);
    let after = line(&url, "a");
    let nodes = |line: &[Value]| -> Vec<(Value, Value)> {
        line.iter().map(|place| (place["node"].clone(), place["token"].clone())).collect()
    };
    assert_eq!(nodes(&after), nodes(&before), "holder and waiter are as they were");
    assert_eq!(after[0]["token"], token);
    assert!(!first.has_ended());
    first.write("\n");
    let first = first.wait();
    assert_eq!(first.code, Some(0), "{first:?}");
    let waiter = waiter.wait();
    assert_eq!(waiter.code, Some(0), "{waiter:?}");
    assert!(waiter.stdout.trim().parse::<u64>().unwrap() > token);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code, Some(0));
}

#[test]
fn tokens_go_up_even_if_everything_is_forgotten() {
    let mut last = 0;
    for with_data in [false, false, true, true, false] {
        let folder = tempfile::tempdir().unwrap();
        let data = ["--data", folder.path().to_str().unwrap()];
        let data = if with_data { &data[..] } else { &[] };
        let (_server, url) =
            serve(&[&["--listen", "127.0.0.1:0", "--tick", "100ms"], data].concat());
        let token = token(&url);
        assert!(token > last, "{token} after {last}");
        last = token;
    }
}

#[test]
fn a_port_that_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let done = done(bare(["serve", "--listen", &address, "--data", data.to_str().unwrap()]));
    assert_eq!((done.code, done.stdout.as_str()), (Some(73), ""), "{done:?}");
    assert!(done.stderr.contains(&format!("cannot listen on {address}: ")), "{done:?}");
    assert!(done.stderr.contains("\nhint: "), "{done:?}");
    assert!(!data.exists(), "nothing was made for a server that does not start");
}

#[test]
fn a_socket_that_cannot_be() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let try_it = || {
        let args = ["serve", "--listen", "127.0.0.1:0", "--socket", path.to_str().unwrap()];
        let done = done(bare(args));
        assert_eq!((done.code, done.stdout.as_str()), (Some(73), ""), "{done:?}");
        assert!(done.stderr.contains(path.to_str().unwrap()), "{done:?}");
        done.stderr
    };
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(try_it().contains("\nhint: a socket belongs into a folder of your own"));
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(&path, "precious").unwrap();
    assert!(try_it().contains("is no socket"));
    assert_eq!(fs::read(&path).unwrap(), b"precious");
}

#[test]
fn a_folder_is_for_one_server() {
    let folder = tempfile::tempdir().unwrap();
    let (server, url) = serve_folder(folder.path(), None);
    let path = folder.path().to_str().unwrap();
    let other = done(bare(["serve", "--listen", "127.0.0.1:0", "--data", path]));
    assert_eq!((other.code, other.stdout.as_str()), (Some(73), ""), "{other:?}");
    let pid = server.pid().as_raw_nonzero();
    assert!(other.stderr.contains(&format!("{path} is in use by process {pid}")), "{other:?}");
    assert!(other.stderr.contains("\nhint: "), "{other:?}");
    token(&url);
}

#[test]
fn folders_that_are_not_ours_stay_as_they_are() {
    for (name, text, code, says) in [
        ("myid", "1\n", 73, "it has `myid`"),
        ("sneck-data", "a data folder of sneck's server\nversion 99\n", 73, "newer release"),
        ("sneck-data", "rubbish", 65, "is damaged"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(name), text).unwrap();
        let before = contents(folder.path());
        let path = folder.path().to_str().unwrap();
        let done = done(bare(["serve", "--listen", "127.0.0.1:0", "--data", path]));
        assert_eq!((done.code, done.stdout.as_str()), (Some(code), ""), "{done:?}");
        assert!(done.stderr.contains(says) && done.stderr.contains("\nhint: "), "{done:?}");
        assert_eq!(contents(folder.path()), before);
    }
    // What root may not do either: have a folder in a file.
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().join("data");
    let done = done(bare(["serve", "--listen", "127.0.0.1:0", "--data", path.to_str().unwrap()]));
    assert_eq!((done.code, done.stdout.as_str()), (Some(73), ""), "{done:?}");
    assert!(done.stderr.contains(path.to_str().unwrap()), "{done:?}");
}

#[test]
fn a_disk_that_fails_ends_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    // A limit on the size of files is the one disk that fails on demand. Its signal is ignored, so
    // that the write itself fails.
    let mut command = Command::new("sh");
    let script = "trap '' XFSZ; exec \"$0\" \"$@\"";
    command.args(["-c", script, env!("CARGO_BIN_EXE_sneck"), "serve"]);
    command.args(["--listen", "127.0.0.1:0", "--data", path]);
    let mut server = Running::start(command);
    let url = server.line("");
    let (holder, _) = holder(&url);
    let none = Rlimit { current: Some(0), maximum: None };
    prlimit(Some(server.pid()), Resource::Fsize, none).unwrap();
    let other = Running::start(sneck(&url, ["run", "a", "--", "true"]));
    let done = server.wait();
    assert_eq!(done.code, Some(74), "{done:?}");
    assert!(done.stderr.contains("sneck: the server cannot go on: cannot "), "{done:?}");
    assert!(done.stderr.contains(path) && done.stderr.contains("\nhint: "), "{done:?}");
    drop((holder, other));
}

#[test]
fn strangers_are_warned_of() {
    let (server, url) = serve(&["--listen", "0.0.0.0:0"]);
    assert!(url.starts_with("zk://127.0.0.1:"), "{url}");
    token(&url);
    server.signal(Signal::TERM);
    let done = server.wait();
    assert!(done.stderr.contains("0.0.0.0:0: there is no TLS"), "{done:?}");
    assert!(done.stderr.contains("acl=creator"), "{done:?}");
}

#[test]
fn wrong_options() {
    for args in [
        &["--listen", "localhost:2181"][..],
        &["--listen", "2181"],
        &["--listen", ""],
        &["--tick", "0"],
        &["--tick", "1h"],
        &["--tick", "soon"],
        &["--data"],
        &["--server", "zk://127.0.0.1:2181"],
        &["somewhere"],
    ] {
        let done = done(bare([&["serve"], args].concat()));
        assert_eq!((done.code, done.stdout.as_str()), (Some(64), ""), "{args:?} {done:?}");
        assert!(!done.stderr.is_empty(), "{args:?}");
    }
    // Where other commands find their server is nothing to this one, however wrong.
    let mut command = bare(["serve", "--listen", "127.0.0.1:0"]);
    command.env("SNECK_SERVER", "nonsense");
    let mut server = Running::start(command);
    server.line("zk://");
}
