//! A session with a ZooKeeper ensemble.

mod call;
mod driver;
mod machine;
mod shared;
mod state;
mod watches;

pub use call::{Call, Watch, WatchCall, WatchStream};
pub use state::SessionState;

use crate::credentials::Credentials;
use crate::error::{ConnectError, End, RequestError};
use crate::options::{SessionLimits, SessionOptions};
use bytes::Bytes;
use call::Registration;
use machine::{Machine, Watching};
use shared::Shared;
use sneck_core::{ClaimId, Clock, Lease};
use sneck_wire::{
    Acl, AddWatchMode, ClientInfo, CreateMode, MultiOp, MultiResult, NewNode, ReadOp, Reply,
    Request, Stat, path,
};
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use watches::WatchKind;

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

/// A node that was created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// Its path, with the number the server appended.
    pub path: String,
    /// Its metadata.
    pub stat: Stat,
}

/// The data of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The data; null reads as empty.
    pub data: Bytes,
    /// Its metadata.
    pub stat: Stat,
}

impl Session {
    /// Opens a session.
    ///
    /// # Errors
    /// [`ConnectError`], when no server gave us a session within
    /// [`connect_timeout`](SessionOptions::connect_timeout), or at once when none of them ever will.
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
        let seed = ClaimId::random().as_u128() as u64;
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

    /// The clock the lease goes by.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        self.shared().clock()
    }

    /// Asks the quorum whether it still holds the session, which renews the lease. The session does
    /// so by itself four times per timeout.
    pub fn prove(&self) -> Call<()> {
        self.call(Ok(machine::proof_request()), |reply, _| match reply {
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

    // ----- reading -----

    /// The node's metadata, or `None` where there is no node.
    pub fn exists(&self, path: &str) -> Exists {
        let request = self.absolute(path).map(|path| Request::Exists { path, watch: false });
        self.call(request, read_exists).or_absent(|| None)
    }

    /// [`exists`](Session::exists), with a watch for creation, deletion and change of data. `None`
    /// comes with the watch too.
    pub fn exists_watch(&self, path: &str) -> WatchCall<Option<Stat>> {
        let request = self.absolute(path).map(|path| Request::Exists { path, watch: true });
        let parts = self.watch_call(request, WatchKind::Exist, read_exists);
        WatchCall::new(parts.call.or_absent(|| None), parts.watch)
    }

    /// The node's data and metadata.
    pub fn get_data(&self, path: &str) -> Call<Node> {
        self.call(
            self.absolute(path).map(|path| Request::GetData { path, watch: false }),
            read_data,
        )
    }

    /// [`get_data`](Session::get_data), with a watch for deletion and change of data.
    pub fn get_data_watch(&self, path: &str) -> WatchCall<Node> {
        let request = self.absolute(path).map(|path| Request::GetData { path, watch: true });
        let parts = self.watch_call(request, WatchKind::Data, read_data);
        WatchCall::new(parts.call, parts.watch)
    }

    /// The names of the node's children, in no order.
    pub fn get_children(&self, path: &str) -> Call<Vec<String>> {
        let request = self.absolute(path).map(|path| Request::GetChildren { path, watch: false });
        self.call(request, read_children)
    }

    /// [`get_children`](Session::get_children), with a watch for children that come and go and for
    /// the node's own deletion.
    pub fn get_children_watch(&self, path: &str) -> WatchCall<Vec<String>> {
        let request = self.absolute(path).map(|path| Request::GetChildren { path, watch: true });
        let parts = self.watch_call(request, WatchKind::Child, read_children);
        WatchCall::new(parts.call, parts.watch)
    }

    /// The names of the node's children, in no order, and the node's metadata.
    pub fn get_children2(&self, path: &str) -> Call<(Vec<String>, Stat)> {
        let request = self.absolute(path).map(|path| Request::GetChildren2 { path, watch: false });
        self.call(request, |reply, _| match reply {
            Reply::GetChildren2 { children, stat } => Some((children, stat)),
            _ => None,
        })
    }

    /// The node's access control list and metadata.
    pub fn get_acl(&self, path: &str) -> Call<(Vec<Acl>, Stat)> {
        let request = self.absolute(path).map(|path| Request::GetAcl { path });
        self.call(request, |reply, _| match reply {
            Reply::GetAcl { acl, stat } => Some((acl, stat)),
            _ => None,
        })
    }

    /// Waits until the server has caught up with the leader, so that a read after it sees every write
    /// that was answered before it.
    pub fn sync(&self, path: &str) -> Call<()> {
        let request = self.absolute(path).map(|path| Request::Sync { path });
        self.call(request, |reply, _| match reply {
            Reply::Sync { .. } => Some(()),
            _ => None,
        })
    }

    /// Several reads in one request, each with its own result. Paths are below the session's root.
    pub fn multi_read(&self, reads: Vec<ReadOp>) -> Call<Vec<MultiResult>> {
        let absolute = |read| match read {
            ReadOp::GetChildren { path } => {
                self.absolute(&path).map(|path| ReadOp::GetChildren { path })
            }
            ReadOp::GetData { path } => self.absolute(&path).map(|path| ReadOp::GetData { path }),
        };
        let reads: Result<Vec<_>, _> = reads.into_iter().map(absolute).collect();
        self.call(reads.map(Request::MultiRead), |reply, _| match reply {
            Reply::MultiRead(results) => Some(results),
            _ => None,
        })
    }

    /// The identities the servers know this connection by.
    pub fn who_am_i(&self) -> Call<Vec<ClientInfo>> {
        self.call(Ok(Request::WhoAmI), |reply, _| match reply {
            Reply::WhoAmI(infos) => Some(infos),
            _ => None,
        })
    }

    // ----- writing -----

    /// Creates a node and answers its path.
    pub fn create(
        &self,
        path: &str,
        data: impl Into<Bytes>,
        mode: CreateMode,
        acl: Vec<Acl>,
    ) -> Call<String> {
        let node = self.new_node(path, data.into(), mode, acl);
        self.call(node.map(Request::Create), |reply, chroot| match reply {
            Reply::Create { path } => Some(local_path(chroot, path)),
            _ => None,
        })
    }

    /// Creates a node, or a container, and answers its path and metadata. Servers before 3.5 do not
    /// know this request.
    pub fn create2(
        &self,
        path: &str,
        data: impl Into<Bytes>,
        mode: CreateMode,
        acl: Vec<Acl>,
    ) -> Call<Created> {
        let node = self.new_node(path, data.into(), mode, acl);
        let request = node.map(|node| match mode {
            CreateMode::Container => Request::CreateContainer(node),
            _ => Request::Create2(node),
        });
        self.call(request, read_created)
    }

    /// Creates a node that the servers delete once it has had no child and no change of data for
    /// `ttl`. Servers must be configured to allow it.
    pub fn create_ttl(
        &self,
        path: &str,
        data: impl Into<Bytes>,
        mode: CreateMode,
        acl: Vec<Acl>,
        ttl: Duration,
    ) -> Call<Created> {
        let ttl_ms = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
        let node = self.new_node(path, data.into(), mode, acl);
        self.call(node.map(|node| Request::CreateTtl { node, ttl_ms }), read_created)
    }

    /// Deletes a node without children. `None` for any version.
    pub fn delete(&self, path: &str, version: Option<i32>) -> Call<()> {
        let version = version.unwrap_or(-1);
        let request = self.absolute(path).map(|path| Request::Delete { path, version });
        self.call(request, |reply, _| match reply {
            Reply::Delete => Some(()),
            _ => None,
        })
    }

    /// Replaces a node's data. `None` for any version.
    pub fn set_data(
        &self,
        path: &str,
        data: impl Into<Bytes>,
        version: Option<i32>,
    ) -> Call<Stat> {
        let (data, version) = (Some(data.into()), version.unwrap_or(-1));
        let request = self.absolute(path).map(|path| Request::SetData { path, data, version });
        self.call(request, |reply, _| match reply {
            Reply::SetData(stat) => Some(stat),
            _ => None,
        })
    }

    /// Replaces a node's access control list. `None` for any version of it.
    pub fn set_acl(&self, path: &str, acl: Vec<Acl>, version: Option<i32>) -> Call<Stat> {
        let version = version.unwrap_or(-1);
        let request = self.absolute(path).map(|path| Request::SetAcl { path, acl, version });
        self.call(request, |reply, _| match reply {
            Reply::SetAcl(stat) => Some(stat),
            _ => None,
        })
    }

    /// Several writes and checks in one transaction: all are applied or none. The answer has one
    /// result for each; a transaction that failed is an `Ok` whose results are
    /// [errors](MultiResult::Error). Paths are below the session's root.
    pub fn multi(&self, ops: Vec<MultiOp>) -> Call<Vec<MultiResult>> {
        let ops: Result<Vec<_>, _> = ops.into_iter().map(|op| self.absolute_op(op)).collect();
        self.call(ops.map(Request::Multi), |reply, chroot| match reply {
            Reply::Multi(results) => {
                Some(results.into_iter().map(|result| local_result(chroot, result)).collect())
            }
            _ => None,
        })
    }

    // ----- watching -----

    /// A persistent watch on a path, which need not exist.
    pub fn add_watch(&self, path: &str, mode: AddWatchMode) -> WatchCall<(), WatchStream> {
        let submitted = self.absolute(path).and_then(|path| {
            let now = self.shared().now();
            self.shared().lock().submit_streaming(now, &path, mode)
        });
        self.shared().wake.notify_one();
        let read = |reply, _: &str| match reply {
            Reply::AddWatch => Some(()),
            _ => None,
        };
        match submitted {
            Ok(Watching { answer, key, events }) => {
                let registration = self.registration(key);
                let call = Call::new(Ok(answer), self.chroot.clone(), read);
                WatchCall::new(call, Some(WatchStream { events, registration }))
            }
            Err(error) => {
                WatchCall::new(Call::new(Err(error), self.chroot.clone(), read), None)
            }
        }
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

    fn watch_call<T>(
        &self,
        request: Result<Request, RequestError>,
        kind: WatchKind,
        read: fn(Reply, &str) -> Option<T>,
    ) -> WatchParts<T> {
        let submitted = request.and_then(|request| {
            let path = match &request {
                Request::Exists { path, .. }
                | Request::GetData { path, .. }
                | Request::GetChildren { path, .. } => path.clone(),
                other => unreachable!("{:?} leaves no one-shot watch", other.op()),
            };
            let now = self.shared().now();
            self.shared().lock().submit_watching(now, &request, &path, kind)
        });
        self.shared().wake.notify_one();
        match submitted {
            Ok(Watching { answer, key, events }) => WatchParts {
                call: Call::new(Ok(answer), self.chroot.clone(), read),
                watch: Some(Watch { events, registration: self.registration(key) }),
            },
            Err(error) => {
                let call = Call::new(Err(error), self.chroot.clone(), read);
                WatchParts { call, watch: None }
            }
        }
    }

    fn registration(&self, key: watches::WatchKey) -> Registration {
        Registration { shared: self.shared().clone(), key, chroot: self.chroot.clone() }
    }

    fn new_node(
        &self,
        path: &str,
        data: Bytes,
        mode: CreateMode,
        acl: Vec<Acl>,
    ) -> Result<NewNode, RequestError> {
        let path = if mode.is_sequential() {
            path::validate_sequential(path).map_err(bad_path)?;
            format!("{}{path}", self.chroot)
        } else {
            self.absolute(path)?
        };
        Ok(NewNode { path, data: Some(data), acl, mode })
    }

    fn absolute(&self, path: &str) -> Result<String, RequestError> {
        path::validate(path).map_err(bad_path)?;
        Ok(match (&*self.chroot, path) {
            ("", path) => path.to_owned(),
            (chroot, "/") => chroot.to_owned(),
            (chroot, path) => format!("{chroot}{path}"),
        })
    }

    fn absolute_op(&self, op: MultiOp) -> Result<MultiOp, RequestError> {
        let node = |node: NewNode| {
            self.new_node(&node.path, Bytes::new(), node.mode, Vec::new())
                .map(|absolute| NewNode { path: absolute.path, ..node })
        };
        Ok(match op {
            MultiOp::Create(new) => MultiOp::Create(node(new)?),
            MultiOp::Create2(new) => MultiOp::Create2(node(new)?),
            MultiOp::CreateContainer(new) => MultiOp::CreateContainer(node(new)?),
            MultiOp::CreateTtl { node: new, ttl_ms } => {
                MultiOp::CreateTtl { node: node(new)?, ttl_ms }
            }
            MultiOp::Delete { path, version } => {
                MultiOp::Delete { path: self.absolute(&path)?, version }
            }
            MultiOp::SetData { path, data, version } => {
                MultiOp::SetData { path: self.absolute(&path)?, data, version }
            }
            MultiOp::Check { path, version } => {
                MultiOp::Check { path: self.absolute(&path)?, version }
            }
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

struct WatchParts<T> {
    call: Call<T>,
    watch: Option<Watch>,
}

/// What [`Session::exists`] will come to: that there is no node is an answer, not an error.
pub type Exists = Call<Option<Stat>>;

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
    let SessionLimits { in_flight_max, queue_max, request_bytes_max, reply_bytes_max, events_max } =
        options.limits;
    if [in_flight_max, queue_max, request_bytes_max, reply_bytes_max, events_max].contains(&0) {
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

fn local_result(chroot: &str, result: MultiResult) -> MultiResult {
    match result {
        MultiResult::Create { path, stat } => {
            MultiResult::Create { path: local_path(chroot, path), stat }
        }
        other => other,
    }
}

fn read_exists(reply: Reply, _: &str) -> Option<Option<Stat>> {
    match reply {
        Reply::Exists(stat) => Some(Some(stat)),
        _ => None,
    }
}

fn read_data(reply: Reply, _: &str) -> Option<Node> {
    match reply {
        Reply::GetData { data, stat } => Some(Node { data: data.unwrap_or_default(), stat }),
        _ => None,
    }
}

fn read_children(reply: Reply, _: &str) -> Option<Vec<String>> {
    match reply {
        Reply::GetChildren(children) => Some(children),
        _ => None,
    }
}

fn read_created(reply: Reply, chroot: &str) -> Option<Created> {
    match reply {
        Reply::Create2 { path, stat }
        | Reply::CreateContainer { path, stat }
        | Reply::CreateTtl { path, stat } => {
            Some(Created { path: local_path(chroot, path), stat })
        }
        _ => None,
    }
}
