//! One way to ask for a lock, and what is had by it.

use std::pin::Pin;
use std::time::Duration;

use fastrand::Rng;
use sneck::{Error, Guard, Leadership, Locks, Progress};
use sneck_history::Mode;

use crate::orders::{PERMITS, name};

/// Which lock, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// One mutex.
    Mutex(&'static str),
    /// All mutexes of [`name::SEVERAL`] at once.
    Several,
    /// A lock of readers and writers, as a reader.
    Read(&'static str),
    /// The same as a writer.
    Write(&'static str),
    /// So many permits.
    Permits(u32),
    /// To lead.
    Lead,
}

/// With how much patience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// For ever.
    Wait,
    /// For so long, by a time-out of the library.
    Within(Duration),
    /// Not at all.
    Once,
    /// For so long; then the future is dropped.
    GiveUpAfter(Duration),
}

/// Something that is held.
pub(super) enum Held {
    Guard(Guard),
    Leader(Leadership),
}

/// A call of the library that is not made before it is awaited.
pub(super) type Asking = Pin<Box<dyn Future<Output = Result<Option<Held>, Error>> + Send>>;

impl What {
    pub(super) fn draw(random: &mut Rng) -> What {
        match random.u32(0..100) {
            0..30 => What::Mutex(name::MUTEXES[random.usize(0..name::MUTEXES.len())]),
            30..40 => What::Mutex(name::SHARED),
            40..50 => What::Mutex(name::SEVERAL[random.usize(0..name::SEVERAL.len())]),
            50..60 => What::Several,
            60..67 => What::Read(name::RW_LOCK),
            67..72 => What::Write(name::RW_LOCK),
            72..76 => What::Read(name::SHARED_RW),
            76..79 => What::Write(name::SHARED_RW),
            79..90 => What::Permits(random.u32(1..PERMITS)),
            _ => What::Lead,
        }
    }

    /// The names of its locks, in histories as in the store.
    pub(super) fn names(self) -> &'static [&'static str] {
        match self {
            What::Mutex(name) => {
                let alone = [&name::SHARED, &name::SET];
                let all = name::MUTEXES.iter().chain(&name::SEVERAL).chain(alone);
                all.into_iter().find(|known| **known == name).map_or(&[], std::slice::from_ref)
            }
            What::Several => &name::SEVERAL,
            What::Read(name) | What::Write(name) if name == name::SHARED_RW => &[name::SHARED_RW],
            What::Read(_) | What::Write(_) => &[name::RW_LOCK],
            What::Permits(_) => &[name::SEMAPHORE],
            What::Lead => &[name::ELECTION],
        }
    }

    pub(super) fn mode(self) -> Mode {
        match self {
            What::Read(_) => Mode::Shared,
            What::Permits(take) => Mode::Permits { take, of: PERMITS },
            _ => Mode::Exclusive,
        }
    }

    /// The call. `queued` is called whenever the library says that it waits in line.
    pub(super) fn ask(
        self,
        locks: Locks,
        manner: Manner,
        note: String,
        queued: impl Fn() + Send + Sync + 'static,
    ) -> Asking {
        let progress = move |progress: Progress<'_>| {
            if let Progress::Waiting(_) = progress {
                queued();
            }
        };
        // The methods of the library are alike, but of different types.
        macro_rules! asked {
            ($lock:expr, $wait:ident, $within:ident, $once:ident, $($of:expr)?) => {{
                let lock = $lock;
                match manner {
                    Manner::Wait | Manner::GiveUpAfter(_) => lock.$wait($($of)?).await.map(Some),
                    Manner::Within(most) => lock.$within($($of,)? most).await.map(Some),
                    Manner::Once => lock.$once($($of)?).await,
                }
            }};
        }
        Box::pin(async move {
            let guard = match self {
                What::Mutex(name) => {
                    let mutex = locks.mutex(name).with_note(note).on_progress(progress);
                    asked!(mutex, lock, lock_timeout, try_lock,)
                }
                What::Several => {
                    let all = locks.all(name::SEVERAL).with_note(note).on_progress(progress);
                    asked!(all, lock, lock_timeout, try_lock,)
                }
                What::Read(name) => {
                    let lock = locks.rw_lock(name).with_note(note).on_progress(progress);
                    let guard = asked!(lock, read, read_timeout, try_read,);
                    guard.map(|guard| guard.map(sneck::ReadGuard::into_guard))
                }
                What::Write(name) => {
                    let lock = locks.rw_lock(name).with_note(note).on_progress(progress);
                    let guard = asked!(lock, write, write_timeout, try_write,);
                    guard.map(|guard| guard.map(sneck::WriteGuard::into_guard))
                }
                What::Permits(take) => {
                    let permits = locks.semaphore(name::SEMAPHORE, PERMITS).with_note(note);
                    let permits = permits.on_progress(progress);
                    asked!(permits, acquire_many, acquire_many_timeout, try_acquire_many, take)
                }
                What::Lead => {
                    let election = locks.election(name::ELECTION);
                    let lead = asked!(election, campaign, campaign_timeout, try_campaign, &note);
                    return lead.map(|lead| lead.map(Held::Leader));
                }
            };
            guard.map(|guard| guard.map(Held::Guard))
        })
    }
}

impl Manner {
    pub(super) fn draw(random: &mut Rng) -> Manner {
        let ms = Duration::from_millis;
        match random.u32(0..100) {
            0..55 => Manner::Wait,
            55..72 => Manner::Within(ms(random.u64(50..3_000))),
            72..84 => Manner::Once,
            _ => Manner::GiveUpAfter(ms(random.u64(0..400))),
        }
    }
}

impl Held {
    pub(super) fn guard(&self) -> &Guard {
        match self {
            Held::Guard(guard) => guard,
            Held::Leader(leadership) => leadership.guard(),
        }
    }

    /// Gives it back, and waits for the store to confirm that.
    pub(super) async fn release(self) -> Result<(), Error> {
        match self {
            Held::Guard(guard) => guard.unlock().await,
            Held::Leader(leadership) => leadership.resign().await,
        }
    }
}
