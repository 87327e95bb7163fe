//! The processes at the other end of the Unix socket, and when they end.
//!
//! The system says which process has connected, by a number, and a descriptor is had for it at once:
//! the number may become another process's, the descriptor never does. (Had the number changed hands
//! before, the end of the wrong process is waited for. That is later than the end of the right one, and
//! ends nothing that is alive.) Where there is no number, as with processes outside of our container,
//! or no descriptor, as on other systems than Linux, a session lasts for its time, as it does over TCP.

use std::collections::HashMap;
use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;
use tokio::sync::watch;

use super::Door;
use crate::core::{Input, ProcessId};

/// The processes that have connected and live. Each costs a descriptor until it ends, however often it
/// connects.
#[derive(Debug, Default)]
pub(super) struct Processes {
    known: Mutex<HashMap<i32, Known>>,
    last_id: AtomicU64,
}

#[derive(Debug)]
struct Known {
    id: ProcessId,
    process: Arc<OwnedFd>,
    ended: watch::Receiver<bool>,
}

/// The process that has made a connection. The core hears of the end of the process once all of these
/// are dropped, so that it knows what has become of the connections.
#[derive(Debug)]
pub(super) struct Origin {
    id: ProcessId,
    ended: watch::Receiver<bool>,
    /// The connection once more, to see whether anybody has its other end.
    socket: OwnedFd,
}

impl Origin {
    pub(super) fn id(&self) -> ProcessId {
        self.id
    }

    /// Resolves when the process has ended and somebody else has the other end of the connection.
    pub(super) async fn is_outlived(&mut self) {
        // An error says that the server is about to stop.
        let ended = self.ended.wait_for(|ended| *ended).await.is_ok();
        // The system closes what a process has open before it lets anybody see its end. What it has
        // sent before is read all the same.
        if !ended || is(&self.socket, PollFlags::HUP) {
            pending().await
        }
    }
}

impl Processes {
    /// The process that has made this connection, if that can be known.
    pub(super) fn origin(&self, stream: &UnixStream, door: &Door) -> Option<Origin> {
        let pid = stream.peer_cred().ok()?.pid().filter(|pid| *pid > 0)?;
        let socket = rustix::io::fcntl_dupfd_cloexec(stream, 3).ok()?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // One that has ended may have left its number to another.
        if let Some(Known { id, process, ended }) = known.get(&pid)
            && !is(process, PollFlags::IN)
        {
            return Some(Origin { id: *id, ended: ended.clone(), socket });
        }
        let id = ProcessId(self.last_id.fetch_add(1, Ordering::Relaxed) + 1);
        let (tell, ended) = watch::channel(false);
        match open(pid) {
            Opened::Alive(process) => {
                let process = Arc::new(process);
                let end = end_of(Arc::clone(&process)).ok()?;
                known.insert(pid, Known { id, process, ended: ended.clone() });
                tokio::spawn(follow(pid, id, end, tell, door.clone()));
            }
            Opened::Gone => {
                tokio::spawn(bury(id, tell, door.clone()));
            }
            Opened::Unknown => return None,
        }
        Some(Origin { id, ended, socket })
    }

    fn forget(&self, pid: i32, id: ProcessId) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.get(&pid).is_some_and(|known| known.id == id) {
            known.remove(&pid);
        }
    }
}

/// What becomes readable when a process has ended.
#[expect(
    deprecated,
    reason = "it is unsound for descriptors that do not stay open; this one does, and its successor \
              is unsafe only to have that promised"
)]
fn end_of(process: Arc<OwnedFd>) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
    AsyncFd::with_interest(process, Interest::READABLE)
}

/// Waits for the end of a process.
async fn follow(
    pid: i32,
    id: ProcessId,
    end: AsyncFd<Arc<OwnedFd>>,
    tell: watch::Sender<bool>,
    door: Door,
) {
    tokio::select! {
        ended = end.readable() => if ended.is_err() { return },
        () = door.inbox.closed() => return,
    }
    door.processes.forget(pid, id);
    bury(id, tell, door).await;
}

/// Tells of the end of a process: its connections first, then the core.
async fn bury(id: ProcessId, tell: watch::Sender<bool>, door: Door) {
    tell.send_replace(true);
    tell.closed().await;
    door.input(Input::ProcessEnded { process: id }).await;
}

enum Opened {
    Alive(OwnedFd),
    /// It has ended between connecting and now.
    Gone,
    Unknown,
}

#[cfg(target_os = "linux")]
fn open(pid: i32) -> Opened {
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    let Some(pid) = Pid::from_raw(pid) else { return Opened::Unknown };
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(process) => Opened::Alive(process),
        Err(rustix::io::Errno::SRCH) => Opened::Gone,
        Err(_) => Opened::Unknown,
    }
}

#[cfg(not(target_os = "linux"))]
fn open(_: i32) -> Opened {
    Opened::Unknown
}

/// Whether this is so of a descriptor now.
fn is(what: &OwnedFd, flags: PollFlags) -> bool {
    let mut asked = [PollFd::new(what, flags)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut asked, Some(&at_once)).is_ok() && asked[0].revents().intersects(flags)
}
