//! One client: a shipped claim, and the little of a session and a wait loop that a model needs.
//!
//! What is here stands for what is asynchronous in the shipped client, and does the same at the same
//! moments: requests wait for the greeting, answers come in order, a broken connection interrupts what was
//! sent, watches are set again, a wait ends with an event, and a dropped attempt leaves.

use std::collections::VecDeque;

use sneck_core::{Mode, Token};
use sneck_server::value::Sent;
use sneck_wire::{ErrorCode, EventKind, MultiOp, ReplyHeader, Request, WatchedEvent};
use sneck_zookeeper::stepping::{Answered, Claim, Turn};
use sneck_zookeeper::{End, RequestError};

/// What travels to the server on a connection.
#[derive(Clone, Debug, Hash)]
pub(crate) enum Packet {
    Greeting { session: Option<i64>, zxid_seen: i64 },
    Request(Request),
}

/// What a client is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Doing {
    /// Nothing, before it has begun and between two lives.
    Resting,
    /// Asking where its claim stands.
    Asking,
    /// It is first, and has the servers confirm its session.
    Proving(Token),
    /// Waiting for an event.
    Waiting,
    Holding(Token),
    /// Becoming a reader, while holding.
    Downgrading(Token),
    Leaving,
}

/// A watch on this side.
#[derive(Clone, Debug, Hash)]
struct Watch {
    path: String,
    of_list: bool,
    /// Whether the server has said that it is there.
    set: bool,
    fired: Option<EventKind>,
}

/// Who waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Asker {
    Step,
    Proof,
    OwnWatch,
    /// Nobody any more.
    Nobody,
}

/// A request without an answer.
#[derive(Clone, Debug, Hash)]
struct Asked {
    by: Asker,
    /// The watch that it leaves: of those on the place ahead, on permits, or on the own place.
    watch: Option<Role>,
    /// Whether its answer may prove the session: it is a write, and was sent after the last silence.
    proves: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Role {
    Ahead,
    Counts,
    Own,
}

/// Something that happened which ought not to.
pub(crate) type Wrong = &'static str;

/// A client. See the module's text.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Client {
    pub(crate) number: u64,
    /// As what it takes the lock, and as what it has it.
    wanted: Mode,
    pub(crate) mode: Mode,
    pub(crate) doing: Doing,
    pub(crate) claim: Claim,
    pub(crate) lives_left: u8,
    life: u64,
    generation: u64,
    pub(crate) session: Option<i64>,
    serving: bool,
    /// Whether the claim is on a session that is over.
    stale: bool,
    /// Whether it believes that its session lives.
    pub(crate) lease: bool,
    zxid_seen: i64,
    /// What waits for the greeting.
    queue: VecDeque<(Request, Asked)>,
    in_flight: VecDeque<Asked>,
    ahead: Option<Watch>,
    counts: Vec<Watch>,
    own: Vec<Watch>,
    /// The connection on which the watch on our own place was set.
    own_since: u64,
    /// What the server has sent and it has not read.
    pub(crate) inbox: VecDeque<Sent>,
    /// What it has to say, to be put on the way by the world.
    pub(crate) outbox: Vec<Packet>,
    /// Whether an operator has taken its place away.
    pub(crate) robbed: bool,
    pub(crate) wrote: bool,
    pub(crate) wrong: Option<Wrong>,
}

impl Client {
    /// A client that is going to take the lock whose node is `dir` so many times.
    pub(crate) fn new(number: u64, dir: &str, mode: Mode, lives: u8) -> Self {
        Client {
            number,
            wanted: mode,
            mode,
            doing: Doing::Resting,
            claim: Claim::new(dir, u128::from(number) * 16, mode),
            lives_left: lives,
            life: 0,
            generation: 0,
            session: None,
            serving: false,
            stale: false,
            lease: false,
            zxid_seen: 0,
            queue: VecDeque::new(),
            in_flight: VecDeque::new(),
            ahead: None,
            counts: Vec::new(),
            own: Vec::new(),
            own_since: 0,
            inbox: VecDeque::new(),
            outbox: Vec::new(),
            robbed: false,
            wrote: false,
            wrong: None,
        }
    }

    /// The connection that it has, or is making.
    pub(crate) fn connection(&self) -> u64 {
        self.number * 1_000 + self.generation
    }

    /// The token by which it believes to hold the lock.
    pub(crate) fn believes(&self) -> Option<Token> {
        match self.doing {
            Doing::Holding(token) | Doing::Downgrading(token) => Some(token),
            _ => None,
        }
    }

    /// Whether it waits for something that only others can do.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.in_flight.is_empty()
            && self.queue.is_empty()
            && self.inbox.is_empty()
            && matches!(self.doing, Doing::Resting | Doing::Waiting | Doing::Holding(_))
    }

    /// Whether its attempt can be dropped.
    pub(crate) fn is_attempting(&self) -> bool {
        matches!(self.doing, Doing::Asking | Doing::Proving(_) | Doing::Waiting)
    }

    // ----- what its user does -----

    /// Takes the lock, as another claim each time.
    pub(crate) fn begin(&mut self, dir: &str) {
        self.lives_left -= 1;
        self.life += 1;
        let number = u128::from(self.number) * 16 + u128::from(self.life);
        self.mode = self.wanted;
        self.claim = Claim::new(dir, number, self.mode);
        self.ask();
    }

    /// Drops the attempt, or gives the lock back: the claim leaves.
    pub(crate) fn leave(&mut self) {
        self.drop_future();
        (self.ahead, self.wrote) = (None, false);
        self.counts.clear();
        self.own.clear();
        self.doing = Doing::Leaving;
        self.go_on();
    }

    /// Nobody waits for what was asked any more.
    fn drop_future(&mut self) {
        self.claim.interrupted();
        self.in_flight.iter_mut().for_each(|asked| asked.by = Asker::Nobody);
        self.queue.iter_mut().for_each(|(_, asked)| asked.by = Asker::Nobody);
    }

    /// Lets readers in beside it.
    pub(crate) fn downgrade(&mut self) {
        if let Doing::Holding(token) = self.doing {
            self.drop_future();
            self.own.clear();
            self.mode = Mode::Shared;
            self.doing = Doing::Downgrading(token);
            self.go_on();
        }
    }

    /// Watches its own place while it holds.
    pub(crate) fn watch_own(&mut self) {
        for path in self.claim.held_paths() {
            self.send(Request::GetData { path, watch: true }, Asker::OwnWatch, Some(Role::Own));
        }
    }

    pub(crate) fn watches_own(&self) -> bool {
        !self.own.is_empty() || self.in_flight.iter().any(|asked| asked.by == Asker::OwnWatch)
    }

    /// Asks again although nothing woke it.
    pub(crate) fn recheck(&mut self) {
        self.ask();
    }

    /// No proof of the session has come for so long that it may be over.
    pub(crate) fn lapse(&mut self) {
        self.lease = false;
        self.in_flight.iter_mut().for_each(|asked| asked.proves = false);
        if self.believes().is_some() {
            self.leave();
        }
    }

    // ----- connections -----

    /// The connection is gone, or had never been there: makes another.
    pub(crate) fn reconnect(&mut self) {
        self.generation += 1;
        self.serving = false;
        self.inbox.clear();
        self.outbox.clear();
        let session = self.session;
        self.outbox.push(Packet::Greeting { session, zxid_seen: self.zxid_seen });
        for asked in std::mem::take(&mut self.in_flight) {
            self.forget_watch(&asked);
            self.answer(asked.by, Err(RequestError::Interrupted));
        }
    }

    fn on_greeting(&mut self, session: Option<i64>) {
        match (self.session, session) {
            (Some(_), None) => return self.on_session_over(),
            (None, None) => self.wrong = Some("a new session is refused"),
            (Some(known), Some(now)) if known != now => {
                self.wrong = Some("another session is resumed")
            }
            _ => {}
        }
        if self.session.is_none() {
            self.lease = true;
            self.claim.join_session(session.unwrap_or_default());
        }
        (self.session, self.serving, self.stale) = (session, true, false);
        let set = |watch: &&Watch| watch.set && watch.fired.is_none();
        let watches = self.ahead.iter().chain(&self.counts).chain(&self.own).filter(set);
        let (lists, nodes): (Vec<&Watch>, Vec<&Watch>) = watches.partition(|watch| watch.of_list);
        if !lists.is_empty() || !nodes.is_empty() {
            let paths =
                |watches: Vec<&Watch>| watches.into_iter().map(|it| it.path.clone()).collect();
            let again = Request::SetWatches {
                relative_zxid: self.zxid_seen,
                data: paths(nodes),
                exist: Vec::new(),
                child: paths(lists),
            };
            self.put(again, Asked { by: Asker::Nobody, watch: None, proves: false });
        }
        for (request, asked) in std::mem::take(&mut self.queue) {
            self.put(request, asked);
        }
    }

    /// The session is over, and with it what was on it; what comes next is on another one.
    fn on_session_over(&mut self) {
        (self.session, self.lease, self.serving, self.zxid_seen) = (None, false, false, 0);
        (self.ahead, self.own) = (None, Vec::new());
        self.counts.clear();
        self.generation += 1;
        self.inbox.clear();
        self.outbox.push(Packet::Greeting { session: None, zxid_seen: 0 });
        match self.doing {
            Doing::Holding(_) | Doing::Downgrading(_) => self.leave(),
            Doing::Waiting => self.ask(),
            _ => {}
        }
        for (_, asked) in std::mem::take(&mut self.queue) {
            self.answer(asked.by, Err(RequestError::Over { end: End::Expired, sent: false }));
        }
    }

    // ----- messages -----

    fn send(&mut self, request: Request, by: Asker, watch: Option<Role>) {
        if self.stale {
            return self.answer(by, Err(RequestError::Over { end: End::Expired, sent: false }));
        }
        self.register(&request, watch);
        let proves = matches!(
            request,
            Request::Create(_) | Request::Create2(_) | Request::Delete { .. } | Request::Multi(_)
        );
        let asked = Asked { by, watch, proves };
        if self.serving {
            self.put(request, asked);
        } else {
            self.queue.push_back((request, asked));
        }
    }

    fn put(&mut self, request: Request, asked: Asked) {
        self.in_flight.push_back(asked);
        self.outbox.push(Packet::Request(request));
    }

    /// Reads what has come, up to the first message that makes it do something.
    pub(crate) fn receive(&mut self, session_lives: bool) {
        match self.inbox.pop_front() {
            Some(Sent::Greeting(session)) => self.on_greeting(session),
            Some(Sent::Reply(header, reply)) => {
                let answered = match header.error {
                    ErrorCode::OK => reply.ok_or(RequestError::Interrupted),
                    code => Err(RequestError::Refused(code)),
                };
                self.on_reply(header, answered, session_lives);
            }
            Some(Sent::Event(event)) => self.on_event(&event),
            Some(Sent::Close) => self.reconnect(),
            None => {}
        }
    }

    fn on_reply(&mut self, header: ReplyHeader, answered: Answered, session_lives: bool) {
        let Some(asked) = self.in_flight.pop_front() else {
            self.wrong = Some("an answer to nothing");
            return;
        };
        self.zxid_seen = self.zxid_seen.max(header.zxid);
        // Its deadline is counted from when it was sent, and so before the server's is over.
        self.lease |= asked.proves && session_lives;
        match &answered {
            Ok(_) => {
                let mut watches = self.watches(asked.watch);
                if let Some(watch) = watches.find(|watch| !watch.set) {
                    watch.set = true;
                }
            }
            Err(_) => self.forget_watch(&asked),
        }
        self.answer(asked.by, answered);
    }

    fn on_event(&mut self, event: &WatchedEvent) {
        let mut own_changed = false;
        for role in [Role::Ahead, Role::Counts, Role::Own] {
            for watch in self.watches(Some(role)) {
                let fires = match event.kind {
                    EventKind::ChildrenChanged => watch.of_list,
                    EventKind::DataChanged => !watch.of_list,
                    _ => true,
                };
                if watch.path == event.path && fires && watch.fired.is_none() {
                    watch.fired = Some(event.kind);
                    own_changed |= role == Role::Own;
                }
            }
        }
        if own_changed {
            self.claim.own_changed();
        }
        self.look_at_watches();
    }

    fn look_at_watches(&mut self) {
        let fired = |watches: &[Watch]| watches.iter().any(|watch| watch.fired.is_some());
        if self.doing == Doing::Waiting {
            if let Some(Watch { path, fired: Some(kind), .. }) = &self.ahead {
                if *kind == EventKind::Deleted {
                    // Events of one connection come in order, and those of watches that are set again in any.
                    let own_there = self.own_since == self.generation
                        && !self.own.is_empty()
                        && self.own.iter().all(|watch| watch.set && watch.fired.is_none());
                    self.claim.deleted(path, own_there);
                }
                self.ahead = None;
                self.ask();
            } else if fired(&self.own) {
                self.own.clear();
                self.claim.own_doubtful();
                self.ask();
            } else if fired(&self.counts) {
                self.counts.clear();
                self.ask();
            }
        } else if matches!(self.doing, Doing::Holding(_)) && fired(&self.own) {
            self.lose_or_keep();
        }
    }

    /// Looks whether what it holds is there.
    fn lose_or_keep(&mut self) {
        self.own.clear();
        self.claim.own_doubtful();
        if !self.in_flight.iter().any(|asked| asked.by == Asker::Step) {
            self.go_on();
        }
    }

    // ----- watches -----

    fn watches(&mut self, role: Option<Role>) -> Box<dyn Iterator<Item = &mut Watch> + '_> {
        match role {
            Some(Role::Ahead) => Box::new(self.ahead.iter_mut()),
            Some(Role::Counts) => Box::new(self.counts.iter_mut()),
            Some(Role::Own) => Box::new(self.own.iter_mut()),
            None => Box::new(std::iter::empty()),
        }
    }

    /// From now on, an event about it is not missed.
    fn register(&mut self, request: &Request, role: Option<Role>) {
        let (path, of_list) = match request {
            Request::GetData { path, watch: true } => (path.clone(), false),
            Request::GetChildren { path, watch: true } => (path.clone(), true),
            _ => return,
        };
        let watch = Watch { path, of_list, set: false, fired: None };
        match role {
            Some(Role::Ahead) => self.ahead = Some(watch),
            Some(Role::Counts) => self.counts.push(watch),
            Some(Role::Own) => self.own.push(watch),
            None => {}
        }
    }

    fn forget_watch(&mut self, asked: &Asked) {
        match asked.watch {
            Some(Role::Ahead) => self.ahead = None,
            Some(Role::Counts) => self.counts.retain(|watch| watch.set),
            Some(Role::Own) => self.own.retain(|watch| watch.set),
            None => {}
        }
    }

    // ----- the claim -----

    fn ask(&mut self) {
        if self.ahead.is_some() || !self.counts.is_empty() {
            self.claim.own_doubtful();
        }
        self.doing = Doing::Asking;
        self.go_on();
    }

    /// Takes the next step of what it is doing.
    fn go_on(&mut self) {
        self.stale = self.session.is_none() && !self.claim.is_nowhere();
        if self.claim.is_nowhere() {
            self.claim.join_session(self.session.unwrap_or_default());
        }
        let turn = match self.doing {
            Doing::Asking | Doing::Holding(_) => self.claim.ask(),
            Doing::Leaving => self.claim.leave(),
            Doing::Downgrading(_) => self.claim.downgrade(),
            Doing::Proving(_) => return self.prove(),
            Doing::Resting | Doing::Waiting => return,
        };
        self.turn(turn);
    }

    fn answer(&mut self, by: Asker, answered: Answered) {
        match by {
            Asker::Nobody => {}
            Asker::OwnWatch if answered.is_ok() => self.look_at_watches(),
            Asker::OwnWatch if answered == Err(RequestError::Interrupted) => {}
            Asker::OwnWatch => self.lose_or_keep(),
            Asker::Step => {
                let turn = self.claim.answered(answered);
                self.turn(turn);
            }
            Asker::Proof => match (answered, self.doing) {
                (Ok(_), Doing::Proving(token)) if self.lease => self.hold(token),
                (Err(RequestError::Over { .. }), _) => self.leave(),
                _ => self.prove(),
            },
        }
    }

    /// What its watches have told meanwhile is looked at.
    fn hold(&mut self, token: Token) {
        self.doing = Doing::Holding(token);
        self.look_at_watches();
    }

    fn prove(&mut self) {
        let check = MultiOp::Check { path: "/".to_owned(), version: -1 };
        self.send(Request::Multi(vec![check]), Asker::Proof, None);
    }

    fn turn(&mut self, turn: Turn) {
        match (turn, self.doing) {
            (Turn::Send(requests), _) => {
                let counting =
                    requests.iter().any(|request| role(&self.claim, request) == Some(Role::Counts));
                // What the last watches have to tell is out of date.
                if counting {
                    self.counts.clear();
                }
                for request in requests {
                    let role = match role(&self.claim, &request) {
                        Some(_) if counting => Some(Role::Counts),
                        role => role,
                    };
                    if role == Some(Role::Own) {
                        (self.own, self.own_since) = (Vec::new(), self.generation);
                    }
                    self.send(request, Asker::Step, role);
                }
            }
            (Turn::Next, _) => self.go_on(),
            (Turn::Unanswered, _) => {}
            (Turn::Held(token), Doing::Holding(held)) if token == held => {}
            (Turn::Held(token), Doing::Asking) => {
                self.counts.clear();
                if self.lease {
                    self.hold(token);
                } else if self.session.is_none() {
                    self.leave();
                } else {
                    self.doing = Doing::Proving(token);
                    self.prove();
                }
            }
            (Turn::Behind, Doing::Asking) => {
                self.doing = Doing::Waiting;
                self.look_at_watches();
            }
            (Turn::Gone(_), Doing::Asking | Doing::Holding(_)) => self.leave(),
            (Turn::Done, Doing::Leaving) => {
                self.doing = Doing::Resting;
                self.robbed = false;
            }
            (Turn::Done, Doing::Downgrading(token)) => self.doing = Doing::Holding(token),
            (Turn::Failed(_), Doing::Downgrading(_)) => self.leave(),
            (Turn::Failed(_), _) => self.wrong = Some("an attempt ends with an error"),
            (_, _) => self.wrong = Some("a claim answers what was not asked"),
        }
    }
}

/// What the watch is for that a request leaves. Permits are counted by a list and a number.
fn role(claim: &Claim, request: &Request) -> Option<Role> {
    match request {
        Request::GetChildren { watch: true, .. } => Some(Role::Counts),
        Request::GetData { path, watch: true } => {
            let owns = path.rsplit('/').next().is_some_and(|child| claim.owns(child));
            Some(if owns { Role::Own } else { Role::Ahead })
        }
        _ => None,
    }
}
