//! The lock of the crate `zookeeper-client`, with the names that Curator gives to places.
//!
//! A session of it that has ended stays so; its users open another, as they do here. It tells nobody that a
//! lock is lost: what is said of that is what its session's state says.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use zookeeper_client::{
    Acls, Client, CreateMode, Error, LockOptions, LockPrefix, OwnedLockClient, SessionState,
    StateWatcher,
};

use super::{Contender, say};

/// The session there is, for all locks of the program.
#[derive(Debug, Clone)]
pub(super) struct Sessions {
    hosts: String,
    timeout: Duration,
    current: Arc<Mutex<Client>>,
}

#[derive(Debug)]
pub(super) struct ZookeeperClient {
    sessions: Sessions,
    path: String,
    held: Option<OwnedLockClient>,
}

impl Sessions {
    pub(super) async fn open(hosts: &str, timeout: Duration) -> Result<Sessions, String> {
        let current = Arc::new(Mutex::new(open(hosts, timeout).await.map_err(one_line)?));
        Ok(Sessions { hosts: hosts.to_owned(), timeout, current })
    }

    async fn current(&self) -> Result<Client, Error> {
        let mut current = self.current.lock().await;
        if current.state().is_terminated() {
            *current = open(&self.hosts, self.timeout).await?;
        }
        Ok(current.clone())
    }
}

async fn open(hosts: &str, timeout: Duration) -> Result<Client, Error> {
    let client = Client::connector().with_session_timeout(timeout).connect(hosts).await?;
    tokio::spawn(tell(client.state_watcher()));
    Ok(client)
}

/// Tells what becomes of a session, in the words that all programs have for it.
async fn tell(mut states: StateWatcher) {
    loop {
        match states.changed().await {
            SessionState::Disconnected => say("state SUSPENDED"),
            state if state.is_terminated() => return say("state LOST"),
            _ => say("state CONNECTED"),
        }
    }
}

impl ZookeeperClient {
    pub(super) fn new(sessions: &Sessions, path: &str) -> ZookeeperClient {
        ZookeeperClient { sessions: sessions.clone(), path: path.to_owned(), held: None }
    }

    async fn take(&self) -> Result<OwnedLockClient, Error> {
        let client = self.sessions.current().await?;
        let above = CreateMode::Persistent.with_acls(Acls::anyone_all());
        let options = LockOptions::new(Acls::anyone_all()).with_ancestor_options(above)?;
        let prefix = LockPrefix::new_curator(&self.path, "lock-")?;
        client.lock(prefix, b"", options).await.map(|held| held.into_owned())
    }
}

impl Contender for ZookeeperClient {
    async fn lock(&mut self) -> Result<String, String> {
        self.held = Some(self.take().await.map_err(one_line)?);
        // There is no token, and no time until which it may be believed in.
        Ok(String::new())
    }

    async fn try_lock(&mut self) -> Result<Option<String>, String> {
        Err("it cannot be asked for without waiting".to_owned())
    }

    /// It is given up in the background, and nobody can wait for that.
    async fn release(&mut self) -> Result<(), String> {
        self.held.take().map(drop).ok_or_else(|| "nothing is held".to_owned())
    }
}

fn one_line(error: Error) -> String {
    error.to_string().replace('\n', " ")
}
