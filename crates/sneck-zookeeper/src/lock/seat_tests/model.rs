//! A model of a directory on a server, and of a client whose requests have fates.

use super::super::*;
use super::DIR;
use crate::error::End;
use bytes::Bytes;
use sneck_core::ClaimId;
use sneck_wire::Stat;
use std::collections::{BTreeMap, BTreeSet};

/// The nodes that matter to one line.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) zxid: i64,
    /// The lock's node and those above it that are there.
    pub(super) parents: BTreeSet<String>,
    /// The lock's children: who owns each, and what created it.
    pub(super) children: BTreeMap<String, Stat>,
    pub(super) counter: i32,
    /// Answers with this instead of doing anything.
    pub(super) refusal: Option<ErrorCode>,
}

impl Server {
    /// A server where the lock's node is there.
    pub(super) fn new() -> Self {
        let mut server = Server::empty();
        server.parents = ["/apps", "/apps/locks", DIR].map(str::to_owned).into();
        server
    }

    pub(super) fn empty() -> Self {
        Server {
            zxid: 100,
            parents: BTreeSet::new(),
            children: BTreeMap::new(),
            counter: 0,
            refusal: None,
        }
    }

    pub(super) fn put(&mut self, child: &str, owner: i64) {
        self.zxid += 1;
        let stat = Stat { czxid: self.zxid, ephemeral_owner: owner, ctime: 5, ..Stat::default() };
        self.children.insert(child.to_owned(), stat);
    }

    pub(super) fn delete(&mut self, child: &str) -> bool {
        self.zxid += 1;
        self.children.remove(child).is_some()
    }

    /// Deletes the lock's node as servers do with containers nobody is in.
    pub(super) fn reap(&mut self) {
        if self.children.is_empty() && self.parents.remove(DIR) {
            self.zxid += 1;
            self.counter = 0;
        }
    }

    pub(super) fn names(&self) -> Vec<String> {
        // In no order that means anything: backwards.
        self.children.keys().rev().cloned().collect()
    }

    pub(super) fn perform(&mut self, step: &Step, session: i64) -> Answer {
        let refused = |code| Err(RequestError::Refused(code));
        if let Some(code) = self.refusal {
            return failed(step, &RequestError::Refused(code));
        }
        match step {
            Step::Enter(path) => {
                let created = self.create(child_of(path), session);
                Answer::Entered { created, children: self.list() }
            }
            Step::MakeParent(path) => {
                let above = path::parent(path).is_none_or(|above| self.parents.contains(above));
                Answer::ParentMade(if !above {
                    refused(ErrorCode::NO_NODE).map(|_: ()| ())
                } else if self.parents.insert(path.clone()) {
                    self.zxid += 1;
                    Ok(())
                } else {
                    refused(ErrorCode::NODE_EXISTS).map(|_: ()| ())
                })
            }
            Step::Find => Answer::Found(self.list()),
            Step::List => Answer::Listed(self.list()),
            Step::Adopt(path) => Answer::Adopted { node: self.read(path), session_id: session },
            Step::Watch { ahead, own } => {
                let own = own.as_ref().map(|own| self.read(own));
                Answer::Watched { ahead: self.read(ahead), own }
            }
            Step::Own(path) => Answer::Own(self.read(path)),
            Step::Remove(path) => Answer::Removed(match self.delete(child_of(path)) {
                true => Ok(()),
                false => refused(ErrorCode::NO_NODE).map(|_: ()| ()),
            }),
            Step::Downgrade { from, to } => Answer::Downgraded(Ok(self.replace(from, to, session))),
            other => panic!("no step of a place in line: {other:?}"),
        }
    }

    /// One transaction: as a server answers it.
    fn replace(&mut self, from: &str, to: &str, session: i64) -> Vec<MultiResult> {
        let [ok, after] = [ErrorCode::OK, ErrorCode::RUNTIME_INCONSISTENCY].map(MultiResult::Error);
        if self.children.contains_key(child_of(to)) {
            return vec![MultiResult::Error(ErrorCode::NODE_EXISTS), after];
        }
        if !self.children.contains_key(child_of(from)) {
            return vec![ok, MultiResult::Error(ErrorCode::NO_NODE)];
        }
        self.delete(child_of(from));
        self.put(child_of(to), session);
        vec![MultiResult::Create { path: to.to_owned(), stat: None }, MultiResult::Delete]
    }

    pub(super) fn create(&mut self, prefix: &str, session: i64) -> Result<Created, RequestError> {
        if !self.parents.contains(DIR) {
            return Err(RequestError::Refused(ErrorCode::NO_NODE));
        }
        let name = format!("{prefix}{:010}", self.counter);
        if self.children.contains_key(&name) {
            return Err(RequestError::Refused(ErrorCode::NODE_EXISTS));
        }
        self.counter = self.counter.saturating_add(1);
        self.put(&name, session);
        Ok(Created { path: format!("{DIR}/{name}"), stat: self.children[&name] })
    }

    pub(super) fn list(&self) -> Result<Vec<String>, RequestError> {
        match self.parents.contains(DIR) {
            true => Ok(self.names()),
            false => Err(RequestError::Refused(ErrorCode::NO_NODE)),
        }
    }

    pub(super) fn read(&self, path: &str) -> Result<Node, RequestError> {
        let stat = self.children.get(child_of(path)).copied();
        let stat = stat.ok_or(RequestError::Refused(ErrorCode::NO_NODE))?;
        Ok(Node { data: Bytes::from_static(b"127.0.0.1"), stat })
    }
}

pub(super) fn child_of(path: &str) -> &str {
    path.strip_prefix(DIR).and_then(|child| child.strip_prefix('/')).unwrap()
}

/// The answer to a step that failed as a whole.
pub(super) fn failed(step: &Step, error: &RequestError) -> Answer {
    let error = || error.clone();
    match step {
        Step::Enter(_) => Answer::Entered { created: Err(error()), children: Err(error()) },
        Step::MakeParent(_) => Answer::ParentMade(Err(error())),
        Step::Find => Answer::Found(Err(error())),
        Step::List => Answer::Listed(Err(error())),
        Step::Adopt(_) => Answer::Adopted { node: Err(error()), session_id: 0 },
        Step::Watch { own, .. } => {
            Answer::Watched { ahead: Err(error()), own: own.as_ref().map(|_| Err(error())) }
        }
        Step::Own(_) => Answer::Own(Err(error())),
        Step::Remove(_) => Answer::Removed(Err(error())),
        Step::Downgrade { .. } => Answer::Downgraded(Err(error())),
        other => panic!("no step of a place in line: {other:?}"),
    }
}

// ----- a client of it -----

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
pub(super) const OVER: RequestError = RequestError::Over { end: End::Expired, sent: true };
pub(super) const OVER_UNSENT: RequestError = RequestError::Over { end: End::Closed, sent: false };

pub(super) struct Client {
    pub(super) seat: Seat,
    pub(super) session: i64,
    /// Every step so far.
    pub(super) steps: Vec<Step>,
}

impl Client {
    pub(super) fn new(number: u128) -> Self {
        Client::with_policy(number, ForeignPolicy::Refuse)
    }

    pub(super) fn with_policy(number: u128, policy: ForeignPolicy) -> Self {
        Client::with_mode(number, Mode::Exclusive, policy)
    }

    pub(super) fn with_mode(number: u128, mode: Mode, policy: ForeignPolicy) -> Self {
        Client::with_dialect(number, mode, policy, Dialect::Curator)
    }

    pub(super) fn with_dialect(
        number: u128,
        mode: Mode,
        policy: ForeignPolicy,
        dialect: Dialect,
    ) -> Self {
        let id = ClaimId::from_u128(number);
        let seat = Seat::new(DIR.to_owned(), id, mode, dialect, policy);
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

    pub(super) fn first(&mut self, server: &mut Server) -> Token {
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

    pub(super) fn gone(&mut self, server: &mut Server) -> Loss {
        match self.ask(server) {
            Ok(Spot::Gone(loss)) => loss,
            other => panic!("{other:?} after {:?}", self.steps),
        }
    }

    pub(super) fn refused(&mut self, server: &mut Server) -> Error {
        self.ask(server).unwrap_err()
    }

    /// The node ahead, as far as this client knows, is gone, and its watch says so. That our own is there is
    /// known from a watch, too.
    pub(super) fn woken(&mut self) {
        self.woken_knowing(true);
    }

    pub(super) fn woken_knowing(&mut self, own_there: bool) {
        let Phase::Seated(Seated { rank: Rank::Behind { child, .. }, .. }) = &self.seat.phase
        else {
            panic!("nobody is ahead");
        };
        let path = self.seat.child_path(child);
        self.seat.deleted(&path, own_there);
    }

    pub(super) fn leave(&mut self, server: &mut Server) {
        for _ in 0..20 {
            let Some(step) = self.seat.next_leaving() else { return };
            let left = self.perform(server, step, Fate::Answered).unwrap();
            assert!(left.is_ok(), "{left:?}");
        }
        panic!("leaving does not come to an end: {:?}", self.steps);
    }

    /// What was asked of the server since this was last called.
    pub(super) fn taken(&mut self) -> String {
        let words = self.steps.drain(..).map(|step| match step {
            Step::Enter(_) => "enter".to_owned(),
            Step::MakeParent(path) => format!("make {path}"),
            Step::Find => "find".to_owned(),
            Step::Adopt(_) => "adopt".to_owned(),
            Step::List => "list".to_owned(),
            Step::Watch { own: None, .. } => "watch".to_owned(),
            Step::Watch { .. } => "watch both".to_owned(),
            Step::Own(_) => "own".to_owned(),
            Step::Remove(_) => "remove".to_owned(),
            Step::Downgrade { .. } => "downgrade".to_owned(),
            other => panic!("no step of a place in line: {other:?}"),
        });
        words.collect::<Vec<_>>().join(", ")
    }

    pub(super) fn nodes(&self, server: &Server) -> Vec<String> {
        let ours = |child: &&String| child.starts_with(&self.seat.mark);
        server.children.keys().filter(ours).cloned().collect()
    }
}

/// A server with these clients in line, in this order.
pub(super) fn in_line<const N: usize>() -> (Server, [Client; N]) {
    let mut server = Server::new();
    let clients = std::array::from_fn(|index| {
        let mut client = Client::new(index as u128 + 1);
        let ahead = match client.ask(&mut server).unwrap() {
            Spot::Held(_) => 0,
            Spot::Behind(waiting) => waiting.ahead.unwrap() as usize,
            Spot::Gone(loss) => panic!("{loss:?}"),
        };
        assert_eq!(ahead, index);
        client.steps.clear();
        client
    });
    (server, clients)
}
