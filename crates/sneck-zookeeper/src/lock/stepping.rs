//! The machine of a claim as a value that is stepped from outside, for a checker of models.
//!
//! No part of the interface: this is for `sneck-model`, and only there with the feature `simulation`.
//! It is to the machine what `claim.rs` is, without a session: a step becomes requests, and their answers
//! become that of the step. Who calls it decides when a request is sent, done and answered, if at all.

use super::dialect::{Dialect, ForeignPolicy};
use super::permits::PermitSeat;
use super::seat::Seat;
use super::stand::Stand;
use super::step::{Answer, Next, Spot, Step, Take};
use crate::error::RequestError;
use crate::session::{Created, Node};
use sneck_core::{ClaimId, Loss, Mode, Token};
use sneck_wire::{Acl, CreateMode, MultiOp, MultiResult, NewNode, Reply, Request};

/// What a request came to.
pub type Answered = Result<Reply, RequestError>;

/// A claim on ZooKeeper.
#[derive(Clone, Debug, Hash)]
pub struct Claim {
    mark: String,
    stand: Stand,
    session: i64,
    /// Whether the watch on our own place has fired since the step was begun.
    own_changed: bool,
    /// The step that is not answered yet, how many requests it is made of, and the answers so far.
    step: Option<(Step, usize, Vec<Answered>)>,
}

/// What a claim wants, or where it is.
#[derive(Clone, Debug)]
pub enum Turn {
    /// These requests are to be sent, all of them before the first is answered.
    Send(Vec<Request>),
    /// The lock is held.
    Held(Token),
    /// Somebody is ahead, and watched.
    Behind,
    /// The place is lost.
    Gone(Loss),
    /// What was asked for is done: the claim has left, or is a reader.
    Done,
    /// More answers are to come.
    Unanswered,
    /// The step is answered, and there is a next one.
    Next,
    /// The attempt ends with this error.
    Failed(String),
}

impl Claim {
    /// A claim on the lock whose node is `dir`, with the identity of this number.
    pub fn new(dir: &str, number: u128, mode: Mode) -> Self {
        let (id, dialect, foreign) =
            (ClaimId::from_u128(number), Dialect::Curator, ForeignPolicy::Refuse);
        let dir = dir.to_owned();
        let stand = match mode {
            Mode::Permits(permits) => {
                Stand::Permits(PermitSeat::new(dir, id, permits, dialect, foreign))
            }
            mode => Stand::Line(Seat::new(dir, id, mode, dialect, foreign)),
        };
        Claim { mark: dialect.mark(id), stand, session: 0, own_changed: false, step: None }
    }

    /// Whether a node with this name is the claim's.
    pub fn owns(&self, child: &str) -> bool {
        child.starts_with(&self.mark)
    }

    /// Whether nothing of it can be in the store, so that it may begin on this session.
    pub fn is_nowhere(&self) -> bool {
        self.stand.is_nowhere()
    }

    /// The session on which it is from now on.
    pub fn join_session(&mut self, session: i64) {
        self.session = session;
    }

    /// The nodes whose being there is the hold.
    pub fn held_paths(&self) -> Vec<String> {
        self.stand.held_paths()
    }

    /// A node was deleted; `own_there` when the claim's own was there at that moment.
    pub fn deleted(&mut self, path: &str, own_there: bool) {
        self.stand.deleted(path, own_there);
    }

    /// The watch on its own place has fired, which it may just be reading.
    pub fn own_changed(&mut self) {
        self.own_changed = true;
    }

    /// Its own nodes may have been deleted.
    pub fn own_doubtful(&mut self) {
        self.stand.own_doubtful();
    }

    /// The future that waited for a step is dropped.
    pub fn interrupted(&mut self) {
        self.step = None;
    }

    /// Goes on asking where it stands.
    pub fn ask(&mut self) -> Turn {
        match self.stand.next() {
            Next::Do(step) => self.begin(step),
            Next::Done(spot) => turn(&spot),
        }
    }

    /// Goes on leaving.
    pub fn leave(&mut self) -> Turn {
        match self.stand.next_leaving() {
            Some(step) => self.begin(step),
            None => Turn::Done,
        }
    }

    /// Goes on becoming a reader.
    pub fn downgrade(&mut self) -> Turn {
        match self.stand.next_downgrade() {
            Ok(Some(step)) => self.begin(step),
            Ok(None) => Turn::Done,
            Err(error) => Turn::Failed(error.to_string()),
        }
    }

    /// Takes the answer to the first request of the step that has none yet.
    pub fn answered(&mut self, answered: Answered) -> Turn {
        let Some((step, count, mut answers)) = self.step.take() else {
            return Turn::Failed("an answer to nothing".to_owned());
        };
        answers.push(answered);
        if answers.len() < count {
            self.step = Some((step, count, answers));
            return Turn::Unanswered;
        }
        let mut answer = answer(&step, self.session, answers);
        if let Answer::Watched { own, .. } = &mut answer {
            *own = own.take().filter(|own| own.is_err() || !self.own_changed);
        }
        match self.stand.on(answer) {
            Ok(Some(spot)) => turn(&spot),
            Ok(None) => Turn::Next,
            Err(error) => Turn::Failed(error.to_string()),
        }
    }

    fn begin(&mut self, step: Step) -> Turn {
        self.own_changed = false;
        let requests = requests(&step, self.stand.line());
        self.step = Some((step, requests.len(), Vec::new()));
        Turn::Send(requests)
    }
}

fn turn(spot: &Spot) -> Turn {
    match spot {
        Spot::Held(token) => Turn::Held(*token),
        Spot::Behind(_) => Turn::Behind,
        Spot::Gone(loss) => Turn::Gone(*loss),
    }
}

fn requests(step: &Step, line: &str) -> Vec<Request> {
    let children = |path: &str, watch| Request::GetChildren { path: path.to_owned(), watch };
    let data = |path: &str, watch| Request::GetData { path: path.to_owned(), watch };
    let sync = |path: &str| Request::Sync { path: path.to_owned() };
    match step {
        Step::Enter(path) => {
            let node = node(path, CreateMode::EphemeralSequential);
            vec![Request::Create2(node), children(line, false)]
        }
        Step::MakeParent(path) => vec![Request::CreateContainer(node(path, CreateMode::Container))],
        Step::MakeKept(path) => vec![Request::Create(node(path, CreateMode::Persistent))],
        Step::Find => vec![sync(line), children(line, false)],
        Step::FindLeases(path) => vec![sync(path), children(path, false)],
        Step::Adopt(path) | Step::Own(path) => vec![data(path, false)],
        Step::List => vec![children(line, false)],
        Step::Watch { ahead, own } => own.iter().chain([ahead]).map(|at| data(at, true)).collect(),
        Step::Remove(path) => vec![Request::Delete { path: path.clone(), version: -1 }],
        Step::Downgrade { from, to } => {
            let create = MultiOp::Create2(node(to, CreateMode::Ephemeral));
            vec![Request::Multi(vec![create, delete(from)])]
        }
        Step::Describe { path, version } => {
            let data = Some(bytes::Bytes::new());
            vec![Request::SetData { path: path.clone(), data, version: *version }]
        }
        Step::Look(path) => vec![data(path, false), children(path, false)],
        Step::Count { semaphore, leases } => vec![data(semaphore, true), children(leases, true)],
        Step::Take(take) => vec![Request::Multi(take_all(take))],
        Step::OwnLeases(paths) => paths.iter().map(|path| data(path, false)).collect(),
        Step::Return(paths) => {
            vec![Request::Multi(paths.iter().map(|path| delete(path)).collect())]
        }
    }
}

fn take_all(take: &Take) -> Vec<MultiOp> {
    let (path, version) = (take.semaphore.clone(), take.version);
    let mut ops = vec![match take.number.clone() {
        Some(number) => MultiOp::SetData { path, data: Some(number.into()), version },
        None => MultiOp::Check { path, version },
    }];
    ops.extend(take.leases.iter().map(|lease| MultiOp::Create2(node(lease, take.mode))));
    ops.push(delete(&take.place));
    ops
}

fn node(path: &str, mode: CreateMode) -> NewNode {
    NewNode { path: path.to_owned(), data: Some(bytes::Bytes::new()), acl: Acl::open(), mode }
}

fn delete(path: &str) -> MultiOp {
    MultiOp::Delete { path: path.to_owned(), version: -1 }
}

/// The answer of a step, of which there are as many as it has requests.
fn answer(step: &Step, session_id: i64, answers: Vec<Answered>) -> Answer {
    let mut answers = answers.into_iter();
    let mut next = || answers.next().unwrap_or(Err(RequestError::Interrupted));
    match step {
        Step::Enter(_) => {
            Answer::Entered { created: next().map(created), children: next().map(children) }
        }
        Step::MakeParent(_) | Step::MakeKept(_) => Answer::ParentMade(next().map(drop)),
        Step::Find => Answer::Found(next().and_then(|_| next()).map(children)),
        Step::FindLeases(_) => Answer::FoundLeases(next().and_then(|_| next()).map(children)),
        Step::Adopt(_) => Answer::Adopted { node: next().map(data), session_id },
        Step::Own(_) => Answer::Own(next().map(data)),
        Step::List => Answer::Listed(next().map(children)),
        Step::Watch { own, .. } => {
            let own = own.as_ref().map(|_| next().map(data));
            Answer::Watched { own, ahead: next().map(data) }
        }
        Step::Remove(_) => Answer::Removed(next().map(drop)),
        Step::Downgrade { .. } => Answer::Downgraded(next().map(results)),
        Step::Describe { .. } => Answer::Described(next().map(drop)),
        Step::Look(_) => {
            Answer::Looked { number: next().map(data), children: next().map(children) }
        }
        Step::Count { .. } => {
            Answer::Counted { number: next().map(data), leases: next().map(children) }
        }
        Step::Take(_) => Answer::Taken(next().map(results)),
        Step::OwnLeases(_) => Answer::OwnLeases(answers.map(|one| one.map(data)).collect()),
        Step::Return(_) => Answer::Returned(next().map(results)),
    }
}

fn created(reply: Reply) -> Created {
    match reply {
        Reply::Create2 { path, stat } | Reply::CreateContainer { path, stat } => {
            Created { path, stat }
        }
        other => unreachable!("an answer to a create: {other:?}"),
    }
}

fn data(reply: Reply) -> Node {
    match reply {
        Reply::GetData { data, stat } => Node { data: data.unwrap_or_default(), stat },
        other => unreachable!("an answer to a read: {other:?}"),
    }
}

fn children(reply: Reply) -> Vec<String> {
    match reply {
        Reply::GetChildren(children) => children,
        other => unreachable!("an answer to a list: {other:?}"),
    }
}

fn results(reply: Reply) -> Vec<MultiResult> {
    match reply {
        Reply::Multi(results) => results,
        other => unreachable!("an answer to a transaction: {other:?}"),
    }
}
