//! One server of an ensemble: what its disk has, what it is at present, and who is connected to it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use sneck_server::simulation::{Answer, Asked, Decided, Kind, Sent, View};

use super::reign::Reign;

/// A transaction in the logs of members.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) decided: Decided,
    /// Who waits for it: the member, and there the connection.
    pub(super) asker: Option<(Return, Answer)>,
}

/// Where an answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Return {
    pub(super) member: usize,
    pub(super) connection: u64,
    pub(super) ticket: u64,
}

/// One server of an ensemble.
pub(super) struct Member {
    /// How often its process has ended.
    pub(super) life: u32,
    pub(super) role: Role,
    pub(super) log: Vec<Rc<Entry>>,
    /// How much of the log the disk has for good.
    pub(super) durable: usize,
    /// Up to where the disk is busy with making it durable.
    syncing: Option<usize>,
    /// Which sync that is: what belongs to an earlier one comes to nothing.
    syncs: u64,
    /// The highest epoch that it has heard of.
    pub(super) accepted: u32,
    /// The epoch whose leader it has the history of.
    pub(super) epoch: u32,
    /// A history that is being written down: how long, and of which epoch.
    pub(super) history: Option<(usize, u32)>,
    /// What it has for clients, while it serves them.
    pub(super) desk: Option<Desk>,
    pub(super) paused_until_ms: u64,
}

/// What a member is at present.
pub(super) enum Role {
    /// Its process does not run.
    Down,
    /// It knows no leader.
    Looking,
    /// It does what another says; `term` is a number of its own for each time that it begins to.
    Following {
        leader: usize,
        term: u64,
        heard_ms: u64,
    },
    Leading(Box<Reign>),
}

/// What a member has for clients.
pub(super) struct Desk {
    pub(super) view: View,
    /// How much of the log the view has made.
    applied: usize,
    /// What is to be done, in this order, and when the last of it is.
    work: VecDeque<Work>,
    pub(super) work_ms: u64,
    clients: BTreeMap<u64, Client>,
    /// The sessions that were heard of since the leader was told last.
    pub(super) touched: BTreeSet<i64>,
}

/// Something that a member has been told of by its leader, and does in its own time.
pub(super) enum Work {
    /// To make what was decided, up to this transaction.
    Learn(i64),
    /// To answer whoever waits for all that was committed before.
    Synced(Return),
}

/// Somebody who is connected.
#[derive(Default)]
struct Client {
    session: Option<i64>,
    /// What was asked and is not answered yet, in order.
    waits: VecDeque<Wait>,
}

/// What keeps an answer from being given.
enum Wait {
    /// Nothing, once it is the first.
    Look(Asked),
    /// The transaction that this ticket was given for.
    Learned(u64),
    /// The leader's word, for the ticket.
    Resumed(u64, Asked),
    Synced(u64, Asked),
}

impl Client {
    /// What is to be answered next, if it was given this ticket.
    fn next_with(&mut self, ticket: u64) -> Option<Wait> {
        let is_meant = match self.waits.front()? {
            Wait::Look(_) => false,
            Wait::Learned(of) | Wait::Resumed(of, _) | Wait::Synced(of, _) => *of == ticket,
        };
        if is_meant { self.waits.pop_front() } else { None }
    }
}

impl Member {
    pub(super) fn new() -> Self {
        Member {
            life: 0,
            role: Role::Looking,
            log: Vec::new(),
            durable: 0,
            syncing: None,
            syncs: 0,
            accepted: 0,
            epoch: 0,
            history: None,
            desk: None,
            paused_until_ms: 0,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        !matches!(self.role, Role::Down)
    }

    /// The last transaction of the log.
    pub(super) fn last(&self) -> i64 {
        self.log.last().map_or(0, |entry| entry.decided.zxid())
    }

    /// The last transaction that its disk has.
    pub(super) fn last_durable(&self) -> i64 {
        let last = self.durable.checked_sub(1).and_then(|at| self.log.get(at));
        last.map_or(0, |entry| entry.decided.zxid())
    }

    pub(super) fn transactions(&self) -> impl Iterator<Item = &Decided> {
        self.log.iter().map(|entry| &entry.decided)
    }

    /// Lets the disk begin, if there is something and it is idle; the number of that sync.
    pub(super) fn next_sync(&mut self) -> Option<u64> {
        if self.syncing.is_some() || self.durable >= self.log.len() {
            return None;
        }
        self.syncing = Some(self.log.len());
        self.syncs += 1;
        Some(self.syncs)
    }

    /// The disk is done; whether with what it was asked for last.
    pub(super) fn synced(&mut self, sync: u64) -> bool {
        if sync != self.syncs {
            return false;
        }
        let Some(upto) = self.syncing.take() else { return false };
        self.durable = self.durable.max(upto);
        true
    }

    /// Whatever is being written is written to its end.
    pub(super) fn flush(&mut self) {
        self.syncing = None;
        self.syncs += 1;
        self.durable = self.log.len();
        if let Some((_, epoch)) = self.history.take() {
            self.epoch = epoch;
        }
    }

    /// Takes the leader's log for its own. What of it was not there before has to be written.
    pub(super) fn take_history(&mut self, log: Vec<Rc<Entry>>, epoch: u32) {
        let same = |(one, other): &(&Rc<Entry>, &Rc<Entry>)| Rc::ptr_eq(one, other);
        let common = self.log.iter().zip(&log).take_while(same).count();
        self.syncing = None;
        self.syncs += 1;
        self.durable = self.durable.min(common);
        self.history = Some((log.len(), epoch));
        self.log = log;
    }

    /// Its process ends. Of what the disk was not asked for long enough, so much of a thousand is there.
    pub(super) fn die(&mut self, kept_thousandths: u64) {
        let kept = usize::try_from(kept_thousandths.min(1_000)).unwrap_or(0);
        self.durable += (self.log.len() - self.durable) * kept / 1_000;
        self.log.truncate(self.durable);
        self.syncing = None;
        self.syncs += 1;
        self.history = None;
        self.life += 1;
        self.role = Role::Down;
        self.desk = None;
    }
}

impl Desk {
    /// For a view that has made the whole of a log of this length.
    pub(super) fn new(view: View, applied: usize) -> Self {
        let (work, clients, touched) = (VecDeque::new(), BTreeMap::new(), BTreeSet::new());
        Desk { view, applied, work, work_ms: 0, clients, touched }
    }

    pub(super) fn connections(&self) -> impl Iterator<Item = u64> {
        self.clients.keys().copied()
    }

    pub(super) fn opened(&mut self, connection: u64, at_ms: u64) {
        self.view.opened(connection, at_ms);
        self.clients.insert(connection, Client::default());
    }

    pub(super) fn closed(&mut self, connection: u64, at_ms: u64) {
        self.view.closed(connection, at_ms);
        self.clients.remove(&connection);
    }

    /// The session of whoever is on a connection.
    pub(super) fn session(&self, connection: u64) -> Option<i64> {
        self.clients.get(&connection).and_then(|client| client.session)
    }

    pub(super) fn will(&mut self, work: Work) {
        self.work.push_back(work);
    }

    pub(super) fn next_work(&mut self) -> Option<Work> {
        self.work.pop_front()
    }

    fn wait(&mut self, connection: u64, wait: Wait) {
        if let Some(client) = self.clients.get_mut(&connection) {
            client.waits.push_back(wait);
        }
    }

    /// Looks when it is the turn of this.
    pub(super) fn will_look(&mut self, connection: u64, asked: Asked) {
        self.wait(connection, Wait::Look(asked));
    }

    pub(super) fn will_learn(&mut self, Return { connection, ticket, .. }: Return) {
        self.wait(connection, Wait::Learned(ticket));
    }

    pub(super) fn will_resume(&mut self, back: Return, asked: Asked) {
        self.wait(back.connection, Wait::Resumed(back.ticket, asked));
    }

    pub(super) fn will_sync(&mut self, back: Return, asked: Asked) {
        self.wait(back.connection, Wait::Synced(back.ticket, asked));
    }

    /// Answers all that nothing keeps from being answered any more.
    pub(super) fn look(&mut self, connection: u64, at_ms: u64) -> Vec<Sent> {
        let mut sent = Vec::new();
        while let Some(client) = self.clients.get_mut(&connection)
            && let Some(Wait::Look(_)) = client.waits.front()
            && let Some(Wait::Look(asked)) = client.waits.pop_front()
        {
            sent.append(&mut self.view.look(asked, at_ms));
        }
        self.forget_ended(&sent);
        sent
    }

    /// The leader has said whether a client may go on with its session.
    pub(super) fn resumed(&mut self, back: Return, is_valid: bool, at_ms: u64) -> Vec<Sent> {
        let Some(client) = self.clients.get_mut(&back.connection) else { return Vec::new() };
        let Some(Wait::Resumed(_, asked)) = client.next_with(back.ticket) else {
            return Vec::new();
        };
        if let Kind::Resume(session) = asked.kind {
            client.session = Some(session).filter(|_| is_valid);
        }
        let mut sent = self.view.resume(&asked, is_valid);
        self.forget_ended(&sent);
        sent.append(&mut self.look(back.connection, at_ms));
        sent
    }

    /// All that was committed when it was asked is made here.
    pub(super) fn synced(&mut self, back: Return, at_ms: u64) -> Vec<Sent> {
        let Some(client) = self.clients.get_mut(&back.connection) else { return Vec::new() };
        let Some(Wait::Synced(_, asked)) = client.next_with(back.ticket) else {
            return Vec::new();
        };
        client.waits.push_front(Wait::Look(asked));
        self.look(back.connection, at_ms)
    }

    /// Makes the next transaction of a log, if it is due by this one.
    pub(super) fn learn(
        &mut self,
        me: usize,
        log: &[Rc<Entry>],
        upto: i64,
        at_ms: u64,
    ) -> Option<Vec<Sent>> {
        let entry = log.get(self.applied).filter(|entry| entry.decided.zxid() <= upto)?;
        self.applied += 1;
        let mut asker = None;
        if let Some((back, answer)) = entry.asker.as_ref().filter(|(back, _)| back.member == me)
            && let Some(client) = self.clients.get_mut(&back.connection)
            && client.next_with(back.ticket).is_some()
        {
            client.session = answer.opened().or(client.session);
            asker = Some((back.connection, answer));
        }
        let mut sent = self.view.learn(&entry.decided, asker);
        self.forget_ended(&sent);
        if let Some((connection, _)) = asker {
            sent.append(&mut self.look(connection, at_ms));
        }
        Some(sent)
    }

    fn forget_ended(&mut self, sent: &[Sent]) {
        for ended in sent.iter().filter(|sent| sent.bytes.is_none()) {
            self.clients.remove(&ended.connection);
        }
    }
}
