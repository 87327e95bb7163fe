//! Wall clocks that are wrong by an hour, and that leap by one while a lock is held.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use sneck_testkit::{StartError, Unavailable};

use crate::servers::Store;
use crate::stage::{Running, done, sneck, until};

/// An hour and a bit, so that no rounding hides it.
const SHIFT: i64 = 3_700;

/// A process's wall clock, which can be set while it runs.
pub(crate) struct WallClock {
    library: PathBuf,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

impl WallClock {
    /// Compiles what shifts a clock, and sees that it does.
    pub(crate) fn new() -> Result<WallClock, StartError> {
        let folder = tempfile::tempdir()?;
        let library = folder.path().join("shift_clock.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stores/shift_clock.c");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source);
        let missing = |error: std::io::Error| Unavailable {
            backend: "cc",
            reason: format!("no C compiler shifts a clock: {error}"),
        };
        let compiled = cc.output().map_err(missing)?;
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        let clock = WallClock { library, file: folder.path().join("shift"), _folder: folder };
        for shift in [SHIFT, -SHIFT, 0] {
            clock.set(shift);
            let told = clock.on(Command::new("date").arg("+%s")).output()?.stdout;
            let told: i64 = String::from_utf8_lossy(&told).trim().parse().unwrap();
            let off = told - now() - shift;
            assert!(off.abs() < SHIFT / 2, "a clock shifted by {shift} s is off by {off} s");
        }
        Ok(clock)
    }

    fn set(&self, shift: i64) {
        // In one step, so that nobody reads half a number.
        let fresh = self.file.with_extension("new");
        std::fs::write(&fresh, shift.to_string()).unwrap();
        std::fs::rename(fresh, &self.file).unwrap();
    }

    /// Lets a command see this clock.
    fn on<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("LD_PRELOAD", &self.library).env("SHIFT_FILE", &self.file)
    }

    fn sneck(&self, store: &Store, args: &[&str]) -> Command {
        let mut command = sneck(&store.url, args);
        self.on(&mut command);
        command
    }
}

fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap().as_secs().try_into().unwrap()
}

/// A3: clients whose clocks are an hour apart exclude each other, whoever holds, and tokens rise.
pub(crate) async fn a3_clients_an_hour_apart_exclude_each_other(store: &Store, clock: &WallClock) {
    let mut last = 0;
    for shift in [SHIFT, -SHIFT] {
        clock.set(shift);
        for holder_is_off in [true, false] {
            let command = |off: bool, args: &[&str]| match off {
                true => clock.sneck(store, args),
                false => sneck(&store.url, args),
            };
            let mut hold = Running::start(command(holder_is_off, &["hold", "a"]));
            let token: u64 = hold.line("").parse().unwrap();
            assert!(token > last, "{token} after {last}");
            last = token;
            for other_is_off in [true, false] {
                let other = done(command(other_is_off, &["run", "-n", "a", "--", "true"]));
                assert_eq!(other.code, Some(75), "{other:?}");
            }
            hold.signal(Signal::TERM);
            assert_eq!(hold.wait().code, Some(0));
        }
    }
}

/// A3: the holder's clock leaps while it holds and a waiter's while it waits, there and back: the lock
/// outlives its term, and nobody is let in.
pub(crate) async fn a3_a_clock_that_leaps_ends_no_lock(store: &Store, clock: &WallClock) {
    clock.set(0);
    let script = format!("echo in; sleep {}; echo out", store.term.as_secs() + 1);
    let run = ["run", "a", "--", "sh", "-c", &script];
    let mut holder = Running::start(clock.sneck(store, &run));
    holder.line("in");
    let waiter = Running::start(clock.sneck(store, &["run", "a", "--", "echo", "next"]));
    let mut leaps = [SHIFT, -SHIFT].into_iter().cycle();
    until("the job is done", || {
        clock.set(leaps.next().unwrap());
        let other = done(sneck(&store.url, ["run", "-n", "a", "--", "echo", "early"]));
        let is_over = holder.stdout().contains("out");
        assert!(is_over || other.code == Some(75), "{other:?}");
        is_over
    });
    let held = holder.wait();
    assert_eq!((held.code, held.stderr.as_str()), (Some(0), ""), "{held:?}");
    let next = waiter.wait();
    assert_eq!((next.code, next.stdout.as_str()), (Some(0), "next\n"), "{next:?}");
}
