//! The places in line of this client, and waking those who wait in them.

use crate::keys::{Bucket, LineKeys};
use sneck_core::{ClaimId, Clock, Instant, Lease, Loss, Mode, Request, Token, sleep_until};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// One place in line, shared by its claim, the renewal, and the messages that wake it.
pub(crate) struct Place {
    pub(crate) request: Request,
    pub(crate) bucket: Bucket,
    pub(crate) keys: LineKeys,
    /// What stands for it in the keys of its lock: its mode and its claim's id.
    pub(crate) member: String,
    turn: Notify,
    /// When the place it waits for ends unless that is renewed, on the client's clock.
    look_again: AtomicU64,
    hold: Mutex<Hold>,
    /// Whether its claim was told that somebody asked it to let go.
    pub(crate) told: AtomicBool,
}

/// What is known of a place. A life goes one way.
#[derive(Clone, Debug)]
pub(crate) enum Hold {
    /// Nothing was ever answered.
    Outside,
    Waiting,
    Held(Token, Lease),
    Over(Loss),
}

impl Place {
    pub(crate) fn new(prefix: &str, request: Request) -> Self {
        let bucket = Bucket::of(&request.name);
        Place {
            bucket,
            keys: LineKeys::new(prefix, bucket, &request.name),
            member: member(request.mode, request.id),
            request,
            turn: Notify::new(),
            look_again: AtomicU64::new(Instant::FAR.as_nanos()),
            hold: Mutex::new(Hold::Outside),
            told: AtomicBool::new(false),
        }
    }

    pub(crate) fn hold(&self) -> MutexGuard<'_, Hold> {
        // No code panics while it holds this mutex.
        self.hold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends its life, if that has not ended yet.
    pub(crate) fn end(&self, loss: Loss) {
        let mut hold = self.hold();
        match &*hold {
            Hold::Over(_) => return,
            Hold::Held(_, lease) => lease.end(loss),
            Hold::Outside | Hold::Waiting => {}
        }
        *hold = Hold::Over(loss);
        drop(hold);
        self.wake();
    }

    /// Lets it ask again: now, or when it next waits for a change.
    pub(crate) fn wake(&self) {
        self.turn.notify_one();
    }

    pub(crate) fn set_look_again(&self, at: Instant) {
        self.look_again.store(at.as_nanos(), Ordering::Release);
    }

    /// Resolves when asking again is worthwhile: when somebody said so, or when the place ahead has
    /// ended without a word, as that of a holder who died does.
    pub(crate) async fn changed(&self, clock: &dyn Clock) {
        loop {
            let at = Instant::from_nanos(self.look_again.load(Ordering::Acquire));
            tokio::select! {
                () = self.turn.notified() => return,
                () = sleep_until(clock, at), if at != Instant::FAR => {}
            }
            // The renewal may have learnt that the place ahead was renewed too.
            if self.look_again.load(Ordering::Acquire) <= at.as_nanos() {
                return;
            }
        }
    }
}

fn member(mode: Mode, id: ClaimId) -> String {
    match mode {
        Mode::Exclusive => format!("x:{id}"),
        Mode::Shared => format!("s:{id}"),
        Mode::Write => format!("w:{id}"),
        Mode::Permits(permits) => format!("p{}:{id}", permits.take()),
        // A mode that `supports` does not name never gets here.
        _ => format!("x:{id}"),
    }
}

/// The places in line of one client.
#[derive(Default)]
pub(crate) struct Places {
    places: Mutex<HashMap<String, Arc<Place>>>,
    closed: AtomicBool,
    /// Told when renewing cannot wait for its time: the connection may be another one.
    pub(crate) urgent: Notify,
}

impl Places {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Place>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a place, unless the client was closed.
    pub(crate) fn add(&self, place: &Arc<Place>) -> bool {
        let mut places = self.lock();
        // Read under the lock, so that closing sees every place that got in before it.
        if self.is_closed() {
            return false;
        }
        places.entry(place.request.id.to_string()).or_insert_with(|| place.clone());
        true
    }

    pub(crate) fn remove(&self, place: &Place) {
        self.lock().remove(&place.request.id.to_string());
    }

    pub(crate) fn all(&self) -> Vec<Arc<Place>> {
        self.lock().values().cloned().collect()
    }

    pub(crate) fn close(&self) -> Vec<Arc<Place>> {
        let mut places = self.lock();
        self.closed.store(true, Ordering::Release);
        places.drain().map(|(_, place)| place).collect()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Wakes the place of the claim with this id, if it is ours.
    pub(crate) fn wake(&self, id: &str) {
        if let Some(place) = self.lock().get(id) {
            place.wake();
        }
    }

    /// Messages may have been missed: everybody asks again, and the renewal sees what is still there.
    pub(crate) fn doubt(&self) {
        for place in self.lock().values() {
            place.wake();
        }
        self.urgent.notify_one();
    }
}
