//! Clients, a server, and all that can happen to them next.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use sneck_core::{Mode, Token};
use sneck_server::value::{Outcome, Server};
use sneck_wire::{Acl, CreateMode, NewNode, Request};
use stateright::{Model, Property};

use crate::client::{Client, Doing, Packet, Wrong};
use crate::setting::Setting;
use crate::truth;

/// The lock's node, and the one that is above it.
pub(crate) const DIR: &str = "/l";

/// Something that happens. Clients are named by their place in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It takes the lock.
    Begin(usize),
    /// It drops its attempt.
    Cancel(usize),
    /// It gives the lock back.
    Release(usize),
    /// It lets readers in beside it.
    Downgrade(usize),
    /// It sets a watch on its own place.
    WatchOwn(usize),
    /// It asks again by itself.
    Recheck(usize),
    /// It sends a write to the resource.
    Write(usize),
    /// The resource gets a write with this token.
    Arrive(Token),
    /// The server reads what has come on a connection first.
    Serve(u64),
    /// It reads what has come from the server first.
    Receive(usize),
    /// Its connection breaks.
    Break(usize),
    /// Its session was silent for as long as it may be believed in.
    Lapse(usize),
    /// The server ends its session.
    Expire(usize),
    /// An operator deletes its place.
    Rob(usize),
    /// An operator, or the server, deletes the lock's empty node.
    Reap,
    /// The server is ended and started again.
    Restart,
}

/// All there is at one moment.
#[derive(Clone)]
pub struct World {
    server: Arc<Server>,
    pub(crate) clients: Vec<Arc<Client>>,
    /// What is on the way to the server, also on connections that their clients have given up.
    links: BTreeMap<u64, VecDeque<Packet>>,
    /// Tokens of writes that are on the way to the resource, and the highest that it has seen.
    writes: Vec<Token>,
    written: Option<Token>,
    /// The highest token granted, and the highest granted to one who was alone.
    granted: Option<Token>,
    granted_alone: Option<Token>,
    left: Faults,
    seen: Seen,
    wrong: Option<Wrong>,
}

/// How much may still go wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// Broken connections.
    pub breaks: u8,
    /// Sessions that are silent for too long; only these may expire.
    pub lapses: u8,
    /// Attempts that are dropped.
    pub cancels: u8,
    /// Places that an operator deletes.
    pub robberies: u8,
    /// Deletions of the lock's node while it is empty.
    pub reaps: u8,
    /// Ends of the server.
    pub restarts: u8,
    /// Questions that nothing gave rise to.
    pub rechecks: u8,
    /// Writers that become readers.
    pub downgrades: u8,
}

/// What has happened on the way, for what must be possible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Seen {
    refused: bool,
    grants: u8,
}

/// Hashes all of it: states are told apart by that.
impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.server.hash(state);
        self.clients.hash(state);
        self.links.hash(state);
        (&self.writes, self.written, self.granted, self.granted_alone).hash(state);
        (self.left, self.seen, self.wrong).hash(state);
    }
}

impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        let digest = |world: &World| {
            let mut hasher = DefaultHasher::new();
            world.hash(&mut hasher);
            hasher.finish()
        };
        digest(self) == digest(other)
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(wrong) = self.wrong {
            writeln!(f, "wrong: {wrong}")?;
        }
        for (name, czxid) in self.nodes() {
            writeln!(f, "  node {name} made by {czxid}")?;
        }
        for client in &self.clients {
            let (number, doing) = (client.number, client.doing);
            writeln!(
                f,
                "  client {number} on {:?}: {doing:?}, reads {:?}",
                client.session, client.inbox
            )?;
        }
        for (connection, packets) in &self.links {
            writeln!(f, "  on {connection}: {packets:?}")?;
        }
        Ok(())
    }
}

impl World {
    /// Everybody has a session, and nobody wants the lock yet.
    fn new(setting: &Setting) -> Self {
        let mut server = Server::default();
        if setting.with_parents {
            for path in truth::parents(&setting.modes) {
                let node = NewNode {
                    path: (*path).to_owned(),
                    data: None,
                    acl: Acl::open(),
                    mode: CreateMode::Container,
                };
                server.operate(Request::CreateContainer(node));
            }
        }
        let client = |(at, mode): (usize, &Mode)| {
            let mut client = Client::new(at as u64 + 1, DIR, *mode, setting.lives);
            client.reconnect();
            Arc::new(client)
        };
        let mut world = World {
            server: Arc::new(server),
            clients: setting.modes.iter().enumerate().map(client).collect(),
            links: BTreeMap::new(),
            writes: Vec::new(),
            written: None,
            granted: None,
            granted_alone: None,
            left: setting.faults,
            seen: Seen::default(),
            wrong: None,
        };
        for at in 0..world.clients.len() {
            world.send(at);
            world.serve(world.clients[at].connection());
            world.change(at, |client| client.receive(true));
        }
        world
    }

    /// The places and permits that are there, the oldest first.
    pub(crate) fn nodes(&self) -> Vec<(String, i64)> {
        let mut nodes: Vec<_> =
            truth::ROOMS.iter().flat_map(|room| self.server.children(room)).collect();
        nodes.sort_by_key(|(_, czxid)| *czxid);
        nodes
    }

    pub(crate) fn places(&self) -> Vec<(String, i64)> {
        self.server.children(DIR)
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// Whether nothing is on the way, so that nothing happens until somebody wants something.
    pub(crate) fn is_quiet(&self) -> bool {
        self.links.is_empty() && self.clients.iter().all(|client| client.is_at_rest())
    }

    // ----- what can happen -----

    fn actions(&self, setting: &Setting, actions: &mut Vec<Action>) {
        if self.wrong.is_some() {
            return;
        }
        actions.extend(self.links.keys().map(|connection| Action::Serve(*connection)));
        for (at, client) in self.clients.iter().enumerate() {
            self.actions_of(at, client, setting, actions);
        }
        actions.extend(self.writes.iter().map(|token| Action::Arrive(*token)));
        if self.left.reaps > 0 && !self.places().is_empty() {
            // It would be refused.
        } else if self.left.reaps > 0 {
            actions.push(Action::Reap);
        }
        if self.left.restarts > 0 {
            actions.push(Action::Restart);
        }
    }

    fn actions_of(&self, at: usize, client: &Client, setting: &Setting, actions: &mut Vec<Action>) {
        if !client.inbox.is_empty() {
            actions.push(Action::Receive(at));
        }
        let left = self.left;
        match client.doing {
            Doing::Resting if client.lives_left > 0 && self.may_begin(at, setting) => {
                actions.push(Action::Begin(at));
            }
            Doing::Holding(_) => {
                actions.push(Action::Release(at));
                if setting.writes && !client.wrote {
                    actions.push(Action::Write(at));
                }
                if left.downgrades > 0 && client.mode == Mode::Write {
                    actions.push(Action::Downgrade(at));
                }
                if setting.faults.robberies > 0 && !client.watches_own() {
                    actions.push(Action::WatchOwn(at));
                }
            }
            Doing::Waiting if left.rechecks > 0 => actions.push(Action::Recheck(at)),
            _ => {}
        }
        if left.cancels > 0 && client.is_attempting() {
            actions.push(Action::Cancel(at));
        }
        if left.breaks > 0 && client.session.is_some() {
            actions.push(Action::Break(at));
        }
        if left.lapses > 0 && client.lease {
            actions.push(Action::Lapse(at));
        }
        if client.session.is_some_and(|id| !client.lease && self.server.has_session(id)) {
            actions.push(Action::Expire(at));
        }
        if left.robberies > 0 && self.nodes().iter().any(|(node, _)| client.claim.owns(node)) {
            actions.push(Action::Rob(at));
        }
    }

    /// Clients that are alike begin in order: any other order is the same under other names.
    fn may_begin(&self, at: usize, setting: &Setting) -> bool {
        let begun = |client: &Client| client.lives_left < setting.lives;
        begun(&self.clients[at])
            || (0..at).all(|before| {
                setting.modes[before] != setting.modes[at] || begun(&self.clients[before])
            })
    }

    // ----- making it happen -----

    fn happen(&mut self, action: Action) {
        match action {
            Action::Begin(at) => self.change(at, |client| client.begin(DIR)),
            Action::Cancel(at) => {
                self.left.cancels -= 1;
                self.change(at, Client::leave);
            }
            Action::Release(at) => self.change(at, Client::leave),
            Action::Downgrade(at) => {
                self.left.downgrades -= 1;
                self.change(at, Client::downgrade);
            }
            Action::WatchOwn(at) => self.change(at, Client::watch_own),
            Action::Recheck(at) => {
                self.left.rechecks -= 1;
                self.change(at, Client::recheck);
            }
            Action::Write(at) => {
                self.writes.extend(self.clients[at].believes());
                self.writes.sort_unstable();
                self.change(at, |client| client.wrote = true);
            }
            Action::Arrive(token) => self.arrive(token),
            Action::Serve(connection) => self.serve(connection),
            Action::Receive(at) => {
                let session = self.clients[at].session;
                let lives = session.is_some_and(|id| self.server.has_session(id));
                self.change(at, |client| client.receive(lives));
            }
            Action::Break(at) => {
                self.left.breaks -= 1;
                self.change(at, Client::reconnect);
            }
            Action::Lapse(at) => {
                self.left.lapses -= 1;
                self.change(at, Client::lapse);
            }
            Action::Expire(at) => {
                if let Some(session) = self.clients[at].session {
                    let outcome = Arc::make_mut(&mut self.server).expire(session);
                    self.spread(outcome);
                }
            }
            Action::Rob(at) => self.rob(at),
            Action::Reap => {
                self.left.reaps -= 1;
                let request = Request::Delete { path: DIR.to_owned(), version: -1 };
                let outcome = Arc::make_mut(&mut self.server).operate(request);
                self.spread(outcome);
            }
            Action::Restart => self.restart(),
        }
    }

    /// Lets a client do something, and notes what follows from it.
    fn change(&mut self, at: usize, doing: impl FnOnce(&mut Client)) {
        let before = (self.clients[at].believes(), self.clients[at].doing);
        doing(Arc::make_mut(&mut self.clients[at]));
        self.send(at);
        let client = Arc::clone(&self.clients[at]);
        self.wrong = self.wrong.or(client.wrong);
        if let (None, Some(token)) = (before.0, client.believes()) {
            self.note_grant(&client, token);
        }
        let has_left = before.1 != Doing::Resting && client.doing == Doing::Resting;
        let session = client.session.is_some_and(|id| self.server.has_session(id));
        if has_left && session && self.nodes().iter().any(|(node, _)| client.claim.owns(node)) {
            self.wrong = Some("who has left is in line");
        }
    }

    fn note_grant(&mut self, client: &Client, token: Token) {
        let alone = matches!(client.mode, Mode::Exclusive | Mode::Write);
        let before = if alone { self.granted } else { self.granted_alone };
        if before.is_some_and(|before| token <= before) && !client.robbed {
            self.wrong = Some("a token does not rise");
        }
        self.granted = self.granted.max(Some(token));
        if alone {
            self.granted_alone = self.granted_alone.max(Some(token));
        }
        self.seen.grants = (self.seen.grants + 1).min(3);
    }

    /// Puts on the way what a client has to say.
    fn send(&mut self, at: usize) {
        let client = Arc::make_mut(&mut self.clients[at]);
        if !client.outbox.is_empty() {
            let connection = client.connection();
            self.links.entry(connection).or_default().extend(client.outbox.drain(..));
        }
    }

    fn serve(&mut self, connection: u64) {
        let Some(packet) = self.links.get_mut(&connection).and_then(VecDeque::pop_front) else {
            return;
        };
        let server = Arc::make_mut(&mut self.server);
        let outcome = match packet {
            Packet::Greeting { session, zxid_seen } => {
                server.greeted(connection, session, zxid_seen)
            }
            Packet::Request(request) => server.requested(connection, request),
        };
        self.spread(outcome);
    }

    /// Gives what the server says to those who still listen, and forgets what it will not listen to.
    fn spread(&mut self, outcome: Outcome) {
        for (connection, sent) in outcome {
            if let Some(at) = self.clients.iter().position(|it| it.connection() == connection) {
                Arc::make_mut(&mut self.clients[at]).inbox.push_back(sent);
            }
        }
        let server = &self.server;
        self.links.retain(|connection, packets| match packets.front() {
            None => false,
            Some(Packet::Greeting { .. }) => true,
            Some(Packet::Request(_)) => server.is_connected(*connection),
        });
    }

    /// The resource takes a write unless it has seen a higher token.
    fn arrive(&mut self, token: Token) {
        if let Some(at) = self.writes.iter().position(|it| *it == token) {
            self.writes.remove(at);
        }
        if self.written.is_some_and(|written| token < written) {
            self.seen.refused = true;
            let holds = |client: &Arc<Client>| client.believes() == Some(token) && !client.robbed;
            if self.clients.iter().any(holds) {
                self.wrong = Some("a holder's write is refused");
            }
        }
        self.written = self.written.max(Some(token));
    }

    fn rob(&mut self, at: usize) {
        self.left.robberies -= 1;
        Arc::make_mut(&mut self.clients[at]).robbed = true;
        for room in truth::ROOMS {
            for (node, _) in self.server.children(room) {
                if self.clients[at].claim.owns(&node) {
                    let path = format!("{room}/{node}");
                    let request = Request::Delete { path, version: -1 };
                    let outcome = Arc::make_mut(&mut self.server).operate(request);
                    self.spread(outcome);
                }
            }
        }
    }

    fn restart(&mut self) {
        self.left.restarts -= 1;
        let server = Arc::unwrap_or_clone(std::mem::take(&mut self.server));
        self.server = Arc::new(server.restarted());
        self.links.clear();
        for at in 0..self.clients.len() {
            self.change(at, Client::reconnect);
        }
    }
}

impl Model for Setting {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        self.choose_mutant();
        vec![World::new(self)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        world.actions(self, actions);
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        self.choose_mutant();
        let mut next = world.clone();
        next.happen(action);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always("nothing goes wrong on the way", |_, world: &World| {
                world.wrong.is_none()
            }),
            Property::always("nobody holds beside one who is alone", truth::excludes),
            Property::always("nobody waits for nothing", truth::is_served),
            Property::always("nothing is left behind", truth::is_clean),
            Property::always("nobody has two places", truth::is_single),
            Property::sometimes(
                "everybody who can has had it",
                |setting: &Setting, world: &World| world.seen.grants >= setting.grants_possible(),
            ),
        ];
        if self.writes && self.faults.lapses > 0 {
            properties.push(Property::sometimes("a late write is refused", |_, world: &World| {
                world.seen.refused
            }));
        }
        properties
    }
}
