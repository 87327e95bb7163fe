//! Whoever asks the servers who leads and which sessions there are, and tells the arbiter of changes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sneck_history::{Event, Teller, monotonic_ns};
use tokio::task::JoinHandle;

use crate::servers::{Servers, StoreKind};

/// How often the servers are asked.
const EVERY: Duration = Duration::from_millis(120);

/// Asks until it is dropped.
#[derive(Debug)]
pub struct Sentry {
    excused: Arc<Mutex<BTreeSet<String>>>,
    asking: JoinHandle<()>,
}

impl Sentry {
    /// Begins to ask.
    ///
    /// # Errors
    /// When no arbiter listens.
    pub fn start(servers: Arc<Servers>, arbiter: &Path) -> std::io::Result<Sentry> {
        let mut teller = Teller::connect(arbiter, None)?;
        let excused = Arc::<Mutex<BTreeSet<String>>>::default();
        let known = excused.clone();
        let asking = tokio::spawn(async move {
            let mut leader = None;
            let mut sessions = Sessions::default();
            loop {
                if let Some((server, told)) = servers.leader().await {
                    let now = (server, told.epoch());
                    // The one server of sneck's leads itself, whatever its transactions are called.
                    if servers.kind() == StoreKind::ZooKeeper && leader.replace(now) != Some(now) {
                        let server = format!("{} since election {}", server + 1, now.1);
                        tell(&mut teller, Event::Leader { server });
                    }
                    if let Some(there_are) = servers.sessions(server).await {
                        let known = known.lock().unwrap_or_else(PoisonError::into_inner).clone();
                        let over = sessions.over(there_are, now.1, monotonic_ns());
                        for (session, when_ns) in over {
                            if !known.contains(&session) {
                                tell(&mut teller, Event::Expired { session, when_ns });
                            }
                        }
                    }
                }
                tokio::time::sleep(EVERY).await;
            }
        });
        Ok(Sentry { excused, asking })
    }

    /// Lets the end of a session be told to nobody: an operator closes it, and its client cannot know
    /// beforehand.
    pub fn excuse(&self, session: &str) {
        self.excused.lock().unwrap_or_else(PoisonError::into_inner).insert(session.to_owned());
    }
}

impl Drop for Sentry {
    fn drop(&mut self) {
        self.asking.abort();
    }
}

/// A history without this is one that the judge finds too little in.
fn tell(teller: &mut Teller, event: Event) {
    let _ = teller.tell(event);
}

/// The sessions there were at the last answer, and those that were missing from it.
#[derive(Debug, Default)]
struct Sessions {
    known: BTreeSet<String>,
    missed: BTreeMap<String, u64>,
    epoch: u64,
}

impl Sessions {
    /// Those that are over, and from when on that is certain. A session has to be missing twice: a server
    /// that has led in between may answer once more.
    fn over(&mut self, there_are: BTreeSet<String>, epoch: u64, now_ns: u64) -> Vec<(String, u64)> {
        if epoch < self.epoch {
            return Vec::new();
        }
        self.epoch = epoch;
        let mut over = Vec::new();
        for session in self.known.difference(&there_are) {
            match self.missed.remove(session) {
                Some(when_ns) => over.push((session.clone(), when_ns)),
                None => drop(self.missed.insert(session.clone(), now_ns)),
            }
        }
        self.missed.retain(|session, _| !there_are.contains(session));
        for (session, _) in &over {
            self.known.remove(session);
        }
        self.known.extend(there_are);
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_session_is_over_when_it_is_missing_twice() {
        let mut sessions = Sessions::default();
        assert!(sessions.over(set(&["a", "b"]), 1, 10).is_empty());
        assert!(sessions.over(set(&["a"]), 1, 20).is_empty());
        assert_eq!(sessions.over(set(&["a"]), 1, 30), [("b".to_owned(), 20)]);
        assert!(sessions.over(set(&["a"]), 1, 40).is_empty());
    }

    #[test]
    fn one_that_comes_back_was_not_over_and_a_former_leader_is_not_believed() {
        let mut sessions = Sessions::default();
        sessions.over(set(&["a", "b"]), 2, 10);
        assert!(sessions.over(set(&[]), 1, 20).is_empty());
        assert!(sessions.over(set(&["a"]), 2, 30).is_empty());
        assert!(sessions.over(set(&["a", "b"]), 2, 40).is_empty());
        assert!(sessions.over(set(&["a"]), 2, 50).is_empty());
        assert_eq!(sessions.over(set(&["a"]), 2, 60), [("b".to_owned(), 50)]);
    }
}
