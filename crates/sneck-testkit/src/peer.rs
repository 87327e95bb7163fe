//! A program that takes locks with another library, to stand in one line with; one language for all of
//! them, a line at a time.
//!
//! The programs are `CuratorPeer.java`, `kazoo_peer.py` and the `main.go` of go-zookeeper and of etcd. A command is a line of words that
//! begins with a verb and a path, and so is an answer, which repeats the path:
//!
//! | command | answer |
//! |---|---|
//! | the words of a [`Recipe`] | `held PATH` once it is |
//! | the same with `try-` before it | `held PATH` or `busy PATH`, without waiting |
//! | `release PATH` | `free PATH`: what was taken first of all that is held there |
//! | `queue PATH` | `queue PATH NODE...`, by the numbers of the nodes |
//! | `count PATH FILE N` | `counted PATH N`, after N times of locking, adding one to the number in the file, and unlocking |
//! | `cycle PATH N` | `cycled PATH NANOSECONDS`, after N times of locking and unlocking: the median of them |
//! | `many PATH TASKS N` | `many PATH`, after N times of each of so many tasks, with a lock of its own below the path |
//! | `crowd PATH TASKS N` | `crowd PATH`, after N times of each of so many tasks, for one lock |
//! | `exit` | `bye`: the session is closed |
//!
//! What fails is answered `error PATH REASON`; a session that is there is told as `state CONNECTED`, and some
//! tell by `state SUSPENDED` and `state LOST` that it is in doubt, or over. What goes on on one path goes on in
//! order; nothing on a path keeps another from going on.

mod process;

use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

pub(crate) use process::PeerProcess;
pub use process::{Listener, Speaker};

use crate::skip::StartError;

/// How a path is taken. Which library has which is said; asking a peer for another is answered by an
/// error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recipe {
    /// Alone: Curator's `InterProcessMutex`, kazoo's and go-zookeeper's `Lock`.
    Lock,
    /// Together with other readers: Curator's `InterProcessReadWriteLock`, kazoo's `ReadLock`.
    Read,
    /// Alone, in line with readers: the same of Curator, kazoo's `WriteLock`.
    Write,
    /// So many permits: Curator's `InterProcessSemaphoreV2`, and one after the other kazoo's `Semaphore`.
    Permits {
        /// How many are taken.
        take: u32,
        /// How many there are.
        of: u32,
    },
    /// Leading until it is released: Curator's `LeaderLatch`, kazoo's `Election`.
    Lead,
    /// Leading until it is released: Curator's `LeaderSelector`.
    Select,
}

impl Recipe {
    /// The command to take a path this way.
    fn command(self, path: &str) -> String {
        let verb = match self {
            Recipe::Lock => "lock",
            Recipe::Read => "read",
            Recipe::Write => "write",
            Recipe::Permits { take, of } => return format!("permits {path} {take} {of}"),
            Recipe::Lead => "lead",
            Recipe::Select => "select",
        };
        format!("{verb} {path}")
    }
}

/// A running peer; killed when dropped.
///
/// # Panics
///
/// Whatever waits for an answer panics with the peer's log when that is an error or does not come.
pub struct Peer(pub(crate) PeerProcess);

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Peer").field(&self.0.name()).field(&self.0.pid()).finish()
    }
}

impl Peer {
    /// Starts a program that speaks this language, and returns when it has a session, which it tells by
    /// `state CONNECTED`.
    ///
    /// # Errors
    ///
    /// [`StartError::Failed`] when it gets none.
    pub async fn start(
        name: &'static str,
        program: OsString,
        args: impl IntoIterator<Item = OsString>,
    ) -> Result<Peer, StartError> {
        PeerProcess::start(name, program, args, "state CONNECTED").await.map(Peer)
    }

    /// Takes a path, and returns when it is held.
    pub async fn acquire(&mut self, recipe: Recipe, path: &str) {
        self.begin(recipe, path);
        self.held(path).await;
    }

    /// Gets in line and does not wait.
    pub fn begin(&mut self, recipe: Recipe, path: &str) {
        self.0.say(&recipe.command(path));
    }

    /// Takes a path if that can be had at once; says whether it is held now. go-zookeeper cannot try.
    pub async fn attempt(&mut self, recipe: Recipe, path: &str) -> bool {
        self.0.say(&format!("try-{}", recipe.command(path)));
        let (held, busy) = (format!("held {path}"), format!("busy {path}"));
        self.0.expect_either(&held, &busy).await == held
    }

    /// Returns when what was begun is held.
    pub async fn held(&mut self, path: &str) {
        self.0.expect(&format!("held {path}")).await;
    }

    /// Whether `held` would return at once.
    pub fn is_held(&mut self, path: &str) -> bool {
        self.0.has_said(&format!("held {path}"))
    }

    /// Gives back what was taken first of all that is held here.
    pub async fn release(&mut self, path: &str) {
        self.0.say(&format!("release {path}"));
        self.0.expect(&format!("free {path}")).await;
    }

    /// As [`Peer::acquire`], where it may fail.
    ///
    /// # Errors
    ///
    /// What the peer says, with its log.
    pub async fn try_acquire(&mut self, recipe: Recipe, path: &str) -> Result<(), String> {
        self.begin(recipe, path);
        self.0.answer(&format!("held {path}")).await.map(drop)
    }

    /// As [`Peer::release`], where it may fail: the session may be over.
    ///
    /// # Errors
    ///
    /// What the peer says, with its log.
    pub async fn try_release(&mut self, path: &str) -> Result<(), String> {
        self.0.say(&format!("release {path}"));
        self.0.answer(&format!("free {path}")).await.map(drop)
    }

    /// The names of the nodes in line, in the order of their numbers.
    pub async fn queue(&mut self, path: &str) -> Vec<String> {
        self.ask(&format!("queue {path}")).await
    }

    /// Begins to add one to the number in `file` so many times, each time under the lock.
    pub fn begin_count(&mut self, path: &str, file: &Path, times: u32) {
        self.0.say(&format!("count {path} {} {times}", file.display()));
    }

    /// Returns when the counting is done.
    pub async fn counted(&mut self, path: &str) {
        self.0.expect(&format!("counted {path}")).await;
    }

    /// Begins to lock and unlock so many times. go-zookeeper's peer does not do that.
    pub fn begin_cycle(&mut self, path: &str, times: usize) {
        self.0.say(&format!("cycle {path} {times}"));
    }

    /// Returns when that is done, with the median of the times that a lock and its release took.
    pub async fn cycled(&mut self, path: &str) -> Duration {
        let words = self.0.words(&format!("cycled {path}")).await;
        let nanoseconds = words.first().and_then(|word| word.parse().ok());
        Duration::from_nanos(nanoseconds.expect("a number"))
    }

    /// Lets so many tasks lock and unlock so many times each, all on the peer's session and each with a
    /// lock of its own below the path. go-zookeeper's peer does not do that.
    pub async fn many(&mut self, path: &str, tasks: usize, times: usize) {
        self.0.say(&format!("many {path} {tasks} {times}"));
        self.0.expect(&format!("many {path}")).await;
    }

    /// Lets so many tasks lock and unlock one lock so many times each, all on the peer's session.
    /// go-zookeeper's peer does not do that.
    pub async fn crowd(&mut self, path: &str, tasks: usize, times: usize) {
        self.0.say(&format!("crowd {path} {tasks} {times}"));
        self.0.expect(&format!("crowd {path}")).await;
    }

    /// Closes the session, and with it gives up every lock.
    pub async fn exit(self) {
        self.0.exit().await;
    }

    /// Kills the peer with -9; its session is left to expire.
    pub async fn kill(self) {
        self.0.kill().await;
    }

    /// Stops the peer's clock (SIGSTOP).
    pub fn pause(&self) {
        self.0.signal(Signal::STOP);
    }

    /// Lets a paused peer go on.
    pub fn resume(&self) {
        self.0.signal(Signal::CONT);
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// Takes the conversation apart, for whoever keeps account of the answers themselves: a library that is
    /// let down by its servers answers late, and tells of more than it was asked.
    pub fn into_halves(self) -> (Speaker, Listener) {
        self.0.into_halves()
    }

    /// What the library logged.
    pub fn log(&self) -> String {
        self.0.log()
    }

    /// Asks, and returns the words behind the question when it is repeated.
    pub(crate) async fn ask(&mut self, question: &str) -> Vec<String> {
        self.0.say(question);
        self.0.words(question).await
    }
}
