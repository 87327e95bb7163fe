//! `export`: what a stopped server gives away, and what it refuses to.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod stage;

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;
use sneck_server::snapshot::read;
use stage::{Done, Running, bare, done, line, sneck};

/// A folder with the data of a server that was stopped while a lock was held, and the lock's token.
fn data(folder: &Path) -> u64 {
    let mut server = serve(folder);
    let url = server.line("");
    let note = "x".repeat(4_000);
    let mut holder = Running::start(sneck(&url, ["hold", "--note", &note, "jobs/nightly"]));
    let token = holder.line("").parse().unwrap();
    assert_eq!(line(&url, "jobs/nightly").len(), 1);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code, Some(0));
    token
}

fn serve(folder: &Path) -> Running {
    let mut command = bare(["serve", "--listen", "127.0.0.1:0", "--data"]);
    command.arg(folder);
    Running::start(command)
}

fn export<'a>(args: impl IntoIterator<Item = &'a str>, data: &Path, dir: &Path) -> Done {
    let mut command = bare(["export", "--data"]);
    command.arg(data).args(args).arg(dir);
    done(command)
}

#[test]
fn everything_is_in_the_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("data"), folder.path().join("apache"));
    let token = data(&from);
    let json = export(["--json"], &from, &to);
    assert_eq!(json.code, Some(0), "{json:?}");
    let value: Value = serde_json::from_str(&json.stdout).unwrap();
    let zxid = value["zxid"].as_i64().unwrap();
    let path = value["snapshot"].as_str().unwrap();
    assert_eq!(path, to.join(format!("version-2/snapshot.{zxid:x}")).to_str().unwrap());
    let image = read(zxid, fs::File::open(path).unwrap()).unwrap();
    assert_eq!(value["nodes"], image.nodes.len());
    let held = image.nodes.iter().find(|node| node.czxid.cast_unsigned() == token).unwrap();
    assert!(held.path.starts_with("/jobs/nightly/"), "{}", held.path);
    assert!(image.sessions.iter().any(|session| session.id == held.owner), "{image:?}");
    assert_eq!(value["sessions"], image.sessions.len());
    assert_eq!((&value["ttl_nodes"], &value["properties"]), (&0.into(), &Value::Array(vec![])));
    let says =
        format!("exported {} nodes and {} sessions", image.nodes.len(), image.sessions.len());
    assert!(json.stderr.contains(&says), "{json:?}");
    // It was only read: a second export, and a server, find all of it again.
    let again = export([], &from, &folder.path().join("again"));
    assert_eq!(again.code, Some(0), "{again:?}");
    let copy = again.stdout.trim();
    assert_eq!(fs::read(copy).unwrap(), fs::read(path).unwrap());
    serve(&from).line("zk://");
}

#[test]
fn without_a_folder_it_is_the_shared_servers() {
    let folder = tempfile::tempdir().unwrap();
    let local = folder.path().join("local");
    data(&local.join("data"));
    let mut command = bare(["export"]);
    command.env("SNECK_LOCAL_DIR", &local).arg(folder.path().join("apache"));
    let exported = done(command);
    assert_eq!(exported.code, Some(0), "{exported:?}");
    assert!(exported.stderr.contains("sessions; fencing tokens go on above"), "{exported:?}");
}

#[test]
fn a_seed_is_the_zxid_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("data"), folder.path().join("apache"));
    let token = data(&from);
    let seed = export(["--seed"], &from, &to);
    assert_eq!(seed.code, Some(0), "{seed:?}");
    assert!(seed.stderr.contains("nothing but the zxid"), "{seed:?}");
    let path = seed.stdout.trim();
    let zxid = i64::from_str_radix(path.rsplit_once('.').unwrap().1, 16).unwrap();
    assert!(zxid.cast_unsigned() >= token);
    let image = read(zxid, fs::File::open(path).unwrap()).unwrap();
    assert_eq!(image.sessions, []);
    assert!(image.nodes.iter().all(|node| node.path == "/" || node.path.starts_with("/zookeeper")));
}

#[test]
fn a_server_that_runs_is_not_exported() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("data"), folder.path().join("apache"));
    let mut server = serve(&from);
    server.line("");
    let refused = export([], &from, &to);
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(73), ""), "{refused:?}");
    let pid = server.pid().as_raw_nonzero();
    assert!(refused.stderr.contains(&format!("is in use by process {pid}")), "{refused:?}");
    assert!(refused.stderr.contains("\nhint: stop that server first"), "{refused:?}");
    assert!(!to.exists());
}

#[test]
fn nothing_is_overwritten_or_mixed() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("data"), folder.path().join("apache"));
    data(&from);
    fs::create_dir(&to).unwrap();
    fs::write(to.join("myid"), "3\n").unwrap();
    assert_eq!(export([], &from, &to).code, Some(0), "a server's own number is in nobody's way");
    for in_the_way in ["apache", "data", "data/lock"] {
        let refused = export([], &from, &folder.path().join(in_the_way));
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(73), ""), "{refused:?}");
        assert!(refused.stderr.contains("\nhint: "), "{refused:?}");
    }
    assert_eq!(fs::read(to.join("myid")).unwrap(), b"3\n");
}

#[test]
fn folders_without_data_stay_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("data"), folder.path().join("apache"));
    let refused = || {
        let refused = export([], &from, &to);
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(73), ""), "{refused:?}");
        assert!(refused.stderr.contains("is not a data folder"), "{refused:?}");
        assert!(!to.exists());
    };
    refused();
    assert!(!from.exists(), "a folder was made");
    fs::create_dir(&from).unwrap();
    refused();
    fs::write(from.join("notes.txt"), "mine").unwrap();
    refused();
    assert_eq!(fs::read_dir(&from).unwrap().count(), 1);
    fs::write(from.join("sneck-data"), "rubbish").unwrap();
    let damaged = export([], &from, &to);
    assert_eq!((damaged.code, damaged.stdout.as_str()), (Some(65), ""), "{damaged:?}");
}

#[test]
fn a_disk_that_is_full_keeps_nothing_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("data"), folder.path().join("apache"));
    data(&from);
    // A limit on the size of files is the one disk that fails on demand. Its signal is ignored, so
    // that the write itself fails.
    let mut command = Command::new("sh");
    let script = "trap '' XFSZ; ulimit -f 1; exec \"$0\" export --data \"$1\" \"$2\"";
    command.args(["-c", script, env!("CARGO_BIN_EXE_sneck")]).arg(&from).arg(&to);
    let full = done(command);
    assert_eq!((full.code, full.stdout.as_str()), (Some(74), ""), "{full:?}");
    assert!(full.stderr.contains("cannot write") && full.stderr.contains("\nhint: "), "{full:?}");
    assert!(!to.exists(), "{full:?}");
    assert_eq!(export([], &from, &to).code, Some(0), "and the next try succeeds");
}

#[test]
fn wrong_options() {
    for args in [
        &["export"][..],
        &["export", "--data"],
        &["export", "--data", "/nonexistent"],
        &["export", "--data", "a", "b", "c"],
        &["export", "--data", "a", "--server", "zk://127.0.0.1:2181", "b"],
    ] {
        let done = done(bare(args));
        assert_eq!((done.code, done.stdout.as_str()), (Some(64), ""), "{args:?} {done:?}");
    }
}
