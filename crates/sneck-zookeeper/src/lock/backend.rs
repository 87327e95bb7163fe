//! Locks on ZooKeeper.

use super::claim::ZooKeeperClaim;
use super::layout::{AclPolicy, Layout, LockOptions};
use super::sessions::Sessions;
use super::together::Together;
use crate::options::SessionOptions;
use crate::session::{Session, SessionTicket};
use async_trait::async_trait;
use sneck_core::{
    Backend, Capacity, Claim, Contender, Crash, Error, ErrorKind, Mode, Name, Order, Promises,
    Records, Request, Survey, Wake,
};
use std::fmt;
use std::sync::Arc;
use tokio::sync::watch;

/// Locks on ZooKeeper: a [`Backend`] for the core.
///
/// All locks share one session. A session that ended is replaced when the next lock is asked for; what
/// was held or waited for under the old one is lost. Clones share the session too.
#[derive(Clone)]
pub struct ZooKeeper {
    pub(crate) layout: Arc<Layout>,
    pub(super) sessions: Arc<Sessions>,
}

impl ZooKeeper {
    /// Opens a session.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for options that can never work, [`ErrorKind::Unavailable`] when no
    /// server gave us a session, [`ErrorKind::Protocol`] when the peers are no ZooKeeper servers,
    /// [`ErrorKind::Denied`] when they refuse us or cannot be trusted.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn connect(
        mut session_options: SessionOptions,
        options: LockOptions,
    ) -> Result<Self, Error> {
        let servers: Vec<String> =
            session_options.servers.iter().map(ToString::to_string).collect();
        // Sessions are opened without the chroot, so that the nodes above it can be made.
        let chroot = std::mem::take(&mut session_options.chroot);
        let by_servers = || Arc::from(format!("zk://{}{chroot}", servers.join(",")));
        let label: Arc<str> = session_options.label.clone().unwrap_or_else(by_servers);
        if options.acl == AclPolicy::Creator && session_options.credentials.is_empty() {
            let text = "acl=creator needs credentials, such as zk://user:password@host";
            return Err(Error::new(ErrorKind::Invalid, text).with_backend(&label));
        }
        let sessions = Sessions::open(session_options).await;
        let sessions = Arc::new(sessions.map_err(|error| error.with_backend(&label))?);
        Ok(ZooKeeper { layout: Arc::new(Layout { chroot, options, label }), sessions })
    }

    /// The session that locks are taken on just now, opened anew if the last one ended. Its paths are
    /// not below the chroot.
    ///
    /// # Errors
    /// When no session can be opened.
    pub async fn session(&self) -> Result<Session, Error> {
        let session = self.sessions.alive().await;
        session.map_err(|error| error.with_backend(&self.layout.label))
    }

    /// What it takes to end the session that locks are taken on from another process, and that of each
    /// session that comes after it. Closed when the last clone is gone.
    pub fn tickets(&self) -> watch::Receiver<Option<SessionTicket>> {
        self.sessions.tickets()
    }

    /// The path of a lock's node, chroot included.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for names that cannot be a lock's here.
    pub fn path(&self, name: &Name) -> Result<String, Error> {
        self.layout.path(name)
    }
}

#[async_trait]
impl Backend for ZooKeeper {
    fn claim(&self, request: Request) -> Box<dyn Claim> {
        Box::new(ZooKeeperClaim::new(self.layout.clone(), self.sessions.clone(), request))
    }

    fn claim_all(&self, requests: Vec<Request>) -> Box<dyn Claim> {
        let claim =
            |request| ZooKeeperClaim::new(self.layout.clone(), self.sessions.clone(), request);
        Box::new(Together::new(requests.into_iter().map(claim).collect()))
    }

    fn supports(&self, mode: Mode) -> bool {
        self.layout.options.dialect.has(mode)
    }

    fn capacity(&self) -> Option<&dyn Capacity> {
        Some(self)
    }

    async fn revoke(&self, name: &Name) -> Result<Vec<Contender>, Error> {
        self.ask_back(name).await
    }

    fn promises(&self) -> Promises {
        Promises {
            order: Order::Fifo,
            wake: Wake::Pushed,
            crash: Crash::Session,
            token: self.sessions.token_scope(),
        }
    }

    fn label(&self) -> Arc<str> {
        self.layout.label.clone()
    }

    fn survey(&self) -> Option<&dyn Survey> {
        Some(self)
    }

    fn records(&self) -> Option<&dyn Records> {
        Some(self)
    }

    /// On the same session, in lines that Curator's leader latch shares.
    fn elections(&self) -> Option<Arc<dyn Backend>> {
        let Layout { chroot, options, label } = &*self.layout;
        let options = LockOptions { dialect: options.dialect.of_elections(), ..*options };
        let layout = Layout { chroot: chroot.clone(), options, label: label.clone() };
        Some(Arc::new(ZooKeeper { layout: Arc::new(layout), sessions: self.sessions.clone() }))
    }

    async fn close(&self) {
        self.sessions.close().await;
    }
}

impl fmt::Debug for ZooKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZooKeeper")
            .field("label", &self.layout.label)
            .field("session", &self.sessions.last())
            .field("options", &self.layout.options)
            .finish_non_exhaustive()
    }
}
