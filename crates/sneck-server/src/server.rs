//! A server from its settings to its end.

use std::collections::BTreeSet;
use std::fmt;
use std::future::pending;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc as blocking;
use std::thread;
use std::time::{Duration, SystemTime};

use tokio::io::DuplexStream;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::compactions::Compactions;
use crate::core::contents::Contents;
use crate::core::words::{Allowed, Word};
use crate::core::{Core, Input, Peer, Settings};
use crate::engine::{Clock, Engine, INBOX_MAX, Message, Ports};
use crate::front::{Door, QUEUE_MAX, Socket, Transport, forward, listen_tcp, listen_unix};
use crate::journal::{Disk, Journal};
use crate::limits::Limits;
use crate::log::{Durability, Folder, LogOptions, floor_at};
use crate::outbox::deliver;
use crate::refusals::Refusals;
use crate::snapshot::{Compactor, Pace, restore};
use crate::start_error::StartError;

/// Bytes that may be under way in each direction of a connection within the process.
const IN_PROCESS_BYTES: usize = 256 * 1_024;

/// The longest frames of a server with a data folder: the largest transaction that one of them can ask
/// for has to fit into a segment of the log, of which it may take a ninth.
const FRAME_BYTES_DURABLE_MAX: usize = 4 << 20;

/// Describes a server; [`Builder::start`] starts it.
///
/// Left alone it keeps everything in memory only, listens nowhere and can only be reached within the
/// process, through [`Running::in_process`].
#[derive(Debug, Clone)]
pub struct Builder {
    addresses: Vec<SocketAddr>,
    #[cfg(feature = "tls")]
    tls: Option<crate::tls::Tls>,
    socket: Option<PathBuf>,
    tick: Duration,
    session_timeouts: Option<(Duration, Duration)>,
    limits: Limits,
    super_digest: Option<String>,
    words: Option<BTreeSet<Word>>,
    reap_every: Duration,
    zxid: Option<i64>,
    data: Option<Data>,
    durability: Durability,
}

/// Where everything is kept.
#[derive(Debug, Clone)]
enum Data {
    Path(PathBuf),
    Folder(Folder),
}

/// The server. There is nothing to it before it runs: see [`Server::builder`].
#[derive(Debug, Clone, Copy)]
pub struct Server;

impl Server {
    /// Begins to describe a server.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck_server::StartError> {
    /// use sneck_server::Server;
    ///
    /// let server = Server::builder().listen(([127, 0, 0, 1], 0).into()).start().await?;
    /// println!("clients connect to {}", server.connect_string());
    /// server.stop().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder() -> Builder {
        Builder {
            addresses: Vec::new(),
            #[cfg(feature = "tls")]
            tls: None,
            socket: None,
            tick: Duration::from_secs(2),
            session_timeouts: None,
            limits: Limits::default(),
            super_digest: None,
            words: None,
            reap_every: Duration::from_secs(60),
            zxid: None,
            data: None,
            durability: Durability::default(),
        }
    }
}

impl Builder {
    /// Listens on one more TCP address. Port 0 is a free one.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.addresses.push(address);
        self
    }

    /// Speaks nothing but TLS on all TCP addresses. Who has no certificate that is asked for, or greets
    /// in plain text, is hung up on.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: crate::tls::Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    fn transport(&self) -> Transport {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return Transport::Tls(tls.acceptor());
        }
        Transport::Plain
    }

    /// Listens on a Unix socket at this path, whose folder must be for this user alone; it is made
    /// if it is not there.
    pub fn socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.socket = Some(path.into());
        self
    }

    /// The unit of session timeouts: sessions end on its multiples. Two seconds unless set.
    pub fn tick(mut self, tick: Duration) -> Self {
        self.tick = tick;
        self
    }

    /// The shortest and the longest session timeout that clients get. 2 and 20 ticks unless set.
    pub fn session_timeouts(mut self, shortest: Duration, longest: Duration) -> Self {
        self.session_timeouts = Some((shortest, longest));
        self
    }

    /// How much of everything the server is willing to hold.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Who authenticates as the user of this [`digest`](crate::digest) may do everything.
    pub fn super_digest(mut self, digest: impl Into<String>) -> Self {
        self.super_digest = Some(digest.into());
        self
    }

    /// Answers these four-letter words, whoever asks. Unless set, those that tell of other clients
    /// and of paths are answered to this machine only, and all others to everybody.
    pub fn words(mut self, words: impl IntoIterator<Item = Word>) -> Self {
        self.words = Some(words.into_iter().collect());
        self
    }

    /// How often to look for containers that were left and nodes whose time to live is over. Every
    /// minute unless set.
    pub fn reap_every(mut self, interval: Duration) -> Self {
        self.reap_every = interval;
        self
    }

    /// Gives the first transaction the number after this one. Unless set it follows from the time,
    /// so that clients and fencing tokens of an earlier server are never ahead of a new one.
    pub fn zxid(mut self, zxid: i64) -> Self {
        self.zxid = Some(zxid);
        self
    }

    /// Keeps everything in this folder, which is made if it is not there, and of which only one
    /// server at a time may make use.
    pub fn data(mut self, folder: impl Into<PathBuf>) -> Self {
        self.data = Some(Data::Path(folder.into()));
        self
    }

    /// As [`Builder::data`], in a folder that is open already, on whatever [disk](crate::log::Disk):
    /// so that tests can have disks that fail.
    pub fn data_in(mut self, folder: Folder) -> Self {
        self.data = Some(Data::Folder(folder));
        self
    }

    /// Whether it has a data folder.
    pub(crate) fn has_data(&self) -> bool {
        self.data.is_some()
    }

    /// When a write in a data folder counts as done: once it outlives a power failure, unless set.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Starts the server with what is in its data folder, or else empty. Its tasks run on the
    /// current runtime.
    ///
    /// # Errors
    /// See [`StartError`]. Nothing runs then, and nothing in the folder has been damaged.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn start(self) -> Result<Running, StartError> {
        let contents = Contents::new(self.zxid.unwrap_or_else(|| floor_at(SystemTime::now())));
        self.start_with(contents).await
    }

    /// Starts the server with what another one left in memory. A data folder is not looked at.
    ///
    /// # Errors
    /// As for [`Builder::start`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn resume(mut self, remains: Remains) -> Result<Running, StartError> {
        self.data = None;
        self.start_with(remains.0).await
    }

    async fn start_with(self, mut contents: Contents) -> Result<Running, StartError> {
        if self.has_data() && self.limits.frame_bytes_max > FRAME_BYTES_DURABLE_MAX {
            let (bytes, bytes_max) = (self.limits.frame_bytes_max, FRAME_BYTES_DURABLE_MAX);
            return Err(StartError::FrameTooLarge { bytes, bytes_max });
        }
        let mut listeners = Vec::new();
        for address in &self.addresses {
            let failed = |source| StartError::Listen { on: address.to_string(), source };
            let listener = TcpListener::bind(address).await.map_err(failed)?;
            let bound = listener.local_addr().map_err(failed)?;
            listeners.push((listener, bound));
        }
        let addresses = listeners.iter().map(|(_, bound)| *bound).collect();
        let socket = self.socket.as_deref().map(|path| {
            let failed = |source| StartError::Listen { on: path.display().to_string(), source };
            Socket::bind(path).map_err(failed)
        });
        let socket = socket.transpose()?;

        let (sender, inbox) = mpsc::channel(INBOX_MAX);
        let mut journal = Journal::Memory;
        if let Some(data) = self.data.clone() {
            let (options, inbox) = (self.log_options(), sender.clone());
            let (log_bytes, retry_after) = (self.limits.compact_bytes, self.limits.compact_retry);
            let opened = move || open(data, &options, Pace { log_bytes, retry_after }, inbox);
            let opened = tokio::task::spawn_blocking(opened);
            let disk;
            (contents, disk) = opened.await.map_err(StartError::panicked)??;
            journal = Journal::Disk(disk);
        }
        // The time of sessions begins here: reading a long log is no silence of theirs.
        let clock = Clock::start();
        let core = Core::new(self.settings(), contents, clock.now());
        let stop = Arc::new(AtomicBool::new(false));
        let (told, sessions) = watch::channel(core.session_count());
        let compactions = journal.compactions();
        let (queue, queued) = mpsc::channel(QUEUE_MAX);
        let (mailbags, written) = mpsc::unbounded_channel();
        let door = Door::new(queue, sender.clone(), self.limits.clone(), Arc::clone(&stop));
        let refused = door.refused().clone();
        let ports = Ports { inbox, stop, mailbags, sessions: told, refused };
        let engine = Engine::new(core, journal, ports, clock);
        let (ended, end) = watch::channel(None);
        let run = move || {
            let result = engine.run();
            ended.send_replace(Some(result.as_ref().map(drop).map_err(Clone::clone)));
            result.ok()
        };
        let thread = std::thread::Builder::new().name("sneck-core".into()).spawn(run);
        let thread = thread.map_err(StartError::Thread)?;
        // These two end with the core, after its last words.
        tokio::spawn(deliver(written));
        tokio::spawn(forward(queued, sender));
        let transport = self.transport();

        let mut tasks = Vec::new();
        for (listener, _) in listeners {
            tasks.push(tokio::spawn(listen_tcp(listener, transport.clone(), door.clone())));
        }
        let socket = socket.map(|(listener, socket)| {
            tasks.push(tokio::spawn(listen_unix(listener, door.clone())));
            socket
        });
        tasks.push(tokio::spawn(tick(door.clone(), self.tick)));
        Ok(Running {
            door,
            addresses,
            socket,
            tasks,
            thread: Some(thread),
            end,
            sessions,
            compactions,
        })
    }

    fn log_options(&self) -> LogOptions {
        // An entry may take an eighth of a segment, and the largest transaction is one entry.
        let largest = u64::try_from(self.limits.txn_bytes_max()).unwrap_or(u64::MAX);
        let defaults = LogOptions::default();
        // Only whole segments are compacted, so that their length should be a part of what is to gather.
        let part = defaults.segment_bytes.min(self.limits.compact_bytes / 4);
        LogOptions {
            durability: self.durability,
            first_segment_bytes: defaults.first_segment_bytes.min(self.limits.compact_bytes),
            segment_bytes: part.max(largest.saturating_mul(9)),
            ..defaults
        }
    }

    fn settings(&self) -> Settings {
        let (shortest, longest) = self.session_timeouts.unwrap_or((self.tick * 2, self.tick * 20));
        let timeout_ms_min = wire_ms(shortest);
        Settings {
            tick_ms: u64::try_from(self.tick.as_millis()).unwrap_or(u64::MAX).max(1),
            timeout_ms_min,
            timeout_ms_max: wire_ms(longest).max(timeout_ms_min),
            limits: self.limits.clone(),
            super_digest: self.super_digest.clone(),
            words: self.words.clone().map_or(Allowed::ByDefault, Allowed::Only),
            reaper: crate::core::Schedule { every: self.reap_every, ..Default::default() },
        }
    }
}

/// A server that runs. It ends when this is dropped; [`Running::stop`] also waits for it.
#[derive(Debug)]
pub struct Running {
    door: Door,
    addresses: Vec<SocketAddr>,
    socket: Option<Socket>,
    tasks: Vec<JoinHandle<()>>,
    thread: Option<thread::JoinHandle<Option<Contents>>>,
    end: watch::Receiver<Option<Result<(), String>>>,
    sessions: watch::Receiver<usize>,
    compactions: watch::Receiver<Compactions>,
}

impl Running {
    /// The TCP addresses listened on, in the order they were asked for.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The TCP addresses as clients are told of them: separated by commas.
    pub fn connect_string(&self) -> String {
        let addresses: Vec<_> = self.addresses.iter().map(SocketAddr::to_string).collect();
        addresses.join(",")
    }

    /// The path of the Unix socket, if there is one.
    pub fn socket(&self) -> Option<&Path> {
        self.socket.as_ref().map(Socket::path)
    }

    /// A way in from within the process. It can be cloned and kept; it does not keep the server.
    pub fn in_process(&self) -> InProcess {
        InProcess { door: self.door.clone() }
    }

    /// Whether it has ended by a defect of its own, rather than by its disk.
    pub fn has_panicked(&self) -> bool {
        // Its thread is gone, and has not said how it ended.
        self.end.has_changed().is_err() && self.end.borrow().is_none()
    }

    /// How compactions have gone so far. Without a data folder there are none.
    pub fn compactions(&self) -> Compactions {
        self.compactions.borrow().clone()
    }

    /// Waits until compactions have gone otherwise than `known`, and says how. Nothing is lost if this
    /// is dropped. It waits forever once there will be no more.
    pub async fn compactions_after(&self, known: &Compactions) -> Compactions {
        let mut compactions = self.compactions.clone();
        match compactions.wait_for(|now| now != known).await {
            Ok(now) => now.clone(),
            Err(_) => pending().await,
        }
    }

    /// What was refused so far because there was too much of it.
    pub fn refusals(&self) -> Refusals {
        self.door.refused().so_far()
    }

    /// Waits until more was refused than `known`, and says what. Nothing is lost if this is dropped.
    pub async fn refusals_after(&self, known: &Refusals) -> Refusals {
        self.door.refused().after(known).await
    }

    /// Waits until there has been no session for this long, and none is.
    pub async fn idle(&self, length: Duration) {
        let mut sessions = self.sessions.clone();
        loop {
            let none = sessions.wait_for(|count| *count == 0).await.is_ok();
            match timeout(length, sessions.wait_for(|count| *count != 0)).await {
                Err(_) if none => return,
                Ok(Ok(_)) => {}
                // The server has ended, which is no idleness.
                _ => return pending().await,
            }
        }
    }

    /// Stops the server and breaks all connections. Sessions go on in what is left, which is `None`
    /// only if the server had failed.
    pub async fn stop(mut self) -> Option<Remains> {
        for task in self.tasks.drain(..) {
            task.abort();
            // Its address is free again only once the task is gone; that it was aborted is known.
            let _ = task.await;
        }
        // Before the data folder is free: the next server may begin at once, with a socket of its own.
        drop(self.socket.take());
        self.door.say(Message::Stop).await;
        let thread = self.thread.take()?;
        // The thread ends soon, but it must not be waited for on a thread of the runtime.
        let joined = tokio::task::spawn_blocking(|| thread.join()).await;
        joined.ok()?.ok()?.map(Remains)
    }

    /// Waits until the server has ended by itself, and says why: the disk has failed it. What it had
    /// not acknowledged by then may be on the disk or not.
    pub async fn failed(&self) -> String {
        let mut end = self.end.clone();
        let ended = end.wait_for(|end| matches!(end, Some(Err(_)))).await;
        match ended.as_deref() {
            Ok(Some(Err(failure))) => failure.clone(),
            // Its thread is gone without having said anything.
            _ => "the server has panicked".to_owned(),
        }
    }

    /// Ends a session, as if its time were over, and returns when it has ended.
    pub async fn expire_session(&self, id: i64) {
        self.settle(Input::Expire { session: id }).await;
    }

    /// Breaks every connection. Sessions go on.
    pub async fn drop_connections(&self) {
        self.settle(Input::DropConnections).await;
    }

    /// Gives the next sequential node below `path` the number `creates`, if `path` exists.
    pub async fn preset_counter(&self, path: &str, creates: i32) {
        self.settle(Input::SetCounter { path: path.to_owned(), creates }).await;
    }

    /// Makes the server stand still, as one that gets no processor, until what this returns is
    /// dropped.
    pub async fn pause(&self) -> Paused {
        let (sender, receiver) = blocking::channel();
        self.door.say(Message::Pause(receiver)).await;
        Paused { _until_dropped: sender }
    }

    async fn settle(&self, input: Input) {
        let (sender, done) = oneshot::channel();
        if self.door.input(input).await && self.door.say(Message::Barrier(sender)).await {
            // An error says that the server has stopped meanwhile, and then nothing goes on.
            let _ = done.await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        drop(self.socket.take());
        // Without room for the message nobody is told; the thread then ends once the last
        // connection has.
        if self.thread.is_some() {
            self.door.stop_soon();
        }
    }
}

/// Keeps a server standing still.
#[derive(Debug)]
#[must_use = "the server goes on when this is dropped"]
pub struct Paused {
    _until_dropped: blocking::Sender<()>,
}

/// The way into a server of the same process.
#[derive(Clone)]
pub struct InProcess {
    door: Door,
}

impl InProcess {
    /// Opens a connection. If the server has stopped, the other end hangs up at once.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn connect(&self) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(IN_PROCESS_BYTES);
        self.door.enter(theirs, Peer::Local);
        ours
    }
}

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InProcess")
    }
}

/// What a stopped server leaves: its nodes and its sessions.
#[derive(Debug)]
pub struct Remains(Contents);

/// Reads a data folder, and goes on writing in it.
fn open(
    data: Data,
    options: &LogOptions,
    pace: Pace,
    inbox: mpsc::Sender<Message>,
) -> Result<(Contents, Disk), StartError> {
    let folder = match data {
        Data::Path(path) => Folder::open(&path, SystemTime::now())?,
        Data::Folder(folder) => folder,
    };
    let restored = restore::<Contents>(&folder)?;
    let contents = restored.replica;
    let mut disk = Disk::start(restored.recovery, options, contents.zxid, inbox)?;
    if let Some(log) = disk.log() {
        let archive = log.archive();
        let (told, compactions) = watch::channel(Compactions::default());
        let report = {
            let archive = archive.clone();
            move |outcome: &Result<_, _>| {
                let log_bytes = archive.sealed_bytes_after(i64::MIN);
                told.send_modify(|compactions| compactions.note(outcome, log_bytes));
            }
        };
        let compactor = Compactor::start::<Contents>(archive, pace, report);
        disk.keep(compactor.map_err(StartError::Thread)?, compactions);
    }
    Ok((contents, disk))
}

/// Tells the core that time passes.
async fn tick(door: Door, tick: Duration) {
    const INTERVAL_MIN: Duration = Duration::from_millis(5);
    let mut interval = tokio::time::interval((tick / 4).max(INTERVAL_MIN));
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        if !door.input(Input::Tick).await {
            return;
        }
    }
}

fn wire_ms(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_that_could_not_be_written_down_are_refused_with_a_folder_only() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let too_large = FRAME_BYTES_DURABLE_MAX + 1;
        let mut limits = Limits { frame_bytes_max: too_large, ..Limits::default() };
        let error = Server::builder().limits(limits.clone()).data(&data).start().await.unwrap_err();
        assert!(error.to_string().contains("4194304"), "{error}");
        assert!(!data.exists());
        Server::builder().limits(limits.clone()).start().await.unwrap().stop().await.unwrap();
        limits.frame_bytes_max = FRAME_BYTES_DURABLE_MAX;
        let builder = Server::builder().limits(limits).data(&data);
        let largest = u64::try_from(builder.limits.txn_bytes_max()).unwrap();
        assert!(builder.log_options().segment_bytes >= 9 * largest && 9 * largest <= 64 << 20);
        builder.start().await.unwrap().stop().await.unwrap();
    }

    #[tokio::test]
    async fn a_core_that_panics_is_told_from_a_disk_that_fails() {
        let mut server = Server::builder().start().await.unwrap();
        assert!(!server.has_panicked());
        // As a thread leaves it that has unwound.
        let (never_told, end) = watch::channel(None);
        server.end = end;
        drop(never_told);
        assert!(server.has_panicked());
        assert!(server.failed().await.contains("panicked"));
        let (told, end) = watch::channel(None);
        server.end = end;
        told.send_replace(Some(Err("the disk is full".to_owned())));
        drop(told);
        assert!(!server.has_panicked());
        assert_eq!(server.failed().await, "the disk is full");
    }
}
