//! What this process has in the store, so that closing can wait for its end.

use std::time::Duration;
use tokio::sync::watch;

/// Counts the claims that are, or may be, in the store.
#[derive(Debug)]
pub(crate) struct Holds {
    closed: watch::Sender<bool>,
    inside: watch::Sender<usize>,
}

/// One claim among them, until dropped.
#[derive(Debug)]
pub(crate) struct Inside(watch::Sender<usize>);

impl Holds {
    pub(crate) fn new() -> Holds {
        Holds { closed: watch::Sender::new(false), inside: watch::Sender::new(0) }
    }

    pub(crate) fn enter(&self) -> Inside {
        self.inside.send_modify(|inside| *inside += 1);
        Inside(self.inside.clone())
    }

    pub(crate) fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Resolves when the backend is being closed.
    pub(crate) async fn closed(&self) {
        // The sender is ours, so that waiting cannot fail.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// Tells everybody, and waits until all have left, but no longer than `limit`.
    pub(crate) async fn close(&self, limit: Duration) {
        self.closed.send_replace(true);
        let mut inside = self.inside.subscribe();
        let _ = tokio::time::timeout(limit, inside.wait_for(|inside| *inside == 0)).await;
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.send_modify(|inside| *inside -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn closing_waits_for_those_inside_and_not_for_ever() {
        let holds = Holds::new();
        let inside = holds.enter();
        let began = tokio::time::Instant::now();
        holds.close(Duration::from_secs(5)).await;
        assert_eq!(began.elapsed().as_secs(), 5);
        assert!(holds.is_closed());
        holds.closed().await;
        drop(inside);
        holds.close(Duration::from_secs(5)).await;
        assert_eq!(began.elapsed().as_secs(), 5);
    }
}
