//! A program that takes locks on Redis with another library, and tells how long that took.
//!
//! The programs are `redis_py_peer.py` and `RedissonPeer.java`, which use their libraries as their
//! documentation shows it, with nothing set but the term. A command is a line, and so is an answer:
//!
//! | command | answer |
//! |---|---|
//! | `cycle NAME TIMES` | `cycled NAME US...`: so often locked and unlocked one after the other, the microseconds of each |
//! | `contend NAME THREADS MS` | `contended NAME TOOK US...`: the same by so many threads at once for so long; what it took in all, and each wait for a lock |
//! | `exit` | `bye` |

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use crate::jars::Jars;
use crate::peer::PeerProcess;
use crate::python::{Environment, python_folder};
use crate::skip::StartError;

/// The Java program.
const PROGRAM: &str = "sneck.testkit.RedissonPeer";
pub(super) const JARS: Jars =
    Jars { name: "redisson-3.52.0", list: "redisson.xml", select: &[], backend: "redisson" };
pub(super) const PYTHON: Environment = Environment {
    name: "python-redis",
    list: "redis-requirements.txt",
    package: "redis",
    backend: "redis-py",
};

/// Whose locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Library {
    /// `Lock` of redis-py.
    RedisPy,
    /// `RLock` of Redisson.
    Redisson,
}

impl Library {
    /// Its name and release.
    pub fn name(self) -> &'static str {
        match self {
            Library::RedisPy => "redis-py 8.1.0",
            Library::Redisson => "Redisson 3.52.0",
        }
    }

    /// The interpreter and what it is given before the address. Blocks; fetches what is missing.
    fn program(self) -> Result<(OsString, Vec<OsString>), StartError> {
        Ok(match self {
            // Nothing is cached beside the source.
            Library::RedisPy => (
                PYTHON.interpreter()?.into(),
                vec!["-B".into(), python_folder().join("redis_py_peer.py").into()],
            ),
            // With both compilers: it is measured.
            Library::Redisson => (
                "java".into(),
                vec![
                    "-XX:+UseSerialGC".into(),
                    "-XX:-UsePerfData".into(),
                    "-Xmx256m".into(),
                    "-cp".into(),
                    JARS.with_program(PROGRAM, "redisson-peer")?,
                    PROGRAM.into(),
                ],
            ),
        })
    }
}

/// A running peer; killed when dropped.
///
/// # Panics
///
/// Whatever waits for an answer panics with the peer's log when that is an error or does not come.
#[derive(Debug)]
pub struct Peer(PeerProcess);

impl Peer {
    /// Starts a peer, and returns when it is connected.
    ///
    /// # Errors
    ///
    /// [`StartError::Unavailable`] where this machine has no Python or no JDK, or not the library and no way
    /// to fetch it; [`StartError::Failed`] when it cannot connect.
    pub async fn start(library: Library, server: SocketAddr) -> Result<Peer, StartError> {
        let program = tokio::task::spawn_blocking(move || library.program()).await;
        let (program, mut args) = program.expect("fetching does not panic")?;
        args.extend([server.ip().to_string().into(), server.port().to_string().into()]);
        let name = match library {
            Library::RedisPy => "redis-py",
            Library::Redisson => "Redisson",
        };
        PeerProcess::start(name, program, args, "ready").await.map(Peer)
    }

    /// Takes and gives back a lock so often, and says how many microseconds each time took.
    pub async fn cycle(&mut self, lock: &str, times: usize) -> Vec<f64> {
        self.0.say(&format!("cycle {lock} {times}"));
        numbers(&self.0.words(&format!("cycled {lock}")).await)
    }

    /// The same by several threads at once, for so long. What it took in all, and how many microseconds
    /// each of them waited for the lock, each time.
    pub async fn contend(
        &mut self,
        lock: &str,
        threads: usize,
        length: Duration,
    ) -> (Duration, Vec<f64>) {
        self.0.say(&format!("contend {lock} {threads} {}", length.as_millis()));
        let mut all = numbers(&self.0.words(&format!("contended {lock}")).await);
        let took = Duration::from_secs_f64(all.remove(0) / 1e6);
        (took, all)
    }

    /// Ends it.
    pub async fn exit(self) {
        self.0.exit().await;
    }
}

fn numbers(words: &[String]) -> Vec<f64> {
    words.iter().map(|word| word.parse().expect("the peer answers with numbers")).collect()
}
