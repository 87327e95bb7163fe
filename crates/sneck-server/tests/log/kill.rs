//! Real processes on a real folder, killed with -9 at any moment.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sneck_server::log::{Folder, OpenError};
use sneck_server::snapshot::{Compactor, Pace};

use crate::notes::{NOW, Notes, count, small, start, write};

/// Tells the child which folder is meant.
const VARIABLE: &str = "SNECK_TEST_LOG_FOLDER";
const SAYS: &str = "acknowledged ";

/// What the child does; of itself it is no test.
#[test]
fn child() {
    let Some(path) = std::env::var_os(VARIABLE).map(PathBuf::from) else { return };
    let folder = Folder::open(&path, NOW).unwrap();
    let (notes, log) = start(&folder, &small()).unwrap();
    let compactor = Compactor::start::<Notes>(log.archive(), Pace::ON_REQUEST, |_| {}).unwrap();
    for number in notes.checked() + 1.. {
        write(&log, folder.floor(), number).unwrap();
        // To the parent at once, past what gathers the output of tests.
        writeln!(std::io::stdout().lock(), "{SAYS}{number}").unwrap();
        if number % 40 == 0 {
            compactor.compact_now().unwrap();
        }
    }
}

fn spawn(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["kill::child", "--exact", "--nocapture", "--test-threads=1"])
        .env(VARIABLE, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn what_a_killed_process_acknowledged_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 0..8u64 {
        let mut child = spawn(folder.path());
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut lines = out.lines().map(|line| line.unwrap());
        let first = lines.by_ref().find(|line| line.contains(SAYS)).expect("the child writes");
        if round == 0 {
            let error = Folder::open(folder.path(), NOW).unwrap_err();
            let OpenError::InUse { pid, .. } = error else { panic!("{error:?}") };
            assert_eq!(pid, Some(child.id()));
        }
        // Not a round number of anything the child does.
        let until = Instant::now() + Duration::from_micros(1_000 + 37_717 * round % 150_000);
        let told = std::iter::once(first).chain(lines.by_ref());
        let number = |line: String| line.split(SAYS).nth(1).and_then(|n| n.trim().parse().ok());
        for line in told {
            acknowledged = number(line).unwrap_or(acknowledged);
            if Instant::now() >= until {
                break;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged = lines.filter_map(number).last().unwrap_or(acknowledged);
        let opened = Folder::open(folder.path(), NOW).unwrap();
        let found = count(&opened).unwrap();
        println!("round {round}: {acknowledged} acknowledged, {found} found");
        assert!(found >= acknowledged);
        assert!(found <= acknowledged + 1);
    }
}
