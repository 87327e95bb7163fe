//! How long a hold may be believed in.

use crate::clock::{Clock, Instant, sleep_until};
use crate::mutant;
use crate::sync::AtomicU64;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::{Notify, Semaphore};

/// Why a lock that was held is held no longer, although nobody unlocked it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Loss {
    /// No proof that the store still holds the place came before the deadline. The store may give the
    /// lock to somebody else from now on; it need not have done so yet.
    DeadlinePassed,
    /// The store ended the session the place belonged to.
    SessionEnded,
    /// The place was removed from the line by somebody else.
    Removed,
    /// The store says that the place has another owner, or answered something impossible.
    Usurped,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Loss::DeadlinePassed => "the store gave no sign of life before the deadline",
            Loss::SessionEnded => "the session with the store ended",
            Loss::Removed => "somebody removed its place from the line",
            Loss::Usurped => "the store names another owner for its place",
        })
    }
}

/// A deadline that moves forward while the store proves that it still holds us, and ends once.
///
/// Every proof is an answer of the store, and the deadline is the instant *before its question was
/// sent* plus the term: the answer's delay counts against us, never for us. One lease is shared by all
/// places that live and die together, such as those of one ZooKeeper session, so that renewing costs
/// the same for one lock and for a hundred thousand.
///
/// A lease that has been seen to have passed its deadline is ended for good: a proof that arrives
/// later does not revive it, because its holder may already have acted on the loss.
#[derive(Clone)]
pub struct Lease(Arc<State>);

struct State {
    /// The deadline in nanoseconds of the clock; below [`LOSSES`] the number of the loss that ended the
    /// lease. One word for both, so that nobody sees an end without its reason.
    until: AtomicU64,
    ended: Notify,
    /// Whoever of [many](Lease::ended_among_many) has it looks at the clock for all of them.
    watch: Semaphore,
}

/// Every way to end, at the index that stands for it. The first nanoseconds of a clock are given up
/// for them.
const LOSSES: [Loss; 4] = [Loss::DeadlinePassed, Loss::SessionEnded, Loss::Removed, Loss::Usurped];

fn ended(until: u64) -> Option<Loss> {
    LOSSES.get(usize::try_from(until).unwrap_or(usize::MAX)).copied()
}

impl Lease {
    /// A lease good until `until`.
    pub fn new(until: Instant) -> Self {
        Lease(Arc::new(State {
            until: AtomicU64::new(until.as_nanos()),
            ended: Notify::new(),
            watch: Semaphore::new(1),
        }))
    }

    /// The deadline as it stands; in the past of every clock once the lease has ended.
    pub fn until(&self) -> Instant {
        Instant::from_nanos(self.0.until.load(Ordering::Acquire))
    }

    /// Moves the deadline forward, never back. `false` when the lease has ended, or ends now because
    /// the old deadline had passed.
    pub fn extend(&self, now: Instant, until: Instant) -> bool {
        loop {
            let old = self.0.until.load(Ordering::Acquire);
            let revives = mutant!("a-late-proof-revives");
            match ended(old) {
                Some(Loss::DeadlinePassed) if revives => {}
                Some(_) => return false,
                None => {}
            }
            if old <= now.as_nanos() && !revives {
                if self.close(old, Loss::DeadlinePassed) {
                    return false;
                }
                continue;
            }
            let new = old.max(until.as_nanos());
            if mutant!("a-proof-overwrites-an-end") {
                self.0.until.store(new, Ordering::Release);
                return true;
            }
            let swap = self.0.until.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire);
            if swap.is_ok() {
                return true;
            }
        }
    }

    /// Ends the lease at once. Has no effect on one that has ended.
    pub fn end(&self, loss: Loss) {
        loop {
            let old = self.0.until.load(Ordering::Acquire);
            if ended(old).is_some() || self.close(old, loss) {
                return;
            }
        }
    }

    /// `None` while the lease holds at `now`; otherwise why it ended. A passed deadline ends it here
    /// and now, for everyone who shares it.
    pub fn loss(&self, now: Instant) -> Option<Loss> {
        loop {
            let until = self.0.until.load(Ordering::Acquire);
            if let Some(loss) = ended(until) {
                return Some(loss);
            }
            if now.as_nanos() < until {
                return None;
            }
            if self.close(until, Loss::DeadlinePassed) {
                return Some(Loss::DeadlinePassed);
            }
        }
    }

    /// Resolves when the lease has ended, no later than its deadline.
    ///
    /// # Cancel safety
    /// Cancel safe; it may be awaited any number of times.
    pub async fn ended(&self, clock: &dyn Clock) -> Loss {
        loop {
            if mutant!("looked-at-before-it-is-listened-to") && self.loss(clock.now()).is_none() {
                self.0.ended.notified().await;
            }
            let ended = self.0.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if let Some(loss) = self.loss(clock.now()) {
                return loss;
            }
            match self.until() {
                // Without a deadline there is nothing to nap towards.
                Instant::FAR => ended.await,
                until => tokio::select! {
                    biased;
                    () = ended => {}
                    () = sleep_until(clock, until) => {}
                },
            }
        }
    }

    /// The same where there may be very many who wait for the end of one lease: only one of them has a timer, which
    /// ends the lease for all, and when it goes away, the next one has it. A hundred thousand who look at
    /// the clock every second would be a load of their own, all at the same moment.
    ///
    /// The others are told as late as that one is, if its runtime is kept from running. So this is for those
    /// who clear up behind a loss, and not for a user's [`ended`](Lease::ended), which depends on nobody.
    pub(crate) async fn ended_among_many(&self, clock: &dyn Clock) -> Loss {
        let keep_watch = async {
            // It is never closed.
            let _watch = self.0.watch.acquire().await;
            self.ended(clock).await
        };
        tokio::select! {
            biased;
            loss = self.told(clock) => loss,
            loss = keep_watch => loss,
        }
    }

    /// Resolves when somebody has noticed that the lease has ended, or does so at once if it has.
    async fn told(&self, clock: &dyn Clock) -> Loss {
        loop {
            let ended = self.0.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if let Some(loss) = self.loss(clock.now()) {
                return loss;
            }
            ended.await;
        }
    }

    fn close(&self, old: u64, loss: Loss) -> bool {
        let index = LOSSES.iter().position(|known| *known == loss).unwrap_or(0) as u64;
        let swap = self.0.until.compare_exchange(old, index, Ordering::AcqRel, Ordering::Acquire);
        if swap.is_ok() {
            self.0.ended.notify_waiters();
        }
        swap.is_ok()
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let until = self.0.until.load(Ordering::Acquire);
        match ended(until) {
            Some(loss) => write!(f, "Lease(ended: {loss:?})"),
            None => write!(f, "Lease(until {:?})", Instant::from_nanos(until)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::TokioClock;
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;
    use tokio::task::JoinHandle;

    const fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    #[test]
    fn a_proof_moves_the_deadline_forward_only() {
        let lease = Lease::new(at(10));
        assert!(lease.extend(at(1), at(20)));
        assert!(lease.extend(at(2), at(15)), "an older proof is no news");
        assert_eq!(lease.until(), at(20));
        assert_eq!(lease.loss(at(19)), None);
    }

    #[test]
    fn a_passed_deadline_is_never_revived() {
        let lease = Lease::new(at(10));
        assert_eq!(lease.loss(at(10)), Some(Loss::DeadlinePassed));
        assert!(!lease.extend(at(10), at(100)));
        assert_eq!(lease.loss(at(5)), Some(Loss::DeadlinePassed));
    }

    #[test]
    fn a_late_proof_ends_a_lease_nobody_looked_at() {
        let lease = Lease::new(at(10));
        assert!(!lease.extend(at(11), at(100)), "the gap was real even if no one saw it");
        assert_eq!(lease.loss(at(11)), Some(Loss::DeadlinePassed));
    }

    #[test]
    fn the_first_reason_stays() {
        let lease = Lease::new(at(10));
        lease.end(Loss::SessionEnded);
        lease.end(Loss::Removed);
        assert_eq!(lease.loss(at(1)), Some(Loss::SessionEnded));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_is_told_at_the_deadline_and_not_before() {
        let clock = TokioClock::new();
        let lease = Lease::new(clock.now() + Duration::from_secs(5));
        let waiting = tokio::spawn({
            let lease = lease.clone();
            async move { lease.ended(&clock).await }
        });
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(lease.extend(clock.now(), clock.now() + Duration::from_secs(5)));
        tokio::time::sleep(Duration::from_millis(4_990)).await;
        assert!(!waiting.is_finished());
        assert_eq!(waiting.await.unwrap(), Loss::DeadlinePassed);
        assert_eq!(clock.now().as_nanos() / 1_000_000_000, 8);
    }

    /// A clock that counts how often it is looked at.
    #[derive(Debug)]
    struct Looks(TokioClock, AtomicUsize);

    impl Looks {
        fn new() -> Arc<Self> {
            Arc::new(Looks(TokioClock::new(), AtomicUsize::new(0)))
        }

        fn counted(&self) -> usize {
            self.1.load(Ordering::Relaxed)
        }
    }

    impl Clock for Looks {
        fn now(&self) -> Instant {
            self.1.fetch_add(1, Ordering::Relaxed);
            self.0.now()
        }
    }

    const MANY: usize = 1_000;

    async fn many(lease: &Lease, clock: &Arc<Looks>) -> Vec<JoinHandle<Loss>> {
        let wait = |_| {
            let (lease, clock) = (lease.clone(), clock.clone());
            tokio::spawn(async move { lease.ended_among_many(&*clock).await })
        };
        let waiting = (0..MANY).map(wait).collect();
        // Each looks once before it waits, and whoever keeps watch once more.
        while clock.counted() <= MANY {
            tokio::task::yield_now().await;
        }
        waiting
    }

    #[tokio::test(start_paused = true)]
    async fn one_of_many_looks_at_the_clock_and_all_are_told() {
        let clock = Looks::new();
        let lease = Lease::new(clock.0.now() + Duration::from_secs(5));
        let waiting = many(&lease, &clock).await;
        let before = clock.counted();
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(lease.extend(clock.0.now(), clock.0.now() + Duration::from_secs(5)));
        }
        let looks = clock.counted() - before;
        assert!((20..MANY / 10).contains(&looks), "{looks} in 20 s");
        for one in waiting {
            assert_eq!(one.await.unwrap(), Loss::DeadlinePassed);
        }
        assert_eq!(clock.0.now().as_nanos() / 1_000_000_000, 25);
    }

    #[tokio::test(start_paused = true)]
    async fn when_the_one_who_looks_goes_away_the_next_one_does() {
        let clock = Looks::new();
        let lease = Lease::new(clock.0.now() + Duration::from_secs(5));
        let mut waiting = many(&lease, &clock).await;
        // Whoever came first has the watch.
        for one in waiting.drain(..MANY / 2) {
            one.abort();
            assert!(one.await.unwrap_err().is_cancelled());
        }
        for one in waiting {
            assert_eq!(one.await.unwrap(), Loss::DeadlinePassed);
        }
        assert_eq!(clock.0.now().as_nanos() / 1_000_000_000, 5);
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_before_the_deadline_is_told_to_many_at_once() {
        let clock = Looks::new();
        let lease = Lease::new(clock.0.now() + Duration::from_secs(5));
        let waiting = many(&lease, &clock).await;
        lease.end(Loss::SessionEnded);
        for one in waiting {
            assert_eq!(one.await.unwrap(), Loss::SessionEnded);
        }
        assert_eq!(clock.0.now().as_nanos() / 1_000_000_000, 0);
    }
}
