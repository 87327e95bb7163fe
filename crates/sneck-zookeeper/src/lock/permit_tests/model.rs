//! A model of a semaphore's nodes on a server, and of a client whose requests have fates.

use super::super::*;
use crate::session::Created;
use bytes::Bytes;
use sneck_core::ClaimId;
use sneck_wire::{CreateMode, Stat};
use std::collections::BTreeMap;

const DIR: &str = "/apps/s";

/// The nodes above places, and above permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Line,
    Permits,
}

/// The nodes that matter to one semaphore.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) dialect: Dialect,
    pub(super) zxid: i64,
    /// What the semaphore's own node says, in which version, once it is there.
    node: Option<(String, i32)>,
    /// The other nodes that are there, above places and permits.
    folders: Vec<String>,
    pub(super) locks: BTreeMap<String, Stat>,
    pub(super) leases: BTreeMap<String, Stat>,
    /// Other children of the semaphore's node.
    pub(super) others: Vec<String>,
    counter: i32,
}

impl Server {
    pub(super) fn empty() -> Self {
        Server::of(Dialect::Curator)
    }

    pub(super) fn of(dialect: Dialect) -> Self {
        let (locks, leases) = (BTreeMap::new(), BTreeMap::new());
        let (node, folders, others) = (None, Vec::new(), Vec::new());
        Server { dialect, zxid: 100, node, folders, locks, leases, others, counter: 0 }
    }

    fn path(&self, room: Room) -> String {
        let rooms = self.dialect.rooms(DIR);
        match room {
            Room::Line => rooms.line,
            Room::Permits => rooms.permits,
        }
    }

    pub(super) fn number(&self) -> Option<String> {
        self.node.as_ref().map(|(number, _)| number.clone())
    }

    pub(super) fn set_number(&mut self, number: &str) {
        let version = self.node.as_ref().map_or(0, |(_, version)| version + 1);
        self.node = Some((number.to_owned(), version));
    }

    /// Whether nobody holds or waits.
    pub(super) fn is_empty(&self) -> bool {
        self.locks.is_empty() && self.leases.is_empty()
    }

    /// The nodes above places and permits vanish where nobody is.
    pub(super) fn reap(&mut self) {
        for (room, is_empty) in
            [(Room::Line, self.locks.is_empty()), (Room::Permits, self.leases.is_empty())]
        {
            let path = self.path(room);
            self.folders.retain(|folder| !is_empty || *folder != path);
        }
    }

    pub(super) fn perform(&mut self, step: &Step, session: i64) -> Answer {
        let refused = |code| RequestError::Refused(code);
        match step {
            Step::Enter(path) => {
                let created = match self.has(Room::Line) {
                    true => Ok(self.enter(path, session)),
                    false => Err(refused(ErrorCode::NO_NODE)),
                };
                Answer::Entered { created, children: self.list(Room::Line) }
            }
            Step::MakeKept(path) => {
                assert_eq!(path, DIR);
                self.node.get_or_insert_with(|| (String::new(), 0));
                Answer::ParentMade(Ok(()))
            }
            Step::MakeParent(path) => {
                let is_below = path.starts_with(&format!("{DIR}/"));
                Answer::ParentMade(match self.node {
                    None if is_below => Err(refused(ErrorCode::NO_NODE)),
                    _ => {
                        self.folders.push(path.clone());
                        Ok(())
                    }
                })
            }
            Step::Find => Answer::Found(self.list(Room::Line)),
            Step::List => Answer::Listed(self.list(Room::Line)),
            Step::FindLeases(_) => Answer::FoundLeases(self.list(Room::Permits)),
            Step::Adopt(path) => Answer::Adopted { node: self.read(path), session_id: session },
            Step::Watch { ahead, own } => {
                let own = own.as_ref().map(|own| self.read(own));
                Answer::Watched { ahead: self.read(ahead), own }
            }
            Step::Own(path) => Answer::Own(self.read(path)),
            Step::Remove(path) => Answer::Removed(match self.locks.remove(&last(path)) {
                Some(_) => Ok(()),
                None => Err(refused(ErrorCode::NO_NODE)),
            }),
            Step::Look(_) => {
                let below = format!("{DIR}/");
                let folders = self.folders.iter().filter_map(|path| path.strip_prefix(&below));
                let permits = self.leases.keys().filter(|_| self.path(Room::Permits) == DIR);
                let children = folders.map(str::to_owned).chain(permits.cloned());
                let children = children.chain(self.others.clone()).collect();
                let children = self.node.as_ref().map(|_| children);
                let children = children.ok_or(refused(ErrorCode::NO_NODE));
                Answer::Looked { number: self.own_node(), children }
            }
            Step::Count { .. } => {
                Answer::Counted { number: self.own_node(), leases: self.list(Room::Permits) }
            }
            Step::Take(take) => Answer::Taken(Ok(self.take(take, session))),
            Step::OwnLeases(paths) => {
                Answer::OwnLeases(paths.iter().map(|path| self.read(path)).collect())
            }
            Step::Return(paths) => Answer::Returned(Ok(self.give_back(paths))),
            other => panic!("no step of permits: {other:?}"),
        }
    }

    fn has(&self, room: Room) -> bool {
        let path = self.path(room);
        match path == DIR {
            true => self.node.is_some(),
            false => self.folders.contains(&path),
        }
    }

    fn next_name(&mut self, path: &str, mode: CreateMode, session: i64) -> (String, Stat) {
        let name = match mode {
            CreateMode::EphemeralSequential => format!("{}{:010}", last(path), self.counter),
            _ => last(path),
        };
        self.counter += 1;
        (name, Stat { czxid: self.zxid, ephemeral_owner: session, ..Stat::default() })
    }

    fn enter(&mut self, path: &str, session: i64) -> Created {
        self.zxid += 1;
        let (name, stat) = self.next_name(path, CreateMode::EphemeralSequential, session);
        self.locks.insert(name.clone(), stat);
        Created { path: format!("{}/{name}", self.path(Room::Line)), stat }
    }

    fn take(&mut self, take: &Take, session: i64) -> Vec<MultiResult> {
        let version = self.node.as_ref().map(|(_, version)| *version);
        let code = match version {
            None => Some(ErrorCode::NO_NODE),
            Some(version) if version != take.version => Some(ErrorCode::BAD_VERSION),
            _ if !self.has(Room::Permits) => Some(ErrorCode::NO_NODE),
            _ if !self.locks.contains_key(&last(&take.place)) => Some(ErrorCode::NO_NODE),
            _ => None,
        };
        if let Some(code) = code {
            let after = MultiResult::Error(ErrorCode::RUNTIME_INCONSISTENCY);
            return vec![MultiResult::Error(code), after];
        }
        self.zxid += 1;
        if let Some(number) = &take.number {
            self.set_number(number);
        }
        let mut results = vec![MultiResult::Check];
        for path in &take.leases {
            let (name, stat) = self.next_name(path, take.mode, session);
            let path = format!("{}/{name}", self.path(Room::Permits));
            // As servers do that do not tell.
            let told = (self.counter % 2 == 0).then_some(stat);
            results.push(MultiResult::Create { path, stat: told });
            self.leases.insert(name, stat);
        }
        self.locks.remove(&last(&take.place));
        results
    }

    fn give_back(&mut self, paths: &[String]) -> Vec<MultiResult> {
        if !paths.iter().all(|path| self.leases.contains_key(&last(path))) {
            return vec![MultiResult::Error(ErrorCode::NO_NODE)];
        }
        for path in paths {
            self.leases.remove(&last(path));
        }
        vec![MultiResult::Delete; paths.len()]
    }

    fn list(&self, room: Room) -> Result<Vec<String>, RequestError> {
        let nodes = match room {
            Room::Line => &self.locks,
            Room::Permits => &self.leases,
        };
        match self.has(room) {
            true => Ok(nodes.keys().rev().cloned().collect()),
            false => Err(RequestError::Refused(ErrorCode::NO_NODE)),
        }
    }

    fn read(&self, path: &str) -> Result<Node, RequestError> {
        let stat = self.locks.get(&last(path)).or_else(|| self.leases.get(&last(path)));
        let stat = *stat.ok_or(RequestError::Refused(ErrorCode::NO_NODE))?;
        Ok(Node { data: Bytes::from_static(b"127.0.0.1"), stat })
    }

    fn own_node(&self) -> Result<Node, RequestError> {
        let (number, version) =
            self.node.as_ref().ok_or(RequestError::Refused(ErrorCode::NO_NODE))?;
        let stat = Stat { version: *version, ..Stat::default() };
        Ok(Node { data: Bytes::from(number.clone()), stat })
    }
}

fn last(path: &str) -> String {
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

/// The answer to a step that failed as a whole.
fn failed(step: &Step, error: &RequestError) -> Answer {
    let error = || error.clone();
    match step {
        Step::Enter(_) => Answer::Entered { created: Err(error()), children: Err(error()) },
        Step::MakeParent(_) | Step::MakeKept(_) => Answer::ParentMade(Err(error())),
        Step::Find => Answer::Found(Err(error())),
        Step::List => Answer::Listed(Err(error())),
        Step::FindLeases(_) => Answer::FoundLeases(Err(error())),
        Step::Adopt(_) => Answer::Adopted { node: Err(error()), session_id: 0 },
        Step::Watch { own, .. } => {
            Answer::Watched { ahead: Err(error()), own: own.as_ref().map(|_| Err(error())) }
        }
        Step::Own(_) => Answer::Own(Err(error())),
        Step::Remove(_) => Answer::Removed(Err(error())),
        Step::Look(_) => Answer::Looked { number: Err(error()), children: Err(error()) },
        Step::Count { .. } => Answer::Counted { number: Err(error()), leases: Err(error()) },
        Step::Take(_) => Answer::Taken(Err(error())),
        Step::OwnLeases(_) => Answer::OwnLeases(Err(error())),
        Step::Return(_) => Answer::Returned(Err(error())),
        other => panic!("no step of permits: {other:?}"),
    }
}

/// What befalls one step.
#[derive(Clone, Debug)]
pub(super) enum Fate {
    Answered,
    /// The server did it; the answer is this error.
    Applied(RequestError),
    /// The server never saw it; the answer is this error.
    Unseen(RequestError),
    /// The server did it; the future that waits for the answer is dropped.
    AppliedAndDropped,
    /// The future is dropped before the request is sent.
    Dropped,
}

pub(super) const LOST: RequestError = RequestError::Interrupted;

#[derive(Debug)]
pub(super) struct Client {
    pub(super) seat: PermitSeat,
    pub(super) session: i64,
    /// Every step so far.
    pub(super) steps: Vec<Step>,
}

impl Client {
    pub(super) fn new(number: u128, take: u32, of: u32) -> Self {
        Client::of(Dialect::Curator, number, take, of)
    }

    pub(super) fn of(dialect: Dialect, number: u128, take: u32, of: u32) -> Self {
        let (id, permits) = (ClaimId::from_u128(number), Permits::new(take, of).unwrap());
        let foreign = ForeignPolicy::Refuse;
        let seat = PermitSeat::new(DIR.to_owned(), id, permits, dialect, foreign);
        Client { seat, session: i64::try_from(number).unwrap(), steps: Vec::new() }
    }

    /// One step with its fate. `None` when the future was dropped.
    pub(super) fn perform(
        &mut self,
        server: &mut Server,
        step: Step,
        fate: Fate,
    ) -> Option<Result<Option<Spot>, Error>> {
        self.steps.push(step.clone());
        let answer = match fate {
            Fate::Answered => server.perform(&step, self.session),
            Fate::Applied(error) => {
                server.perform(&step, self.session);
                failed(&step, &error)
            }
            Fate::Unseen(error) => failed(&step, &error),
            Fate::AppliedAndDropped => {
                server.perform(&step, self.session);
                return None;
            }
            Fate::Dropped => return None,
        };
        Some(self.seat.on(answer))
    }

    /// Asks, with these fates for its first steps. `None` when the future was dropped.
    pub(super) fn ask_with(
        &mut self,
        server: &mut Server,
        fates: impl IntoIterator<Item = Fate>,
    ) -> Option<Result<Spot, Error>> {
        let mut fates = fates.into_iter();
        for _ in 0..200 {
            let step = match self.seat.next() {
                Next::Done(spot) => return Some(Ok(spot)),
                Next::Do(step) => step,
            };
            let fate = fates.next().unwrap_or(Fate::Answered);
            match self.perform(server, step, fate)? {
                Ok(Some(spot)) => return Some(Ok(spot)),
                Ok(None) => {}
                Err(error) => return Some(Err(error)),
            }
        }
        panic!("asking does not come to an end: {:?}", self.steps);
    }

    pub(super) fn ask(&mut self, server: &mut Server) -> Result<Spot, Error> {
        self.ask_with(server, []).unwrap()
    }

    /// Asks until the step with this name comes next: `count`, or `take`.
    pub(super) fn until(&mut self, word: &str, server: &mut Server) {
        for _ in 0..50 {
            let after = self.steps.last().map(word_of).unwrap_or_default();
            match word {
                "count" if after == "enter" && !server.locks.is_empty() => return,
                "take" if self.seat.is_ready() => return,
                _ => {}
            }
            let Next::Do(step) = self.seat.next() else { panic!("{:?}", self.steps) };
            let done = self.perform(server, step, Fate::Answered).unwrap().unwrap();
            assert!(done.is_none(), "{done:?}");
        }
        panic!("no {word}: {:?}", self.steps);
    }

    pub(super) fn held(&mut self, server: &mut Server) -> Token {
        match self.ask(server) {
            Ok(Spot::Held(token)) => token,
            other => panic!("{other:?} after {:?}", self.steps),
        }
    }

    pub(super) fn behind(&mut self, server: &mut Server) -> Waiting {
        match self.ask(server) {
            Ok(Spot::Behind(waiting)) => waiting,
            other => panic!("{other:?} after {:?}", self.steps),
        }
    }

    pub(super) fn leave(&mut self, server: &mut Server) {
        for _ in 0..20 {
            let Some(step) = self.seat.next_leaving() else { return };
            let left = self.perform(server, step, Fate::Answered).unwrap();
            assert!(left.is_ok(), "{left:?}");
        }
        panic!("leaving does not come to an end: {:?}", self.steps);
    }

    pub(super) fn leases(&self, server: &Server) -> Vec<String> {
        let ours = |lease: &&String| lease.starts_with(&self.seat.mark);
        server.leases.keys().filter(ours).cloned().collect()
    }

    /// What was asked of the server since this was last called.
    pub(super) fn taken(&mut self) -> String {
        self.steps.drain(..).map(|step| word_of(&step)).collect::<Vec<_>>().join(", ")
    }
}

fn word_of(step: &Step) -> &'static str {
    match step {
        Step::Enter(_) => "enter",
        Step::MakeParent(_) | Step::MakeKept(_) => "make",
        Step::Find => "find",
        Step::List => "list",
        Step::Adopt(_) => "adopt",
        Step::Watch { .. } => "watch",
        Step::Own(_) => "own",
        Step::Remove(_) => "remove",
        Step::Look(_) => "look",
        Step::Count { .. } => "count",
        Step::Take(_) => "take",
        Step::FindLeases(_) => "find leases",
        Step::OwnLeases(_) => "own leases",
        Step::Return(_) => "return",
        other => panic!("no step of permits: {other:?}"),
    }
}
