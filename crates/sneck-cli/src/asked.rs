//! What the command line asks for: which locks, and as what.

use crate::args::{KindArgs, Share};
use crate::failure::Failure;
use crate::store::{self, Store};
use sneck::{All, Contender, Error, Guard, Mutex, Name, Progress, RwLock, Semaphore};
use std::ffi::OsString;
use std::time::Duration;

/// Locks that are asked for together. At least one.
pub(crate) struct Asked {
    names: Vec<Name>,
    part: Part,
}

/// As what they are asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Exclusive,
    Shared,
    Write,
    Permits(Share),
}

/// How long to wait for them.
#[derive(Clone, Copy)]
pub(crate) enum Patience {
    Once,
    Within(Duration),
    Forever,
}

impl Asked {
    /// The locks of these names.
    ///
    /// # Errors
    /// For what can never be had. Nothing has been sent then.
    pub(crate) fn new(names: &[OsString], kind: &KindArgs) -> Result<Self, Failure> {
        let part = match *kind {
            KindArgs { permits: Some(share), .. } => Part::Permits(share),
            KindArgs { shared: true, .. } => Part::Shared,
            KindArgs { write: true, .. } => Part::Write,
            KindArgs { .. } => Part::Exclusive,
        };
        let names: Vec<Name> =
            names.iter().map(|name| store::name(name)).collect::<Result<_, _>>()?;
        for (at, name) in names.iter().enumerate() {
            if names[..at].contains(name) {
                let text =
                    format!("lock {:?} is named twice, and would wait for itself", name.as_str());
                return Err(Failure::usage(text));
            }
        }
        if names.len() > 1 && matches!(part, Part::Permits(_)) {
            let text = "permits of a semaphore cannot be taken together with other locks";
            return Err(Failure::usage(text).with_hint("name one lock with --permits"));
        }
        Ok(Asked { names, part })
    }

    /// Their names, in the order of the command line.
    pub(crate) fn names(&self) -> &[Name] {
        &self.names
    }

    /// Their names, in a sentence.
    pub(crate) fn quoted(&self) -> String {
        let names: Vec<String> =
            self.names.iter().map(|name| format!("{:?}", name.as_str())).collect();
        names.join(", ")
    }

    /// They, in a sentence.
    pub(crate) fn label(&self) -> String {
        format!("{} {}", if self.names.len() > 1 { "locks" } else { "lock" }, self.quoted())
    }

    /// As what, in one word for programs.
    pub(crate) fn mode(&self) -> &'static str {
        match self.part {
            Part::Exclusive => "exclusive",
            Part::Shared => "shared",
            Part::Write => "write",
            Part::Permits(_) => "permits",
        }
    }

    /// How many permits, as on the command line.
    pub(crate) fn permits(&self) -> Option<String> {
        match self.part {
            Part::Permits(Share { take, of }) => Some(format!("{take}/{of}")),
            Part::Exclusive | Part::Shared | Part::Write => None,
        }
    }

    /// The fencing token of each lock, in the order of their names here.
    pub(crate) fn tokens(&self, guard: &Guard) -> Vec<u64> {
        let token = |name: &Name| guard.tokens().find(|(of, _)| *of == name);
        let tokens =
            self.names.iter().map(|name| token(name).map_or(guard.token(), |(_, token)| token));
        tokens.map(|token| token.get()).collect()
    }

    /// What to ask with.
    pub(crate) fn line(
        &self,
        store: &Store,
        note: &str,
        progress: impl Fn(Progress<'_>) + Send + Sync + 'static,
    ) -> Line {
        let locks = store.locks();
        let several = self.names.len() > 1;
        let name = self.names[0].as_str();
        match self.part {
            Part::Permits(Share { take, of }) => {
                Line::Permits(locks.semaphore(name, of).with_note(note).on_progress(progress), take)
            }
            Part::Exclusive if !several => {
                Line::Mutex(locks.mutex(name).with_note(note).on_progress(progress))
            }
            Part::Shared if !several => {
                Line::Reader(locks.rw_lock(name).with_note(note).on_progress(progress))
            }
            Part::Write if !several => {
                Line::Writer(locks.rw_lock(name).with_note(note).on_progress(progress))
            }
            part => {
                let add = |all: All, name: &Name| match part {
                    Part::Shared => all.read(name.as_str()),
                    _ => all.write(name.as_str()),
                };
                let all = match part {
                    Part::Exclusive => locks.all(self.names.iter().map(Name::as_str)),
                    _ => self.names.iter().fold(locks.all([""; 0]), add),
                };
                Line::All(all.with_note(note).on_progress(progress))
            }
        }
    }

    /// Who stands in the way, if that can be learnt: of which lock, and who holds it.
    pub(crate) async fn holder(&self, store: &Store) -> Option<(Name, Contender)> {
        for name in &self.names {
            let line = store.locks().line(name.as_str()).await.ok()?;
            // Who waits for several locks is the first in some of the lines.
            let mut others = line.into_iter().filter(|contender| !store.is_own(contender));
            if let Some(holder) = others.next() {
                return Some((name.clone(), holder));
            }
        }
        None
    }

    /// That somebody holds what is asked for.
    pub(crate) fn taken(&self, name: &Name, holder: &str) -> String {
        match self.part {
            Part::Permits(Share { take, of }) => format!(
                "{take} of the {of} permits of {:?} are not free: some are held by {holder}",
                name.as_str()
            ),
            _ => format!("lock {:?} is held by {holder}", name.as_str()),
        }
    }
}

/// The locks of the library behind it.
pub(crate) enum Line {
    Mutex(Mutex),
    Reader(RwLock),
    Writer(RwLock),
    Permits(Semaphore, u32),
    All(All),
}

impl Line {
    /// Asks; `None` when it is not to wait, and would have to.
    pub(crate) async fn acquire(&self, patience: Patience) -> Result<Option<Guard>, Error> {
        match patience {
            Patience::Once => self.once().await,
            Patience::Within(wait) => self.within(wait).await.map(Some),
            Patience::Forever => self.wait().await.map(Some),
        }
    }

    async fn once(&self) -> Result<Option<Guard>, Error> {
        match self {
            Line::Mutex(mutex) => mutex.try_lock().await,
            Line::Reader(lock) => Ok(lock.try_read().await?.map(|guard| guard.into_guard())),
            Line::Writer(lock) => Ok(lock.try_write().await?.map(|guard| guard.into_guard())),
            Line::Permits(semaphore, take) => semaphore.try_acquire_many(*take).await,
            Line::All(all) => all.try_lock().await,
        }
    }

    async fn within(&self, wait: Duration) -> Result<Guard, Error> {
        match self {
            Line::Mutex(mutex) => mutex.lock_timeout(wait).await,
            Line::Reader(lock) => lock.read_timeout(wait).await.map(|guard| guard.into_guard()),
            Line::Writer(lock) => lock.write_timeout(wait).await.map(|guard| guard.into_guard()),
            Line::Permits(semaphore, take) => semaphore.acquire_many_timeout(*take, wait).await,
            Line::All(all) => all.lock_timeout(wait).await,
        }
    }

    async fn wait(&self) -> Result<Guard, Error> {
        match self {
            Line::Mutex(mutex) => mutex.lock().await,
            Line::Reader(lock) => lock.read().await.map(|guard| guard.into_guard()),
            Line::Writer(lock) => lock.write().await.map(|guard| guard.into_guard()),
            Line::Permits(semaphore, take) => semaphore.acquire_many(*take).await,
            Line::All(all) => all.lock().await,
        }
    }
}
