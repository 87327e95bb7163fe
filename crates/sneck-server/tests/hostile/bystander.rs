//! Somebody who takes and releases a lock all the time, and does not want to notice anything.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::SOON;

/// Two clients that want the same lock: each waits in line behind the other, again and again.
pub(crate) struct Bystander {
    turns: Arc<AtomicUsize>,
    clients: JoinSet<()>,
}

impl Bystander {
    pub(crate) async fn start(server: SocketAddr) -> Bystander {
        let turns = Arc::new(AtomicUsize::new(0));
        let mut clients = JoinSet::new();
        for _ in 0..2 {
            let url = format!("zk://{server}/bystander");
            let locks = timeout(SOON, sneck::connect(&url)).await.expect("soon").expect("a client");
            let turns = Arc::clone(&turns);
            clients.spawn(async move {
                let lock = locks.mutex("lock");
                loop {
                    let guard = lock.lock_timeout(SOON).await.expect("soon");
                    assert!(guard.is_held());
                    guard.unlock().await.expect("it is held to the end");
                    turns.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let bystander = Bystander { turns, clients };
        bystander.is_served().await;
        bystander
    }

    /// Waits until both had the lock again.
    pub(crate) async fn is_served(&self) {
        let until = self.turns.load(Ordering::Relaxed) + 4;
        let turns = async {
            while self.turns.load(Ordering::Relaxed) < until {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(SOON, turns).await.expect("the lock goes round");
    }

    /// Ends it, and says how often the lock was had.
    pub(crate) async fn stop(mut self) -> usize {
        self.is_served().await;
        if let Some(ended) = self.clients.try_join_next() {
            ended.expect("nothing to notice");
        }
        self.clients.shutdown().await;
        self.turns.load(Ordering::Relaxed)
    }
}
