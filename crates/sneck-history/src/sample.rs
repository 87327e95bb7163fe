//! Histories of a lock service that does everything right, from a seed.
//!
//! They are what checkers are tried with: pass as they are, fail once something is changed. A small
//! discrete-event simulation of lines and of clients that wait, hold, write, ask, give up, are
//! stopped and die; not of any code of the product.

use std::collections::{BTreeMap, BinaryHeap, HashMap};

use crate::{CRASH, Entry, Event, Header, Mode, PAUSE, Store};

const MS: u64 = 1_000_000;
/// The locks of a sample, each by what it is: a mutex, a read-write lock, a semaphore.
const LOCKS: [&str; 6] = ["mutex/1", "mutex/2", "rw/1", "rw/2", "permits/1", "permits/2"];
/// The permits of each semaphore.
const PERMITS: u32 = 3;

/// A good history.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Its header.
    pub header: Header,
    /// Its entries.
    pub entries: Vec<Entry>,
}

impl Sample {
    /// A history of about so many entries, by so many clients. Equal arguments make equal histories.
    pub fn new(seed: u64, entries: usize, clients: u32) -> Sample {
        let mut header = Header::new(Store::Memory);
        header.about = format!("sample: seed {seed}, {clients} clients");
        let mut world = World::new(seed, entries, header.bounds.session_ns);
        for client in 1..=clients {
            world.later(u64::from(client), Action::Start(client));
        }
        world.next_client = clients + 1;
        world.run();
        world.emit(None, Event::Quiet);
        world.probe();
        Sample { header, entries: world.entries }
    }
}

/// What is to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    /// A client looks for something to do.
    Start(u32),
    /// The store makes a place.
    Place(u64),
    /// A client hears that its place exists.
    Queued(u64),
    /// A client hears of its grant.
    Granted(u64),
    /// A holder works on what the lock protects.
    Work(u64),
    /// A holder is done.
    Finish(u64),
    /// The store has let readers in beside a writer.
    Downgraded(u64),
    /// The store removes a place.
    Vacate(u64),
    Released(u64),
    Refused(u64),
    /// A waiter gives up, if it still waits.
    GiveUp(u64),
    /// The store ends the session of a holder.
    Expire(u64),
    /// A holder that was stopped goes on.
    Wake(u64),
    /// The store looks who holds a lock, for a question.
    Look(u64),
    Answer(u64),
    /// The store is without a leader from now on, or has one again.
    LeaderGone,
    LeaderBack(u64),
}

#[derive(Debug)]
struct Try {
    client: u32,
    lock: usize,
    mode: Mode,
    session: String,
    no_wait: bool,
    place: Option<u64>,
    granted: bool,
    told: bool,
    over: bool,
    fault: u64,
}

#[derive(Debug)]
struct World {
    random: fastrand::Rng,
    entries: Vec<Entry>,
    entries_max: usize,
    session_ns: u64,
    now: u64,
    /// By time; equal times in the order in which they were planned.
    plans: BinaryHeap<std::cmp::Reverse<(u64, u64, Action)>>,
    planned: u64,
    tries: BTreeMap<u64, Try>,
    lines: Vec<BTreeMap<u64, u64>>,
    /// What each resource has seen: the largest token, and the version.
    resources: HashMap<usize, (u64, u64)>,
    questions: HashMap<u64, (u32, usize, Option<u64>)>,
    next_client: u32,
    next_id: u64,
    next_place: u64,
}

impl World {
    fn new(seed: u64, entries_max: usize, session_ns: u64) -> World {
        World {
            random: fastrand::Rng::with_seed(seed),
            entries: Vec::with_capacity(entries_max + 1000),
            entries_max,
            session_ns,
            now: 0,
            plans: BinaryHeap::new(),
            planned: 0,
            tries: BTreeMap::new(),
            lines: vec![BTreeMap::new(); LOCKS.len()],
            resources: HashMap::new(),
            questions: HashMap::new(),
            next_client: 1,
            next_id: 1,
            next_place: 1,
        }
    }

    fn run(&mut self) {
        self.later(0, Action::LeaderGone);
        while let Some(std::cmp::Reverse((at, _, action))) = self.plans.pop() {
            self.now = at;
            self.act(action);
        }
    }

    /// Takes all permits of each semaphore, when nobody else does anything.
    fn probe(&mut self) {
        let client = self.next_client;
        for lock in 4..LOCKS.len() {
            let mode = Mode::Permits { take: PERMITS, of: PERMITS };
            self.acquire(client, lock, mode, false);
            while let Some(std::cmp::Reverse((at, _, action))) = self.plans.pop() {
                self.now = at;
                if !matches!(action, Action::Start(_)) {
                    self.act(action);
                }
            }
        }
    }

    fn later(&mut self, after_ns: u64, action: Action) {
        self.planned += 1;
        self.plans.push(std::cmp::Reverse((self.now + after_ns, self.planned, action)));
    }

    /// How long a message takes.
    fn trip(&mut self) -> u64 {
        self.random.u64(100_000..3 * MS)
    }

    fn one_in(&mut self, n: u32) -> bool {
        self.random.u32(0..n) == 0
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id - 1
    }

    fn emit(&mut self, client: Option<u32>, event: Event) {
        let own_ns = client.map(|_| self.now.saturating_sub(1000));
        let seq = self.entries.len() as u64 + 1;
        self.entries.push(Entry { seq, at_ns: self.now, client, own_ns, event });
    }

    /// What a client says of one of its attempts.
    fn tell(&mut self, attempt: u64, event: Event) {
        let client = self.tries[&attempt].client;
        self.emit(Some(client), event);
    }

    fn is_over(&self) -> bool {
        self.entries.len() >= self.entries_max
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Start(client) => self.start(client),
            Action::Place(attempt) => self.place(attempt),
            Action::Queued(attempt) if self.waits(attempt) => {
                self.tell(attempt, Event::Queued { attempt });
            }
            Action::Granted(attempt) if self.waits(attempt) => self.granted(attempt),
            Action::Work(attempt) if self.is_held(attempt) => self.work(attempt),
            Action::Finish(attempt) if self.is_held(attempt) => self.finish(attempt),
            Action::Downgraded(attempt) => self.downgraded(attempt),
            Action::Vacate(attempt) => self.vacate(attempt),
            Action::Released(attempt) => self.ended(attempt, Event::Released { attempt }),
            Action::Refused(attempt) => self.ended(attempt, Event::Refused { attempt }),
            Action::GiveUp(attempt) if self.waits(attempt) => self.give_up(attempt),
            Action::Expire(attempt) => self.expire(attempt),
            Action::Wake(attempt) => self.wake(attempt),
            Action::Look(question) => self.look(question),
            Action::Answer(question) => self.answer(question),
            Action::LeaderGone if !self.is_over() => self.leader_gone(),
            Action::LeaderBack(fault) => self.emit(None, Event::Healed { fault }),
            _ => {}
        }
    }

    fn waits(&self, attempt: u64) -> bool {
        self.tries.get(&attempt).is_some_and(|one| !one.told && !one.over)
    }

    fn is_held(&self, attempt: u64) -> bool {
        self.tries.get(&attempt).is_some_and(|one| one.told && !one.over)
    }

    fn start(&mut self, client: u32) {
        if self.is_over() {
            return;
        }
        if self.one_in(5) {
            let (question, lock) = (self.id(), self.random.usize(0..2));
            let name = LOCKS[lock].to_owned();
            self.emit(Some(client), Event::Ask { question, lock: name });
            self.questions.insert(question, (client, lock, None));
            let trip = self.trip();
            return self.later(trip, Action::Look(question));
        }
        let lock = self.random.usize(0..LOCKS.len());
        let mode = match LOCKS[lock] {
            name if name.starts_with("permits") => {
                Mode::Permits { take: self.random.u32(1..=PERMITS), of: PERMITS }
            }
            name if name.starts_with("rw") && !self.one_in(3) => Mode::Shared,
            _ => Mode::Exclusive,
        };
        let no_wait = self.one_in(6);
        self.acquire(client, lock, mode, no_wait);
    }

    fn acquire(&mut self, client: u32, lock: usize, mode: Mode, no_wait: bool) {
        let attempt = self.id();
        // A session that was ended is not used again: its number is that of the attempt.
        let session = format!("s{client}/{attempt}");
        let event = Event::Acquire {
            attempt,
            lock: LOCKS[lock].to_owned(),
            mode,
            session: Some(session.clone()),
            no_wait,
            together: None,
        };
        self.emit(Some(client), event);
        let (place, granted, told, over, fault) = (None, false, false, false, 0);
        let one = Try { client, lock, mode, session, no_wait, place, granted, told, over, fault };
        self.tries.insert(attempt, one);
        let trip = self.trip();
        self.later(trip, Action::Place(attempt));
    }

    fn place(&mut self, attempt: u64) {
        let place = self.next_place;
        let (lock, session, no_wait) = {
            let one = &self.tries[&attempt];
            (one.lock, one.session.clone(), one.no_wait)
        };
        let trip = self.trip();
        if no_wait && !self.lines[lock].is_empty() {
            return self.later(trip, Action::Refused(attempt));
        }
        self.next_place += 1;
        if let Some(one) = self.tries.get_mut(&attempt) {
            one.place = Some(place);
        }
        self.lines[lock].insert(place, attempt);
        let (lock_name, session) = (LOCKS[lock].to_owned(), Some(session));
        self.emit(None, Event::Placed { lock: lock_name, attempt, place, session });
        self.later(trip, Action::Queued(attempt));
        if self.one_in(8) {
            let patience = self.random.u64(0..40 * MS);
            self.later(trip + patience, Action::GiveUp(attempt));
        }
        self.admit(lock);
    }

    /// Grants whoever in a line has nobody ahead that is in the way.
    fn admit(&mut self, lock: usize) {
        let (mut writer, mut first, mut taken) = (false, true, 0);
        let line: Vec<u64> = self.lines[lock].values().copied().collect();
        for attempt in line {
            let Some(one) = self.tries.get_mut(&attempt) else { continue };
            let admitted = match one.mode {
                Mode::Exclusive => first,
                Mode::Shared => !writer,
                Mode::Permits { take, .. } => {
                    taken += take;
                    taken <= PERMITS
                }
            };
            writer |= one.mode == Mode::Exclusive;
            first = false;
            if admitted && !one.granted {
                one.granted = true;
                // After the news of its place, if both are on their way.
                let trip = 3 * MS + self.trip();
                self.later(trip, Action::Granted(attempt));
            }
        }
    }

    fn granted(&mut self, attempt: u64) {
        let Some(one) = self.tries.get_mut(&attempt) else { return };
        one.told = true;
        let token = one.place.unwrap_or_default();
        let until_ns = Some(self.now + self.session_ns / 8 * 5);
        self.tell(attempt, Event::Granted { attempt, token, session: None, until_ns });
        for _ in 0..self.random.u32(0..3) {
            let after = self.random.u64(0..8 * MS);
            self.later(after, Action::Work(attempt));
        }
        let after = self.random.u64(8 * MS..20 * MS);
        self.later(after, Action::Finish(attempt));
    }

    fn work(&mut self, attempt: u64) {
        let (lock, mode, token) = {
            let one = &self.tries[&attempt];
            (one.lock, one.mode, one.place)
        };
        match self.random.u32(0..4) {
            0 => self.tell(attempt, Event::Check { attempt, held: true }),
            1 => {
                let until_ns = self.now + self.session_ns / 8 * 5;
                self.tell(attempt, Event::Extended { attempt, until_ns });
            }
            _ if mode == Mode::Exclusive => {
                let (max, version) = self.resources.get(&lock).copied().unwrap_or_default();
                let admitted = token >= Some(max);
                let name = LOCKS[lock].to_owned();
                let max = max.max(token.unwrap_or_default());
                self.resources.insert(lock, (max, version));
                self.tell(attempt, Event::Read { lock: name, attempt, token, admitted, version });
                self.write(attempt, version);
            }
            _ => {}
        }
    }

    fn write(&mut self, attempt: u64, base: u64) {
        let (lock, token) = (self.tries[&attempt].lock, self.tries[&attempt].place);
        let (max, version) = self.resources.get(&lock).copied().unwrap_or_default();
        let admitted = token >= Some(max);
        let (name, base) = (LOCKS[lock].to_owned(), Some(base));
        self.tell(attempt, Event::Write { lock: name, attempt, token, base, admitted });
        let written = self.entries.len() as u64;
        let seen = if admitted { (token.unwrap_or(max), written) } else { (max, version) };
        self.resources.insert(lock, seen);
    }

    fn finish(&mut self, attempt: u64) {
        let (lock, mode) = (self.tries[&attempt].lock, self.tries[&attempt].mode);
        if !self.is_over() && self.one_in(60) {
            return self.stop(attempt);
        }
        if !self.is_over() && self.one_in(150) {
            return self.kill(attempt);
        }
        if LOCKS[lock].starts_with("rw") && mode == Mode::Exclusive && self.one_in(2) {
            self.tell(attempt, Event::Convert { attempt, to: Mode::Shared });
            let trip = self.trip();
            return self.later(trip, Action::Downgraded(attempt));
        }
        self.tell(attempt, Event::Release { attempt });
        if let Some(one) = self.tries.get_mut(&attempt) {
            one.over = true;
        }
        let (there, back) = (self.trip(), self.trip());
        self.later(there, Action::Vacate(attempt));
        self.later(there + back, Action::Released(attempt));
    }

    fn downgraded(&mut self, attempt: u64) {
        let Some(one) = self.tries.get_mut(&attempt) else { return };
        one.mode = Mode::Shared;
        let lock = one.lock;
        self.tell(attempt, Event::Converted { attempt, to: Mode::Shared });
        self.admit(lock);
        let after = self.random.u64(MS..9 * MS);
        self.later(after, Action::Finish(attempt));
    }

    fn vacate(&mut self, attempt: u64) {
        let (lock, place) = (self.tries[&attempt].lock, self.tries[&attempt].place);
        if let Some(place) = place
            && self.lines[lock].remove(&place).is_some()
        {
            self.emit(None, Event::Vacated { place });
            self.admit(lock);
        }
    }

    fn ended(&mut self, attempt: u64, event: Event) {
        self.tell(attempt, event);
        if let Some(one) = self.tries.remove(&attempt) {
            let rest = self.random.u64(0..30 * MS);
            self.later(rest, Action::Start(one.client));
        }
    }

    fn give_up(&mut self, attempt: u64) {
        let cancels = self.one_in(2);
        let (there, back) = (self.trip(), self.trip());
        if let Some(one) = self.tries.get_mut(&attempt) {
            one.over = true;
        }
        self.later(there, Action::Vacate(attempt));
        if !cancels {
            return self.later(there + back, Action::Refused(attempt));
        }
        self.tell(attempt, Event::Cancel { attempt });
        let client = self.tries[&attempt].client;
        self.later(there + back, Action::Start(client));
    }

    fn stop(&mut self, attempt: u64) {
        let (fault, client) = (self.id(), self.tries[&attempt].client);
        let tick = self.random.u64(0..1000 * MS);
        if let Some(one) = self.tries.get_mut(&attempt) {
            (one.fault, one.over) = (fault, true);
        }
        self.emit(None, Event::Fault { fault, kind: PAUSE.into(), client: Some(client) });
        self.later(self.session_ns + tick, Action::Expire(attempt));
        self.later(self.session_ns + tick + 50 * MS, Action::Wake(attempt));
    }

    fn kill(&mut self, attempt: u64) {
        let (fault, client) = (self.id(), self.tries[&attempt].client);
        let tick = self.random.u64(0..1000 * MS);
        if let Some(one) = self.tries.get_mut(&attempt) {
            one.over = true;
        }
        self.emit(None, Event::Fault { fault, kind: CRASH.into(), client: Some(client) });
        self.emit(None, Event::Healed { fault });
        self.later(self.session_ns + tick, Action::Expire(attempt));
        self.later(100 * MS, Action::Start(self.next_client));
        self.next_client += 1;
    }

    fn expire(&mut self, attempt: u64) {
        let (session, when_ns) = (self.tries[&attempt].session.clone(), self.now);
        self.emit(None, Event::Expired { session, when_ns });
        self.vacate(attempt);
    }

    fn wake(&mut self, attempt: u64) {
        let (fault, client, lock, mode) = {
            let one = &self.tries[&attempt];
            (one.fault, one.client, one.lock, one.mode)
        };
        self.emit(None, Event::Healed { fault });
        // Late, and with what it read before; by luck nobody has been there meanwhile.
        if mode == Mode::Exclusive {
            let version = self.resources.get(&lock).copied().unwrap_or_default().1;
            self.write(attempt, version);
        }
        self.tell(attempt, Event::Check { attempt, held: false });
        self.tell(attempt, Event::Lost { attempt });
        self.later(MS, Action::Start(client));
    }

    fn look(&mut self, question: u64) {
        let trip = self.trip();
        if let Some((_, lock, holder)) = self.questions.get_mut(&question) {
            *holder = self.lines[*lock].keys().next().copied();
        }
        self.later(trip, Action::Answer(question));
    }

    fn answer(&mut self, question: u64) {
        if let Some((client, _, token)) = self.questions.remove(&question) {
            self.emit(Some(client), Event::Answer { question, token });
            self.later(MS, Action::Start(client));
        }
    }

    fn leader_gone(&mut self) {
        let fault = self.id();
        self.emit(None, Event::Fault { fault, kind: "no leader".into(), client: None });
        self.emit(None, Event::Leader { server: format!("{}", fault % 3) });
        self.later(400 * MS, Action::LeaderBack(fault));
        self.later(3000 * MS, Action::LeaderGone);
    }
}
