//! The same set under locks of other libraries: their processes take the lock and are stopped, and what
//! stands for their program reads, sleeps and writes, and stands still while its process does.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sneck_history::{Event, Mode, Teller};
use sneck_testkit::peer::{Peer, Recipe};
use sneck_testkit::{StartError, curator, go, kazoo};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::observer::ROOT;
use crate::orders::name;

/// A library that is not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Library {
    /// Apache Curator, in Java.
    Curator,
    /// kazoo, in Python.
    Kazoo,
    /// go-zookeeper, in Go.
    Go,
}

impl Library {
    /// All of them.
    pub const ALL: [Library; 3] = [Library::Curator, Library::Kazoo, Library::Go];

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Library::Curator => "Curator",
            Library::Kazoo => "kazoo",
            Library::Go => "go-zookeeper",
        }
    }

    async fn start(self, connect_string: &str, session: Duration) -> Result<Peer, StartError> {
        match self {
            Library::Curator => curator::start(connect_string, session).await,
            Library::Kazoo => kazoo::start(connect_string, session, "chaos").await,
            Library::Go => go::start(connect_string, session).await,
        }
    }
}

/// A process with another library, and what stands for the program in it.
#[derive(Debug)]
pub struct Stranger {
    client: u32,
    pid: u32,
    stopped: watch::Sender<bool>,
    working: JoinHandle<io::Result<()>>,
}

impl Stranger {
    /// Starts one, which takes the lock, reads, sleeps, writes and gives the lock back until `draining`.
    ///
    /// # Errors
    /// Where this machine does not have the library, or it gets no session.
    pub async fn start(
        library: Library,
        connect_string: &str,
        session: Duration,
        sleep: Duration,
        arbiter: &Path,
        client: u32,
        draining: watch::Receiver<bool>,
    ) -> Result<Stranger, StartError> {
        let peer = library.start(connect_string, session).await?;
        let teller = Teller::connect(arbiter, Some(client))?;
        let (stopped, moving) = watch::channel(false);
        let pid = peer.pid();
        let turns = Turns { peer, teller, moving, sleep };
        let working = tokio::spawn(turns.run(draining));
        Ok(Stranger { client, pid, stopped, working })
    }

    /// Its number in the history.
    pub fn client(&self) -> u32 {
        self.client
    }

    /// Stops it, or lets it go on.
    ///
    /// # Errors
    /// When it is gone.
    pub fn stop(&self, is_stopped: bool) -> io::Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("no process has such a number"))?;
        // The program in it stands still before its library does, and goes on after it.
        if is_stopped {
            self.stopped.send_replace(true);
            Ok(kill_process(pid, Signal::STOP)?)
        } else {
            kill_process(pid, Signal::CONT)?;
            self.stopped.send_replace(false);
            Ok(())
        }
    }

    /// Returns when its last turn is over.
    ///
    /// # Errors
    /// When it could not tell the arbiter of one.
    pub async fn drained(self) -> io::Result<()> {
        self.working.await.map_err(|error| io::Error::other(error.to_string()))?
    }
}

struct Turns {
    peer: Peer,
    teller: Teller,
    moving: watch::Receiver<bool>,
    sleep: Duration,
}

impl Turns {
    async fn run(mut self, draining: watch::Receiver<bool>) -> io::Result<()> {
        while !*draining.borrow() {
            self.turn().await?;
        }
        Ok(())
    }

    async fn turn(&mut self) -> io::Result<()> {
        static ATTEMPTS: AtomicU64 = AtomicU64::new(1);
        static TOKENS: AtomicU64 = AtomicU64::new(1);
        let attempt = ATTEMPTS.fetch_add(1, Ordering::Relaxed);
        let (lock, path) = (name::SET, format!("{ROOT}/{}", name::SET));
        let (mode, session, no_wait, together) = (Mode::Exclusive, None, false, None);
        let lock_name = lock.to_owned();
        let acquire = Event::Acquire { attempt, lock: lock_name, mode, session, no_wait, together };
        self.teller.tell(acquire)?;
        if self.peer.try_acquire(Recipe::Lock, &path).await.is_err() {
            self.teller.tell(Event::Unsure { attempt })?;
            return Ok(());
        }
        self.moves().await;
        // These libraries give no token, and nobody is shown this one: it counts grants.
        let token = TOKENS.fetch_add(1, Ordering::Relaxed);
        self.teller.tell(Event::Granted { attempt, token, session: None, until_ns: None })?;
        let read = self.teller.read(lock, attempt, None)?;
        tokio::time::sleep(self.sleep).await;
        self.moves().await;
        self.teller.write(lock, attempt, None, Some(read.version))?;
        self.teller.tell(Event::Release { attempt })?;
        let released = self.peer.try_release(&path).await;
        self.teller.tell(match released {
            Ok(()) => Event::Released { attempt },
            Err(_) => Event::Unsure { attempt },
        })?;
        Ok(())
    }

    /// Returns when its process is not stopped.
    async fn moves(&mut self) {
        let _ = self.moving.wait_for(|is_stopped| !*is_stopped).await;
    }
}

/// Starts so many processes with one library.
///
/// # Errors
/// As [`Stranger::start`].
pub async fn start_all(
    library: Library,
    count: usize,
    connect_string: &str,
    (session, sleep): (Duration, Duration),
    arbiter: &Path,
    draining: &watch::Receiver<bool>,
) -> Result<Vec<Stranger>, StartError> {
    let mut strangers = Vec::new();
    for client in 1..=u32::try_from(count).unwrap_or(1) {
        let draining = draining.clone();
        let stranger =
            Stranger::start(library, connect_string, session, sleep, arbiter, client, draining);
        strangers.push(stranger.await?);
    }
    Ok(strangers)
}
