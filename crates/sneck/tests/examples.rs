//! Each example shows what goes wrong without the lock, and that nothing does with it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What an example prints. Cargo builds them two folders up, along with all tests; but not for a run
/// of this test alone.
fn printed_by(example: &str) -> String {
    let test = std::env::current_exe().unwrap();
    let folder: PathBuf = test.ancestors().nth(2).unwrap().join("examples");
    let output = Command::new(folder.join(example)).stdin(Stdio::null()).output();
    let output = output.expect("built by `cargo build -p sneck --examples`");
    assert!(output.status.success(), "{example}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn acquire_release() {
    let printed = printed_by("acquire_release");
    assert_eq!(printed, "without a lock: 25 of 100\nwith a lock: 100 of 100\n");
}

#[test]
fn cache_update() {
    let printed = printed_by("cache_update");
    assert_eq!(
        printed,
        "without a lock: 8 readers, computed 8 times\nwith refresh: 8 readers, computed 1 time\n"
    );
}

#[test]
fn data_sync() {
    let printed = printed_by("data_sync");
    assert_eq!(
        printed,
        "without tokens: Old Street 1\nwith tokens: New Street 2, late writes that were taken: 0\n"
    );
}

#[test]
fn fenced_write() {
    let printed = printed_by("fenced_write");
    assert_eq!(
        printed,
        "tokens only rise: true\n\
         without tokens: written by the first, too late\n\
         with tokens: written by the second holder, late write refused: true\n"
    );
}

#[test]
fn task_scheduling() {
    let printed = printed_by("task_scheduling");
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[0], "without a lock: sent 3 times");
    assert_eq!(lines[1], "with a plain lock: sent 3 times");
    assert_eq!(lines[2], "machine 1: sends the bills");
    for (line, machine) in [(lines[3], 2), (lines[4], 3)] {
        assert!(line.starts_with(&format!("machine {machine}: skips; process ")), "{line}");
    }
    assert_eq!(lines[5..], ["with once: sent 1 time"]);
}

#[test]
fn leader() {
    let printed = printed_by("leader");
    assert_eq!(
        printed,
        "without an election: 3 replicas do the work\n\
         with an election: replica-a leads alone, token rises: true\n\
         with an election: replica-b leads alone, token rises: true\n\
         with an election: replica-c leads alone, token rises: true\n"
    );
}
