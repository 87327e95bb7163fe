//! A session with a ZooKeeper ensemble.

mod call;
mod driver;
mod machine;
mod once;
mod proof;
mod reading;
mod shared;
mod state;
mod ticket;
mod watches;
mod watching;
mod writing;

pub use call::{Call, Watch, WatchCall, WatchStream};
pub use reading::{Exists, Node};
pub use state::SessionState;
pub use ticket::SessionTicket;
pub use writing::Created;

use crate::credentials::Credentials;
use crate::error::{ConnectError, End, RequestError};
use crate::options::{SessionLimits, SessionOptions};
use machine::Machine;
use shared::Shared;
use sneck_core::{ClaimId, Clock, Lease};
use sneck_wire::{Reply, Request, path};
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A session with a ZooKeeper ensemble: the low-level client that the locks are built on.
///
/// Requests are put in line for the wire when a method is *called* and answered in that order; awaiting
/// the returned [`Call`] only waits for the answer. A broken connection is replaced by one to another
/// server, with credentials and watches set again; what was on the way then fails with
/// [`RequestError::Interrupted`], what had not been sent waits. Nothing is repeated behind the
/// caller's back.
///
/// Clones share the session. It is closed when the last of them is dropped, or by
/// [`close`](Session::close).
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use sneck_zookeeper::{CreateMode, Server, Session, SessionOptions, wire::Acl};
///
/// let session = Session::connect(SessionOptions::new(vec![Server::new("localhost", 2181)])).await?;
/// // Both requests are on the way before the first answer is there.
/// let created = session.create2("/motd", "hello", CreateMode::Persistent, Acl::open());
/// let children = session.get_children("/");
/// println!("created {} beside {:?}", created.await?.path, children.await?);
/// session.close().await;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Session {
    handle: Arc<Handle>,
    chroot: Arc<str>,
}

/// Closes the session when the last clone is gone. The driver holds the rest.
struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Session {
    /// Opens a session.
    ///
    /// # Errors
    /// [`ConnectError`], when no server gave us a session within
    /// [`connect_timeout`](SessionOptions::connect_timeout); at once when none of them ever will, or when
    /// [all refuse connections](SessionOptions::retry_refused).
    ///
    /// # Cancel safety
    /// Dropping the future closes what was opened.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn connect(options: SessionOptions) -> Result<Session, ConnectError> {
        check(&options)?;
        let clock = options.clock.clone();
        let machine = Machine::new(&options, clock.now());
        let shared = Arc::new(Shared::new(machine, clock));
        let session = Session {
            handle: Arc::new(Handle(shared.clone())),
            chroot: chroot_of(&options.chroot),
        };
        let connect_timeout = options.connect_timeout;
        let seed = options.seed.unwrap_or_else(|| ClaimId::random().as_u128() as u64);
        let mut state = shared.state();
        tokio::spawn(driver::run(shared.clone(), options, seed));
        let opened = state.wait_for(|state| *state != SessionState::Suspended);
        match tokio::time::timeout(connect_timeout, opened).await {
            Ok(Ok(state)) if *state == SessionState::Connected => {}
            Ok(Ok(state)) if *state == SessionState::Lost(End::AuthFailed) => {
                return Err(ConnectError::AuthFailed);
            }
            _ => return Err(shared.connect_error()),
        }
        Ok(session)
    }

    /// The same session, with every path below `path`, which is itself below the present root.
    ///
    /// # Errors
    /// [`RequestError::BadPath`].
    pub fn chroot(&self, path: &str) -> Result<Session, RequestError> {
        let root = self.absolute(path)?;
        Ok(Session { handle: self.handle.clone(), chroot: chroot_of(&root) })
    }

    /// The session's id, which is the owner of its ephemeral nodes.
    pub fn id(&self) -> i64 {
        self.shared().lock().id()
    }

    /// The session timeout the servers have given us.
    pub fn timeout(&self) -> Duration {
        self.shared().timeout()
    }

    /// The id of the last transaction this session has seen.
    pub fn zxid_seen(&self) -> i64 {
        self.shared().lock().zxid_seen()
    }

    /// The state now, and every change of it.
    pub fn state(&self) -> watch::Receiver<SessionState> {
        self.shared().state()
    }

    /// Until when the session is certainly alive, as proven by answers that went through the quorum.
    ///
    /// A lease that has ended does not come back. If the session turns out to have survived, it has a
    /// new lease from its next proof on, and this returns that one.
    pub fn lease(&self) -> Lease {
        self.shared().lock().lease().clone()
    }

    /// The connection there is, or was last: another number for each. What two watches tell is in order as long
    /// as this is the same.
    pub(crate) fn connection(&self) -> u64 {
        self.shared().lock().connection()
    }

    /// The clock the lease goes by.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        self.shared().clock()
    }

    /// Asks the quorum whether it still holds the session, which renews the lease. The session does
    /// so by itself four times per timeout.
    pub fn prove(&self) -> Call<()> {
        self.call(Ok(proof::proof_request()), |reply, _| match reply {
            Reply::Multi(_) => Some(()),
            _ => None,
        })
    }

    /// Adds credentials, now and after every reconnect. Should the servers refuse them, the session
    /// is over.
    pub fn authenticate(&self, credentials: Credentials) {
        self.shared().lock().authenticate(credentials);
        self.shared().wake.notify_one();
    }

    /// Ends the session and its ephemeral nodes, and waits until a server has confirmed it, for as
    /// long as the session timeout at most: by then the servers end it by themselves.
    pub async fn close(self) {
        self.shared().close();
        let mut state = self.state();
        let over = state.wait_for(|state| state.end().is_some());
        let _ = tokio::time::timeout(self.timeout(), over).await;
    }

    /// What it takes to end this session from another process, for when this one has died.
    pub fn ticket(&self) -> Option<SessionTicket> {
        self.shared().lock().ticket()
    }

    /// Ends a session of another process, and waits until a server has confirmed it or the servers
    /// have long ended it by themselves. The other process loses all that it has through the session, so it
    /// must be dead, and so must be whoever acts for it.
    ///
    /// # Errors
    /// [`ConnectError::Invalid`] for options that can never work.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn end(options: SessionOptions, ticket: &SessionTicket) -> Result<(), ConnectError> {
        check(&options)?;
        let clock = options.clock.clone();
        let machine = Machine::taken_over(&options, ticket, clock.now());
        let shared = Arc::new(Shared::new(machine, clock));
        shared.close();
        let mut state = shared.state();
        let seed = ClaimId::random().as_u128() as u64;
        tokio::spawn(driver::run(shared.clone(), options, seed));
        let over = state.wait_for(|state| state.end().is_some());
        let _ = tokio::time::timeout(ticket.timeout(), over).await;
        Ok(())
    }

    // ----- the rim of the machine -----

    fn shared(&self) -> &Arc<Shared> {
        &self.handle.0
    }

    fn call<T>(
        &self,
        request: Result<Request, RequestError>,
        read: fn(Reply, &str) -> Option<T>,
    ) -> Call<T> {
        let submitted = request.and_then(|request| {
            let now = self.shared().now();
            self.shared().lock().submit(now, &request)
        });
        self.shared().wake.notify_one();
        Call::new(submitted, self.chroot.clone(), read)
    }

    fn absolute(&self, path: &str) -> Result<String, RequestError> {
        path::validate(path).map_err(bad_path)?;
        Ok(match (&*self.chroot, path) {
            ("", path) => path.to_owned(),
            (chroot, "/") => chroot.to_owned(),
            (chroot, path) => format!("{chroot}{path}"),
        })
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &format_args!("{:#x}", self.id()))
            .field("state", &self.shared().state_now())
            .field("chroot", &self.chroot)
            .finish_non_exhaustive()
    }
}

const TIMEOUTS: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(24 * 3600);

fn check(options: &SessionOptions) -> Result<(), ConnectError> {
    let invalid = |text: &str| Err(ConnectError::Invalid(text.to_owned()));
    if options.servers.is_empty() {
        return invalid("no server is given");
    }
    if !TIMEOUTS.contains(&options.timeout) {
        return invalid("the session timeout must be between 1 ms and a day");
    }
    let SessionLimits {
        in_flight_max,
        queue_max,
        queue_bytes_max,
        request_bytes_max,
        reply_bytes_max,
        events_max,
    } = options.limits;
    let counts = [in_flight_max, queue_max, events_max];
    let sizes = [queue_bytes_max, request_bytes_max, reply_bytes_max];
    if counts.contains(&0) || sizes.contains(&0) {
        return invalid("a limit of 0 leaves nothing that could be done");
    }
    if !options.chroot.is_empty()
        && let Err(error) = path::validate(&options.chroot)
    {
        return Err(ConnectError::Invalid(format!("the chroot {:?}: {error}", options.chroot)));
    }
    Ok(())
}

/// What to put before a path below this root.
fn chroot_of(root: &str) -> Arc<str> {
    Arc::from(if root == "/" { "" } else { root })
}

fn bad_path(error: sneck_wire::PathError) -> RequestError {
    RequestError::BadPath(error.to_string())
}

/// A path as the session's user knows it, without the chroot.
fn local_path(chroot: &str, path: String) -> String {
    match path.strip_prefix(chroot) {
        Some("") => "/".to_owned(),
        Some(local) if local.starts_with('/') => local.to_owned(),
        _ => path,
    }
}
