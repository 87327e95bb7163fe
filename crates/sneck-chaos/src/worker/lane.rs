//! One task of a worker: it takes a lock, does something under it, gives it back, and so on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use sneck::{ErrorKind, Guard, Limits, Locks, Outcome};
use sneck_history::{Event, Mode, monotonic_ns};
use tokio::sync::watch;

use super::Connection;
use super::held::{Held, Manner, What};
use super::ledger::Ledger;
use crate::orders::{Care, Defect, Orders, PERMITS, Work, name};

/// After a call that failed, so that an outage is no busy loop.
const FAILED_PAUSE: Duration = Duration::from_millis(30);
/// How many bits of a token say which hold of a shared place it is.
const TURN_BITS: u32 = 12;
/// How many holds of one place there can be, so that their tokens differ in those bits.
pub(super) const TURNS_MAX: u32 = 1 << TURN_BITS;

pub(super) struct Lane {
    random: Rng,
    ledger: Ledger,
    connection: Connection,
    /// The locks of lines in which a place may be shared. Whoever shares has them in common with the other
    /// lanes, and what is kept is given back when the last lane has ended.
    shared: Locks,
    work: Work,
    defect: Option<Defect>,
    session: Duration,
}

/// One try to get one lock, and the lock.
#[derive(Debug, Clone, Copy)]
struct Attempt {
    id: u64,
    lock: &'static str,
}

/// What a holder does before it gives its lock back.
#[derive(Debug, Clone, Copy)]
struct Use {
    linger: Duration,
    care: Care,
    /// Whether it writes even after it was told of its loss, as one does who does not listen.
    is_reckless: bool,
    downgrades: bool,
    drops: bool,
}

impl Lane {
    pub(super) fn new(
        number: u32,
        orders: &Orders,
        ledger: Ledger,
        connection: Connection,
        shared: Locks,
    ) -> Lane {
        Lane {
            random: Rng::with_seed(orders.seed ^ (u64::from(number) << 32)),
            ledger,
            connection,
            shared,
            work: orders.work,
            defect: orders.defect,
            session: Duration::from_millis(orders.session_ms),
        }
    }

    /// Takes locks until it is told to come to an end; the last call is brought to its end.
    pub(super) async fn run(mut self, draining: watch::Receiver<bool>) {
        while !*draining.borrow() {
            let (what, manner, usage) = self.draw();
            self.attempt(what, manner, usage).await;
        }
    }

    /// Takes all permits, which shows that none has leaked.
    pub(super) async fn take_all_permits(&mut self) {
        let usage = Use {
            linger: Duration::ZERO,
            care: Care::Fence,
            is_reckless: false,
            downgrades: false,
            drops: false,
        };
        let manner = Manner::Within(Duration::from_secs(30));
        self.attempt(What::Permits(PERMITS), manner, usage).await;
    }

    fn draw(&mut self) -> (What, Manner, Use) {
        let random = &mut self.random;
        let Work::Set { care, sleep_ms } = self.work else {
            let linger_ms =
                if random.u32(0..10) == 0 { random.u64(50..400) } else { random.u64(0..20) };
            let usage = Use {
                linger: Duration::from_millis(linger_ms),
                care: if random.bool() { Care::Checks } else { Care::Fence },
                is_reckless: random.bool(),
                downgrades: random.u32(0..10) < 3,
                drops: random.u32(0..10) < 2,
            };
            return (What::draw(random), Manner::draw(random), usage);
        };
        let linger = Duration::from_millis(sleep_ms);
        let usage = Use { linger, care, is_reckless: true, downgrades: false, drops: false };
        (What::Mutex(name::SET), Manner::Wait, usage)
    }

    async fn attempt(&mut self, what: What, manner: Manner, usage: Use) {
        let session = self.connection.session().await;
        let attempts: Vec<Attempt> =
            what.names().iter().map(|lock| Attempt { id: self.ledger.attempt(), lock }).collect();
        let first = attempts[0].id;
        // Of several locks it is not said in which of their lines a place is confirmed, or somebody else
        // is found.
        let is_alone = attempts.len() == 1;
        for Attempt { id, lock } in &attempts {
            let (attempt, lock, session) = (*id, (*lock).to_owned(), session.clone());
            let (mode, no_wait) = (what.mode(), manner == Manner::Once);
            let together = (!is_alone).then_some(first);
            self.ledger.tell(Event::Acquire { attempt, lock, mode, session, no_wait, together });
        }
        let (ledger, told) = (self.ledger.clone(), AtomicBool::new(false));
        let queued = move || {
            if is_alone && !told.swap(true, Ordering::Relaxed) {
                ledger.tell(Event::Queued { attempt: first });
            }
        };
        let began = Instant::now();
        let asking = what.ask(self.locks_of(what), manner, format!("a{first}"), queued);
        let answer = match manner {
            Manner::GiveUpAfter(patience) => tokio::time::timeout(patience, asking).await,
            _ => Ok(asking.await),
        };
        match answer {
            Err(_) => self.tell_all(&attempts, |attempt| Event::Cancel { attempt }),
            Ok(Ok(Some(held))) => self.hold(held, &attempts, what, session, usage).await,
            Ok(Ok(None)) => {
                // What the library has not left by then it leaves in the background.
                let has_left = began.elapsed() < Limits::default().leave;
                self.tell_end(&attempts, session, has_left).await;
            }
            Ok(Err(error)) => {
                // A place that was lost was refused by nobody else.
                let has_left = error.outcome() == Outcome::Known && error.kind() != ErrorKind::Lost;
                self.tell_end(&attempts, session, has_left).await;
                tokio::time::sleep(FAILED_PAUSE).await;
            }
        }
    }

    fn locks_of(&self, what: What) -> Locks {
        match what {
            What::Mutex(name::SHARED)
            | What::Read(name::SHARED_RW)
            | What::Write(name::SHARED_RW) => self.shared.clone(),
            _ => self.connection.locks.clone(),
        }
    }

    /// Tells of an end without a grant. That no place is left is certain only under the session that was
    /// asked under: one that our clock has ended lives on at the servers for a while, with all its places.
    async fn tell_end(&self, attempts: &[Attempt], session: Option<String>, has_left: bool) {
        let has_sessions = self.connection.zookeeper.is_some();
        let is_the_same =
            !has_sessions || (session.is_some() && self.connection.session_now().await == session);
        self.tell_all(attempts, |attempt| match has_left && is_the_same {
            true => Event::Refused { attempt },
            false => Event::Unsure { attempt },
        });
    }

    async fn hold(
        &self,
        held: Held,
        attempts: &[Attempt],
        what: What,
        asked_under: Option<String>,
        usage: Use,
    ) {
        // A grant is told at once: one that is told late looks as if others had been granted before.
        let session = self.connection.session_now().await;
        let session = session.filter(|now| asked_under.as_ref() != Some(now));
        // One that is believed in was granted under the session there is now, and no earlier.
        let session = session.filter(|_| held.guard().is_held());
        if self.defect.is_none() && !held.guard().is_held() {
            // Granted, and over before it could be told, as in a process that was stopped in between: told
            // now it would look as if others had been granted before.
            return self.tell_all(attempts, |attempt| Event::Unsure { attempt });
        }
        let mut until_ns = self.until_ns(held.guard());
        for Attempt { id, lock } in attempts {
            let (attempt, session, token) = (*id, session.clone(), token(held.guard(), lock));
            self.ledger.tell(Event::Granted { attempt, token, session, until_ns });
        }
        let is_lost = match what.mode() {
            Mode::Exclusive => {
                self.read_and_write(held.guard(), attempts, usage, &mut until_ns).await
            }
            _ => self.linger(held.guard(), attempts, usage).await,
        };
        if matches!(what, What::Write(_)) && usage.downgrades && !is_lost {
            self.downgrade(held, attempts, usage).await;
        } else {
            self.release(held, attempts, usage).await;
        }
    }

    /// Reads, sleeps and writes. Says whether the lock was lost meanwhile.
    async fn read_and_write(
        &self,
        guard: &Guard,
        attempts: &[Attempt],
        usage: Use,
        until_ns: &mut Option<u64>,
    ) -> bool {
        let shown = |lock: &str| self.shows_token(usage).then(|| token(guard, lock));
        let bases: Vec<Option<u64>> = attempts
            .iter()
            .map(|Attempt { id, lock }| self.ledger.read(lock, *id, shown(lock)))
            .map(|read| read.admitted.then_some(read.version))
            .collect();
        let mut is_lost = self.linger(guard, attempts, usage).await;
        if !is_lost {
            self.extend(guard, attempts, until_ns);
        }
        let mut writes = !is_lost || usage.is_reckless;
        if usage.care == Care::Checks && self.defect != Some(Defect::Deaf) && !is_lost {
            let held = self.check(guard, attempts);
            (is_lost, writes) = (!held, held);
        }
        for (Attempt { id, lock }, base) in attempts.iter().zip(bases) {
            if let Some(base) = base.filter(|_| writes) {
                self.ledger.write(lock, *id, shown(lock), base);
            }
        }
        is_lost
    }

    /// Holds for a while. Says whether the lock was lost meanwhile, and tells the arbiter.
    async fn linger(&self, guard: &Guard, attempts: &[Attempt], usage: Use) -> bool {
        if self.defect == Some(Defect::Deaf) || matches!(self.work, Work::Set { .. }) {
            tokio::time::sleep(usage.linger).await;
            return false;
        }
        tokio::select! {
            biased;
            _ = guard.lost() => {
                let own_ns = monotonic_ns();
                for Attempt { id, .. } in attempts {
                    self.ledger.tell_of(own_ns, Event::Lost { attempt: *id });
                }
                true
            }
            () = tokio::time::sleep(usage.linger) => false,
        }
    }

    /// Tells until when the lock is believed in now.
    fn extend(&self, guard: &Guard, attempts: &[Attempt], until_ns: &mut Option<u64>) {
        let now = self.until_ns(guard);
        if let (Some(before), Some(now)) = (*until_ns, now)
            && now > before
        {
            *until_ns = Some(now);
            self.tell_all(attempts, |attempt| Event::Extended { attempt, until_ns: now });
        }
    }

    fn check(&self, guard: &Guard, attempts: &[Attempt]) -> bool {
        let own_ns = monotonic_ns();
        let held = guard.is_held();
        for Attempt { id, .. } in attempts {
            self.ledger.tell_of(own_ns, Event::Check { attempt: *id, held });
        }
        held
    }

    async fn downgrade(&self, held: Held, attempts: &[Attempt], usage: Use) {
        let Held::Guard(guard) = held else { return self.release(held, attempts, usage).await };
        self.tell_all(attempts, |attempt| Event::Convert { attempt, to: Mode::Shared });
        match guard.downgrade().await {
            Ok(guard) => {
                self.tell_all(attempts, |attempt| Event::Converted { attempt, to: Mode::Shared });
                self.linger(&guard, attempts, usage).await;
                self.release(Held::Guard(guard), attempts, usage).await;
            }
            // The guard is gone with the lock.
            Err(_) => {
                self.tell_all(attempts, |attempt| Event::Release { attempt });
                self.tell_all(attempts, |attempt| Event::Unsure { attempt });
            }
        }
    }

    async fn release(&self, held: Held, attempts: &[Attempt], usage: Use) {
        self.tell_all(attempts, |attempt| Event::Release { attempt });
        if usage.drops {
            drop(held);
            return self.tell_all(attempts, |attempt| Event::Unsure { attempt });
        }
        let released = held.release().await;
        self.tell_all(attempts, |attempt| match &released {
            Ok(()) => Event::Released { attempt },
            Err(error) if error.kind() == ErrorKind::Lost => Event::Lost { attempt },
            Err(_) => Event::Unsure { attempt },
        });
    }

    /// Until when a guard is believed in, on the clock of histories.
    fn until_ns(&self, guard: &Guard) -> Option<u64> {
        let true_ns = self.connection.clock.true_ns(guard.deadline());
        match self.defect {
            Some(Defect::Deaf) => Some(u64::MAX),
            Some(Defect::Late) => Some(true_ns + self.session.as_nanos() as u64),
            // Jepsen's client believes in its lock until it gives it back.
            None if matches!(self.work, Work::Set { .. }) => None,
            None => Some(true_ns),
        }
    }

    fn shows_token(&self, usage: Use) -> bool {
        !matches!(self.work, Work::Set { .. }) || usage.care == Care::Fence
    }

    fn tell_all(&self, attempts: &[Attempt], event: impl Fn(u64) -> Event) {
        for Attempt { id, .. } in attempts {
            self.ledger.tell(event(*id));
        }
    }
}

/// The fencing token of one of the locks that a guard holds.
fn token(guard: &Guard, lock: &str) -> u64 {
    let of_lock = guard.tokens().find(|(name, _)| name.as_str() == lock);
    let token = of_lock.map_or(guard.token(), |(_, token)| token);
    if [name::SHARED, name::SHARED_RW].contains(&lock) {
        // The library's own 64 bits, but for the first twelve of sneck's server's numbers, which say when it
        // was made and are the same for all of a campaign.
        return token.get() << TURN_BITS | u64::from(token.turn());
    }
    token.get()
}
