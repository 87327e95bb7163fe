//! A place that is held, and who looks after it.

use crate::error::Error;
use crate::guard::Hold;
use crate::keeper::{Keeper, Order};
use crate::mutant;
use crate::nursery::Nursery;
use crate::sync::{Mutex, MutexGuard};
use std::sync::{Arc, PoisonError};
use tokio::sync::{mpsc, oneshot};

/// A place that is held. At first nobody looks after it, as there is nothing to be done; once it is no
/// longer young, a task of its own does. Most locks are held for less than that, and cost no task.
///
/// The place is given back when this is dropped.
pub(crate) struct Tenure {
    state: Mutex<State>,
    nursery: Arc<Nursery>,
}

enum State {
    /// Its keeper does nothing yet.
    Young(Box<Keeper>),
    /// Its keeper is a task that takes orders.
    Kept(mpsc::Sender<Order>),
    /// It is given back already.
    Ended,
}

impl Tenure {
    pub(crate) fn new(keeper: Keeper, nursery: Arc<Nursery>) -> Self {
        Tenure { state: Mutex::new(State::Young(Box::new(keeper))), nursery }
    }

    /// From now on a task looks after the place.
    pub(crate) fn grow(&self) {
        let mut state = self.state();
        let was = std::mem::replace(&mut *state, State::Ended);
        if mutant!("a-place-grows-up-in-two-steps") {
            drop(state);
            state = self.state();
        }
        *state = match was {
            State::Young(keeper) => State::Kept(keeper.settle_in()),
            grown => grown,
        };
    }

    /// Makes a reader's hold of a writer's.
    ///
    /// When the future is dropped, so has to be the tenure.
    pub(crate) async fn downgrade(&self, hold: &Hold) -> Result<(), Error> {
        self.grow();
        let (reply, done) = oneshot::channel();
        if let State::Kept(keeper) = &*self.state() {
            let _ = keeper.try_send(Order::Downgrade(reply));
        }
        tokio::select! {
            biased;
            done = done => match done {
                Ok(downgraded) => downgraded.map_err(|error| hold.locate(error)),
                // The keeper is gone.
                Err(_) => Err(gone(hold)),
            },
            loss = hold.lost() => Err(hold.error(loss)),
        }
    }

    /// Gives the place back, and waits until that is confirmed; of a lock that is lost, only begins to. Goes
    /// on in the background when the future is dropped.
    pub(crate) async fn release(&self, hold: &Hold) -> Result<(), Error> {
        let lost_before = hold.loss();
        match self.end() {
            State::Young(keeper) => {
                let mut releasing = Releasing(Some(keeper));
                if let Some(loss) = lost_before {
                    return Err(hold.error(loss));
                }
                if mutant!("a-release-is-confirmed-at-once") {
                    return Ok(());
                }
                tokio::select! {
                    biased;
                    released = releasing.run() => released.map_err(|error| hold.locate(error)),
                    loss = hold.lost() => Err(hold.unconfirmed(loss)),
                }
            }
            State::Kept(keeper) => {
                let (reply, released) = oneshot::channel();
                // A keeper that is gone has lost the lock and left already.
                let _ = keeper.try_send(Order::Release(reply));
                if let Some(loss) = lost_before {
                    return Err(hold.error(loss));
                }
                if mutant!("a-release-is-confirmed-at-once") {
                    return Ok(());
                }
                tokio::select! {
                    biased;
                    released = released => match released {
                        Ok(released) => released.map_err(|error| hold.locate(error)),
                        Err(_) => Err(gone(hold)),
                    },
                    loss = hold.lost() => Err(hold.unconfirmed(loss)),
                }
            }
            State::Ended => Ok(()),
        }
    }

    fn end(&self) -> State {
        std::mem::replace(&mut *self.state(), State::Ended)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Tenure {
    fn drop(&mut self) {
        // A task learns of it by itself.
        if let State::Young(keeper) = self.end() {
            self.nursery.see_off(*keeper);
        }
    }
}

/// A release that goes on in the background when nobody waits for it any more.
struct Releasing(Option<Box<Keeper>>);

impl Releasing {
    async fn run(&mut self) -> Result<(), Error> {
        let Some(keeper) = &mut self.0 else { return Ok(()) };
        let released = keeper.release().await;
        self.0 = None;
        released
    }
}

impl Drop for Releasing {
    fn drop(&mut self) {
        if let Some(keeper) = self.0.take() {
            keeper.release_in_background();
        }
    }
}

/// A keeper ends by itself only after a loss.
fn gone(hold: &Hold) -> Error {
    hold.loss().map_or_else(|| hold.abandoned(), |loss| hold.error(loss))
}
