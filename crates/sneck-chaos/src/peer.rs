//! The program of this crate as a peer with a library in Rust, our own or another: it takes mutexes when it is told to, in the
//! language of all peers, and does nothing else.
//!
//! Beyond that language it says what our own library says: `held LOCK TOKEN UNTIL` with a fencing token and the
//! time of [`monotonic_ns`](sneck_history::monotonic_ns) until which the holder may believe in it, `until LOCK
//! UNTIL` when that has become later, and `lost LOCK` when the library tells so.

mod sneck_lock;
#[cfg(feature = "others")]
mod zookeeper_client;

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::time::Duration;

use rustix::process::{Signal, set_parent_process_death_signal};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::mpsc;

use crate::library::Library;
use sneck_lock::SneckLock;

/// Between two tries to connect while no server answers.
const CONNECT_PAUSE: Duration = Duration::from_millis(200);

/// Takes one lock with some library.
trait Contender: Send + 'static {
    /// Returns what is to be said behind `held LOCK`.
    fn lock(&mut self) -> impl Future<Output = Result<String, String>> + Send;

    /// The same without waiting; none if somebody else has it.
    fn try_lock(&mut self) -> impl Future<Output = Result<Option<String>, String>> + Send;

    /// Gives back what is held.
    fn release(&mut self) -> impl Future<Output = Result<(), String>> + Send;
}

/// Does as it is told until nobody is left to tell it.
///
/// # Errors
/// When there are no such words, no such library in this build, or no session.
pub async fn run(words: &[&str]) -> Result<(), String> {
    // One that was stopped would not notice that its standard input has ended.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| error.to_string())?;
    match *words {
        [library, url] if library == Library::Sneck.name() => {
            let locks = patiently(async || sneck_lock::connect(url).await).await;
            obey(|lock| SneckLock::new(&locks, lock)).await
        }
        #[cfg(feature = "others")]
        [library, hosts, session_ms] if library == Library::ZookeeperClient.name() => {
            let session_ms = session_ms.parse().map_err(|_| format!("{session_ms}: no number"))?;
            let session = Duration::from_millis(session_ms);
            let open = async || zookeeper_client::Sessions::open(hosts, session).await;
            let sessions = patiently(open).await;
            obey(|path| zookeeper_client::ZookeeperClient::new(&sessions, path)).await
        }
        _ => Err(format!("no library is told {words:?}")),
    }
}

/// A peer may be started while no server serves.
async fn patiently<T>(connect: impl AsyncFn() -> Result<T, String>) -> T {
    loop {
        match connect().await {
            Ok(connected) => return connected,
            Err(_) => tokio::time::sleep(CONNECT_PAUSE).await,
        }
    }
}

async fn obey<C: Contender>(mut contender: impl FnMut(&str) -> C) -> Result<(), String> {
    say("state CONNECTED");
    let mut commands = BufReader::new(tokio::io::stdin()).lines();
    let mut lines: HashMap<String, mpsc::UnboundedSender<String>> = HashMap::new();
    while let Some(command) = commands.next_line().await.map_err(|error| error.to_string())? {
        let (verb, lock) = command.split_once(' ').unwrap_or((&command, ""));
        if verb == "exit" {
            say("bye");
            return Ok(());
        }
        let line = lines.entry(lock.to_owned()).or_insert_with(|| {
            let (line, told) = mpsc::unbounded_channel();
            tokio::spawn(take(contender(lock), lock.to_owned(), told));
            line
        });
        // A task ends with this process only.
        let _ = line.send(verb.to_owned());
    }
    Ok(())
}

/// One thing after the other upon one lock.
async fn take(
    mut contender: impl Contender,
    lock: String,
    mut told: mpsc::UnboundedReceiver<String>,
) {
    while let Some(verb) = told.recv().await {
        let held = |grant: String| format!("held {lock} {grant}");
        let answer = match verb.as_str() {
            "lock" => contender.lock().await.map(held),
            "try-lock" => {
                let tried = contender.try_lock().await;
                tried.map(|grant| grant.map_or_else(|| format!("busy {lock}"), held))
            }
            "release" => contender.release().await.map(|()| format!("free {lock}")),
            _ => Err(format!("unknown command {verb}")),
        };
        say(answer.unwrap_or_else(|error| format!("error {lock} {error}")).trim_end());
    }
}

/// Says one whole line, from whichever task.
fn say(line: &str) {
    let mut out = io::stdout().lock();
    // Nobody is left to be told if that fails.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
