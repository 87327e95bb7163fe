//! Help, completions and manual pages.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod stage;

use std::fs;
use std::os::fd::OwnedFd;
use std::process::Stdio;

use stage::{bare, done};

const VERBS: [&str; 14] = [
    "run",
    "hold",
    "ls",
    "who",
    "watch",
    "deadlocks",
    "revoke",
    "elect",
    "durable",
    "doctor",
    "serve",
    "export",
    "completions",
    "man",
];
/// The pages of `durable take` and its kin.
const DURABLE_PAGES: usize = 5;

#[test]
fn completions_know_every_subcommand() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let done = done(bare(["completions", shell]));
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{shell}");
        for verb in VERBS {
            assert!(done.stdout.contains(verb), "{shell}: {verb}");
        }
        assert!(done.stdout.contains("conflict-exit-code") && !done.stdout.contains("__exec"));
    }
    assert_eq!(done(bare(["completions", "tcsh"])).code, Some(64));
}

#[test]
fn manual_pages_know_every_subcommand() {
    let page = done(bare(["man"]));
    assert_eq!((page.code, page.stderr.as_str()), (Some(0), ""));
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("man1");
    let pages = done(bare(["man", "--dir", dir.to_str().unwrap()]));
    assert_eq!((pages.code, pages.stdout.as_str()), (Some(0), ""), "{pages:?}");
    for verb in VERBS {
        assert!(page.stdout.contains(verb), "{verb}");
        assert!(fs::metadata(dir.join(format!("sneck-{verb}.1"))).unwrap().len() > 200, "{verb}");
    }
    let run = fs::read_to_string(dir.join("sneck-run.1")).unwrap();
    assert!(run.contains("SNECK_TOKEN") && run.contains("76"));
    assert_eq!(fs::read_dir(&dir).unwrap().count(), VERBS.len() + DURABLE_PAGES + 1);
}

#[test]
fn help_tells_of_exit_codes_and_environment() {
    let help = done(bare(["help"]));
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    for text in VERBS
        .into_iter()
        .chain(["64", "65", "69", "73", "74", "75", "76", "77", "126", "127", "128+n"])
    {
        assert!(help.stdout.contains(text), "{text}");
    }
    assert!(help.stdout.contains("SNECK_SERVER") && help.stdout.contains("config.toml"));
    for verb in VERBS {
        let help = done(bare([verb, "--help"]));
        assert_eq!(help.code, Some(0), "{verb}");
        let short = done(bare([verb, "-h"]));
        assert_eq!(short.code, Some(0), "{verb}");
        assert!(short.stdout.len() <= help.stdout.len(), "{verb}");
    }
    let version = done(bare(["--version"]));
    assert_eq!(version.stdout, format!("sneck {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_usage_is_told_on_standard_error() {
    for args in [
        &[][..],
        &["nonsense"],
        &["run"],
        &["run", "a"],
        &["run", "a", "true"],
        &["run", "a", "--"],
        &["run", "-n", "-w", "1s", "a", "--", "true"],
        &["run", "-w", "soon", "a", "--", "true"],
        &["run", "-w", "-1", "a", "--", "true"],
        &["run", "-E", "256", "a", "--", "true"],
        &["run", "--share-it", "a", "--", "true"],
        &["who"],
        &["ls", "--quiet", "--verbose"],
        &["__exec"],
    ] {
        let done = done(bare(args));
        assert_eq!((done.code, done.stdout.as_str()), (Some(64), ""), "{args:?} {done:?}");
        assert!(!done.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn nobody_reading_is_no_reason_to_panic() {
    for args in [&["man"][..], &["completions", "bash"], &["--help"], &["--version"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = bare(args);
        let mut child =
            command.stdout(OwnedFd::from(writer)).stderr(Stdio::piped()).spawn().unwrap();
        let status = child.wait().unwrap();
        let mut stderr = String::new();
        std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut stderr).unwrap();
        assert_eq!((status.code(), stderr.as_str()), (Some(141), ""), "{args:?}");
    }
}
