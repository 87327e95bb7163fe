//! A program with some library's lock, and what stands for its users: they take mutexes, write under them
//! and tell the arbiter, and stand still while the program does.

mod lane;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::Signal;
use sneck_history::Teller;
use sneck_testkit::StartError;
use sneck_testkit::peer::{Listener, Speaker};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::library::Library;
use crate::orders::{ATTEMPTS_OF_ONE, Work, name};
use crate::owners::Owners;
use crate::servers::StoreKind;
use lane::{Heard, Lane};

/// How often a program is started that gets no session, as its servers may just be down.
const STARTS_MAX: u32 = 4;
/// What a program says when its session is in doubt, or over.
const DOUBTS: [&str; 2] = ["SUSPENDED", "LOST"];

/// What a stranger is told before it begins.
#[derive(Debug, Clone)]
pub struct Posting {
    /// Whose lock it takes.
    pub library: Library,
    /// The program of this crate, for our own library.
    pub program: PathBuf,
    /// What keeps its locks.
    pub store: StoreKind,
    /// Where it finds the servers: its proxies.
    pub hosts: String,
    /// The session timeout.
    pub session: Duration,
    /// Where the arbiter listens.
    pub arbiter: PathBuf,
    /// Its number in the history.
    pub client: u32,
    /// What its choices follow from.
    pub seed: u64,
    /// How many users it has: each has a mutex of its own among those of the campaign.
    pub lanes: u32,
    /// What they do.
    pub work: Work,
    /// Where it is told whose places there are.
    pub owners: Owners,
}

/// A program with a library, and its users; killed when dropped.
#[derive(Debug)]
pub struct Stranger {
    number: u32,
    owners: Owners,
    program: Program,
    stopped: watch::Sender<bool>,
    draining: watch::Sender<bool>,
    lanes: JoinSet<io::Result<()>>,
    listening: JoinHandle<()>,
}

impl Stranger {
    /// Starts one, and returns when it has a session and its users work.
    ///
    /// # Errors
    /// Where this machine does not have the library, or it gets no session.
    pub async fn start(posting: &Posting) -> Result<Stranger, StartError> {
        let mut starts = 0;
        let peer = loop {
            starts += 1;
            let Posting { library, program, store, hosts, session, .. } = posting;
            match library.start(program, (*store, hosts), *session).await {
                Err(StartError::Failed(_)) if starts < STARTS_MAX => {}
                started => break started?,
            }
        };
        let (speaker, listener) = peer.into_halves();
        let program = Program(Arc::new(Mutex::new(speaker)));
        let (stopped, moving) = watch::channel(false);
        let (draining, drained) = watch::channel(false);
        let attempts = Arc::new(AtomicU64::new(u64::from(posting.client) * ATTEMPTS_OF_ONE));
        let (mut lanes, mut routes) = (JoinSet::new(), HashMap::new());
        let (doubts, doubted) = watch::channel(0);
        for lock in locks(posting) {
            let path = posting.library.path(lock);
            let (route, heard) = mpsc::unbounded_channel();
            routes.insert(path.clone(), route);
            let teller = Teller::connect(&posting.arbiter, Some(posting.client))?;
            let (program, attempts) = (program.clone(), attempts.clone());
            let ears = lane::Ears { heard, doubted: doubted.clone(), moving: moving.clone() };
            let lane = Lane::new(posting, lock, path, (program, teller, attempts), ears);
            lanes.spawn(lane.run(drained.clone()));
        }
        let listening = tokio::spawn(listen(listener, routes, doubts));
        let (number, owners) = (posting.client, posting.owners.clone());
        Ok(Stranger { number, owners, program, stopped, draining, lanes, listening })
    }

    /// Its number in the history.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The session that it was seen to have last.
    pub fn session(&self) -> Option<String> {
        self.owners.session(self.number)
    }

    /// Sends a signal. Its users stand still before their program does, and go on after it.
    ///
    /// # Errors
    /// When it is gone.
    pub async fn signal(&mut self, signal: Signal) -> io::Result<()> {
        if signal == Signal::STOP {
            self.stopped.send_replace(true);
        }
        let program = self.program.clone();
        blocking(move || program.lock().signal(signal)).await?;
        if signal == Signal::CONT {
            self.stopped.send_replace(false);
        }
        Ok(())
    }

    /// Kills it with -9, with its users, and returns when it is gone.
    ///
    /// # Errors
    /// When it was gone before.
    pub async fn kill(&mut self) -> io::Result<()> {
        self.lanes.shutdown().await;
        self.listening.abort();
        let program = self.program.clone();
        blocking(move || program.lock().kill()).await
    }

    /// Has its users make no new call.
    pub fn drain(&self) {
        self.draining.send_replace(true);
    }

    /// Returns when every call has come to its end, or so much time has passed.
    ///
    /// # Errors
    /// When the arbiter could not be told of one.
    pub async fn drained(&mut self, within: Duration) -> io::Result<()> {
        let ended = async {
            while let Some(lane) = self.lanes.join_next().await {
                lane.map_err(io::Error::other)??;
            }
            Ok(())
        };
        tokio::time::timeout(within, ended).await.unwrap_or(Ok(()))
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// The program, for all who speak to it.
#[derive(Debug, Clone)]
struct Program(Arc<Mutex<Speaker>>);

impl Program {
    fn lock(&self) -> MutexGuard<'_, Speaker> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The locks that its users take, each another.
fn locks(posting: &Posting) -> Vec<&'static str> {
    match posting.work {
        Work::Mixed => name::MUTEXES.into_iter().take(posting.lanes as usize).collect(),
        Work::Set { .. } => vec![name::SET],
    }
}

/// Hands each line on to whom it concerns, with how often the session had been in doubt before it.
async fn listen(
    mut listener: Listener,
    routes: HashMap<String, mpsc::UnboundedSender<Heard>>,
    doubts: watch::Sender<u64>,
) {
    while let Some(line) = listener.next().await {
        let mut words = line.split(' ');
        let (verb, about) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if verb == "state" {
            if DOUBTS.contains(&about) {
                doubts.send_modify(|doubts| *doubts += 1);
            }
        } else if let Some(route) = routes.get(about) {
            let doubts = *doubts.borrow();
            // Whoever it concerns may be gone.
            let _ = route.send(Heard { line, doubts });
        }
    }
}

async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(call).await.map_err(io::Error::other)?
}
