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

/// For how long a session has to be missing from the answers of one leader. While one fails and another
/// begins, both leave out sessions that live on.
const MISSING_NS: u64 = 1_000_000_000;

/// The sessions there were, and since when some of them are missing.
#[derive(Debug, Default)]
struct Sessions {
    known: BTreeSet<String>,
    missed: BTreeMap<String, u64>,
    epoch: u64,
}

impl Sessions {
    /// Those that are over, and from when on that is certain.
    fn over(&mut self, there_are: BTreeSet<String>, epoch: u64, now_ns: u64) -> Vec<(String, u64)> {
        if epoch < self.epoch {
            // One that has led before and was stopped does not know better.
            return Vec::new();
        }
        if epoch > self.epoch {
            self.epoch = epoch;
            self.missed.clear();
        }
        self.missed.retain(|session, _| !there_are.contains(session));
        for session in self.known.difference(&there_are) {
            self.missed.entry(session.clone()).or_insert(now_ns);
        }
        let is_over = |(_, since_ns): &(&String, &u64)| now_ns - **since_ns >= MISSING_NS;
        let over: Vec<(String, u64)> = self
            .missed
            .iter()
            .filter(is_over)
            .map(|(session, since_ns)| (session.clone(), *since_ns))
            .collect();
        for (session, _) in &over {
            self.known.remove(session);
            self.missed.remove(session);
        }
        self.known.extend(there_are);
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = MISSING_NS;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_session_is_over_when_it_was_missing_for_long() {
        let mut sessions = Sessions::default();
        assert!(sessions.over(set(&["a", "b"]), 1, 10).is_empty());
        assert!(sessions.over(set(&["a"]), 1, 20).is_empty());
        assert!(sessions.over(set(&["a"]), 1, 30).is_empty());
        assert_eq!(sessions.over(set(&["a"]), 1, 20 + SECOND), [("b".to_owned(), 20)]);
        assert!(sessions.over(set(&["a"]), 1, 40 + SECOND).is_empty());
    }

    #[test]
    fn one_that_comes_back_was_not_over() {
        let mut sessions = Sessions::default();
        sessions.over(set(&["a"]), 1, 10);
        assert!(sessions.over(set(&[]), 1, 20).is_empty());
        assert!(sessions.over(set(&["a"]), 1, 30).is_empty());
        assert!(sessions.over(set(&[]), 1, 40).is_empty());
        assert!(sessions.over(set(&[]), 1, 30 + SECOND).is_empty());
        assert_eq!(sessions.over(set(&[]), 1, 40 + SECOND), [("a".to_owned(), 40)]);
    }

    #[test]
    fn leaders_are_believed_each_by_itself_and_a_former_one_not_at_all() {
        let mut sessions = Sessions::default();
        sessions.over(set(&["a"]), 1, 10);
        assert!(sessions.over(set(&[]), 1, 20).is_empty());
        assert!(
            sessions.over(set(&[]), 2, 30 + SECOND).is_empty(),
            "a new leader may not know yet"
        );
        assert!(sessions.over(set(&[]), 1, 40 + 2 * SECOND).is_empty());
        assert!(sessions.over(set(&["a"]), 2, 50 + 2 * SECOND).is_empty());
    }
}
