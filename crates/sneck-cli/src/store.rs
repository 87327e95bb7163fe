//! The store the locks are on.

use crate::exit;
use crate::failure::Failure;
use crate::guardian;
use crate::server::ServerUrl;
use crate::verb::detach::own_program;
use sneck::embedded::{self, EmbeddedUrl};
use sneck::guardian::Guardian;
use sneck::local::Local;
use sneck::zookeeper::{ZooKeeper, ZooKeeperUrl};
use sneck::{Caller, ClaimId, Contender, Locks, Name};
use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;

/// A connection to the store.
pub(crate) struct Store {
    locks: Locks,
    url: ServerUrl,
    /// The backend itself, where there is more to ask than the common interface tells.
    zookeeper: Option<ZooKeeper>,
    /// Who frees what is held here when we are killed.
    guardian: Option<Guardian>,
}

impl Store {
    /// How long the end of the connection may hold up the end of the process. A store that does not
    /// answer frees everything by itself when the session times out.
    const CLOSE_MAX: Duration = Duration::from_secs(2);
    /// The same after a loss, which mostly means that the store does not answer.
    const CLOSE_AFTER_LOSS_MAX: Duration = Duration::from_millis(200);

    /// Connects. `command` is what others in line are told that we do.
    ///
    /// # Errors
    /// For a URL that can never work, and when the store cannot be reached or refuses us.
    pub(crate) async fn open(mut url: ServerUrl, command: String) -> Result<Self, Failure> {
        let mut zookeeper = None;
        let locks = match url.scheme() {
            scheme if ZooKeeperUrl::is_scheme(scheme) => {
                let parsed = ZooKeeperUrl::parse(url.secret())?;
                let backend = ZooKeeper::connect(parsed.session, parsed.lock).await?;
                zookeeper = Some(backend.clone());
                Locks::on(Arc::new(backend))
            }
            scheme if Local::is_scheme(scheme) => {
                let local = local(&url)?;
                let here = local.url();
                let backend = local.connect().await?;
                zookeeper = Some(backend.clone());
                // The command may have another idea of where the folder is.
                url = url.at(&here);
                Locks::on(Arc::new(backend))
            }
            "embedded" => {
                let backend = embedded::open(EmbeddedUrl::parse(url.secret())?).await?;
                zookeeper = Some(backend.clone());
                Locks::on(Arc::new(backend))
            }
            // Every process would have locks of its own, which excludes nobody.
            "memory" => {
                return Err(Failure::usage("memory: is for the threads of one process")
                    .with_hint("use a store that all processes can reach, such as local:"));
            }
            _ => sneck::connect(url.secret()).await?,
        };
        let caller = Caller { command, ..locks.caller().clone() };
        let locks = locks.with_caller(caller).holding_claims(inherited());
        Ok(Store { locks, url, zookeeper, guardian: None })
    }

    /// The same, where what is held is free soon after we are killed. On ZooKeeper that takes a process
    /// that looks on; other stores do by themselves what they can.
    ///
    /// # Errors
    /// When there can be no such process.
    pub(crate) fn guarded(mut self, wanted: bool) -> Result<Self, Failure> {
        if let (Some(zookeeper), true) = (&self.zookeeper, wanted)
            && ZooKeeperUrl::is_scheme(self.url.scheme())
        {
            self.guardian = Some(guardian::start(zookeeper, &self.url)?);
        }
        Ok(self)
    }

    /// Who frees what is held when we are killed.
    pub(crate) fn guardian(&self) -> Option<&Guardian> {
        self.guardian.as_ref()
    }

    /// The same, where a wait in a circle is given up.
    #[must_use]
    pub(crate) fn refusing_deadlock(self, refuse: bool) -> Self {
        match refuse {
            true => Store { locks: self.locks.refusing_deadlock(), ..self },
            false => self,
        }
    }

    /// The locks.
    pub(crate) fn locks(&self) -> &Locks {
        &self.locks
    }

    /// The same, where this text is a part of who we are. For what has no note of its own.
    pub(crate) fn locks_saying(&self, note: &str) -> Locks {
        let caller = Caller { note: note.to_owned(), ..self.locks.caller().clone() };
        self.locks.clone().with_caller(caller)
    }

    /// Where the store is, without credentials.
    pub(crate) fn url(&self) -> String {
        self.url.without_credentials()
    }

    /// Who we are, in one word.
    pub(crate) fn owner(&self) -> String {
        let caller = self.locks.caller();
        format!("{}@{}:{}", caller.user, caller.host, caller.pid)
    }

    /// Whether it is we who stand there.
    pub(crate) fn is_own(&self, contender: &Contender) -> bool {
        let ours = self.locks.caller();
        let theirs = contender.caller.as_ref();
        theirs.is_some_and(|theirs| (theirs.pid, &theirs.host) == (ours.pid, &ours.host))
    }

    /// The session timeout the servers have given us: what all periods of a lease are fractions of.
    /// `None` where locks do not depend on a session.
    ///
    /// # Errors
    /// When there is no session, and none can be had.
    pub(crate) async fn session_timeout(&self) -> Result<Option<Duration>, Failure> {
        match &self.zookeeper {
            Some(zookeeper) => Ok(Some(zookeeper.session().await?.timeout())),
            None => Ok(None),
        }
    }

    /// Gives everything back, so that nobody has to wait for the session's time-out, and passes on what
    /// has come of the use of this store.
    pub(crate) async fn close<T>(self, result: Result<T, Failure>) -> Result<T, Failure> {
        let limit = match &result {
            Err(failure) if failure.code() == exit::LOST => Self::CLOSE_AFTER_LOSS_MAX,
            _ => Self::CLOSE_MAX,
        };
        let closed = tokio::time::timeout(limit, self.locks.close()).await;
        if closed.is_err() {
            // What could not be ended in time is ended by somebody who has more of it.
            std::mem::forget(self.guardian);
        }
        result
    }
}

/// The variable in which a command is told what is held for it.
pub(crate) const HOLDS: &str = "SNECK_HOLDS";

/// What those hold who have started us. An id that belongs to another store, or has been given back,
/// ties nothing.
pub(crate) fn inherited() -> Vec<ClaimId> {
    let told = std::env::var(HOLDS).unwrap_or_default();
    told.split(',').filter_map(|id| id.parse().ok()).collect()
}

/// The server that the processes of this user share, which is this very program if it has to be started.
///
/// # Errors
/// For a URL that can never work.
pub(crate) fn local(url: &ServerUrl) -> Result<Local, Failure> {
    Ok(Local::parse(url.secret())?.with_program(own_program()))
}

/// The name of a lock, from the command line.
///
/// # Errors
/// When it cannot be one. Nothing has been sent then.
pub(crate) fn name(text: &OsStr) -> Result<Name, Failure> {
    match text.to_str() {
        Some(text) => Ok(Name::new(text)?),
        None => Err(Failure::usage(format!("lock name {text:?} is not UTF-8"))),
    }
}
