//! Who minds the locks that have been held for a moment only.

use crate::keeper::Keeper;
use crate::mutant;
use crate::sync::{Mutex, MutexGuard};
use crate::tenure::Tenure;
use std::fmt;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;
use tokio::runtime::Handle;

/// The places that are young, and those whose release is on its way with nobody waiting for it. One task
/// looks at them all every [`TICK`], and there is none while there are none.
///
/// A task for each place would be made, woken and ended, on other threads, for a lock that is held for less
/// time than that takes.
#[derive(Default)]
pub(crate) struct Nursery(Mutex<Wards>);

#[derive(Default)]
struct Wards {
    /// Taken in since the last look.
    newborn: Vec<Weak<Tenure>>,
    /// Taken in before it.
    young: Vec<Weak<Tenure>>,
    /// Given back; what was sent is to be answered.
    leaving: Vec<Keeper>,
    /// Whether the task is there.
    minded: bool,
}

/// How often the task looks. A place is young for up to twice as long.
const TICK: Duration = Duration::from_millis(25);

impl Nursery {
    /// Takes in a place, unless there is something to do about it soon.
    pub(crate) fn take_in(self: &Arc<Self>, keeper: Keeper) -> Arc<Tenure> {
        let (runtime, can_wait) = (keeper.runtime().clone(), keeper.can_wait(2 * TICK));
        let tenure = Arc::new(Tenure::new(keeper, self.clone()));
        if can_wait {
            let mut wards = self.wards();
            wards.newborn.push(Arc::downgrade(&tenure));
            self.have_minded(wards, &runtime);
        } else {
            tenure.grow();
        }
        tenure
    }

    /// Gives a young place back, for nobody who waits.
    pub(crate) fn see_off(self: &Arc<Self>, mut keeper: Keeper) {
        if keeper.let_go() {
            let runtime = keeper.runtime().clone();
            let mut wards = self.wards();
            wards.leaving.push(keeper);
            self.have_minded(wards, &runtime);
        } else {
            keeper.release_in_background();
        }
    }

    fn have_minded(self: &Arc<Self>, mut wards: MutexGuard<'_, Wards>, runtime: &Handle) {
        if !std::mem::replace(&mut wards.minded, true) {
            drop(wards);
            runtime.spawn(mind(Minder(Some(self.clone()))));
        }
    }

    /// Who has grown up and who has left since the last look; `None` when there is nobody at all.
    fn look(&self) -> Option<(Vec<Weak<Tenure>>, Vec<Keeper>)> {
        let mut wards = self.wards();
        let newborn = std::mem::take(&mut wards.newborn);
        let grown = std::mem::replace(&mut wards.young, newborn);
        let left = std::mem::take(&mut wards.leaving);
        let is_empty = grown.is_empty() && left.is_empty() && wards.young.is_empty();
        wards.minded = !is_empty || mutant!("who-minds-leaves-in-two-steps");
        (!is_empty).then_some((grown, left))
    }

    fn wards(&self) -> MutexGuard<'_, Wards> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn mind(mut minder: Minder) {
    while let Some(nursery) = &minder.0 {
        tokio::time::sleep(TICK).await;
        let Some((grown, left)) = nursery.look() else {
            if mutant!("who-minds-leaves-in-two-steps") {
                nursery.wards().minded = false;
            }
            break;
        };
        // Most are gone by now.
        grown.iter().filter_map(Weak::upgrade).for_each(|tenure| tenure.grow());
        left.into_iter().for_each(Keeper::finish);
    }
    // The next one may be there already.
    minder.0 = None;
}

/// Leaves nobody alone when the runtime it was on is shut down: the places may belong to others.
struct Minder(Option<Arc<Nursery>>);

impl Drop for Minder {
    fn drop(&mut self) {
        let Some(nursery) = self.0.take() else { return };
        if mutant!("nobody-minds-after-a-shutdown") {
            return;
        }
        let wards = std::mem::take(&mut *nursery.wards());
        let young = wards.newborn.iter().chain(&wards.young);
        young.filter_map(Weak::upgrade).for_each(|tenure| tenure.grow());
        wards.leaving.into_iter().for_each(Keeper::release_in_background);
    }
}

impl fmt::Debug for Nursery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wards = self.wards();
        f.debug_struct("Nursery")
            .field("young", &(wards.newborn.len() + wards.young.len()))
            .field("leaving", &wards.leaving.len())
            .finish_non_exhaustive()
    }
}
