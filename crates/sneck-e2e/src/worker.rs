//! A process that takes locks and says so, a line at a time.
//!
//! `sneck-worker URL` connects, prints `ready`, and reads commands from its standard input:
//!
//! | command | what comes back |
//! |---|---|
//! | `lock NAME` | `held NAME TOKEN`; on loss later `lost NAME` |
//! | `unlock NAME` | `free NAME`, or `gone NAME` when the lock had been lost |
//! | `is-held NAME` | `yes NAME` or `no NAME` |
//! | `write NAME FILE` | writes the fenced register with the guard's token, without looking at the guard: `written NAME` or `refused NAME` |
//! | `count NAME FILE N` | N times lock, read, add one, write; `counted NAME`, and one `turn NAME TOKEN VALUE` for each |
//! | `count-plain NAME FILE N` | the same on a file that holds nothing but a number, for strangers to count in too |
//! | `count-all N SECONDS FOLDER NAME...` | at least N times and so long takes all of these locks at once and adds one to a file for each in the folder; `counted-all TIMES` |
//! | `permits NAME TAKE OF N` | N times takes so many permits and gives them back; `returned NAME` |
//! | `campaign NAME DATA` | `leads NAME TOKEN`; on loss later `deposed NAME` |
//! | `take NAME OWNER` | the durable lock: `taken NAME TOKEN`, or `refused NAME` when somebody else has it |
//! | `free NAME OWNER` | `free NAME` |
//! | `once NAME SECONDS` | begins a run that never ends, `runs NAME TOKEN`, or `skips NAME` |
//! | `exit` | the end |
//!
//! `sneck-worker guarded+URL` has a guardian, which is `sneck-worker guardian`.
//!
//! Every line it prints begins with the time in nanoseconds on the machine's clock, which all
//! processes of one machine share.

use sneck::guardian::{self, Guardian};
use sneck::{Clock, Error, Guard, Locks, Semaphore, Start, SystemClock};
use sneck_e2e::register::Register;
use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};

type Guards = Arc<Mutex<HashMap<String, Guard>>>;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let url = std::env::args().nth(1).unwrap_or_default();
    if url == "guardian" {
        return guardian::serve().unwrap_or_else(|error| say(&format!("error {error}")));
    }
    let (locks, _guardian) = match connect(&url).await {
        Ok(connected) => connected,
        Err(error) => return say(&format!("error {error}")),
    };
    say("ready");
    let guards = Guards::default();
    let mut commands = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(command)) = commands.next_line().await {
        let words: Vec<&str> = command.split(' ').collect();
        match words[..] {
            ["lock", name] => {
                tokio::spawn(lock(locks.clone(), guards.clone(), name.to_owned()));
            }
            ["unlock", name] => {
                let guard = take(&guards, name);
                tokio::spawn(unlock(guard, name.to_owned()));
            }
            ["is-held", name] => {
                let held = with(&guards, name, Guard::is_held).unwrap_or(false);
                say(&format!("{} {name}", if held { "yes" } else { "no" }));
            }
            ["write", name, file] => write(&guards, name, file),
            ["count", name, file, times] => {
                let times = times.parse().unwrap_or(0);
                tokio::spawn(count(locks.clone(), name.to_owned(), file.into(), times));
            }
            ["count-plain", name, file, times] => {
                let times = times.parse().unwrap_or(0);
                tokio::spawn(count_plain(locks.clone(), name.to_owned(), file.into(), times));
            }
            ["count-all", times, seconds, folder, ..] => {
                let least = (times.parse().unwrap_or(0), seconds.parse().unwrap_or(0));
                let names = words[4..].iter().map(|name| (*name).to_owned()).collect();
                tokio::spawn(count_all(locks.clone(), names, folder.into(), least));
            }
            ["permits", name, take, of, times] => {
                let semaphore = locks.semaphore(name, of.parse().unwrap_or(0));
                let (take, times) = (take.parse().unwrap_or(0), times.parse().unwrap_or(0));
                tokio::spawn(take_permits(semaphore, name.to_owned(), take, times));
            }
            ["campaign", name, data] => {
                tokio::spawn(campaign(locks.clone(), name.to_owned(), data.to_owned()));
            }
            ["take", name, owner] => take_durable(&locks, name, owner).await,
            ["free", name, owner] => match locks.durable(name, owner).free().await {
                Ok(_) => say(&format!("free {name}")),
                Err(error) => say(&format!("error {error}")),
            },
            ["once", name, seconds] => {
                let every = Duration::from_secs(seconds.parse().unwrap_or(0));
                begin(&locks, name, every).await;
            }
            ["exit"] => break,
            _ => say(&format!("error no command {command:?}")),
        }
    }
    locks.close().await;
}

async fn connect(url: &str) -> Result<(Locks, Option<Guardian>), Error> {
    let Some(url) = url.strip_prefix("guarded+") else {
        return Ok((sneck::connect(url).await?, None));
    };
    let mut command = std::process::Command::new("/proc/self/exe");
    command.arg("guardian");
    let (locks, guardian) = Guardian::connect(url, command).await?;
    Ok((locks, Some(guardian)))
}

async fn lock(locks: Locks, guards: Guards, name: String) {
    match locks.mutex(&name).lock().await {
        Ok(guard) => {
            let (token, lost) = (guard.token(), guard.lost());
            guards.lock().expect("no panic").insert(name.clone(), guard);
            say(&format!("held {name} {token}"));
            tokio::spawn(async move {
                lost.await;
                say(&format!("lost {name}"));
            });
        }
        Err(error) => say(&format!("error {error}")),
    }
}

async fn campaign(locks: Locks, name: String, data: String) {
    match locks.election(&name).campaign(&data).await {
        Ok(leadership) => {
            say(&format!("leads {name} {}", leadership.token()));
            leadership.lost().await;
            say(&format!("deposed {name}"));
        }
        Err(error) => say(&format!("error {error}")),
    }
}

async fn take_durable(locks: &Locks, name: &str, owner: &str) {
    match locks.durable(name, owner).try_take().await {
        Ok(Some(hold)) => say(&format!("taken {name} {}", hold.token())),
        Ok(None) => say(&format!("refused {name}")),
        Err(error) => say(&format!("error {error}")),
    }
}

async fn begin(locks: &Locks, name: &str, every: Duration) {
    match locks.once(name, every).start().await {
        Ok(Start::Run(run)) => {
            say(&format!("runs {name} {}", run.token()));
            tokio::spawn(async move { run.protect(std::future::pending::<()>()).await });
        }
        Ok(Start::Skip(_)) => say(&format!("skips {name}")),
        Err(error) => say(&format!("error {error}")),
    }
}

async fn unlock(guard: Option<Guard>, name: String) {
    match guard {
        Some(guard) => match guard.unlock().await {
            Ok(()) => say(&format!("free {name}")),
            Err(error) => say(&format!("gone {name} {error}")),
        },
        None => say(&format!("error {name} is not held here")),
    }
}

/// A process that was stopped does not look at its guard first: that is what the register is for.
fn write(guards: &Guards, name: &str, file: &str) {
    let token = with(guards, name, |guard| guard.token().get()).unwrap_or(0);
    match Register::at(file).write(token, token) {
        Ok(()) => say(&format!("written {name}")),
        Err(refused) => say(&format!("refused {name} {refused}")),
    }
}

async fn count(locks: Locks, name: String, file: PathBuf, times: u32) {
    let mut counted = 0;
    while counted < times {
        match turn(&locks, &name, &file).await {
            Ok((token, value)) => {
                say(&format!("turn {name} {token} {value}"));
                counted += 1;
            }
            // A lock that was lost before anything was written is asked for again.
            Err(error) => say(&format!("again {name} {error}")),
        }
    }
    say(&format!("counted {name}"));
}

/// Read, add, write: what goes wrong at once without a lock.
async fn turn(locks: &Locks, name: &str, file: &PathBuf) -> Result<(u64, u64), Error> {
    let guard = locks.mutex(name).lock().await?;
    let (token, register) = (guard.token().get(), Register::at(file));
    let value = register.read().1 + 1;
    // Somebody else's turn comes here if there are two holders.
    tokio::task::yield_now().await;
    if !guard.is_held() {
        return Err(Error::new(sneck::ErrorKind::Lost, "lost before the write"));
    }
    register.write(token, value).map_err(|text| Error::new(sneck::ErrorKind::Lost, text))?;
    // The write is done; whether the release is confirmed in time changes nothing about it.
    let _ = guard.unlock().await;
    Ok((token, value))
}

async fn count_plain(locks: Locks, name: String, file: PathBuf, times: u32) {
    for _ in 0..times {
        let guard = match locks.mutex(&name).lock().await {
            Ok(guard) => guard,
            Err(error) => return say(&format!("error {error}")),
        };
        add_one(&file).await;
        let _ = guard.unlock().await;
    }
    say(&format!("counted {name}"));
}

async fn count_all(locks: Locks, names: Vec<String>, folder: PathBuf, least: (u64, u64)) {
    let (began, seconds) = (SystemClock.now(), Duration::from_secs(least.1));
    let mut times = 0;
    while times < least.0 || SystemClock.now().since(began) < seconds {
        let guard = match locks.all(&names).lock().await {
            Ok(guard) => guard,
            Err(error) => return say(&format!("error {error}")),
        };
        for name in &names {
            add_one(&folder.join(name.replace('/', "-"))).await;
        }
        times += 1;
        let _ = guard.unlock().await;
    }
    say(&format!("counted-all {times}"));
}

/// Read, add, write: what goes wrong at once if somebody else is at it, too.
async fn add_one(file: &Path) {
    let number = std::fs::read_to_string(file).unwrap_or_default();
    let number: u64 = number.trim().parse().unwrap_or(0);
    tokio::task::yield_now().await;
    std::fs::write(file, (number + 1).to_string()).expect("the folder is writable");
}

async fn take_permits(semaphore: Semaphore, name: String, take: u32, times: u32) {
    for _ in 0..times {
        match semaphore.acquire_many(take).await {
            Ok(guard) => drop(guard.unlock().await),
            Err(error) => return say(&format!("error {error}")),
        }
    }
    say(&format!("returned {name}"));
}

fn take(guards: &Guards, name: &str) -> Option<Guard> {
    guards.lock().expect("no panic").remove(name)
}

fn with<T>(guards: &Guards, name: &str, look: impl FnOnce(&Guard) -> T) -> Option<T> {
    guards.lock().expect("no panic").get(name).map(look)
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    // The test that reads may be gone, and then so is the reason to go on.
    if writeln!(out, "{} {text}", SystemClock.now().as_nanos()).and_then(|()| out.flush()).is_err()
    {
        std::process::exit(1);
    }
}
