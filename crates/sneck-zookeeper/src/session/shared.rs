//! What the handles of a session and its driver share.

use super::machine::{Effects, Machine};
use super::state::SessionState;
use crate::error::ConnectError;
use crate::server::Server;
use sneck_core::{Clock, Instant};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};

pub(crate) struct Shared {
    machine: Mutex<Machine>,
    clock: Arc<dyn Clock>,
    /// Tells the driver that there is something to send.
    pub(crate) wake: Notify,
    closing: Notify,
    state: watch::Sender<SessionState>,
    opening: Mutex<Opening>,
}

/// How opening the session goes.
#[derive(Default)]
struct Opening {
    /// The last failure of each server.
    failures: Vec<(Server, ConnectError)>,
    was_serving: bool,
}

impl Shared {
    pub(crate) fn new(machine: Machine, clock: Arc<dyn Clock>) -> Self {
        Shared {
            machine: Mutex::new(machine),
            clock,
            wake: Notify::new(),
            closing: Notify::new(),
            state: watch::Sender::new(SessionState::Suspended),
            opening: Mutex::default(),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Machine> {
        // The machine does not panic; if it did, its state could still only be as wrong as its code.
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the machine take one step, then tells the world.
    pub(crate) fn step<T>(&self, step: impl FnOnce(&mut Machine, Instant, &mut Effects) -> T) -> T {
        let mut effects = Effects::default();
        let mut machine = self.lock();
        let result = step(&mut machine, self.clock.now(), &mut effects);
        let state = SessionState::of(&machine);
        drop(machine);
        if state == SessionState::Connected {
            self.opening().was_serving = true;
        }
        self.state.send_if_modified(|old| {
            // Another thread's step may have ended the session since the lock was released.
            old.end().is_none() && std::mem::replace(old, state) != state
        });
        effects.deliver();
        result
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.lock().timeout()
    }

    /// How long a server may take to accept a connection.
    pub(crate) fn connect_max(&self) -> Duration {
        self.lock().connect_max()
    }

    pub(crate) fn state(&self) -> watch::Receiver<SessionState> {
        self.state.subscribe()
    }

    pub(crate) fn state_now(&self) -> SessionState {
        *self.state.borrow()
    }

    /// Begins to close the session.
    pub(crate) fn close(&self) {
        self.step(|machine, now, effects| machine.close(now, effects));
        self.wake.notify_one();
        self.closing.notify_one();
    }

    /// Resolves once when the session begins to be closed.
    pub(crate) async fn closing(&self) {
        self.closing.notified().await;
    }

    /// Whether the session has served since this was last asked.
    pub(crate) fn was_serving(&self) -> bool {
        std::mem::take(&mut self.opening().was_serving)
    }

    pub(crate) fn note_failure(&self, server: Server, error: ConnectError) {
        let mut opening = self.opening();
        opening.failures.retain(|(other, _)| *other != server);
        opening.failures.push((server, error));
    }

    /// No server will ever open this session; ends it unless it was open before.
    pub(crate) fn give_up_opening(&self) {
        if self.lock().id() == 0 {
            self.close();
        }
    }

    /// Why the session could not be opened.
    pub(crate) fn connect_error(&self) -> ConnectError {
        let opening = self.opening();
        let texts: Vec<String> = opening.failures.iter().map(|(_, e)| text(e)).collect();
        let all = texts.join("; ");
        let every = |is: fn(&ConnectError) -> bool| opening.failures.iter().all(|(_, e)| is(e));
        match opening.failures.as_slice() {
            [] => ConnectError::Unreachable("no answer in time".into()),
            _ if every(|e| matches!(e, ConnectError::Tls(_))) => ConnectError::Tls(all.into()),
            _ if every(|e| matches!(e, ConnectError::NotZooKeeper(_))) => {
                ConnectError::NotZooKeeper(all)
            }
            _ => ConnectError::Unreachable(all),
        }
    }

    fn opening(&self) -> MutexGuard<'_, Opening> {
        self.opening.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The failure without the words that are said once for all of them.
fn text(error: &ConnectError) -> String {
    match error {
        ConnectError::Unreachable(text) | ConnectError::NotZooKeeper(text) => text.clone(),
        ConnectError::Tls(text) => text.to_string(),
        other => other.to_string(),
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("state", &self.state_now()).finish_non_exhaustive()
    }
}
