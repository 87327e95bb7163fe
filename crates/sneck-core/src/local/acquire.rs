//! Asking for a lock whose place is shared inside the process.

use super::agent::Stand;
use super::lines::{Arrived, Key};
use super::sharing::Sharing;
use super::turn::Turn;
use super::waiter::Waiter;
use crate::acquire::{Locker, Patience, Progress, Seen, place_lost};
use crate::claim::{Mode, Request, Waiting};
use crate::error::{Error, Outcome};
use crate::guard::Guard;
use crate::instrument::Watched;
use crate::mutant;
use crate::name::Name;

impl Locker {
    /// The same, where those who ask through this locker and its clones share places in the lines of the
    /// store. What cannot be shared, permits and what says that it [holds](crate::Ties) something else,
    /// has a place of its own, and so has what is asked for [at once](Locker::acquire_all).
    ///
    /// When a shared place is lost, all who wait for it are told so. A future that is dropped gives up the
    /// place inside at once, and that in the store's line in the background if nobody else wants it.
    #[must_use]
    pub fn with_sharing(self, sharing: Sharing) -> Self {
        self.sharing_by(Some(sharing))
    }

    /// The same for those who share nothing.
    #[must_use]
    pub fn without_sharing(self) -> Self {
        self.sharing_by(None)
    }

    /// The lock, where a place that is [shared](Locker::with_sharing) is kept for whoever comes next: neither
    /// waits nor sends anything. `None` says nothing about who holds the lock.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sneck_core::Error> {
    /// # use sneck_core::{Caller, Locker, Memory, Mode, Name, Patience, Request, Sharing, SystemClock};
    /// # use std::sync::Arc;
    /// let locker = Locker::new(Arc::new(Memory::new()), Arc::new(SystemClock));
    /// let (locker, name) = (locker.with_sharing(Sharing::sticky()), Name::new("cache")?);
    /// assert!(locker.enter(&name, Mode::Exclusive).is_none());
    ///
    /// let request = Request::new(name.clone(), Mode::Exclusive, Caller::anonymous());
    /// drop(locker.acquire(request, Patience::Forever).await?);
    /// let again = locker.enter(&name, Mode::Exclusive).expect("it was kept");
    /// assert_eq!(again.token().turn(), 1);
    /// # Ok(()) }
    /// ```
    pub fn enter(&self, name: &Name, mode: Mode) -> Option<Guard> {
        let sharing = self.sharing()?;
        let key = Key { name: name.clone(), mode };
        let turn = self.lines().enter(key, sharing)?;
        Some(held(turn, self.watch(name, mode)))
    }

    pub(crate) async fn acquire_sharing(
        &self,
        request: Request,
        sharing: Sharing,
        patience: Patience,
        progress: &(dyn Fn(Progress<'_>) + Send + Sync),
    ) -> Result<Option<Guard>, Error> {
        let name = request.name.clone();
        let watched = self.begin(&request)?;
        let once = patience == Patience::Once;
        let stand = || Stand::new(self.alone());
        match self.lines().arrive(stand, request, sharing, once) {
            Arrived::Turn(turn) => Ok(Some(held(turn, watched))),
            Arrived::Refused => {
                watched.refused();
                Ok(None)
            }
            Arrived::Waits(waiter) => {
                self.wait_inside(waiter, watched, &name, patience, progress).await
            }
        }
    }

    async fn wait_inside(
        &self,
        mut waiter: Waiter,
        watched: Watched,
        name: &Name,
        patience: Patience,
        progress: &(dyn Fn(Progress<'_>) + Send + Sync),
    ) -> Result<Option<Guard>, Error> {
        let seen = std::sync::Mutex::new(Seen::Nothing);
        let note = |told: Progress<'_>| {
            watched.progress(&told);
            *seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Seen::of(&told);
            progress(told);
        };
        // Who stands in the store's line sees to it that one who does not wait is answered in time.
        let patience = if patience == Patience::Once { Patience::Forever } else { patience };
        let told = tokio::select! {
            biased;
            told = waiter.wait(&note) => told,
            error = self.run_out(patience) => {
                let seen = seen.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
                return Err(self.give_up(waiter, watched, name, error, seen).await);
            }
        };
        match told {
            Ok(Some(turn)) => match turn.hold().loss() {
                Some(_) if mutant!("handed-on-after-a-loss") => Ok(Some(held(turn, watched))),
                None => Ok(Some(held(turn, watched))),
                Some(loss) => {
                    let error = self.locate(place_lost(loss), name);
                    watched.failed(&error);
                    Err(error)
                }
            },
            Ok(None) => {
                watched.refused();
                Ok(None)
            }
            Err(error) => {
                let error = self.locate(error, name);
                watched.failed(&error);
                Err(error)
            }
        }
    }

    /// The time is up.
    async fn give_up(
        &self,
        waiter: Waiter,
        watched: Watched,
        name: &Name,
        error: Error,
        seen: Seen,
    ) -> Error {
        let error = self.locate(seen.explain(error), name);
        watched.failed(&error);
        let seen = match seen {
            Seen::Nothing => Seen::Waiting(Waiting::default()),
            seen => seen,
        };
        let left = async {
            let Some(leaving) = waiter.leave() else { return Outcome::Known };
            match tokio::time::timeout(self.limits().leave, leaving).await {
                Ok(Ok(outcome)) => outcome,
                _ => Outcome::Unknown,
            }
        };
        let (left, holder) = tokio::join!(left, self.holder(name, &error, seen));
        error.with_holder(holder).with_outcome(left)
    }
}

fn held(mut turn: Turn, mut watched: Watched) -> Guard {
    watched.acquired(turn.token());
    turn.watch(watched);
    Guard::of_turn(turn)
}
