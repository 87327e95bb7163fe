//! The side of the process that is looked after.

use super::message::{Message, Url};
use crate::locks::Locks;
use sneck_core::{Error, ErrorKind};
use sneck_zookeeper::{SessionTicket, ZooKeeper, ZooKeeperUrl};
use std::fmt;
use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// A process that ends our session when we have died. See the [module's text](super).
///
/// Dropping it dismisses the process: call [`dismiss`](Guardian::dismiss), or drop it, when everything has
/// been given back. A process that ends without, as by `exit`, has died as far as its guardian can tell.
pub struct Guardian {
    pipe: Arc<Pipe>,
    process: Option<Child>,
}

/// The way to the guardian. Nobody else has this end of it: children do not inherit it.
struct Pipe(Mutex<Option<ChildStdin>>);

impl Guardian {
    /// Connects to ZooKeeper, and has this command look after the session: one that calls
    /// [`serve`](super::serve) and nothing else.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a URL of another store; otherwise as for
    /// [`connect`](crate::connect()), and [`ErrorKind::Unavailable`] when the command cannot be started.
    ///
    /// # Cancel safety
    /// Dropping the future closes what was opened.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn connect(url: &str, command: Command) -> Result<(Locks, Guardian), Error> {
        let scheme = url.split_once(':').map_or(url, |(scheme, _)| scheme);
        if !ZooKeeperUrl::is_scheme(scheme) {
            let text = "only sessions with ZooKeeper can be looked after by another process";
            return Err(Error::new(ErrorKind::Invalid, text).with_hint("zk://HOST:2181"));
        }
        let parsed = ZooKeeperUrl::parse(url)?;
        let zookeeper = ZooKeeper::connect(parsed.session, parsed.lock).await?;
        let guardian = Guardian::start(&zookeeper, url, command)?;
        Ok((Locks::on(Arc::new(zookeeper)), guardian))
    }

    /// Has this command look after the sessions of a backend that was opened by this URL.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the command cannot be started.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    ///
    /// ```no_run
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck::Error> {
    /// use sneck::guardian::Guardian;
    /// use sneck::zookeeper::{ZooKeeper, ZooKeeperUrl};
    /// let url = "zk://zk1,zk2,zk3/apps";
    /// let parsed = ZooKeeperUrl::parse(url)?;
    /// let zookeeper = ZooKeeper::connect(parsed.session, parsed.lock).await?;
    /// let guardian = Guardian::start(&zookeeper, url, std::process::Command::new("my-guardian"))?;
    /// guardian.dismiss();
    /// # Ok(()) }
    /// ```
    pub fn start(zookeeper: &ZooKeeper, url: &str, mut command: Command) -> Result<Self, Error> {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let started = command.spawn().map_err(|error| {
            Error::new(ErrorKind::Unavailable, format!("the guardian cannot be started: {error}"))
        });
        let mut process = started?;
        let pipe = Arc::new(Pipe(Mutex::new(process.stdin.take())));
        pipe.tell(&Message::Store(Url(url.to_owned())));
        let mut tickets = zookeeper.tickets();
        pipe.tell_session(&mut tickets);
        tokio::spawn(tell_sessions(pipe.clone(), tickets));
        Ok(Guardian { pipe, process: Some(process) })
    }

    /// A child that acts for us is about to be started. Until it is known which group it
    /// [leads](Guardian::child_leads), or that it has [ended](Guardian::children_ended), our death ends nothing.
    pub fn child_starts(&self) {
        self.pipe.tell(&Message::Starting);
    }

    /// The child leads this group of processes, all of which act for us: they are killed when we die, and
    /// the session ends when they are gone.
    ///
    /// ```no_run
    /// # fn example(guardian: sneck::guardian::Guardian) -> std::io::Result<()> {
    /// use std::os::unix::process::CommandExt;
    /// guardian.child_starts();
    /// let mut child = std::process::Command::new("./job").process_group(0).spawn()?;
    /// guardian.child_leads(child.id());
    /// child.wait()?;
    /// guardian.children_ended();
    /// # Ok(()) }
    /// ```
    pub fn child_leads(&self, group: u32) {
        match i32::try_from(group) {
            Ok(group) => self.pipe.tell(&Message::Group(group)),
            // No such process can be; and what is not known ends nothing.
            Err(_) => self.child_starts(),
        }
    }

    /// Nobody acts for us any more but ourselves.
    pub fn children_ended(&self) {
        self.pipe.tell(&Message::Ended);
    }

    /// The guardian's process.
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Ends the guardian, and not the session.
    pub fn dismiss(self) {}
}

impl Drop for Guardian {
    fn drop(&mut self) {
        self.pipe.tell(&Message::Done);
        self.pipe.close();
        if let Some(mut process) = self.process.take() {
            // It ends in a moment; only its parent can see it off.
            let _ = std::thread::Builder::new().spawn(move || process.wait());
        }
    }
}

impl fmt::Debug for Guardian {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guardian").field("process", &self.process_id()).finish_non_exhaustive()
    }
}

impl Pipe {
    /// Tells the guardian something. One that has died cannot be told, and does no harm.
    fn tell(&self, message: &Message) {
        let mut pipe = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = pipe.as_mut()
            && open.write_all(message.line().as_bytes()).is_err()
        {
            *pipe = None;
        }
    }

    fn tell_session(&self, tickets: &mut watch::Receiver<Option<SessionTicket>>) {
        if let Some(ticket) = tickets.borrow_and_update().clone() {
            self.tell(&Message::Session(ticket));
        }
    }

    fn close(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Tells of each session that comes after the first. One that is not told of in time ends as without a
/// guardian.
async fn tell_sessions(pipe: Arc<Pipe>, mut tickets: watch::Receiver<Option<SessionTicket>>) {
    while tickets.changed().await.is_ok() {
        pipe.tell_session(&mut tickets);
    }
}
