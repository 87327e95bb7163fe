//! A client as the campaign sees it: a worker of ours, or a program with somebody's library.

mod stranger;
mod worker;

use std::io;
use std::time::Duration;

use rustix::process::Signal;

pub use stranger::{Posting, Stranger};
pub use worker::Worker;

/// How long a client is given to close its session.
const FAREWELL_MAX: Duration = Duration::from_secs(10);
/// How long a question to a worker may take, which may have been stopped.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// A running client; killed when dropped.
#[derive(Debug)]
pub enum Client {
    /// A worker, which does all that the library can.
    Ours(Worker),
    /// A program that takes mutexes with one library of several, and what stands for its users.
    Theirs(Stranger),
}

impl Client {
    /// Its number in the history.
    pub fn number(&self) -> u32 {
        match self {
            Client::Ours(worker) => worker.number(),
            Client::Theirs(stranger) => stranger.number(),
        }
    }

    /// Returns when it has a session and works.
    ///
    /// # Errors
    /// When that does not come true in minutes, or it is gone.
    pub async fn ready(&mut self) -> io::Result<()> {
        match self {
            Client::Ours(worker) => worker.ready().await,
            // It was not there before it was ready.
            Client::Theirs(_) => Ok(()),
        }
    }

    /// Sends a signal, such as STOP and CONT.
    ///
    /// # Errors
    /// When it is gone.
    pub async fn signal(&mut self, signal: Signal) -> io::Result<()> {
        match self {
            Client::Ours(worker) => worker.signal(signal),
            Client::Theirs(stranger) => stranger.signal(signal).await,
        }
    }

    /// Kills it with -9, and returns when it is gone.
    ///
    /// # Errors
    /// When it was gone before.
    pub async fn kill(&mut self) -> io::Result<()> {
        match self {
            Client::Ours(worker) => worker.kill().await,
            Client::Theirs(stranger) => stranger.kill().await,
        }
    }

    /// The session it has just now, as servers name it.
    ///
    /// # Errors
    /// When it is gone, or does not say.
    pub async fn session(&mut self) -> io::Result<Option<String>> {
        let session = match self {
            Client::Ours(worker) => {
                worker.say("session").await?;
                Some(worker.hear("session ", ANSWER_MAX).await?)
            }
            Client::Theirs(stranger) => stranger.session(),
        };
        Ok(session.filter(|session| session.starts_with("0x")))
    }

    /// Makes its clock wrong: `ahead MS`, or `rate PERMILLE`.
    ///
    /// # Errors
    /// When it is gone, or its clock cannot be reached.
    pub async fn warp(&mut self, how: &str) -> io::Result<()> {
        match self {
            Client::Ours(worker) => worker.say(&format!("clock {how}")).await,
            Client::Theirs(_) => Err(io::Error::other("the clock of a stranger cannot be reached")),
        }
    }

    /// Has it make no new call.
    ///
    /// # Errors
    /// When it is gone.
    pub async fn drain(&mut self) -> io::Result<()> {
        match self {
            Client::Ours(worker) => worker.say("drain").await,
            Client::Theirs(stranger) => {
                stranger.drain();
                Ok(())
            }
        }
    }

    /// Returns when every call has come to its end, or so much time has passed: whoever does not come to an
    /// end is found by the judge, who sees the open calls.
    ///
    /// # Errors
    /// When the arbiter could not be told of a call of a stranger's.
    pub async fn drained(&mut self, within: Duration) -> io::Result<()> {
        match self {
            Client::Ours(worker) => {
                let _ = worker.hear("drained", within).await;
                Ok(())
            }
            Client::Theirs(stranger) => stranger.drained(within).await,
        }
    }

    /// Has it take all permits of the semaphore, if it is one who takes permits at all.
    ///
    /// # Errors
    /// When it is gone, or does not come to an end with it.
    pub async fn probe(&mut self, within: Duration) -> io::Result<()> {
        let Client::Ours(worker) = self else { return Ok(()) };
        worker.say("probe").await?;
        worker.hear("probed", within).await.map(drop)
    }

    /// Has it close its session.
    ///
    /// # Errors
    /// When it is gone.
    pub async fn exit(&mut self) -> io::Result<()> {
        match self {
            Client::Ours(worker) => {
                worker.say("exit").await?;
                // Farewell is politeness: it is killed when it is dropped.
                let _ = worker.hear("bye", FAREWELL_MAX).await;
                Ok(())
            }
            Client::Theirs(stranger) => stranger.kill().await,
        }
    }
}
