//! Locks on ZooKeeper.

use super::claim::ZooKeeperClaim;
use super::dialect::{Dialect, ForeignPolicy};
use super::seat::{contender, line};
use super::{failure, path};
use crate::error::RequestError;
use crate::options::SessionOptions;
use crate::session::Session;
use async_trait::async_trait;
use sneck_core::{
    Backend, Claim, Contender, Crash, Error, ErrorKind, Name, Order, Promises, Request, Survey,
    TokenScope, Wake,
};
use sneck_wire::{Acl, ErrorCode};
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

/// Who may touch what sneck writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AclPolicy {
    /// Everybody, as ZooKeeper has it by default.
    #[default]
    Open,
    /// Only who has the credentials of the session that wrote it.
    Creator,
}

/// How locks are laid out on the servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LockOptions {
    /// Which node names share a line.
    pub dialect: Dialect,
    /// What to do about other children of a lock's node.
    pub foreign: ForeignPolicy,
    /// Who may touch what sneck writes.
    pub acl: AclPolicy,
}

/// Locks on ZooKeeper: a [`Backend`] for the core.
///
/// All locks share one session. A session that ended is replaced when the next lock is asked for; what
/// was held or waited for under the old one is lost. Clones share the session too.
#[derive(Clone)]
pub struct ZooKeeper(Arc<Inner>);

pub(crate) struct Inner {
    /// Without a chroot, so that the nodes above it can be made.
    session_options: SessionOptions,
    chroot: String,
    options: LockOptions,
    label: Arc<str>,
    current: RwLock<Session>,
    opening: tokio::sync::Mutex<()>,
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
        let label = format!("zk://{}{}", servers.join(","), session_options.chroot);
        let label: Arc<str> = Arc::from(label);
        if options.acl == AclPolicy::Creator && session_options.credentials.is_empty() {
            let text = "acl=creator needs credentials, such as zk://user:password@host";
            return Err(Error::new(ErrorKind::Invalid, text).with_backend(&label));
        }
        let chroot = std::mem::take(&mut session_options.chroot);
        let session = Session::connect(session_options.clone())
            .await
            .map_err(|error| failure::of_connect(&error).with_backend(&label))?;
        Ok(ZooKeeper(Arc::new(Inner {
            session_options,
            chroot,
            options,
            label,
            current: RwLock::new(session),
            opening: tokio::sync::Mutex::new(()),
        })))
    }

    /// The session that locks are taken on just now, opened anew if the last one ended. Its paths are
    /// not below the chroot.
    ///
    /// # Errors
    /// When no session can be opened.
    pub async fn session(&self) -> Result<Session, Error> {
        self.0.session().await
    }

    /// The path of a lock's node, chroot included.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for names that cannot be a lock's here.
    pub fn path(&self, name: &Name) -> Result<String, Error> {
        path::of_lock(self.0.chroot(), name, self.0.dialect())
    }
}

impl Inner {
    pub(crate) fn chroot(&self) -> &str {
        &self.chroot
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.options.dialect
    }

    pub(crate) fn foreign(&self) -> ForeignPolicy {
        self.options.foreign
    }

    pub(crate) fn acl(&self) -> Vec<Acl> {
        match self.options.acl {
            AclPolicy::Open => Acl::open(),
            AclPolicy::Creator => Acl::creator_all(),
        }
    }

    pub(crate) fn label(&self) -> Arc<str> {
        self.label.clone()
    }

    /// The current session, or a new one if that has ended. One caller opens it, the others wait.
    pub(crate) async fn session(&self) -> Result<Session, Error> {
        if let Some(session) = self.alive() {
            return Ok(session);
        }
        let _opening = self.opening.lock().await;
        if let Some(session) = self.alive() {
            return Ok(session);
        }
        let session = Session::connect(self.session_options.clone())
            .await
            .map_err(|error| failure::of_connect(&error))?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = session.clone();
        Ok(session)
    }

    fn alive(&self) -> Option<Session> {
        let session = self.current();
        let over = session.state().borrow().end().is_some();
        (!over).then_some(session)
    }

    fn current(&self) -> Session {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn locate(&self, error: &RequestError, doing: &str) -> Error {
        failure::of_request(error, doing).with_backend(&self.label)
    }
}

#[async_trait]
impl Backend for ZooKeeper {
    fn claim(&self, request: Request) -> Box<dyn Claim> {
        Box::new(ZooKeeperClaim::new(self.0.clone(), request))
    }

    fn promises(&self) -> Promises {
        Promises {
            order: Order::Fifo,
            wake: Wake::Pushed,
            crash: Crash::Session,
            token: TokenScope::Replicated,
        }
    }

    fn label(&self) -> Arc<str> {
        self.0.label()
    }

    fn survey(&self) -> Option<&dyn Survey> {
        Some(self)
    }

    async fn close(&self) {
        self.0.current().close().await;
    }
}

/// Nodes read at the same time while looking around.
const READS_MAX: usize = 256;
/// Nodes visited while looking for locks, so that a tree of another use cannot keep us for ever.
const NODES_MAX: usize = 100_000;

#[async_trait]
impl Survey for ZooKeeper {
    async fn line(&self, name: &Name) -> Result<Vec<Contender>, Error> {
        let dir = self.path(name)?;
        let session = self.session().await?;
        let failed =
            |error: &RequestError| self.0.locate(error, "reading the line").with_lock(name);
        let children = match session.get_children(&dir).await {
            Ok(children) => children,
            Err(RequestError::Refused(ErrorCode::NO_NODE)) => return Ok(Vec::new()),
            Err(error) => return Err(failed(&error)),
        };
        let places =
            line(self.0.dialect(), ForeignPolicy::Ignore, &children, "").unwrap_or_default();
        let mut contenders = Vec::with_capacity(places.len());
        for places in places.chunks(READS_MAX) {
            let reads: Vec<_> =
                places.iter().map(|place| session.get_data(&format!("{dir}/{place}"))).collect();
            for (place, read) in places.iter().zip(reads) {
                match read.await {
                    Ok(node) => contenders.push(contender(place, &node)),
                    // It has left since.
                    Err(RequestError::Refused(ErrorCode::NO_NODE)) => {}
                    Err(error) => return Err(failed(&error)),
                }
            }
        }
        Ok(contenders)
    }

    async fn names(&self) -> Result<Vec<Name>, Error> {
        let session = self.session().await?;
        let mut names = Vec::new();
        let mut visited = 0;
        let mut todo = VecDeque::from([String::new()]);
        while !todo.is_empty() && visited < NODES_MAX {
            let round: Vec<String> = todo.drain(..todo.len().min(READS_MAX)).collect();
            visited += round.len();
            let reads: Vec<_> =
                round.iter().map(|at| session.get_children(&self.absolute(at))).collect();
            for (at, read) in round.iter().zip(reads) {
                match read.await {
                    Ok(children) => self.look_at(at, &children, &mut names, &mut todo),
                    Err(RequestError::Refused(ErrorCode::NO_NODE | ErrorCode::NO_AUTH)) => {}
                    Err(error) => return Err(self.0.locate(&error, "looking for locks")),
                }
            }
        }
        names.sort();
        Ok(names)
    }
}

impl ZooKeeper {
    /// The path of what is called `local` below the chroot.
    fn absolute(&self, local: &str) -> String {
        match (self.0.chroot(), local) {
            ("", "") => "/".to_owned(),
            (chroot, "") => chroot.to_owned(),
            (chroot, local) => format!("{chroot}/{local}"),
        }
    }

    /// Notes a node that has places as a lock, and its other children as places to look.
    fn look_at(
        &self,
        at: &str,
        children: &[String],
        names: &mut Vec<Name>,
        todo: &mut VecDeque<String>,
    ) {
        let is_place = |child: &&String| self.0.dialect().sequence(child).is_some();
        if children.iter().any(|child| is_place(&child)) {
            names.extend(Name::new(at).ok());
        }
        for child in children.iter().filter(|child| !is_place(child)) {
            let servers_own = at.is_empty() && self.0.chroot().is_empty() && *child == "zookeeper";
            if !servers_own {
                todo.push_back(if at.is_empty() { child.clone() } else { format!("{at}/{child}") });
            }
        }
    }
}

impl fmt::Debug for ZooKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZooKeeper")
            .field("label", &self.0.label)
            .field("session", &self.0.current())
            .field("options", &self.0.options)
            .finish_non_exhaustive()
    }
}
