//! Telling a thread that what it holds was lost.

use super::driver::Driver;
use sneck_core::Loss;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::task::{AbortHandle, spawn_blocking};
use tokio::time::timeout;

/// What tells of a loss, for as long as there is something to lose.
#[derive(Debug)]
pub(super) struct Alarm {
    driver: Driver,
    set: Mutex<Option<AbortHandle>>,
}

impl Alarm {
    pub(super) fn new(driver: &Driver) -> Self {
        Alarm { driver: driver.clone(), set: Mutex::new(None) }
    }

    pub(super) fn driver(&self) -> &Driver {
        &self.driver
    }

    /// Calls back on a thread of its own: on the background thread, one that takes its time would keep
    /// every other lock of the process from being renewed.
    pub(super) fn set(
        &self,
        lost: impl Future<Output = Loss> + Send + 'static,
        callback: impl FnOnce(Loss) + Send + 'static,
    ) {
        let waiting = self.driver.spawn(async move {
            let loss = lost.await;
            spawn_blocking(move || callback(loss));
        });
        let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = set.replace(waiting) {
            before.abort();
        }
    }

    pub(super) fn wait(&self, lost: impl Future<Output = Loss> + Send + 'static) -> Loss {
        self.driver.drive(lost)
    }

    pub(super) fn wait_timeout(
        &self,
        lost: impl Future<Output = Loss> + Send + 'static,
        limit: Duration,
    ) -> Option<Loss> {
        self.driver.drive(async move { timeout(limit, lost).await.ok() })
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(set) = self.set.get_mut().unwrap_or_else(PoisonError::into_inner) {
            set.abort();
        }
    }
}
