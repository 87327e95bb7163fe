//! Which clients exclude each other, by the dialect that sneck speaks: the tables of `docs/dialects.md`.

use super::{LASTING, speaking};
use crate::stage::Site;
use crate::stage::server::{Kind, on_each_kind};
use sneck::{Error, ErrorKind, Guard, Locks, ReadGuard, WriteGuard};
use sneck_testkit::peer::{Peer, Recipe};
use sneck_testkit::{StartError, curator, go, kazoo, or_skip};
use std::time::Duration;

on_each_kind!(
    mutexes_wait_for_each_other_as_it_is_written,
    readers_and_writers_wait_for_each_other_as_it_is_written,
    permits_are_counted_together_as_it_is_written,
    a_kind_that_a_dialect_has_not_is_refused_before_anything_is_written,
    a_mutex_and_a_writer_of_curator_are_refused_to_each_other,
);

/// What becomes of a contender while somebody else holds the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Waits,
    /// An error before anything is held, that says what to do.
    Refuses,
    /// Both hold the lock. Where they must not, the other client does not see the holder, and nothing
    /// that sneck does could make it.
    Enters,
}
use Outcome::{Enters, Refuses, Waits};

/// One who takes part in the grid.
#[allow(clippy::large_enum_variant, reason = "there are a dozen in a test")]
enum Client {
    Peer(Peer),
    /// A peer that cannot be asked to try.
    Patient(Peer),
    Sneck(Locks, Option<Guard>),
}

impl Client {
    async fn hold(&mut self, recipe: Recipe, name: &str, dir: &str) {
        match self {
            Client::Peer(peer) | Client::Patient(peer) => peer.acquire(recipe, dir).await,
            Client::Sneck(locks, held) => {
                *held = attempt(locks, recipe, name).await.expect("nobody is there");
                assert!(held.is_some(), "{dir} is free");
            }
        }
    }

    async fn release(&mut self, dir: &str) {
        match self {
            Client::Peer(peer) | Client::Patient(peer) => peer.release(dir).await,
            Client::Sneck(_, held) => {
                held.take().expect("it is held").unlock().await.expect("it is held");
            }
        }
    }

    /// Contends for what `holder` has, and has nothing in the end; nor has the holder.
    async fn contend(&mut self, holder: &mut Client, recipe: Recipe, lock: Lock<'_>) -> Outcome {
        let dir = lock.dir;
        let entered = match self {
            Client::Peer(peer) => peer.attempt(recipe, dir).await,
            Client::Patient(peer) => enters(peer, recipe, lock).await,
            Client::Sneck(locks, held) => match attempt(locks, recipe, lock.name).await {
                Ok(guard) => {
                    *held = guard;
                    held.is_some()
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
                    let hint = error.hint().unwrap_or_default();
                    assert!(hint.contains("dialect="), "{error}: {hint}");
                    holder.release(dir).await;
                    return Refuses;
                }
            },
        };
        holder.release(dir).await;
        if let Client::Patient(peer) = self {
            if !entered {
                peer.held(dir).await;
            }
            peer.release(dir).await;
        } else if entered {
            self.release(dir).await;
        }
        if entered { Enters } else { Waits }
    }
}

/// A lock as it is called by those who know its root, and by those who do not.
#[derive(Clone, Copy)]
struct Lock<'a> {
    site: &'a Site,
    name: &'a str,
    dir: &'a str,
}

/// Tries to take a lock with sneck.
async fn attempt(locks: &Locks, recipe: Recipe, name: &str) -> Result<Option<Guard>, Error> {
    match recipe {
        Recipe::Lock => locks.mutex(name).try_lock().await,
        Recipe::Read => Ok(locks.rw_lock(name).try_read().await?.map(ReadGuard::into_guard)),
        Recipe::Write => Ok(locks.rw_lock(name).try_write().await?.map(WriteGuard::into_guard)),
        Recipe::Permits { take, of } => locks.semaphore(name, of).try_acquire_many(take).await,
        Recipe::Lead | Recipe::Select => unreachable!("leaders have no grid"),
    }
}

/// Whether a client that cannot be asked to try gets in beside a holder. It either says so, or watches the
/// place it waits for: it is left the time in which others have said so many times over.
async fn enters(peer: &mut Peer, recipe: Recipe, lock: Lock<'_>) -> bool {
    peer.begin(recipe, lock.dir);
    lock.site.line_of(lock.name, 2).await;
    let said = async {
        while !peer.is_held(lock.dir) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(1), said).await.is_ok()
}

/// Whose client it is.
#[derive(Clone, Copy, Debug)]
enum Who {
    Curator,
    Kazoo,
    Go,
    /// With this dialect.
    Sneck(&'static str),
}
use Who::{Curator, Go, Kazoo, Sneck};

impl Who {
    async fn start(self, site: &Site, identifier: &str) -> Result<Client, StartError> {
        let servers = site.server.connect_string();
        Ok(match self {
            Curator => Client::Peer(curator::start(&servers, LASTING).await?),
            Kazoo => Client::Peer(kazoo::start(&servers, LASTING, identifier).await?),
            Go => Client::Patient(go::start(&servers, LASTING).await?),
            Sneck(dialect) => Client::Sneck(speaking(site, dialect).await, None),
        })
    }
}

/// Who takes part: each of them as somebody who holds, and as somebody who comes.
struct Grid<const N: usize> {
    site: Site,
    who: [Who; N],
    holders: Vec<Client>,
    contenders: Vec<Client>,
}

impl<const N: usize> Grid<N> {
    async fn start(kind: Kind, who: [Who; N]) -> Result<Self, StartError> {
        let site = Site::on(kind).await?;
        let (mut holders, mut contenders) = (Vec::new(), Vec::new());
        for who in who {
            holders.push(who.start(&site, "holder").await?);
            contenders.push(who.start(&site, "contender").await?);
        }
        Ok(Grid { site, who, holders, contenders })
    }

    /// Has each in turn hold a lock this way, and each come to it in that way. A row is a holder.
    async fn compare(&mut self, holds: Recipe, comes: Recipe, expected: [[Outcome; N]; N]) {
        let mut surprises = Vec::new();
        for (row, holder) in self.holders.iter_mut().enumerate() {
            for (column, contender) in self.contenders.iter_mut().enumerate() {
                let name = format!("{}-{}-{row}-{column}", word(holds), word(comes));
                let dir = self.site.dir(&name);
                holder.hold(holds, &name, &dir).await;
                let lock = Lock { site: &self.site, name: &name, dir: &dir };
                let outcome = contender.contend(holder, comes, lock).await;
                if outcome != expected[row][column] {
                    let (of, by) = (self.who[row], self.who[column]);
                    surprises.push(format!("{of:?} has {holds:?}, {by:?} {comes:?}: {outcome:?}"));
                }
            }
        }
        assert!(surprises.is_empty(), "{}", surprises.join("\n"));
    }
}

/// A recipe in the name of a lock.
fn word(recipe: Recipe) -> &'static str {
    match recipe {
        Recipe::Lock => "lock",
        Recipe::Read => "read",
        Recipe::Write => "write",
        Recipe::Permits { .. } => "permits",
        Recipe::Lead | Recipe::Select => unreachable!("leaders have no grid"),
    }
}

async fn mutexes_wait_for_each_other_as_it_is_written(kind: Kind) {
    let ours = ["curator", "go", "kazoo", "custom:*__lock__"].map(Sneck);
    let who = [Curator, Go, ours[0], ours[1], Kazoo, ours[2], ours[3]];
    let mut grid = or_skip!(Grid::start(kind, who).await);
    let curators = [Waits, Waits, Waits, Waits, Enters, Refuses, Refuses];
    let kazoos = [Enters, Waits, Refuses, Refuses, Waits, Waits, Waits];
    let expected = [curators, curators, curators, curators, kazoos, kazoos, kazoos];
    grid.compare(Recipe::Lock, Recipe::Lock, expected).await;
}

/// go-zookeeper has neither this kind nor the next.
const WITH_ALL_KINDS: [Who; 4] = [Curator, Sneck("curator"), Kazoo, Sneck("kazoo")];
const BESIDE_CURATORS: [Outcome; 4] = [Waits, Waits, Enters, Refuses];
const BESIDE_KAZOOS: [Outcome; 4] = [Enters, Refuses, Waits, Waits];
const APART: [[Outcome; 4]; 4] = [BESIDE_CURATORS, BESIDE_CURATORS, BESIDE_KAZOOS, BESIDE_KAZOOS];

async fn readers_and_writers_wait_for_each_other_as_it_is_written(kind: Kind) {
    let mut grid = or_skip!(Grid::start(kind, WITH_ALL_KINDS).await);
    grid.compare(Recipe::Write, Recipe::Write, APART).await;
    grid.compare(Recipe::Write, Recipe::Read, APART).await;
    grid.compare(Recipe::Read, Recipe::Write, APART).await;
    // Readers of one line share it, which is what they are for.
    let together = APART.map(|row| row.map(|cell| if cell == Waits { Enters } else { cell }));
    grid.compare(Recipe::Read, Recipe::Read, together).await;
}

async fn permits_are_counted_together_as_it_is_written(kind: Kind) {
    let mut grid = or_skip!(Grid::start(kind, WITH_ALL_KINDS).await);
    let [all, one] = [3, 1].map(|take| Recipe::Permits { take, of: 3 });
    grid.compare(all, one, APART).await;
}

async fn a_kind_that_a_dialect_has_not_is_refused_before_anything_is_written(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    for dialect in ["go", "custom:*__lock__"] {
        let locks = speaking(&site, dialect).await;
        for recipe in [Recipe::Read, Recipe::Write, Recipe::Permits { take: 1, of: 3 }] {
            let error = attempt(&locks, recipe, "l").await.expect_err("it has no such kind");
            assert_eq!(error.kind(), ErrorKind::Refused, "{dialect} {recipe:?}: {error}");
        }
    }
    assert!(site.observer.get_children(site.root()).await.is_err(), "not even the root was made");
}

/// Curator's own clients would both hold such a name; one of them and sneck do not.
async fn a_mutex_and_a_writer_of_curator_are_refused_to_each_other(kind: Kind) {
    let site = or_skip!(Site::on(kind).await);
    let mut peer = or_skip!(curator::start(&site.server.connect_string(), LASTING).await);
    let locks = speaking(&site, "curator").await;
    for (holds, comes) in [
        (Recipe::Lock, Recipe::Write),
        (Recipe::Lock, Recipe::Read),
        (Recipe::Write, Recipe::Lock),
        (Recipe::Read, Recipe::Lock),
    ] {
        let (name, dir) = ("l", site.dir("l"));
        peer.acquire(holds, &dir).await;
        let error = attempt(&locks, comes, name).await.expect_err("another kind");
        assert_eq!(error.kind(), ErrorKind::Refused, "{holds:?}, {comes:?}: {error}");
        assert!(error.hint().unwrap_or_default().contains("in use as"), "{error:?}");
        peer.release(&dir).await;
        // Ours has left in the background, and then the name can be of the other kind.
        site.line_of(name, 0).await;
    }
}
