//! Where the server's URL comes from.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod stage;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use stage::{Done, bare, done};

/// Nothing listens on these; the error names the port that was tried.
const URLS: [&str; 3] = [
    "zk://127.0.0.1:1?connect-timeout=200ms",
    "zk://127.0.0.1:2?connect-timeout=200ms",
    "zk://127.0.0.1:3?connect-timeout=200ms",
];

fn config(folder: &Path, text: &str) -> String {
    let path = folder.join("sneck").join("config.toml");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn tried(done: &Done) -> &'static str {
    assert_eq!(done.code, Some(69), "{done:?}");
    let named = URLS.into_iter().find(|url| done.stderr.contains(&url[5..16]));
    named.unwrap_or_else(|| panic!("{done:?}"))
}

#[test]
fn the_command_line_comes_before_the_environment_before_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = config(folder.path(), &format!("server = {:?}", URLS[2]));
    let base = || {
        let mut command = bare(["ls"]);
        command.env("XDG_CONFIG_HOME", folder.path());
        command
    };
    assert_eq!(tried(&done(base())), URLS[2]);
    let mut with_environment = base();
    with_environment.env("SNECK_SERVER", URLS[1]);
    assert_eq!(tried(&done(with_environment)), URLS[1]);
    let mut with_all = base();
    with_all.env("SNECK_SERVER", URLS[1]).args(["--server", URLS[0]]);
    assert_eq!(tried(&done(with_all)), URLS[0]);
    let mut by_name = bare(["ls"]);
    by_name.env("SNECK_CONFIG", &file);
    assert_eq!(tried(&done(by_name)), URLS[2]);
    let mut at_home = bare(["ls"]);
    let home = tempfile::tempdir().unwrap();
    config(&home.path().join(".config"), &format!("server = {:?}", URLS[1]));
    at_home.env_remove("XDG_CONFIG_HOME").env("HOME", home.path());
    assert_eq!(tried(&done(at_home)), URLS[1]);
}

#[test]
fn a_bad_file_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    for (text, line) in [
        ("# mine\nsever = \"zk://u:hunter2-s@h\"\n", 2),
        ("server = zk://u:hunter2-s@h\n", 1),
        ("\n\nserver = [\"zk://u:hunter2-s@h\"]\n", 3),
    ] {
        let file = config(folder.path(), text);
        let mut command = bare(["ls"]);
        command.env("SNECK_CONFIG", &file);
        let done = done(command);
        assert_eq!(done.code, Some(64), "{done:?}");
        assert!(done.stderr.contains(&format!("{file}, line {line}: ")), "{done:?}");
        assert!(!done.stderr.contains("hunter2"), "{done:?}");
    }
    let mut missing = bare(["ls"]);
    missing.env("SNECK_CONFIG", "/no/such/file");
    let missing = done(missing);
    assert_eq!(missing.code, Some(64));
    assert!(missing.stderr.contains("/no/such/file"), "{missing:?}");
}

#[test]
fn a_password_that_others_can_read_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let file = config(
        folder.path(),
        "server = \"zk://alice:hunter2-s@127.0.0.1:1?connect-timeout=200ms\"\n",
    );
    for (mode, warned) in [(0o600, false), (0o644, true), (0o640, true)] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let mut command = bare(["ls"]);
        command.env("SNECK_CONFIG", &file);
        let done = done(command);
        assert_eq!(done.stderr.contains("can be read by other users"), warned, "{done:?}");
        assert_eq!(done.stderr.contains("\nhint: chmod 600"), warned, "{done:?}");
        assert!(!done.stderr.contains("hunter2"), "{done:?}");
    }
}
