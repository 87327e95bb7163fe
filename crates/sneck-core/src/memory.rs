//! A store of locks inside one process.

use crate::admission::{Admission, Entry, admit};
use crate::all::in_order;
use crate::backend::{Backend, Capacity, Crash, Order, Promises, Survey, TokenScope, Wake};
use crate::claim::{Claim, Grant, Mode, Request, Standing, Term, Waiting};
use crate::clock::Instant;
use crate::contender::Contender;
use crate::error::{Error, ErrorKind};
use crate::lease::{Lease, Loss};
use crate::memory_records::MemoryRecords;
use crate::name::Name;
use crate::record::Records;
use crate::token::Token;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::{Notify, watch};

/// A store of locks inside one process: for tests, examples, and as the model of what a backend is.
///
/// Clones share their lines. Locks here exclude tasks of this process only.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<Lines>>, Arc<MemoryRecords>);

#[derive(Debug, Default)]
struct Lines {
    lines: BTreeMap<Name, Vec<Place>>,
    /// How many permits each semaphore has.
    numbers: BTreeMap<Name, NonZeroU32>,
    last_token: u64,
    /// Told whenever somebody comes or goes.
    changes: watch::Sender<()>,
}

#[derive(Debug)]
struct Place {
    request: Request,
    token: Token,
    since: SystemTime,
    turn: Arc<Notify>,
    /// Ends when the place is taken away.
    lease: Lease,
    /// Whether it has been granted.
    held: bool,
    /// Whether its holder was asked to let go.
    revoked: bool,
}

impl Memory {
    /// A store without locks.
    pub fn new() -> Self {
        Memory::default()
    }

    /// Removes every place from a line, and a semaphore's number, as an operator would who deletes
    /// nodes by hand.
    pub fn clear(&self, name: &Name) {
        let mut lines = self.lock();
        lines.numbers.remove(name);
        for place in lines.lines.remove(name).unwrap_or_default() {
            place.take_away(Loss::Removed);
        }
        lines.changes.send_replace(());
    }

    /// Lets the clock that records are dated by go this much `ahead` of this machine's, and `behind`
    /// it: for tests of what happens when the clock of a store steps.
    pub fn set_clock(&self, ahead: Duration, behind: Duration) {
        self.1.set_clock(ahead, behind);
    }

    fn memory_claim(&self, request: Request, lease: Lease) -> MemoryClaim {
        let turn = Arc::new(Notify::new());
        MemoryClaim { memory: self.clone(), request, entered: false, turn, lease }
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        // No code panics while it holds this mutex, and the lines are whole at every step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Tells the claim, while the lines are locked: a holder must know before the next one can.
    fn take_away(&self, loss: Loss) {
        self.lease.end(loss);
        self.turn.notify_one();
    }
}

impl Lines {
    fn enter(&mut self, request: &Request, turn: &Arc<Notify>, lease: &Lease) -> Result<(), Error> {
        if let Mode::Permits(permits) = request.mode {
            let stored = *self.numbers.entry(request.name.clone()).or_insert(permits.of());
            if stored != permits.of() {
                return Err(permits.disagree(stored).with_lock(&request.name));
            }
        }
        self.last_token += 1;
        let Some(token) = Token::new(self.last_token) else { unreachable!("counted from one") };
        self.lines.entry(request.name.clone()).or_default().push(Place {
            request: request.clone(),
            token,
            since: SystemTime::now(),
            turn: turn.clone(),
            lease: lease.clone(),
            held: false,
            revoked: false,
        });
        self.changes.send_replace(());
        self.settle(&request.name);
        Ok(())
    }

    fn place(&mut self, request: &Request) -> Option<&mut Place> {
        let line = self.lines.get_mut(&request.name)?;
        line.iter_mut().find(|place| place.request.id == request.id)
    }

    fn standing(&self, request: &Request) -> Option<(usize, &[Place])> {
        let line = self.lines.get(&request.name)?;
        let me = line.iter().position(|place| place.request.id == request.id)?;
        Some((me, line))
    }

    fn remove(&mut self, request: &Request) {
        let Some(line) = self.lines.get_mut(&request.name) else { return };
        line.retain(|place| place.request.id != request.id);
        if line.is_empty() {
            self.lines.remove(&request.name);
        }
        self.changes.send_replace(());
        self.settle(&request.name);
    }

    fn resize(&mut self, name: &Name, number: NonZeroU32) {
        self.numbers.insert(name.clone(), number);
        for place in self.lines.get_mut(name).into_iter().flatten() {
            if let Mode::Permits(permits) = &mut place.request.mode {
                *permits = permits.resized(number);
                // Also for those whom it does not admit: one may ask for more than there are by now.
                place.turn.notify_one();
            }
        }
        self.settle(name);
    }

    /// Grants what can be granted, and wakes those it is granted to. They are always next to each
    /// other, because nobody overtakes.
    fn settle(&mut self, name: &Name) {
        let Some(line) = self.lines.get_mut(name) else { return };
        let mut entries: Vec<Entry> =
            line.iter().map(|place| Entry { mode: place.request.mode, held: place.held }).collect();
        for (at, place) in line.iter_mut().enumerate().skip_while(|(_, place)| place.held) {
            if admit(&entries, at) != Admission::Granted {
                return;
            }
            (place.held, entries[at].held) = (true, true);
            place.turn.notify_one();
        }
    }
}

fn contender(place: &Place) -> Contender {
    let data = place.request.description();
    Contender {
        claim: Some(place.request.id),
        mode: Some(place.request.mode),
        held: place.held,
        since: Some(place.since),
        token: Some(place.token),
        ..Contender::new(place.request.id.to_string(), data.as_bytes())
    }
}

#[async_trait]
impl Backend for Memory {
    fn claim(&self, request: Request) -> Box<dyn Claim> {
        Box::new(self.memory_claim(request, Lease::new(Instant::FAR)))
    }

    fn claim_all(&self, requests: Vec<Request>) -> Box<dyn Claim> {
        // One lease for all, so that no part is held when another is lost.
        let lease = Lease::new(Instant::FAR);
        let claim = |request: Request| {
            let name = request.name.clone();
            (name, Box::new(self.memory_claim(request, lease.clone())) as Box<dyn Claim>)
        };
        in_order(requests.into_iter().map(claim).collect())
    }

    async fn revoke(&self, name: &Name) -> Result<Vec<Contender>, Error> {
        let mut lines = self.lock();
        let line = lines.lines.get_mut(name).into_iter().flatten();
        let asked = line.filter(|place| place.held).map(|place| {
            place.revoked = true;
            place.turn.notify_one();
            contender(place)
        });
        Ok(asked.collect())
    }

    fn promises(&self) -> Promises {
        Promises {
            order: Order::Fifo,
            wake: Wake::Pushed,
            crash: Crash::Together,
            token: TokenScope::SingleCopy,
        }
    }

    fn label(&self) -> Arc<str> {
        Arc::from("this process")
    }

    fn supports(&self, _: Mode) -> bool {
        true
    }

    fn capacity(&self) -> Option<&dyn Capacity> {
        Some(self)
    }

    fn survey(&self) -> Option<&dyn Survey> {
        Some(self)
    }

    fn records(&self) -> Option<&dyn Records> {
        Some(&*self.1)
    }

    async fn close(&self) {
        let mut lines = self.lock();
        for place in std::mem::take(&mut lines.lines).into_values().flatten() {
            place.take_away(Loss::SessionEnded);
        }
        lines.changes.send_replace(());
    }
}

#[async_trait]
impl Survey for Memory {
    async fn line(&self, name: &Name) -> Result<Vec<Contender>, Error> {
        Ok(self.lock().lines.get(name).into_iter().flatten().map(contender).collect())
    }

    async fn names(&self) -> Result<Vec<Name>, Error> {
        Ok(self.lock().lines.keys().cloned().collect())
    }

    async fn holder_changed(&self, name: &Name, seen: Option<&Contender>) -> Result<(), Error> {
        let mut changes = self.lock().changes.subscribe();
        let is_as_seen = || {
            let lines = self.lock();
            let holder = lines.lines.get(name).and_then(|line| line.first());
            holder.map(|place| place.token) == seen.and_then(|seen| seen.token)
        };
        // The sender lives as long as the store, which is borrowed here.
        while is_as_seen() && changes.changed().await.is_ok() {}
        Ok(())
    }

    async fn contended(&self, name: &Name) -> Result<(), Error> {
        let mut changes = self.lock().changes.subscribe();
        let all_hold = || {
            let lines = self.lock();
            lines.lines.get(name).into_iter().flatten().all(|place| place.held)
        };
        while all_hold() && changes.changed().await.is_ok() {}
        Ok(())
    }
}

#[async_trait]
impl Capacity for Memory {
    async fn permits(&self, name: &Name) -> Result<Option<NonZeroU32>, Error> {
        Ok(self.lock().numbers.get(name).copied())
    }

    async fn set_permits(&self, name: &Name, permits: NonZeroU32) -> Result<(), Error> {
        self.lock().resize(name, permits);
        Ok(())
    }
}

struct MemoryClaim {
    memory: Memory,
    request: Request,
    entered: bool,
    /// Holds one permit when a turn came while nobody waited for it.
    turn: Arc<Notify>,
    lease: Lease,
}

#[async_trait]
impl Claim for MemoryClaim {
    async fn ask(&mut self) -> Result<Standing, Error> {
        let mut lines = self.memory.lock();
        if !self.entered {
            lines.enter(&self.request, &self.turn, &self.lease)?;
            self.entered = true;
        }
        let Some((me, line)) = lines.standing(&self.request) else {
            let loss = self.lease.loss(Instant::from_nanos(0)).unwrap_or(Loss::Removed);
            return Ok(Standing::Gone(loss));
        };
        let place = &line[me];
        if place.held {
            let term = Term::Session(self.lease.clone());
            let revoked = place.revoked;
            return Ok(Standing::Held(Grant { revoked, ..Grant::new(place.token, term) }));
        }
        match place.request.mode {
            Mode::Permits(permits) if permits.take() > permits.of() => {
                Err(permits.too_many(permits.of()).with_lock(&self.request.name))
            }
            _ => Ok(Standing::Waiting(Waiting {
                ahead: u32::try_from(me).ok(),
                holder: line.first().map(contender),
            })),
        }
    }

    async fn changed(&mut self) {
        self.turn.notified().await;
    }

    async fn leave(&mut self) -> Result<(), Error> {
        self.entered = true;
        self.memory.lock().remove(&self.request);
        Ok(())
    }

    async fn downgrade(&mut self) -> Result<(), Error> {
        let mut lines = self.memory.lock();
        match lines.place(&self.request) {
            Some(place) if place.held && place.request.mode == Mode::Write => {
                place.request.mode = Mode::Shared;
            }
            Some(place) if place.held && place.request.mode == Mode::Shared => {}
            _ => {
                let text = "only a writer who holds the lock can share it with readers";
                return Err(Error::new(ErrorKind::Refused, text).with_lock(&self.request.name));
            }
        }
        lines.settle(&self.request.name);
        Ok(())
    }
}
